//! The process group of a run: who leads it, how it ended, and when its number is safe to use.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

use super::{
    exit::{Exit, Peek, is_running, peek},
    guardian::Guardian,
    os,
};

/// The guardian, the service's process and whatever that one started.
///
/// Without a guardian (no shell on this system) the service leads its group itself.
pub(super) struct Group {
    id: Pid,
    leader_pid: Pid,
    // Both are there until they are reaped.
    leader: Option<Child>,
    guardian: Option<Guardian>,
    exit: Option<Exit>,
}

impl Group {
    pub(super) fn new(leader: Child, leader_pid: Pid, guardian: Option<Guardian>) -> Self {
        Self {
            id: guardian.as_ref().map_or(leader_pid, Guardian::pid),
            leader_pid,
            leader: Some(leader),
            guardian,
            exit: None,
        }
    }

    /// The number of the group.
    pub(super) fn id(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// The number of the service's process.
    pub(super) fn leader_pid(&self) -> u32 {
        self.leader_pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether there is nothing left that could be signalled or reaped.
    pub(super) fn is_reaped(&self) -> bool {
        self.leader.is_none() && self.guardian.is_none()
    }

    /// Moves what is left into a value of its own, so that a task can reap it.
    pub(super) fn take(&mut self) -> Self {
        Self {
            leader: self.leader.take(),
            guardian: self.guardian.take(),
            ..*self
        }
    }

    /// Resolves when the leader or the guardian has ended. Cancel safe.
    pub(super) async fn ended(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        let exit = match (&mut self.leader, &mut self.guardian) {
            (Some(leader), Some(guardian)) if guardian.is_released() => {
                Exit::of(leader.wait().await)
            }
            (Some(leader), Some(guardian)) => tokio::select! {
                biased;
                status = leader.wait() => Exit::of(status),
                () = guardian.ended() => without_guardian(self.leader_pid),
            },
            // The leader's number is the group's: it must not be reaped yet.
            (Some(_), None) => ended_unreaped(self.leader_pid).await,
            (None, _) => Exit::default(),
        };
        if !exit.by_guardian && self.id != self.leader_pid {
            self.leader = None;
        }
        *self.exit.insert(exit)
    }

    /// Whether leader and guardian run, asked of the system now.
    pub(super) fn is_alive(&self) -> bool {
        let guarded = |guardian: &Guardian| peek(guardian.pid()) == Peek::Running;
        self.exit.is_none()
            && is_running(self.leader_pid)
            && self.guardian.as_ref().is_none_or(guarded)
    }

    /// Sends a signal to the whole group, and says whether the number of the group was still its own
    /// (nothing is sent otherwise).
    pub(super) fn signal(&self, signal: Signal) -> bool {
        let pinned = self.is_pinned();
        if pinned {
            // Nothing to do about an error: who could not be signalled is still there, and counted.
            let _ = kill_process_group(self.id, signal);
        }
        pinned
    }

    /// Kills the whole group, at once and without waiting. Says the same as [`signal`](Self::signal).
    pub(super) fn kill(&mut self) -> bool {
        // Both ways: a guardian that is stopped reads nothing, and a number that somebody else has
        // freed can only be used by the guardian.
        let pinned = self.signal(Signal::KILL);
        if let Some(guardian) = &mut self.guardian {
            guardian.release();
        }
        pinned
    }

    /// Waits for the leader, and reaps it unless its number is the group's. Cancel safe.
    async fn reap_follower(&mut self) {
        if self.id == self.leader_pid {
            return;
        }
        if let Some(leader) = &mut self.leader {
            // An error means that somebody else has reaped it.
            drop(leader.wait().await);
            self.leader = None;
        }
    }

    /// Kills what is left and reaps leader and guardian; the one whose number is the group's last.
    /// Cancel safe.
    pub(super) async fn reap(&mut self) {
        self.kill();
        self.reap_follower().await;
        if let Some(guardian) = &mut self.guardian {
            guardian.reap().await;
            self.guardian = None;
        }
        if let Some(leader) = &mut self.leader {
            drop(leader.wait().await);
            self.leader = None;
        }
    }

    /// Reaps what has ended, in the same order, and says whether that is all.
    pub(super) fn try_reap(&mut self) -> bool {
        if let Some(leader) = &mut self.leader
            && matches!(leader.try_wait(), Ok(None))
        {
            return false;
        }
        self.leader = None;
        if let Some(guardian) = &mut self.guardian
            && !guardian.try_reap()
        {
            return false;
        }
        self.guardian = None;
        true
    }

    /// Whether the process with the group's number is still unreaped, so that no stranger can have
    /// this number.
    fn is_pinned(&self) -> bool {
        // Nobody but us should reap it; a host that ignores SIGCHLD, or waits for any child, does.
        let ours = self.guardian.is_some() || (self.id == self.leader_pid && self.leader.is_some());
        ours && peek(self.id) != Peek::Lost
    }
}

/// How the leader fares when its guardian has just ended.
fn without_guardian(leader: Pid) -> Exit {
    match peek(leader) {
        // Something killed the whole group, or the leader was faster.
        Peek::Ended(exit) => exit,
        Peek::Running | Peek::Lost => Exit {
            by_guardian: true,
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
