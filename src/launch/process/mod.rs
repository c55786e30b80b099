//! Runs services as child processes.
//!
//! # Theory of operation
//!
//! ```text
//!   your program ──lifeline──▶ watchdog (/bin/sh)       leads the process group, started first
//!        ▲                        │ same group
//!        └──── stdout, stderr ─── service ─▶ its children
//! ```
//!
//! **The group.** Each instance has a process group of its own: the watchdog, which leads it, the
//! service, and what the service starts. One signal to the group reaches them all ([`group`]). A
//! descendant can leave the group. It is found by the tree of parents, which is looked at before every
//! signal, and by the cookie that the service was given in its environment ([`family`], [`detached`]).
//! The service itself can leave the group, too (`timeout`, `setsid`): it is signalled by its own number.
//!
//! **The lifeline.** The watchdog reads a pipe whose only write end is in your program. However your
//! program ends (SIGKILL included), the kernel closes the pipe, and the watchdog ends its own group: with
//! TERM, and with KILL when nothing is left in it, at the latest after two seconds. It knows the number
//! of the service's process, and also ends that and its descendants where they have left the group. No
//! code of this crate has to run for that. Dropping a [`Process`] closes the pipe, too ([`watchdog`]).
//!
//! **Who is reaped last.** The number of a process group can be given to another group as soon as no
//! process has it, and a zombie has it until it is reaped. So the watchdog is reaped last: while it is
//! not, a signal to the group can reach no other group. Other code in your program may reap it all the
//! same (a program that waits for any child does), so each signal first checks that it is still there.
//! Where there is no `/bin/sh`, the service leads its group itself, and is then what is reaped last.
//!
//! **Start.** The watchdog is started first and the service into its group. If anything fails in
//! between, dropping the watchdog ends what was started ([`spawn`]).
//!
//! **End.** A stop signals the group and the detached descendants, and [`gone`](Running::gone) resolves
//! once each of them is reaped or a zombie ([`stop`]). An instance whose watchdog was killed is killed,
//! too, as nothing would end it together with your program.
//!
//! **Output.** Two tasks read what the service writes, until no process holds the pipes any more. They
//! belong to no handle: a service whose output is not read would block or die ([`pipes`]).
//!
//! What only Linux tells is in [`os`]; elsewhere `portable.rs` gives the answers that are always safe.

mod cookie;
mod detached;
mod exit;
mod family;
mod group;
mod machine;
mod pid;
mod spawn;
mod stop;
mod watchdog;

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[path = "linux/mod.rs"]
mod os;
#[cfg(not(all(target_os = "linux", not(tower_local_service_portable))))]
#[path = "portable.rs"]
mod os;

#[cfg(test)]
mod tests;

use std::{fmt, future::Future, sync::Arc, thread, time::Duration};

pub(crate) use self::machine::{cpu_time_of, guarantees, holder, last_use, shows_use};
#[cfg(feature = "docker")]
pub(in crate::launch) use self::{
    blocking::begin as begin_blocking,
    machine::{exists, start_of},
    spawn::alone as spawning_alone,
    watchdog::keeping,
};
use self::{
    detached::Sweep,
    group::Group,
    pipes::Pipes,
    stop::{KILL, Survivors},
};
use super::{
    BoxFuture, Exit, LaunchError, Listener, Look, OutputSink, Processes, Running, StopSignal,
    blocking, pipes,
};

/// Starts the service. Nothing is left running if the future is dropped.
///
/// # Errors
///
/// The system refused. Nothing is left running.
pub(super) async fn spawn(
    processes: Processes,
    output: OutputSink,
) -> Result<Process, LaunchError> {
    spawn::spawn(spawn::SHELL, processes, output).await
}

/// How long the killed processes of a dropped [`Process`] are waited for, and how often they are
/// looked at.
const REAP_LIMIT: Duration = Duration::from_secs(5);
const REAP_PAUSE: Duration = Duration::from_millis(2);

/// One instance: the service's process, its descendants, and their watchdog.
///
/// It can be dropped on any thread and at any time.
pub(crate) struct Process {
    group: Group,
    sweep: Sweep,
    /// With which a stop begins; `None` once it has begun.
    stop_signal: Option<StopSignal>,
    /// The process only starts the server: when it has ended well, the instance lives until it is stopped.
    is_launcher: bool,
    survivors: Survivors,
    pipes: Pipes,
}

/// Whether the process of a service runs, asked of the system now: [`Process::is_alive`] for a caller
/// that has only the number of the process.
#[cfg(feature = "retry")]
pub(crate) fn is_running(pid: u32) -> bool {
    pid::from_number(pid).is_some_and(exit::is_running)
}

impl Running for Process {
    fn id(&self) -> Option<u32> {
        Some(self.pid())
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(self.ended())
    }

    fn gone(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.nothing_left())
    }

    /// On Linux a process that is being torn down counts as ended: it serves no request any more, but
    /// its exit is reported only when its memory is free.
    fn is_alive(&mut self) -> bool {
        if self.is_launcher {
            return !self.is_stopped() && !self.group.has_failed();
        }
        self.group.is_alive()
    }

    fn stop(&mut self) {
        self.sweep.prepare(self.group.is_pinned());
        let first = self.stop_signal.take().unwrap_or_default();
        let signals = stop::signals(first);
        let reached = self.group.signal_all(signals);
        self.signal_the_rest(signals, reached);
    }

    fn kill(&mut self) {
        self.stop_signal = None;
        self.sweep.prepare(self.group.is_pinned());
        let reached = self.group.kill();
        self.signal_the_rest(KILL, reached);
    }

    fn owns_port(&self, port: u16) -> BoxFuture<'static, Listener> {
        let (listener, is_launcher) = (self.listener(port), self.is_launcher);
        Box::pin(async move {
            match listener.await {
                // A server that another program has started for it.
                Listener::Other { .. } if is_launcher => Listener::Unseen,
                listener => listener,
            }
        })
    }

    fn look(&self) -> BoxFuture<'static, Look> {
        let family = Arc::clone(self.sweep.family());
        Box::pin(async move {
            let found = blocking::begin_or_do(move || os::look(&family)).await;
            found.unwrap_or_default()
        })
    }

    fn cpu_time(&self) -> Option<Duration> {
        let leader = self.group.leader_pid();
        let members = os::members(self.group.id())?;
        os::cpu_time(
            [leader]
                .into_iter()
                .chain(members.into_iter().filter(|pid| *pid != leader)),
        )
    }
}

impl Process {
    /// Whether a stop has begun.
    fn is_stopped(&self) -> bool {
        self.stop_signal.is_none()
    }

    fn pid(&self) -> u32 {
        self.group.leader_pid()
    }

    /// Resolves when the service's process has ended and its output is complete. One that has started the server, and
    /// ended well, counts as ended when it is stopped and nothing of its group is left. Cancel safe.
    async fn ended(&mut self) -> Exit {
        let exit = self.leader_ended().await;
        if self.is_launcher && exit::is_good(exit) {
            if !self.is_stopped() {
                // Asked again when it is stopped.
                return std::future::pending().await;
            }
            self.all_ended().await;
        }
        self.pipes.flushed().await;
        exit
    }

    /// Resolves when no process of the instance is left. Cancel safe.
    async fn nothing_left(&mut self) {
        self.leader_ended().await;
        self.all_ended().await;
        self.group.reap().await;
    }

    /// Finds out who listens on the port. Takes milliseconds, on a thread that may block.
    fn listener(&self, port: u16) -> impl Future<Output = Listener> + Send + use<> {
        let family = Arc::clone(self.sweep.family());
        async move {
            let look = move || os::listener(port, &family);
            let found = blocking::begin_or_do(look).await;
            found.unwrap_or(Listener::Unseen)
        }
    }

    /// Resolves when the service or its watchdog has ended. If the watchdog ended first, everything has
    /// been killed by then. Cancel safe.
    async fn leader_ended(&mut self) -> Exit {
        let exit = self.group.ended().await;
        if exit.watchdog_died && !self.is_killed() {
            // From here on nothing would end the group together with your program. The watchdog is
            // not reaped yet, so the number of the group is still its own.
            self.kill();
        }
        exit
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // May run on any thread, outside a runtime, or while unwinding: must not block or panic.
        if self.group.is_reaped() {
            return;
        }
        self.sweep.prepare(self.group.is_pinned());
        let reached = self.group.kill();
        self.sweep.order(KILL, reached);
        let (mut rest, sweep) = (self.group.take(), self.sweep.clone());
        // The rest takes some time, and the runtime may be gone, so it needs a thread. If there is none
        // left, tokio reaps the children of dropped handles when it can.
        let reaper = move || {
            drop(sweep.run());
            for _ in 0..REAP_LIMIT.as_millis() / REAP_PAUSE.as_millis() {
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
