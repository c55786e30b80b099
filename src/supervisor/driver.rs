//! Performs the actions that the machine asks for.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::sleep};

use super::{
    Backend,
    board::{Attached, Board},
    callers::Callers,
    negotiation::Negotiation,
    report::{Others, Report},
    waits::Probe,
    work::Work,
};
use crate::{
    config::Share,
    error::{Error, ErrorKind},
    launch::{BoxFuture, Holder, LaunchContext, Listener, Look, OutputSink},
    leases::{Grant, Instances, PastInstance, word::Word},
    machine::{
        Action, Claim, Effects, Event, Failure, InstanceEnd, Leases, Machine, Ownership, Phase,
        ReadyAnswer, Sight, StopReason, Stopped, Unanswered, Want,
    },
    probe::Answer,
};

/// How long after its connections the end of a process is known at the latest.
const DEATH_IS_KNOWN: Duration = Duration::from_millis(100);

/// All that belongs to a service but its decisions.
pub(super) struct Driver<B: Backend> {
    pub(super) instances: Arc<Instances>,
    pub(super) board: Arc<Board>,
    pub(super) backend: B,
    pub(super) work: Work,
    pub(super) address: Negotiation,
    pub(super) callers: Callers,
    pub(super) report: Report,
    /// The handle that was asked last, kept for when it is gone.
    pub(super) last: Attached,
    pub(super) finished: bool,
}

impl<B: Backend> Effects for Driver<B> {
    type Error = Infallible;

    fn has_ended(&mut self) -> bool {
        self.work.has_ended()
    }

    fn must_leave(&mut self) -> bool {
        self.address.must_leave()
    }

    fn decide(&mut self, machine: &mut Machine, event: Event) -> Result<Vec<Action>, Infallible> {
        let now = self.instances.now();
        let actions = machine.on(event.clone(), now);
        self.board.journal.write(now, event, machine.phase());
        Ok(actions)
    }

    fn perform(&mut self, action: Action, machine: &Machine) -> Result<Option<Event>, Infallible> {
        match action {
            Action::Claim { evict } => {
                let instance = self.instances.leases.word().instance();
                let now = self.instances.now();
                self.report.claimed(&self.last.name, instance, now);
                self.address.claim(&self.last.name, evict);
            }
            Action::ClaimRoom => self.address.want(self.share().needs),
            Action::Offer => {
                let leaves = self.address.offer();
                return Ok(leaves.then_some(Event::Claim(Claim::Leave)));
            }
            Action::Release => self.address.release(),
            Action::RenewUse { after } => self.address.renew(after),
            Action::EndUse => self.address.peers.stop_using(self.idle_for()),
            Action::Probe { handle, after, own } => {
                let left = machine.takes_over().then(|| self.left_behind());
                self.probe(handle, after, own, left);
            }
            Action::SendReadyRequest { handle } => return Ok(self.send_ready_request(handle)),
            Action::Knock => self.knock(),
            Action::LookForUse => return Ok(self.look_for_use()),
            Action::Spawn => return Ok(self.spawn()),
            Action::RunStopCommand(reason) => return Ok(self.run_stop_command(reason)),
            Action::Terminate(reason) => self.terminate(reason),
            Action::Kill => self.kill(),
            Action::Open(ownership) => self.open(ownership),
            Action::Reopen(ownership) => self.reopen(ownership),
            Action::Close => {
                self.instances.leases.update(Word::close);
                self.report.closed(machine.common.wanted);
                self.address.peers.admit_no_more();
                return Ok(Some(self.read_leases()));
            }
            Action::CloseIfIdle => {
                let leases = &self.instances.leases;
                let peers = &self.address.peers;
                let closed = peers.close_unless_used(|| leases.close_if_idle());
                return Ok(Some(if closed {
                    Event::Closed
                } else {
                    self.read_leases()
                }));
            }
            Action::End(end) => self.end(end),
            Action::Suspect => {
                self.instances.leases.update(Word::suspect);
            }
            Action::Trust => {
                self.instances.leases.update(Word::trust);
            }
            Action::ReadLeases => return Ok(Some(self.read_leases())),
            Action::Grant(waiters) => self.grant(&waiters, machine),
            Action::Fail(waiters, failure) => self.fail(&waiters, &failure, machine),
            Action::Confirm { bodies, lives } => self.confirm(&bodies, lives),
            Action::EndAnswers => self.instances.end_answers(),
            Action::StopsDone(stopped) => self.stops_done(stopped, machine),
            Action::Finish => self.finished = true,
        }
        Ok(None)
    }

    fn done(&mut self, machine: &Machine) {
        if !machine.is_probing() {
            self.work.probe = None;
        }
        if !machine.asks_to_be_ready() {
            self.work.ready_request = None;
        }
        if !machine.is_commanding() && self.work.stop_command.take().is_some() {
            self.report.stop_command_broken_off();
        }
        if !machine.is_checking() {
            self.work.knock = None;
            self.address.stop_renewing();
        }
        if !machine.is_looking_for_use() {
            self.work.last_use = None;
        }
        self.address.report(machine.situation(), &self.share());
        if self.address.begins_to_wait() {
            self.report.waiting(self.address.holder());
        }
        let rests = matches!(machine.phase(), Phase::Stopped | Phase::Failed);
        if rests && self.work.process.is_none() {
            self.report.over();
        }
        #[cfg(feature = "metrics")]
        self.report
            .measured(machine.waiters(), || self.address.usage());
        self.publish(machine);
    }
}

impl<B: Backend> Driver<B> {
    pub(super) fn read_leases(&mut self) -> Event {
        let leases = &self.instances.leases;
        // The word first: the times were written before it said that nothing is out.
        let out = leases.look();
        let (idle_since, alive_since) = (leases.idle_since(), leases.alive_since());
        let now = self.instances.now();
        let (out, idle_since) = self.address.with_peers(out, idle_since, now);
        self.report.counted(out);
        Event::Leases(Leases {
            out,
            idle_since,
            alive_since,
        })
    }

    /// Requests that ended without an answer since the last call, if there are any.
    pub(super) fn unanswered(&self) -> Option<Event> {
        let requests = self.instances.take_unanswered();
        let cpu = || match &self.work.process {
            Some(process) => process.cpu_time(),
            None => self.backend.cpu_time_of(self.report.holder()?),
        };
        (requests > 0).then(|| {
            Event::Unanswered(Unanswered {
                requests,
                answered: self.instances.answered(),
                cpu: cpu(),
            })
        })
    }

    fn knock(&mut self) {
        let target = self.last.settings.target.clone();
        self.work.knock = Some(Box::pin(self.backend.refuses(target)));
    }

    /// What all handles need together. That of the last one counts when none is left.
    fn share(&self) -> Share {
        let share = self.board.share();
        share.unwrap_or_else(|| self.last.settings.share.clone())
    }

    fn idle_for(&self) -> Duration {
        let idle_since = self.instances.leases.idle_since();
        self.instances.now().saturating_sub(idle_since)
    }

    fn probe(
        &mut self,
        handle: u64,
        after: Duration,
        own: bool,
        left: Option<BoxFuture<'static, bool>>,
    ) {
        let target = self.attached(handle).settings.target.clone();
        self.report.probing(&target);
        let process = self.work.process.as_ref().filter(|_| own);
        let port = target.port;
        let listener = process.map(|process| process.owns_port(port));
        let backend = self.backend.clone();
        self.work.probe = Some(Box::pin(async move {
            if !after.is_zero() {
                sleep(after).await;
            }
            let answer = backend.probe(target).await;
            let stranger = match listener {
                Some(listener) if answer == Answer::Ready => match listener.await {
                    Listener::Other { pid } => Some(pid),
                    Listener::Own { .. } | Listener::Unseen => None,
                },
                _ => None,
            };
            let is_left = match left {
                Some(left) if answer != Answer::Refused => left.await,
                _ => false,
            };
            let occupant = match answer.sight() {
                Sight::Denied | Sight::Other if !own => backend.holder(port).await,
                _ => None,
            };
            Probe {
                answer,
                stranger,
                is_left,
                occupant,
            }
        }));
    }

    /// Whether the launcher finds an instance that a program has left.
    fn left_behind(&self) -> BoxFuture<'static, bool> {
        let Attached { name, settings } = &self.last;
        let output = OutputSink::new(name, settings.secrets.clone());
        let context = LaunchContext::new(name.clone(), settings.base.clone(), output);
        self.backend.launcher(settings).takes_over(&context)
    }

    /// That of the handle, or of another one where it has none.
    fn send_ready_request(&mut self, handle: u64) -> Option<Event> {
        let own = self.attached(handle).settings.ready_request.clone();
        let of_others = || {
            let handles = self.board.handles();
            let mut all = handles.values();
            all.find_map(|it| it.settings.ready_request.clone())
        };
        let Some(target) = own.or_else(of_others) else {
            // The handle that wanted it has just gone.
            return Some(Event::ReadyRequested(ReadyAnswer::Expected));
        };
        self.report.asking_to_be_ready(&target);
        self.work.ready_request = Some(Box::pin(self.backend.probe(target)));
        None
    }

    fn run_stop_command(&mut self, reason: StopReason) -> Option<Event> {
        self.report.stopping(reason);
        let Attached { name, settings } = &self.last;
        let Some(launcher) = self.backend.stop_command(settings) else {
            // The handle that had one has gone.
            return Some(Event::StopCommandEnded);
        };
        let output = self.work.output.clone();
        let output = output.unwrap_or_else(|| OutputSink::new(name, settings.secrets.clone()));
        let context = LaunchContext::new(name.clone(), settings.base.clone(), output);
        let start = launcher.launch(context);
        self.work.stop_command = Some(Box::pin(async move {
            let mut running = start.await?;
            Ok(running.exited().await)
        }));
        None
    }

    fn look_for_use(&mut self) -> Option<Event> {
        if self.work.process.is_none() {
            return Some(Event::Used { last: None });
        }
        let settings = &self.last.settings;
        let port = settings.base.port_u16().unwrap_or_else(|| self.port());
        self.work.last_use = Some(Box::pin(self.backend.last_use(port)));
        None
    }

    fn spawn(&mut self) -> Option<Event> {
        let Attached { name, settings } = self.last.clone();
        self.report.spawning(self.instances.now());
        self.work.exit_known = false;
        let launcher = self.backend.launcher(&settings);
        let problems = launcher.problems(&name);
        if !problems.is_empty() {
            let error = Error::new(&name, ErrorKind::InvalidConfig { problems });
            self.report.is_invalid(error);
            return Some(Event::SpawnFailed { invalid: true });
        }
        self.report.starting(launcher.identity().shown());
        self.address.spawning();
        let output = OutputSink::new(&name, settings.secrets.clone());
        self.work.output = Some(output.clone());
        let context = LaunchContext::new(name, settings.base.clone(), output);
        let context = context.locking(self.address.instance_lock());
        self.work.spawn = Some(launcher.launch(context));
        None
    }

    /// The port on which the service is expected.
    pub(super) fn port(&self) -> u16 {
        self.last.settings.target.port
    }

    /// What the process wrote, without any handle's secrets.
    pub(super) fn output(&self) -> String {
        let Some(output) = &self.work.output else {
            return String::new();
        };
        let handles: Vec<_> = self.board.handles().values().cloned().collect();
        let output = output.text(&self.last.settings.secrets);
        handles
            .iter()
            .fold(output, |text, handle| handle.settings.secrets.redact(&text))
    }

    fn terminate(&mut self, reason: StopReason) {
        self.report.stopping(reason);
        if let Some(process) = &mut self.work.process {
            process.stop();
        }
    }

    fn kill(&mut self) {
        if let Some(process) = &mut self.work.process {
            // For the error if it survives.
            self.work.look = Some(process.look());
            process.kill();
        }
    }

    fn open(&mut self, ownership: Ownership) {
        let now = self.instances.now();
        self.instances.leases.open(now);
        self.report.ready(ownership, now);
        self.address.opened(ownership);
        if ownership == Ownership::Owned {
            self.look_beyond_loopback();
        } else {
            let port = self.last.settings.target.port;
            self.work.holder = Some(Box::pin(self.backend.holder(port)));
        }
    }

    fn reopen(&mut self, ownership: Ownership) {
        self.instances.leases.update(Word::reopen);
        self.report.reopened(ownership);
        self.address.reopened(ownership);
    }

    pub(super) fn found_holder(&mut self, holder: Option<&Holder>, machine: &Machine) {
        self.work.holder = None;
        self.report.found_holder(holder.map(|it| it.pid));
        self.publish(machine);
    }

    /// Looks now and then at what the processes do, for the error if they never get ready.
    pub(super) fn look_for_a_reason(&mut self) {
        let now = self.instances.now();
        if let Some(process) = &self.work.process
            && self.work.look.is_none()
            && self.report.is_look_due(now)
        {
            self.work.look = Some(process.look());
        }
    }

    pub(super) fn looked(&mut self, look: Look) {
        self.work.look = None;
        self.report.looked(look, self.instances.now());
    }

    /// No request waits for it: it is reported beside the requests that are now served.
    fn look_beyond_loopback(&mut self) {
        let Some(process) = &self.work.process else {
            return;
        };
        let found = process.owns_port(self.last.settings.target.port);
        let report = self.report.exposed();
        self.work.in_background(async move {
            if let Listener::Own {
                exposed: Some(address),
            } = found.await
            {
                report(address);
            }
        });
    }

    fn end(&mut self, end: InstanceEnd) {
        self.address.ended();
        let death = self.report.death(end);
        let death = death.map(|exited| self.error(&Failure::Exited(exited)));
        if let Some(error) = &death {
            // No caller waits for an answer, but the status has it, and the next caller may get it.
            self.report.remember(error);
        }
        // An instance that never became ready has no leases, but its number is used up all the same.
        self.instances.end(PastInstance {
            death,
            ..self.report.past_instance(end)
        });
        self.report.ended();
        self.work.holder = None;
    }

    fn grant(&mut self, waiters: &[u64], machine: &Machine) {
        // A caller that is answered may look at the status at once.
        self.publish(machine);
        for waiter in waiters {
            if let Some((answer, want)) = self.callers.answers.remove(waiter) {
                let grant = (want == Want::Lease).then(|| Grant::new(&self.instances));
                // A caller that has left drops it, and with it the lease.
                drop(answer.send(Ok(grant)));
            }
        }
    }

    fn fail(&mut self, waiters: &[u64], failure: &Failure, machine: &Machine) {
        let error = self.error(failure);
        if failure.is_news() {
            self.report.failed(&error);
        }
        self.publish(machine);
        for waiter in waiters {
            if let Some((answer, _)) = self.callers.answers.remove(waiter) {
                drop(answer.send(Err(error.clone())));
            }
        }
    }

    fn confirm(&mut self, bodies: &[u64], lives: Option<bool>) {
        let replies = bodies
            .iter()
            .filter_map(|body| self.callers.bodies.remove(body));
        let replies: Vec<_> = replies.collect();
        let (backend, target) = (self.backend.clone(), self.last.settings.target.clone());
        let tell = move |lives| {
            for reply in replies {
                let _ = reply.send(lives);
            }
        };
        if let Some(lives) = lives {
            return tell(lives);
        }
        // Nothing reports the end of an external server, so it is asked.
        self.work.in_background(async move {
            tell(backend.probe(target).await.shows_life());
        });
    }

    /// The connections of a process break shortly before its end is known.
    pub(super) fn broken_off(&mut self, instance: u64, mut reply: oneshot::Sender<()>) {
        let is_present = self.instances.leases.word().instance() == instance;
        if !is_present || self.work.process.is_none() {
            return;
        }
        self.work.in_background(async move {
            tokio::select! {
                () = reply.closed() => {}
                () = sleep(DEATH_IS_KNOWN) => {}
            }
        });
    }

    /// Another service has the address.
    pub(super) fn waits_for_address(&mut self) {
        let holder = self.address.holder();
        let port_is_chosen = self.last.settings.port_is_chosen;
        self.report.waiting_for_address(holder, port_is_chosen);
    }

    fn error(&self, failure: &Failure) -> Error {
        let holder = || self.address.holder();
        let shortage = || self.address.shortage();
        let output = || self.output();
        self.report.error(
            &self.last,
            failure,
            self.instances.now(),
            &Others { holder, shortage },
            output,
        )
    }

    fn stops_done(&mut self, stopped: Stopped, machine: &Machine) {
        let result = match stopped {
            Stopped::Gone => Ok(()),
            Stopped::Survived => Err(self.error(&Failure::Unkillable)),
            Stopped::StillAnswers => Err(self.error(&Failure::StillAnswers)),
            Stopped::External => {
                let pid = self.report.holder();
                Err(Error::new(&self.last.name, ErrorKind::External { pid }))
            }
        };
        self.publish(machine);
        for stop in self.callers.stops.drain(..) {
            drop(stop.send(result.clone()));
        }
    }

    fn attached(&self, handle: u64) -> Attached {
        let handles = self.board.handles();
        handles.get(&handle).unwrap_or(&self.last).clone()
    }

    fn publish(&self, machine: &Machine) {
        let ownership = machine.ownership().map(|it| self.report.with_holder(it));
        let phase = machine.phase();
        self.board.snapshot.send_if_modified(|snapshot| {
            let news = (snapshot.phase, snapshot.ownership) != (phase, ownership);
            snapshot.phase = phase;
            snapshot.ownership = ownership;
            snapshot.waiters = machine.waiters();
            snapshot.waits_for_peer = self.address.waits_for_peer();
            snapshot.pid = self.work.process.as_ref().and_then(|it| it.id());
            snapshot.guarantees = self.work.guarantees;
            self.report.fill(snapshot);
            news
        });
    }
}
