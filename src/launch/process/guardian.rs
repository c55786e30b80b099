//! The shell that ends the group when the host is gone.

use std::{
    io,
    os::fd::OwnedFd,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rustix::{io::Errno, process::Pid};
use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStdin, ChildStdout, Command},
    time::Instant,
};

/// Built-in commands only, so it needs no PATH. Signals to the group must not end it: once they do not,
/// it says so. `kill -9 0` names its own group without a number that could be somebody else's by then.
const SCRIPT: &str = "trap '' HUP INT QUIT TERM PIPE USR1 USR2 TSTP TTIN TTOU; echo; \
                      while read -r _; do :; done; kill -9 0";

/// How long a shell may take to read its first line, on the busiest of machines.
const TO_BE_UP: Duration = Duration::from_secs(1);

/// The leader of the service's process group.
pub(super) struct Guardian {
    child: Child,
    pid: Pid,
    // The write end of the pipe that it reads. Closing it is the whole emergency path: one system
    // call that cannot block, or none at all when the host dies.
    lifeline: Option<OwnedFd>,
    // One line is written here, at the start. Its end tells that the guardian died, without reaping it.
    voice: ChildStdout,
}

impl Guardian {
    /// Starts the guardian; `None` where this system has no shell.
    ///
    /// # Errors
    ///
    /// The system cannot start a process now.
    pub(super) fn start(shell: &str) -> io::Result<Option<Self>> {
        let spawned = Command::new(shell)
            .args(["-c", SCRIPT])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
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
                warn_once(shell);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn of(mut child: Child) -> io::Result<Self> {
        let missing = || io::Error::other("the guardian has no pipes");
        let pid = child.id().and_then(pid_of).ok_or_else(missing)?;
        let lifeline = child.stdin.take().map(ChildStdin::into_owned_fd);
        let voice = child.stdout.take().ok_or_else(missing)?;
        Ok(Self {
            child,
            pid,
            lifeline: lifeline.transpose()?,
            voice,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until signals to the group leave it alone; before that, a stop would end it, and with it
    /// the service without its grace. Blocks, mostly for less than the service takes to start.
    pub(super) fn wait_until_up(&self) {
        let begun = Instant::now();
        while begun.elapsed() < TO_BE_UP
            && rustix::io::read(&self.voice, &mut [0; 1]) == Err(Errno::AGAIN)
        {
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Closes the lifeline: the guardian kills the group, itself included.
    pub(super) fn release(&mut self) {
        self.lifeline = None;
    }

    /// Whether it was told to end.
    pub(super) fn is_released(&self) -> bool {
        self.lifeline.is_none()
    }

    /// Resolves when the guardian has ended. It is not reaped by this. Cancel safe.
    pub(super) async fn ended(&mut self) {
        while matches!(self.voice.read(&mut [0]).await, Ok(1..)) {}
    }

    /// Waits for the guardian and reaps it: from here on the number of the group is anybody's.
    pub(super) async fn reap(&mut self) {
        self.release();
        // An error means that somebody else has reaped it.
        drop(self.child.wait().await);
    }

    /// Whether the guardian has been reaped, now or before.
    pub(super) fn try_reap(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// The number of a process for the calls that take one.
pub(super) fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

fn warn_once(shell: &str) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            target: "tower_local_service",
            shell,
            "no shell to guard local services with: they outlive this program if it is killed or \
             aborts; install a POSIX shell at this path"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use rustix::process::{Signal, kill_process_group};

    use super::*;

    #[tokio::test]
    async fn once_it_is_up_a_stop_of_its_group_leaves_it_alone() {
        for _ in 0..20 {
            let mut guardian = Guardian::start("/bin/sh").unwrap().expect("a shell");
            guardian.wait_until_up();
            kill_process_group(guardian.pid(), Signal::TERM).unwrap();
            guardian.release();
            let status = guardian.child.wait().await.unwrap();
            assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
        }
    }
}
