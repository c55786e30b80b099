//! The shell that ends a process group when your program has ended.
//!
//! It first sends TERM, so that a server can remove what outlives it (files in `/dev/shm`, for one), and
//! KILL when all have ended or two seconds are over. With the group it ends the service's process and its
//! descendants that have left the group, as far as `/proc` shows them or a control group has them.

use std::{
    fs::File, io, os::fd::OwnedFd, path::Path, process::Stdio, sync::LazyLock, thread,
    time::Duration,
};

use rustix::{io::Errno, process::Pid};
use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStdin, ChildStdout, Command},
    time::Instant,
};

use super::{
    exit::{Peek, peek},
    family::Descendant,
    pid,
};
use crate::log::warn_once;

/// What the shell runs, without its comments.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("watchdog.sh").lines();
    let code: Vec<_> = lines
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect();
    code.join("\n")
});

/// The name under which `ps` shows the shell.
const NAME: &str = "local-service-watchdog";

/// How long a shell may take until it has run the first line of its script, on a very busy machine.
const ARM_LIMIT: Duration = Duration::from_secs(1);

/// What makes a child keep the lock for as long as it lives: the lock belongs to the file as your program has opened it, so
/// it lasts until both have closed it. Of the descriptors that a child can be given, a shell needs this one least.
pub(in crate::launch) fn keeping(lock: Option<&File>) -> io::Result<Stdio> {
    Ok(match lock {
        Some(file) => file.try_clone()?.into(),
        None => Stdio::null(),
    })
}

/// The leader of the service's process group.
pub(super) struct Watchdog {
    child: Child,
    pid: Pid,
    // The write end of the pipe that the watchdog reads. Closing it ends the group: one system call
    // that cannot block, or none at all when your program dies.
    lifeline: Option<OwnedFd>,
    // The watchdog writes one line, at its start. The end of the stream tells that the watchdog has
    // ended, without reaping it.
    stdout: ChildStdout,
}

impl Watchdog {
    /// Starts the watchdog; `None` where this system has no shell. `ends_detached` says whether it ends
    /// descendants that have left the group, too, and `cgroup` where all of them are. It keeps `lock` locked as long as it
    /// lives.
    ///
    /// # Errors
    ///
    /// The system cannot start a process now.
    pub(super) fn start(
        shell: &str,
        ends_detached: bool,
        cgroup: Option<&Path>,
        lock: Option<&File>,
    ) -> io::Result<Option<Self>> {
        let spawned = Command::new(shell)
            .args(["-c", &SCRIPT, NAME, if ends_detached { "tree" } else { "" }])
            .args(cgroup)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(keeping(lock)?)
            .process_group(0)
            .spawn();
        match spawned {
            Ok(child) => Self::of(child).map(Some),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                ) =>
            {
                warn_once!(
                    shell,
                    "no shell to run a watchdog for local services: they outlive this program if it \
                     is killed or aborts; install a POSIX shell at this path"
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn of(mut child: Child) -> io::Result<Self> {
        let missing = || io::Error::other("the watchdog has no pipes");
        let pid = child.id().and_then(pid::from_number).ok_or_else(missing)?;
        let lifeline = child.stdin.take().map(ChildStdin::into_owned_fd);
        let stdout = child.stdout.take().ok_or_else(missing)?;
        Ok(Self {
            child,
            pid,
            lifeline: lifeline.transpose()?,
            stdout,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until signals to the group do not end the watchdog. Before that, a stop would end the
    /// watchdog and then kill the service, which has not had the time to end by itself. Blocks, mostly
    /// for less than the service takes to start.
    pub(super) fn wait_until_armed(&self) {
        let begun = Instant::now();
        while begun.elapsed() < ARM_LIMIT
            && rustix::io::read(&self.stdout, &mut [0; 1]) == Err(Errno::AGAIN)
        {
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Tells the watchdog which process is the service's: it may leave the group.
    pub(super) fn tell_leader(&self, leader: Descendant) {
        // Only to a living shell: a pipe without a reader ends a program that does not ignore SIGPIPE.
        if let Some(lifeline) = &self.lifeline
            && peek(self.pid) == Peek::Running
        {
            // Less than a pipe holds, so it does not block. A shell that gets no line ends the group alone.
            let line = format!("{} {}\n", leader.pid, leader.started);
            let _ = rustix::io::write(lifeline, line.as_bytes());
        }
    }

    /// Closes the lifeline: the watchdog ends the group, itself included, within seconds.
    pub(super) fn release(&mut self) {
        self.lifeline = None;
    }

    /// Whether the lifeline is closed.
    pub(super) fn is_released(&self) -> bool {
        self.lifeline.is_none()
    }

    /// Resolves when the watchdog has ended; does not reap it. Cancel safe.
    pub(super) async fn ended(&mut self) {
        while matches!(self.stdout.read(&mut [0]).await, Ok(1..)) {}
    }

    /// Waits for the watchdog and reaps it. From here on another group may have the number.
    pub(super) async fn reap(&mut self) {
        self.release();
        // An error means that other code has reaped it.
        drop(self.child.wait().await);
    }

    /// Whether the watchdog is reaped, now or before.
    pub(super) fn try_reap(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use rustix::process::{Signal, kill_process_group};

    use super::*;

    #[tokio::test]
    async fn once_armed_it_survives_a_stop_of_its_group() {
        for _ in 0..20 {
            let mut watchdog = Watchdog::start("/bin/sh", true, None, None)
                .unwrap()
                .expect("a shell");
            watchdog.wait_until_armed();
            kill_process_group(watchdog.pid(), Signal::TERM).unwrap();
            watchdog.release();
            let status = watchdog.child.wait().await.unwrap();
            assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
        }
    }

    /// In no group, tree or session of the watchdog, as a daemon that a server has started.
    #[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
    #[tokio::test]
    async fn what_is_in_the_control_group_ends_with_the_program() {
        use super::super::os::Cgroup;

        // Only root and sessions of systemd may make one.
        let Some(cgroup) = Cgroup::new() else {
            return;
        };
        let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(cgroup.add(stranger.id().unwrap()));
        let mut watchdog = Watchdog::start("/bin/sh", true, Some(cgroup.folder()), None)
            .unwrap()
            .expect("a shell");
        watchdog.wait_until_armed();
        watchdog.release();
        let status = stranger.wait().await.unwrap();
        assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
        watchdog.child.wait().await.unwrap();
        assert!(!cgroup.folder().exists(), "nothing of it is left");
    }
}
