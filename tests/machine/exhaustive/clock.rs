//! States that differ in nothing that matters are made one: above all, those that differ by their age alone.

use std::time::Duration;

use super::{
    SEC,
    world::{NOW, World},
};
use crate::machine::{AwaitingPort, Inspecting, Machine, Stage, Time};

/// What is longer ago than all durations of the policy is simply past.
const LONG_AGO: Time = Duration::from_millis(99_960);

impl World {
    /// Sets the clock back, and with it all times that something remembers.
    pub(super) fn set_back(&mut self) {
        let elapsed = self.clock.saturating_sub(NOW);
        self.clock = NOW;
        for time in [&mut self.idle_since, &mut self.alive_since] {
            shift(time, elapsed);
        }
        self.cut_from.iter_mut().for_each(|it| shift(it, elapsed));
        rebase(&mut self.machine, elapsed);
        rebase_claim(&mut self.machine, elapsed);
        match self.machine.stage {
            Stage::Serving(_) | Stage::Borrowing(_) if self.leases_out() > 0 => {
                self.idle_since = NOW;
            }
            // Opening an instance sets them again.
            Stage::Stopped
            | Stage::Claiming(_)
            | Stage::Inspecting(_)
            | Stage::Room(_)
            | Stage::Spawning(_)
            | Stage::Loading(_) => {
                self.idle_since = NOW;
                self.alive_since = NOW;
            }
            _ => {}
        }
        self.sort_clients();
    }

    /// It does not matter which client is which.
    fn sort_clients(&mut self) {
        let [one, other] = self.clients;
        if one <= other {
            return;
        }
        self.clients = [other, one];
        let waiters = &mut self.machine.common.waiters;
        let waiting = std::mem::take(&mut waiters.waiting);
        let swapped = waiting.into_iter().map(|(id, mut waiter)| {
            waiter.handle = 1 - waiter.handle;
            (id ^ 256, waiter)
        });
        waiters.waiting = swapped.collect();
        if let Stage::Serving(serving) = &mut self.machine.stage {
            serving.bodies.iter_mut().for_each(|body| *body = 1 - *body);
            serving.bodies.sort_unstable();
        }
    }
}

fn rebase(machine: &mut Machine, elapsed: Duration) {
    let common = &mut machine.common;
    common.now = NOW;
    // Which handle's probe is used decides nothing here.
    common.waiters.asker = 0;
    shift(&mut common.backoff.not_before, elapsed);
    shift(&mut common.keeping.not_before, elapsed);
    // A second is as good as a minute.
    common.keeping.pause = common.keeping.pause.min(SEC);
    for waiter in common.waiters.waiting.values_mut() {
        shift(&mut waiter.since, elapsed);
    }
    for due in &mut common.last_answers.due {
        shift(due, elapsed);
    }
    match &mut machine.stage {
        Stage::Stopped | Stage::Spawning(_) | Stage::Unkillable => {}
        Stage::Claiming(it) => shift(&mut it.due, elapsed),
        Stage::Room(it) => shift(&mut it.due, elapsed),
        Stage::Inspecting(Inspecting { since, until, .. })
        | Stage::AwaitingPort(AwaitingPort { since, until, .. }) => {
            // It says when to probe again.
            *since = NOW;
            shift(until, elapsed);
        }
        Stage::Loading(it) => {
            for time in [&mut it.since, &mut it.ready_by]
                .into_iter()
                .chain(&mut it.alone_since)
                .chain(&mut it.abandon_at)
            {
                shift(time, elapsed);
            }
        }
        // Not `proven_at`, which is longer than anything that is tried.
        Stage::Serving(it) => {
            let closing = it.closing.as_mut().and_then(|it| it.until.as_mut());
            for time in it.quiet_until.iter_mut().chain(closing) {
                shift(time, elapsed);
            }
            shift(&mut it.used_at, elapsed);
            if let Some(silence) = &mut it.silence {
                set_begin_back(&mut silence.since, elapsed);
                // Three requests are as good as more.
                silence.requests = silence.requests.min(3);
            }
        }
        Stage::Borrowing(it) => {
            let closing = it.closing.as_mut().and_then(|it| it.until.as_mut());
            for time in it
                .quiet_until
                .iter_mut()
                .chain(closing)
                .chain(&mut it.use_until)
                .chain([&mut it.trusted_at])
            {
                shift(time, elapsed);
            }
            // When a check began says only when to renew the use again.
            it.checks_since.iter_mut().for_each(|it| *it = NOW);
            if let Some(silence) = &mut it.silence {
                set_begin_back(&mut silence.since, elapsed);
                // Three requests are as good as more.
                silence.requests = silence.requests.min(3);
            }
        }
        Stage::Stopping(it) => shift(&mut it.step_ends, elapsed),
    }
}

/// When the wait began matters only until the service has all that it needs.
fn rebase_claim(machine: &mut Machine, elapsed: Duration) {
    let common = &mut machine.common;
    let waits = match &machine.stage {
        Stage::Claiming(_) | Stage::Room(_) => true,
        Stage::Inspecting(_) => common.policy.needs_room && !common.has_room,
        _ => false,
    };
    if waits {
        shift(&mut common.claimed_at, elapsed);
    } else {
        common.claimed_at = NOW;
    }
}

/// So that states in which a second has passed are one.
fn set_begin_back(since: &mut Time, elapsed: Duration) {
    *since = since
        .saturating_sub(elapsed)
        .max(NOW.saturating_sub(2 * SEC));
}

fn shift(time: &mut Time, elapsed: Duration) {
    if *time != Time::MAX {
        *time = time.saturating_sub(elapsed).max(LONG_AGO);
    }
}
