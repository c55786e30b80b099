//! The clock that all processes share.

use std::time::Duration;

/// It stands still while the machine is suspended, for all programs alike. With a clock that continues, each program would
/// find the others silent for hours when it wakes.
#[cfg(all(unix, not(tower_local_service_unsupported)))]
pub(crate) fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Of the day: without unsafe code nothing tells of a clock that is never set. While it is set, uses by other programs may
/// be taken for older or newer than they are.
#[cfg(windows)]
#[expect(
    clippy::disallowed_types,
    reason = "all programs have no other clock here"
)]
pub(crate) fn now() -> Duration {
    use std::time::SystemTime;

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

/// Programs share nothing there, so it counts from the first call.
#[cfg(any(not(any(unix, windows)), tower_local_service_unsupported))]
pub(crate) fn now() -> Duration {
    use std::sync::LazyLock;

    use tokio::time::Instant;

    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST.elapsed()
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        io::{self, Write as _},
        process::Command,
    };

    use super::now;

    /// Begins the line that says it.
    const SAID: &str = "the clock says ";

    #[test]
    #[ignore = "plays another process, for the test beside it"]
    fn says_what_time_it_is() {
        // Not by a macro, whose output the runner keeps to itself.
        writeln!(io::stdout(), "{SAID}{}", now().as_nanos()).unwrap();
    }

    #[test]
    fn another_process_reads_the_same_clock() {
        let before = now();
        let program = env::current_exe().unwrap();
        let name = "resources::peers::clock::tests::says_what_time_it_is";
        let output = Command::new(program)
            .args(["--ignored", "--exact", "--nocapture", name])
            .output()
            .unwrap();
        let after = now();
        let output = String::from_utf8(output.stdout).unwrap();
        let mut said = output.lines().filter_map(|it| it.split_once(SAID));
        let (_, there) = said.next().unwrap_or_else(|| panic!("{output}"));
        let there: u128 = there.parse().unwrap();
        assert!(
            (before.as_nanos()..=after.as_nanos()).contains(&there),
            "{before:?} {there} {after:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn it_is_the_one_that_stands_still_while_the_machine_is_suspended() {
        use rustix::time::{ClockId, clock_gettime};

        let monotonic = || {
            let now = clock_gettime(ClockId::Monotonic);
            (i128::from(now.tv_sec), i128::from(now.tv_nsec))
        };
        let (before, now, after) = (monotonic(), now(), monotonic());
        let now = (now.as_secs().into(), now.subsec_nanos().into());
        assert!(
            (before..=after).contains(&now),
            "{before:?} {now:?} {after:?}"
        );
    }
}
