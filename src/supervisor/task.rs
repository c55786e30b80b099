//! The task of one service: it waits for what happens, and drives the machine with it.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    thread,
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::{
    Backend,
    board::{Attached, Board},
    callers::{Callers, Command},
    driver::Driver,
    events::Teller,
    inbox::Reader,
    negotiation::Negotiation,
    report::Report,
    waits::{Probe, Spawned, Woken},
    work::Work,
};
use crate::{
    config::Identity,
    launch::{Exit, output::mentions_taken_port},
    leases::{Instances, PastInstance},
    machine::{Ask, Claim, Event, Exited, InstanceEnd, Machine, Phase, ReadyAnswer, drive},
    probe::Answer,
    resources::Claims,
};

pub(crate) struct Supervisor<B: Backend> {
    machine: Machine,
    driver: Driver<B>,
}

impl<B: Backend> Supervisor<B> {
    pub(crate) fn new(
        instances: Arc<Instances>,
        board: Arc<Board>,
        backend: B,
        claims: Arc<Claims>,
        first: Attached,
        inbox: Reader<Command>,
        events: Teller,
    ) -> Self {
        let identity = Identity::of(&first.settings);
        let gate = board.gate.clone();
        let address = Negotiation::new(claims, identity, &first.name, instances.clone(), gate);
        Self {
            machine: Machine::new(first.settings.policy),
            driver: Driver {
                instances,
                board,
                backend,
                work: Work::new(),
                address,
                callers: Callers::new(inbox),
                report: Report::new(events),
                last: first,
                finished: false,
            },
        }
    }

    pub(crate) async fn run(mut self) {
        // An event like any other, so that a journal begins with it.
        self.policy_changed();
        while !self.driver.finished {
            let woken = self.wait().await;
            self.woken(woken);
        }
    }

    async fn wait(&mut self) -> Woken {
        let Driver {
            instances,
            work,
            address,
            callers,
            ..
        } = &mut self.driver;
        let deadline = self.machine.deadline().map(|it| instances.instant(it));
        tokio::select! {
            biased;
            woken = work.next() => woken,
            woken = address.next() => woken,
            command = callers.next() => Woken::Command(command),
            () = instances.idle.notified() => Woken::LeasesEnded,
            () = due(deadline) => Woken::Deadline,
        }
    }

    fn woken(&mut self, woken: Woken) {
        match woken {
            Woken::Command(Some(command)) => self.commanded(command),
            Woken::Command(None) => {
                self.driver.callers.is_open = false;
                self.take(Event::HandlesGone);
            }
            Woken::Exited(exit) => self.exited(exit),
            Woken::Gone => {
                self.driver.work.process = None;
                self.driver.work.guarantees = None;
                self.driver.work.look = None;
                let unread = self.driver.instances.awaits_answers();
                self.take(Event::Gone { unread });
            }
            Woken::Claim(claim) => {
                if claim == Claim::Rival {
                    self.driver.waits_for_address();
                }
                self.take(Event::Claim(claim));
            }
            Woken::Probed(probe) => self.probed(probe),
            Woken::Spawned(spawned) => self.spawned(spawned),
            Woken::FoundHolder(holder) => self.driver.found_holder(holder.as_ref(), &self.machine),
            Woken::Looked(look) => self.driver.looked(look),
            Woken::ReadyRequested(answer) => self.ready_requested(answer),
            Woken::StopCommandEnded(exit) => {
                self.driver.work.stop_command = None;
                self.driver.report.stop_command_ended(&exit);
                self.take(Event::StopCommandEnded);
            }
            Woken::Knocked(refused) => {
                self.driver.work.knock = None;
                self.take(Event::Knocked { refused });
            }
            Woken::Used(before) => {
                self.driver.work.last_use = None;
                let now = self.driver.instances.now();
                let last = before.map(|before| now.saturating_sub(before));
                self.take(Event::Used { last });
            }
            Woken::LeasesEnded => {
                if let Some(unanswered) = self.driver.unanswered() {
                    self.take(unanswered);
                }
                let leases = self.driver.read_leases();
                self.take(leases);
            }
            Woken::Deadline => self.take(Event::Tick),
        }
    }

    fn take(&mut self, event: Event) {
        // Meanwhile no other service makes this one leave.
        let gate = self.driver.address.gate.clone();
        let _gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(()) = drive(&mut self.machine, event, &mut self.driver);
    }

    fn commanded(&mut self, command: Command) {
        let callers = &mut self.driver.callers;
        match command {
            Command::Ask { waiter, ask, reply } => {
                callers.answers.insert(waiter, (reply, ask.want));
                self.asked(waiter, ask);
            }
            Command::Leave { waiter } => {
                callers.answers.remove(&waiter);
                self.take(Event::Left { waiter });
            }
            Command::Dismiss { handle } => self.take(Event::Dismissed { handle }),
            Command::Stop { reply } => {
                callers.stops.push(reply);
                self.take(Event::StopAsked);
            }
            Command::Retire { limit, reply } => {
                callers.stops.push(reply);
                self.take(Event::RetireAsked { limit });
            }
            Command::Handles => self.policy_changed(),
            Command::Confirm { instance, reply } => self.body_ended(instance, reply),
            Command::BrokenOff { instance, reply } => self.driver.broken_off(instance, reply),
        }
    }

    fn asked(&mut self, waiter: u64, mut ask: Ask) {
        let attached = self.driver.board.handles().get(&ask.handle).cloned();
        ask.shut_down = attached.is_none();
        if let Some(attached) = attached {
            self.driver.last = attached;
        }
        self.take(Event::Asked {
            waiter,
            suspect: self.driver.instances.leases.word().is_suspect(),
            leases: self.leases_out(),
            ask,
        });
    }

    fn policy_changed(&mut self) {
        if let Some(policy) = self.driver.board.policy() {
            self.take(Event::PolicyChanged(policy));
        }
    }

    /// A body of an instance that is known to be over cannot be complete.
    fn body_ended(&mut self, instance: u64, reply: oneshot::Sender<bool>) {
        if self.driver.instances.leases.word().instance() == instance {
            let body = self.driver.callers.body(reply);
            self.take(Event::BodyEnded { body });
        } else {
            let _ = reply.send(false);
        }
    }

    fn ready_requested(&mut self, answer: Answer) {
        self.driver.work.ready_request = None;
        self.driver.report.ready_requested(answer);
        self.take(Event::ReadyRequested(match answer {
            Answer::Ready => ReadyAnswer::Expected,
            // They mean that a server is loading, also where it says so behind a proxy.
            Answer::Status(status) if !matches!(status, 502..=504) => ReadyAnswer::Rejected,
            _ => ReadyAnswer::None,
        }));
    }

    fn probed(&mut self, probe: Probe) {
        self.driver.work.probe = None;
        let seen = Event::Probed {
            sight: probe.sight(),
            foreign: probe.stranger.is_some(),
            detail: probe.to_string(),
        };
        self.driver.report.probed(probe);
        self.driver.look_for_a_reason();
        self.take(seen);
    }

    /// Leases, here and in peers, keep a ready server from being stopped.
    fn leases_out(&self) -> usize {
        let out = self.driver.instances.leases.word().count();
        match self.machine.phase() {
            Phase::Ready => self.driver.address.leases_out(out),
            _ => out,
        }
    }

    fn spawned(&mut self, spawned: Spawned) {
        let Driver {
            instances,
            board,
            backend,
            work,
            report,
            last,
            ..
        } = &mut self.driver;
        work.spawn = None;
        match spawned {
            Ok(process) => {
                report.spawned(process.id());
                let guarantees = process.guarantees();
                let instance = instances.leases.word().instance();
                let output = work.output.clone();
                board
                    .written
                    .send_replace(output.map(|output| (instance, output)));
                work.process = Some(process);
                work.guarantees =
                    guarantees.or_else(|| Some(backend.launcher(&last.settings).guarantees()));
                self.take(Event::Spawned);
            }
            Err(error) => {
                let invalid = error.is_unsupported();
                report.spawn_failed(&last.name, &error);
                self.take(Event::SpawnFailed { invalid });
            }
        }
    }

    fn exited(&mut self, exit: Exit) {
        let output = self.driver.output();
        let port = self.driver.port();
        let Driver {
            instances,
            work,
            report,
            ..
        } = &mut self.driver;
        work.exit_known = true;
        let exited = Exited {
            code: exit.code,
            signal: exit.signal,
            served: instances.leases.word().has_served(),
            port_taken: mentions_taken_port(&output, port),
        };
        let is_expected = self.machine.phase() == Phase::Stopping;
        report.exited(exit, exited, output, instances.now(), is_expected);
        self.take(Event::Exited(exited));
    }
}

async fn due(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl<B: Backend> Drop for Supervisor<B> {
    /// Its runtime may end before its work does: then nothing runs any more, and the next caller makes another task.
    fn drop(&mut self) {
        let Driver {
            instances,
            board,
            work,
            report,
            finished,
            ..
        } = &mut self.driver;
        if thread::panicking() {
            board.panics.fetch_add(1, Relaxed);
        }
        if !*finished {
            // The process ends with the task, which could have given its last answers their time.
            instances.end(PastInstance {
                answers_over: work.process.is_some(),
                ..report.past_instance(InstanceEnd::Died)
            });
        }
        board.snapshot.send_modify(|snapshot| {
            snapshot.phase = Phase::Stopped;
            snapshot.ownership = None;
            snapshot.pid = None;
            snapshot.guarantees = None;
            snapshot.waiters = 0;
            (snapshot.ready_since, snapshot.loading_since) = (None, None);
        });
    }
}
