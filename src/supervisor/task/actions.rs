//! What the machine asks for, done.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Supervisor;
use crate::{
    error::{Error, ErrorKind},
    launch::{Listener, Running},
    leases::word::Word,
    machine::{Action, End, Event, Failure, Leases, Ownership, Phase, Reason, Sight, Want},
    resources::Ticket,
    supervisor::{
        Backend,
        shared::{Attached, Grant},
        trace::Trace,
    },
};

impl<B: Backend> Supervisor<B> {
    /// Some actions are answered at once.
    pub(super) fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Claim => {
                self.trace.over();
                self.trace = Trace::begin(&self.last.name, self.shared.leases.word().run());
                self.facts.begin(self.shared.now());
                self.ticket = Some(self.claims.claim(&self.last.name, &self.hosts));
            }
            Action::Release => self.release(),
            Action::Probe { handle, after } => self.begin_probe(handle, after),
            Action::Spawn => return self.begin_spawn(),
            Action::Terminate(reason) => self.terminate(reason),
            Action::Kill => {
                if let Some(process) = &mut self.process {
                    process.kill();
                }
            }
            Action::Open(ownership) => self.open(ownership),
            Action::Reopen(ownership) => self.reopen(ownership),
            Action::Close => {
                self.shared.leases.update(Word::close);
                self.hosts.admit_no_more();
                return Some(self.look());
            }
            Action::CloseIfIdle => {
                let leases = &self.shared.leases;
                let closed = self.hosts.close_unless_used(|| leases.close_if_idle());
                return Some(if closed { Event::Closed } else { self.look() });
            }
            Action::End(end) => self.end(end),
            Action::Suspect => {
                self.shared.leases.update(Word::suspect);
            }
            Action::Trust => {
                self.shared.leases.seen_alive(self.shared.now());
                self.shared.leases.update(Word::trust);
                self.borrow_for_a_while();
            }
            Action::Look => return Some(self.look()),
            Action::Grant(waiters) => self.grant(&waiters),
            Action::Fail(waiters, failure) => self.fail(&waiters, &failure),
            Action::Settled { killed } => self.settled(killed),
            Action::Finish => self.finished = true,
        }
        None
    }

    pub(super) fn look(&mut self) -> Event {
        let leases = &self.shared.leases;
        // The word first: the times were written before it said that nothing is out.
        let out = leases.look();
        let (idle_since, alive_since) = (leases.idle_since(), leases.alive_since());
        let (out, idle_since) = self.with_other_hosts(out, idle_since);
        self.trace.looked(out);
        Event::Looked(Leases {
            out,
            idle_since,
            alive_since,
        })
    }

    fn begin_probe(&mut self, handle: u64, after: Duration) {
        let target = self.attached(handle).settings.target.clone();
        if after.is_zero() && self.process.is_none() && self.state.phase() == Phase::Starting {
            self.trace.probing(&target);
        }
        let (backend, look) = (self.backend.clone(), self.other_hosts_look());
        let process = self.process.as_ref();
        let listener = process
            .filter(|_| self.state.wants_own_listener())
            .map(|process| process.listener(self.last.settings.target.port));
        self.probe = Some(Box::pin(async move {
            if !after.is_zero() {
                sleep(after).await;
            }
            let (sight, took) = look.take(|| backend.probe(target.clone())).await;
            let Some(listener) = listener.filter(|_| sight == Sight::Wanted) else {
                return (sight, took);
            };
            // To look for a stranger takes time too, which the next probe has to keep away from.
            let looked = Instant::now();
            let sight = match listener.await {
                Listener::Other { pid } => Sight::Stranger(pid),
                Listener::Ours { .. } | Listener::Unseen => Sight::Wanted,
            };
            (sight, took + looked.elapsed())
        }));
    }

    fn begin_spawn(&mut self) -> Option<Event> {
        let Attached { name, settings } = self.last.clone();
        self.facts.begin(self.shared.now());
        self.exit_told = false;
        let problems = self.backend.problems(&settings, &name);
        if !problems.is_empty() {
            self.facts
                .spawn_failed(Error::new(&name, ErrorKind::InvalidConfig { problems }));
            return Some(Event::SpawnFailed { invalid: true });
        }
        self.trace.starting(&settings.launch);
        self.spawn = Some(Box::pin(self.backend.launch(&settings, &name)));
        None
    }

    /// What the process wrote, without any handle's secrets.
    pub(super) fn output(&self) -> String {
        let Some(process) = &self.process else {
            return String::new();
        };
        let handles: Vec<_> = self.shared.handles().values().cloned().collect();
        let output = process.output(&self.last.settings);
        handles
            .iter()
            .fold(output, |text, handle| handle.settings.secrets.redact(&text))
    }

    fn terminate(&mut self, reason: Reason) {
        if self.facts.begin_stop() {
            self.trace.stopping(reason.as_str());
        }
        if let Some(process) = &mut self.process {
            process.terminate();
        }
    }

    fn open(&mut self, ownership: Ownership) {
        let now = self.shared.now();
        self.shared.leases.open(now);
        self.facts.ready(now);
        self.trace.ready(ownership, self.facts.age(now));
        self.share(ownership);
        self.look_beyond_loopback();
    }

    /// Nobody waits for it: it is told beside the requests that are now served.
    fn look_beyond_loopback(&mut self) {
        let Some(process) = &self.process else { return };
        let found = process.listener(self.last.settings.target.port);
        let trace = self.trace.exposed();
        self.go_on_aside(async move {
            if let Listener::Ours {
                exposed: Some(address),
            } = found.await
            {
                trace(address);
            }
        });
    }

    fn reopen(&mut self, ownership: Ownership) {
        self.shared.leases.update(Word::reopen);
        if ownership == Ownership::External {
            self.trace.replaced();
        }
        self.share(ownership);
    }

    fn end(&mut self, end: End) {
        self.share_no_more(end);
        // A run that never became ready has no leases, but its number is used up all the same.
        self.shared.end_run(self.facts.ended(end));
        self.facts.over();
        if let Some(exited) = self.facts.death(end) {
            // Nobody waits for an answer, and yet the next one may have to tell of it.
            let error = self.error(&Failure::Exited(exited));
            self.facts.remember(&error);
        }
    }

    fn grant(&mut self, waiters: &[u64]) {
        // Whoever is answered may look at the status at once.
        self.publish();
        for waiter in waiters {
            if let Some((answer, want)) = self.answers.remove(waiter) {
                let grant = (want == Want::Lease).then(|| Grant::new(&self.shared));
                // Who has gone meanwhile drops it, and with it the lease.
                drop(answer.send(Ok(grant)));
            }
        }
    }

    fn fail(&mut self, waiters: &[u64], failure: &Failure) {
        let error = self.error(failure);
        if failure.is_news() {
            self.trace.failed(&error);
            self.facts.remember(&error);
        }
        self.publish();
        for waiter in waiters {
            if let Some((answer, _)) = self.answers.remove(waiter) {
                drop(answer.send(Err(error.clone())));
            }
        }
    }

    pub(super) fn error(&self, failure: &Failure) -> Error {
        let holder = || self.ticket.as_ref().and_then(Ticket::holder);
        let output = || self.output();
        self.facts
            .error(&self.last, failure, self.shared.now(), holder, output)
    }

    fn settled(&mut self, killed: bool) {
        let result = if killed {
            Ok(())
        } else {
            Err(self.error(&Failure::Unkillable))
        };
        self.publish();
        for stop in self.stops.drain(..) {
            drop(stop.send(result.clone()));
        }
    }
}
