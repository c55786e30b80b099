//! The process of a service, its group, its guardian and its output.
//!
//! ```text
//!   host ──lifeline──▶ guardian (/bin/sh)          leader of the process group, started first
//!     ▲                   │ same group
//!     └──stdout, stderr── service (leader) ─▶ its children
//! ```
//!
//! The guardian reads the lifeline, a pipe whose write end only the host holds. However the host
//! ends, the pipe is closed, and the guardian kills its whole group. Nothing has to run for that:
//! dropping a [`Process`] closes the pipe too.
//!
//! The number of a process group is safe to signal for as long as its leader is not reaped. So the
//! guardian is reaped last, and every signal to the group asks first whether it is still there.

mod blocking;
mod exit;
mod group;
mod guardian;
mod output;
mod spawn;
mod stop;
mod strays;
mod text;

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod os;
#[cfg(not(target_os = "linux"))]
#[path = "portable.rs"]
mod os;

#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, sync::Arc, thread, time::Duration};

#[cfg(feature = "retry")]
use rustix::process::Pid;
use tokio::time::{self, Instant};

#[cfg(fuzzing)]
pub(crate) use self::output::tail_of;
pub(crate) use self::{
    exit::Exit,
    output::{Output, Tail},
    spawn::{Care, SpawnError, spawn},
    text::port_taken,
};
use self::{group::Group, output::Pipes, stop::Search, strays::Strays};

/// How long [`Process::settle_output`] waits for pipes that somebody else still holds.
const SETTLE: Duration = Duration::from_millis(50);

/// How long the killed processes of a dropped [`Process`] are waited for, and how often looked at.
const REAPED_WITHIN: Duration = Duration::from_secs(5);
const REAP_PAUSE: Duration = Duration::from_millis(2);

/// One run: the service's process, whatever it started, and the guardian of both.
///
/// Dropping it, anywhere and at any time, kills the whole group at once.
pub(crate) struct Process {
    group: Group,
    strays: Arc<Strays>,
    search: Search,
    tail: Arc<Tail>,
    pipes: Pipes,
    // Until when somebody else's hold on the pipes is waited for.
    settled_by: Option<Instant>,
}

/// Who listens on a port.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux lets us see who listens")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// A process of this run.
    Ours,
    /// Another program of this user.
    Other {
        /// The process that holds the socket.
        pid: u32,
    },
    /// Nobody, or somebody whom this user may not see.
    Unseen,
}

/// Whether the process of a service runs, asked of the system now: [`Process::is_alive`] for who has
/// its number only.
#[cfg(feature = "retry")]
pub(crate) fn is_running(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(exit::is_running)
}

impl Process {
    /// The service's own process, as the system numbers it.
    pub(crate) fn pid(&self) -> u32 {
        self.group.leader_pid()
    }

    /// Resolves when the service's process or its guardian has ended, whoever holds its pipes.
    ///
    /// May be called again and then says the same. When the guardian went first, the group has been
    /// killed by the time this resolves.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is dropped before it resolves.
    pub(crate) async fn ended(&mut self) -> Exit {
        let exit = self.group.ended().await;
        if exit.by_guardian {
            // Nothing would end the group if the host died now. The guardian is not reaped yet, so
            // the number of the group is still its own.
            self.kill_once();
        }
        exit
    }

    /// Whether the service and its guardian run, asked of the system now.
    ///
    /// On Linux a process that is being torn down counts as ended: its exit is not reported before
    /// its memory is freed, but it serves nobody any more.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.group.is_alive()
    }

    /// The end of what the service wrote to its standard output and error.
    pub(crate) fn output(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    /// Waits until everything that was written is in [`output`](Self::output), or for 50 ms where a
    /// process that outlives the service holds the pipes.
    ///
    /// # Cancel safety
    ///
    /// The 50 ms count from the first call, however often it is dropped and called again.
    pub(crate) async fn settle_output(&mut self) {
        let by = *self
            .settled_by
            .get_or_insert_with(|| Instant::now() + SETTLE);
        drop(time::timeout_at(by, self.pipes.ended()).await);
    }

    /// Who listens on this port of the loopback addresses.
    pub(crate) fn listener(&self, port: u16) -> Listener {
        os::listener(
            port,
            self.group.leader_pid(),
            self.group.id(),
            self.strays.cookie(),
        )
    }

    /// Where it listens on this port for other machines, too, as far as the system tells. Looked up on
    /// a thread that may block.
    pub(crate) fn beyond_loopback(
        &self,
        port: u16,
    ) -> impl Future<Output = Option<SocketAddr>> + Send + use<> {
        let (leader, group) = (self.group.leader_pid(), self.group.id());
        let strays = Arc::clone(&self.strays);
        async move {
            let look = move || os::beyond_loopback(port, leader, group, strays.cookie());
            blocking::begin(look).ok()?.await.ok()?
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // May run on any thread, outside a runtime, or while unwinding: never block or panic here.
        if self.group.is_reaped() {
            return;
        }
        let pinned = self.group.kill();
        let mut rest = self.group.take();
        let sweep = self.search.last_sweep(&self.strays, pinned);
        // All that follows may take a moment, and the runtime may be gone. Without a thread it is
        // left undone: tokio reaps the children of dropped handles when it can.
        let reaper = move || {
            drop(sweep.make());
            for _ in 0..REAPED_WITHIN.as_millis() / REAP_PAUSE.as_millis() {
                if rest.try_reap() {
                    break;
                }
                thread::sleep(REAP_PAUSE);
            }
        };
        let thread = thread::Builder::new().name("local-service-reaper".to_owned());
        drop(thread.spawn(reaper));
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.pid())
            .field("group", &self.group.id())
            .finish_non_exhaustive()
    }
}
