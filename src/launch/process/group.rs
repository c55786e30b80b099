//! The process group of an instance: its leader, how it ended, and when its number is safe to use.

use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};
use tokio::process::Child;

use super::{
    exit::{self, Peek, is_running, peek},
    os, pid,
    watchdog::Watchdog,
};
use crate::launch::Exit;

/// The watchdog, the service's process and what the service started.
///
/// Without a watchdog (no shell on this system) the service leads its group itself.
pub(super) struct Group {
    id: Pid,
    leader_pid: Pid,
    // Each is there until it is reaped.
    leader: Option<Child>,
    watchdog: Option<Watchdog>,
    exit: Option<Exit>,
}

impl Group {
    pub(super) fn new(leader: Child, leader_pid: Pid, watchdog: Option<Watchdog>) -> Self {
        Self {
            id: watchdog.as_ref().map_or(leader_pid, Watchdog::pid),
            leader_pid,
            leader: Some(leader),
            watchdog,
            exit: None,
        }
    }

    /// The number of the group.
    pub(super) fn id(&self) -> u32 {
        pid::number(self.id)
    }

    /// The number of the service's process.
    pub(super) fn leader_pid(&self) -> u32 {
        pid::number(self.leader_pid)
    }

    /// Whether nothing is left to signal or to reap.
    pub(super) fn is_reaped(&self) -> bool {
        self.leader.is_none() && self.watchdog.is_none()
    }

    /// Moves what is left into a value of its own, which a thread can reap.
    pub(super) fn take(&mut self) -> Self {
        Self {
            leader: self.leader.take(),
            watchdog: self.watchdog.take(),
            ..*self
        }
    }

    /// Resolves when the service or the watchdog has ended. Cancel safe.
    pub(super) async fn ended(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        let exit = match (&mut self.leader, &mut self.watchdog) {
            (Some(leader), Some(watchdog)) if watchdog.is_released() => {
                exit::of(leader.wait().await)
            }
            (Some(leader), Some(watchdog)) => tokio::select! {
                biased;
                status = leader.wait() => exit::of(status),
                () = watchdog.ended() => after_watchdog(self.leader_pid),
            },
            // The service leads the group, so it must not be reaped yet.
            (Some(_), None) => ended_unreaped(self.leader_pid).await,
            (None, _) => Exit::default(),
        };
        if !exit.watchdog_died && self.id != self.leader_pid {
            self.leader = None;
        }
        *self.exit.insert(exit)
    }

    /// Whether the service and the watchdog run, asked of the system now.
    pub(super) fn is_alive(&self) -> bool {
        let is_up = |watchdog: &Watchdog| peek(watchdog.pid()) == Peek::Running;
        self.exit.is_none()
            && is_running(self.leader_pid)
            && self.watchdog.as_ref().is_none_or(is_up)
    }

    /// Whether the service is known to have ended as a command does that has failed.
    pub(super) fn has_failed(&self) -> bool {
        let now = || match peek(self.leader_pid) {
            Peek::Ended(exit) => Some(exit),
            // One that is being torn down may yet turn out to have done what it should.
            Peek::Running | Peek::Lost => None,
        };
        self.exit.or_else(now).is_some_and(|it| !exit::is_good(it))
    }

    /// Sends signals to the whole group, and to the service if they do not reach it there. Returns the same
    /// as [`signal`](Self::signal).
    pub(super) fn signal_all(&self, signals: &[Signal]) -> bool {
        // Looked at first: a process that is ended by the signal has no group.
        let leader_is_inside = getpgid(Some(self.leader_pid)) == Ok(self.id);
        let reached = self.signal(signals);
        if !(reached && leader_is_inside) {
            self.signal_leader(signals);
        }
        reached
    }

    /// Sends signals to the whole group. Sends nothing more and returns `false` if another group may
    /// have the number by now.
    pub(super) fn signal(&self, signals: &[Signal]) -> bool {
        signals.iter().all(|signal| {
            let is_pinned = self.is_pinned();
            if is_pinned {
                // An error needs no handling: a process that was not signalled is found alive later.
                let _ = kill_process_group(self.id, *signal);
            }
            is_pinned
        })
    }

    /// Sends signals to the service alone.
    fn signal_leader(&self, signals: &[Signal]) {
        for signal in signals {
            // Not reaped yet, so that no other process can have its number.
            if self.leader.is_some() && peek(self.leader_pid) == Peek::Running {
                let _ = kill_process(self.leader_pid, *signal);
            }
        }
    }

    /// Kills the whole group without waiting. Returns the same as [`signal`](Self::signal).
    pub(super) fn kill(&mut self) -> bool {
        // In both ways: a watchdog that is suspended does not read its lifeline, and if other code has
        // reaped the leader, only the watchdog can signal the group.
        let reached = self.signal_all(&[Signal::KILL]);
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.release();
        }
        reached
    }

    /// Waits for the service and reaps it, unless it leads the group. Cancel safe.
    async fn reap_follower(&mut self) {
        if self.id == self.leader_pid {
            return;
        }
        if let Some(leader) = &mut self.leader {
            // An error means that other code has reaped it.
            drop(leader.wait().await);
            self.leader = None;
        }
    }

    /// Kills what is left, and reaps the service and the watchdog; last the one that leads the group.
    /// Cancel safe.
    pub(super) async fn reap(&mut self) {
        self.kill();
        self.reap_follower().await;
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.reap().await;
            self.watchdog = None;
        }
        if let Some(leader) = &mut self.leader {
            drop(leader.wait().await);
            self.leader = None;
        }
    }

    /// Reaps what has ended, in the same order. Returns whether nothing is left.
    pub(super) fn try_reap(&mut self) -> bool {
        if let Some(leader) = &mut self.leader
            && matches!(leader.try_wait(), Ok(None))
        {
            return false;
        }
        self.leader = None;
        if let Some(watchdog) = &mut self.watchdog
            && !watchdog.try_reap()
        {
            return false;
        }
        self.watchdog = None;
        true
    }

    /// Whether the process that leads the group is not reaped yet, so that no other group can have its
    /// number.
    pub(super) fn is_pinned(&self) -> bool {
        // Your program may have reaped it, if it ignores SIGCHLD or waits for any child.
        let own = self.watchdog.is_some() || (self.id == self.leader_pid && self.leader.is_some());
        own && peek(self.id) != Peek::Lost
    }
}

/// The exit of an instance whose watchdog has just ended.
fn after_watchdog(leader: Pid) -> Exit {
    match peek(leader) {
        // Something killed the whole group, or the service ended first.
        Peek::Ended(exit) => exit,
        Peek::Running | Peek::Lost => Exit {
            watchdog_died: true,
            ..Exit::default()
        },
    }
}

/// Resolves when a child has ended, and does not reap it. Cancel safe.
async fn ended_unreaped(pid: Pid) -> Exit {
    loop {
        match peek(pid) {
            Peek::Running => os::until_exit(pid).await,
            Peek::Ended(exit) => return exit,
            Peek::Lost => return Exit::default(),
        }
    }
}
