//! A control group (version 2) for an instance: no descendant leaves it, whatever it does with its session, its
//! environment and its parents.
//!
//! Most programs may not make one: the folder belongs to root, or to the user in a session of systemd. Nothing depends on
//! it, and a descendant that the service has started before it was moved is not in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use super::super::blocking;

/// Of the names of all of them; the number of your program follows.
const PREFIX: &str = "local-service-";

/// How often, and with which pause, it is tried to remove the folder, until the last process has ended.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// The folder of a control group, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// A new one below that of your program; `None` where none may be made.
    pub(crate) fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static TIDY: Once = Once::new();
        let own = own()?;
        TIDY.call_once(|| remove_old(&own));
        // One of an earlier program with the same number may be left.
        let folder = (0..8).find_map(|_| {
            let number = NEXT.fetch_add(1, Relaxed);
            let folder = own.join(format!("{PREFIX}{}-{number}", process::id()));
            fs::create_dir(&folder).ok().map(|()| folder)
        });
        let made = Self { folder: folder? };
        // Since Linux 5.14.
        made.folder.join("cgroup.kill").exists().then_some(made)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Moves a process into it, and all that it starts from then on.
    pub(crate) fn add(&self, pid: u32) -> bool {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).is_ok()
    }

    /// The processes in it, without zombies.
    pub(crate) fn members(&self) -> Vec<u32> {
        let members = fs::read_to_string(self.folder.join("cgroup.procs"));
        let members = members.unwrap_or_default();
        members.lines().filter_map(|it| it.parse().ok()).collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let folder = std::mem::take(&mut self.folder);
        let is_removed = |folder: &Path| !folder.exists() || fs::remove_dir(folder).is_ok();
        if !is_removed(&folder) {
            // What is in it was killed, and takes a moment.
            drop(blocking::begin(move || {
                let mut tries = 0..TRIES;
                while tries.next().is_some() && !is_removed(&folder) {
                    thread::sleep(PAUSE);
                }
            }));
        }
    }
}

/// Removes what programs have left behind that were killed before they had a watchdog. Nothing is in it: only an empty
/// one can be removed.
fn remove_old(own: &Path) {
    let is_old = |name: &str| {
        let number = name.strip_prefix(PREFIX)?.split('-').next()?;
        Some(!Path::new("/proc").join(number).exists())
    };
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        if entry.file_name().to_str().and_then(is_old) == Some(true) {
            drop(fs::remove_dir(entry.path()));
        }
    }
}

/// The folder of the control group that your program is in.
fn own() -> Option<PathBuf> {
    let group = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = group.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    Some(mount_point(&mounts)?.join(path))
}

/// Where the file system of all control groups is mounted.
fn mount_point(mounts: &str) -> Option<&Path> {
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        (kind.starts_with("cgroup2 ") && root == "/").then_some(Path::new(point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_point_is_that_of_version_2() {
        let mounts = "25 1 0:22 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro\n\
                      26 25 0:23 / /sys/fs/cgroup/cpu rw shared:10 - cgroup cgroup rw,cpu\n\
                      27 25 0:24 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw\n";
        let found = mount_point(mounts);
        assert_eq!(found, Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(mount_point("1 0 8:1 / / rw - ext4 /dev/sda rw"), None);
        assert_eq!(mount_point("nonsense - cgroup2 "), None);
    }

    #[test]
    fn what_a_killed_program_has_left_is_removed() {
        let Some(own) = own() else { return };
        // No process has this number.
        let left = own.join(format!("{PREFIX}4194999-0"));
        if fs::create_dir(&left).is_ok() {
            remove_old(&own);
            assert!(!left.exists());
        }
    }

    #[test]
    fn its_folder_is_removed() {
        // Where none may be made there is nothing to see.
        if let Some(made) = Cgroup::new() {
            let folder = made.folder().to_owned();
            assert!(folder.exists() && made.members().is_empty());
            drop(made);
            assert!(!folder.exists());
        }
    }
}
