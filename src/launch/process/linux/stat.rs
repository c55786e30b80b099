//! `/proc/<pid>/stat`.

use std::fs;

/// `PF_EXITING`: the thread has begun to end.
const EXITING: u64 = 0x4;

/// One process, as its line in `/proc` shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) exiting: bool,
    /// In clock ticks after boot.
    pub(super) started: u64,
    /// In clock ticks: of the process, and of its children that were waited for.
    pub(super) cpu: u64,
    /// A signal has stopped it, until another one continues it.
    pub(super) suspended: bool,
    ended: bool,
    threads: u64,
}

impl Stat {
    pub(super) fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        // The name may contain any characters, also parentheses and spaces.
        let (_, rest) = text.rsplit_once(')')?;
        // The first field here is field 3 of the manual page.
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(4)?).ok()?,
            group: u32::try_from(number(5)?).ok()?,
            exiting: number(9)? & EXITING != 0,
            started: number(22)?,
            cpu: number(14)? + number(15)? + number(16)? + number(17)?,
            suspended: *fields.first()? == "T",
            ended: matches!(*fields.first()?, "Z" | "X" | "x"),
            threads: number(20)?,
        })
    }

    /// Whether the process is more than a zombie. A process whose first thread has ended looks like a
    /// zombie, but has other threads.
    pub(super) fn lives(&self) -> bool {
        !self.ended || self.threads > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_skipped() {
        let text = "42 (a) Z 1 (b) S 7 1300 1300 0 -1 4194308 9 0 0 0 1 2 3 4 20 0 3 0 987654 1 2";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.group, 1300);
        assert_eq!(stat.started, 987_654);
        assert!(stat.exiting && stat.lives());
    }

    #[test]
    fn a_zombie_with_other_threads_lives() {
        let zombie = |threads: u32| {
            let text = format!("1 (x) Z 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 {threads} 0 5 0");
            Stat::parse(&text).unwrap()
        };
        assert!(!zombie(1).lives());
        assert!(zombie(2).lives());
    }

    #[test]
    fn text_that_is_no_stat_is_none() {
        assert_eq!(Stat::parse(""), None);
        assert_eq!(Stat::parse("1 (x) S 1"), None);
    }
}
