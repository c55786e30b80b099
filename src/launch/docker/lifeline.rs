//! The shell that ends a container when your program has ended.
//!
//! It reads a pipe whose only write end is in your program, as the watchdog of processes does. At its end the shell asks
//! the engine to stop the container and to remove it, by a program that can talk to the engine: `curl`, or a client of
//! Docker or Podman.
//!
//! **Whose container.** It gets the id of the container, so that it never ends a later one of the same name. The number
//! of its process is a label of the container: a program that finds the container waits until that process has ended, and
//! so takes over none that is about to be ended. For the same reason a container that was taken over gets no watchdog: its
//! label would be wrong.

use std::{
    fs::File,
    path::Path,
    process::Stdio,
    sync::{Arc, LazyLock},
};

use rustix::fs::Access;
use tokio::{
    process::{Child, ChildStdin, Command},
    runtime::Handle,
};

use crate::launch::process::{begin_blocking, exists, keeping, spawning_alone, start_of};

/// What the shell runs, without its comments.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("lifeline.sh").lines();
    let code: Vec<_> = lines.filter(|line| !line.starts_with('#')).collect();
    code.join("\n")
});

const SHELL: &str = "/bin/sh";

/// The name under which `ps` shows the shell.
const NAME: &str = "local-service-watchdog";

/// What can talk to an engine, the best first, and where it may be.
const CLIENTS: [&str; 3] = ["curl", "docker", "podman"];
const FOLDERS: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin"];

/// The program by which the shell talks to the engine.
static CLIENT: LazyLock<Option<String>> = LazyLock::new(|| {
    let in_folders = |client| FOLDERS.map(|folder| format!("{folder}/{client}"));
    let mut paths = CLIENTS.into_iter().flat_map(in_folders);
    paths.find(|path| may_run(path))
});

fn may_run(path: &str) -> bool {
    rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// The watchdog of a container. Dropping it ends the container.
pub(super) struct Lifeline {
    child: Child,
    pipe: ChildStdin,
    label: String,
}

impl Lifeline {
    /// Whether this machine has what it needs.
    pub(super) fn is_possible() -> bool {
        CLIENT.is_some() && may_run(SHELL)
    }

    /// Starts the shell, which has no container yet; `None` where that is not possible. It keeps `lock` locked as long as it
    /// lives, as the watchdog of processes does.
    pub(super) async fn start(socket: &Path, lock: Option<Arc<File>>) -> Option<Self> {
        let client = CLIENT.as_ref()?;
        let mut command = Command::new(SHELL);
        command
            .args(["-c", &SCRIPT, NAME, client])
            .arg(socket)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(keeping(lock.as_deref()).ok()?)
            .process_group(0);
        let runtime = Handle::try_current().ok()?;
        // Loading a program may block on a slow disk.
        let started = begin_blocking(move || {
            let _entered = runtime.enter();
            let _alone = spawning_alone();
            let mut child = command.spawn().ok()?;
            let (pid, pipe) = (child.id()?, child.stdin.take()?);
            let label = format!("{pid}:{}", start_of(pid).unwrap_or_default());
            Some(Self { child, pipe, label })
        });
        started.ok()?.await.ok()?
    }

    /// What names its process, for [`lives`].
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Tells it which container is to end with your program.
    pub(super) fn tell(&mut self, id: &str) {
        // Only to a living shell: a pipe without a reader ends a program that does not ignore SIGPIPE.
        if matches!(self.child.try_wait(), Ok(None)) {
            // Less than a pipe holds, so it does not block.
            let _ = rustix::io::write(&self.pipe, format!("{id}\n").as_bytes());
        }
    }

    /// Nothing of the container is left.
    pub(super) fn end(mut self) {
        // Before its pipe is closed, so that it asks for nothing.
        drop(self.child.start_kill());
    }
}

/// Whether the process of this label lives.
pub(super) fn lives(label: &str) -> bool {
    let parsed = label.split_once(':');
    let parsed = parsed.and_then(|(pid, start)| Some((pid.parse().ok()?, start.parse().ok()?)));
    match parsed {
        // The system did not tell when it was started.
        Some((pid, 0_u64)) => exists(pid),
        Some((pid, start)) => start_of(pid) == Some(start),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_lives_until_it_is_ended() {
        if !Lifeline::is_possible() {
            return;
        }
        let lifeline = Lifeline::start(Path::new("/nonexistent"), None).await;
        let lifeline = lifeline.expect("a shell");
        let label = lifeline.label().to_owned();
        assert!(lives(&label));
        assert!(!lives(&label.replace(':', ":1")), "another process");
        lifeline.end();
        while lives(&label) {
            tokio::task::yield_now().await;
        }
        for wrong in ["", "1", "x:1", "1:x", "0:0"] {
            assert!(!lives(wrong), "{wrong}");
        }
    }
}
