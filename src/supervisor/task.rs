//! Does what the state machine decides: one task per service, on the crate's own thread.
//!
//! The task holds no handle to its service, so the last handle to go closes its mailbox, and that
//! ends it.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use super::{
    backend::{Backend, Process},
    claim::{Claims, Ticket},
    report::Facts,
    shared::{Attached, Grant, Shared},
    state::{Action, Ask, Claim, End, Event, Exited, Failure, Leases, Reason, State, Want},
    trace::Trace,
    word::Word,
};
use crate::{
    config::Endpoint,
    error::{Error, ErrorKind},
    probe::Sight,
    process::{Exit, Listener, port_taken},
    status::{Origin, Phase},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// What callers tell the task.
#[derive(Debug)]
pub(crate) enum Command {
    Ask {
        waiter: u64,
        ask: Ask,
        reply: Answer,
    },
    Leave {
        waiter: u64,
    },
    Dismiss {
        handle: u64,
    },
    Stop {
        reply: Stopped,
    },
    Retire {
        limit: Option<Duration>,
        reply: Stopped,
    },
    /// A handle came or went.
    Handles,
    /// Whether the run goes on, asked at the end of a body that nothing else delimits.
    Confirm {
        run: u64,
        reply: oneshot::Sender<bool>,
    },
}

/// `None` for those who want no lease.
pub(crate) type Answer = oneshot::Sender<Result<Option<Grant>, Error>>;
pub(crate) type Stopped = oneshot::Sender<Result<(), Error>>;

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) struct Supervisor<B: Backend> {
    shared: Arc<Shared>,
    backend: B,
    claims: Arc<Claims>,
    endpoints: Vec<Endpoint>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Closed once the last handle is gone.
    is_open: bool,
    state: State,
    answers: HashMap<u64, (Answer, Want)>,
    stops: Vec<Stopped>,
    /// Who asks for a process that has ended, before we are told that it has.
    early: Vec<Command>,
    ticket: Option<Ticket>,
    probe: Option<Pending<(Sight, Duration)>>,
    spawn: Option<Pending<Result<B::Process, String>>>,
    process: Option<B::Process>,
    /// The machine knows that the process has ended.
    exit_told: bool,
    confirmations: JoinSet<()>,
    /// Bodies that ended with their process, and want to know of what it died.
    mourners: Vec<oneshot::Sender<bool>>,
    /// The handle that was asked last, kept for when it is gone.
    last: Attached,
    facts: Facts,
    trace: Trace,
    finished: bool,
}

/// What ended a wait.
enum Woken<P> {
    Command(Option<Command>),
    Exited(Exit),
    Gone,
    Claim(Claim),
    Probed(Sight, Duration),
    Spawned(Result<P, String>),
    Idle,
    Deadline,
}

impl<B: Backend> Supervisor<B> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        backend: B,
        claims: Arc<Claims>,
        first: Attached,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        Self {
            shared,
            backend,
            claims,
            endpoints: first.settings.endpoints.clone(),
            commands,
            is_open: true,
            state: State::new(first.settings.policy),
            answers: HashMap::new(),
            stops: Vec::new(),
            early: Vec::new(),
            ticket: None,
            probe: None,
            spawn: None,
            process: None,
            exit_told: false,
            confirmations: JoinSet::new(),
            mourners: Vec::new(),
            facts: Facts::default(),
            trace: Trace::none(),
            last: first,
            finished: false,
        }
    }

    pub(crate) async fn run(mut self) {
        // An event like any other, so that a journal begins with it.
        self.policy_changed();
        while !self.finished {
            let woken = self.wait().await;
            self.woken(woken);
        }
    }

    async fn wait(&mut self) -> Woken<B::Process> {
        let deadline = self
            .state
            .deadline()
            .map(|deadline| self.shared.instant(deadline));
        // An exit comes before what a probe saw at the same time.
        tokio::select! {
            biased;
            woken = next_of_process(self.process.as_mut(), self.exit_told) => woken,
            claim = next_of_claim(self.ticket.as_mut()) => Woken::Claim(claim),
            spawned = pending(self.spawn.as_mut()) => Woken::Spawned(spawned),
            (sight, took) = pending(self.probe.as_mut()) => Woken::Probed(sight, took),
            command = self.commands.recv(), if self.is_open => Woken::Command(command),
            () = self.shared.idle.notified() => Woken::Idle,
            () = due(deadline) => Woken::Deadline,
        }
    }

    fn woken(&mut self, woken: Woken<B::Process>) {
        match woken {
            Woken::Command(Some(command)) => self.commanded(command),
            Woken::Command(None) => {
                self.is_open = false;
                self.take(Event::HandlesGone);
            }
            Woken::Exited(exit) => self.exited(exit),
            Woken::Gone => {
                self.process = None;
                self.take(Event::Gone);
            }
            Woken::Claim(claim) => self.take(Event::Claim(claim)),
            Woken::Probed(sight, took) => self.probed(sight, took),
            Woken::Spawned(spawned) => self.spawned(spawned),
            Woken::Idle => {
                let looked = self.look();
                let is_idle = matches!(looked, Event::Looked(Leases { out: 0, .. }));
                if is_idle && self.state.phase() == Phase::Ready {
                    self.trace.idle();
                }
                self.take(looked);
            }
            Woken::Deadline => self.take(Event::Tick),
        }
    }

    fn commanded(&mut self, command: Command) {
        match command {
            Command::Ask { waiter, ask, reply } => {
                let Some(attached) = self.shared.handles().get(&ask.handle).cloned() else {
                    // Shut down since it was asked; what that sent away is not to come back.
                    let error = Error::new(&self.last.name, ErrorKind::ShutDown {});
                    drop(reply.send(Err(error)));
                    return;
                };
                let word = self.shared.leases.word();
                let (suspect, leases) = (word.is_suspect(), word.count());
                if suspect && self.has_corpse() {
                    self.early.push(Command::Ask { waiter, ask, reply });
                    return;
                }
                self.last = attached;
                self.answers.insert(waiter, (reply, ask.want));
                self.take(Event::Asked {
                    waiter,
                    ask,
                    suspect,
                    leases,
                });
            }
            Command::Leave { waiter } => {
                self.answers.remove(&waiter);
                let of_waiter = |command: &mut Command| matches!(command, Command::Ask { waiter: of, .. } if *of == waiter);
                self.early.retain_mut(|command| !of_waiter(command));
                self.take(Event::Left { waiter });
            }
            Command::Dismiss { handle } => self.take(Event::Dismissed { handle }),
            Command::Stop { reply } => {
                self.stops.push(reply);
                self.take(Event::StopAsked);
            }
            Command::Retire { limit, reply } => {
                self.stops.push(reply);
                self.take(Event::RetireAsked { limit });
            }
            Command::Handles => self.policy_changed(),
            Command::Confirm { run, reply } => self.confirm(run, reply),
        }
    }

    fn policy_changed(&mut self) {
        if let Some(policy) = self.shared.policy() {
            self.take(Event::PolicyChanged(policy));
        }
    }

    /// Takes an event, does what follows, and takes what that is answered with.
    fn take(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.shared.now();
            self.shared.journal.write(now, event.clone());
            for action in self.state.on(event, now) {
                events.extend(self.perform(action));
            }
        }
        if !self.state.is_probing() {
            self.probe = None;
        }
        let rests = matches!(self.state.phase(), Phase::Stopped | Phase::Failed);
        if rests && self.process.is_none() {
            self.trace.over();
        }
        self.publish();
    }

    /// Some actions are answered at once.
    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Claim => {
                self.trace.over();
                self.trace = Trace::begin(&self.last.name, self.shared.leases.word().run());
                self.facts.begin(self.shared.now());
                self.ticket = Some(self.claims.claim(&self.last.name, &self.endpoints));
            }
            Action::Release => self.ticket = None,
            Action::Probe { handle, after } => self.begin_probe(handle, after),
            Action::Spawn => return self.begin_spawn(),
            Action::Terminate(reason) => self.terminate(reason),
            Action::Kill => {
                if let Some(process) = &mut self.process {
                    process.kill();
                }
            }
            Action::Open(origin) => self.open(origin),
            Action::Reopen(origin) => self.reopen(origin),
            Action::Close => {
                self.shared.leases.update(Word::close);
                return Some(self.look());
            }
            Action::CloseIfIdle => {
                let closed = self.shared.leases.close_if_idle();
                return Some(if closed { Event::Closed } else { self.look() });
            }
            Action::End(end) => self.end(end),
            Action::Suspect => {
                self.shared.leases.update(Word::suspect);
            }
            Action::Trust => {
                self.shared.leases.seen_alive(self.shared.now());
                self.shared.leases.update(Word::trust);
            }
            Action::Look => return Some(self.look()),
            Action::Grant(waiters) => self.grant(&waiters),
            Action::Fail(waiters, failure) => self.fail(&waiters, &failure),
            Action::Settled { killed } => self.settled(killed),
            Action::Finish => self.finished = true,
        }
        None
    }

    fn look(&self) -> Event {
        let leases = &self.shared.leases;
        // The word first: the times were written before it said that nothing is out.
        let out = leases.look();
        let (idle_since, alive_since) = (leases.idle_since(), leases.alive_since());
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
        let backend = self.backend.clone();
        self.probe = Some(Box::pin(async move {
            if !after.is_zero() {
                sleep(after).await;
            }
            let begun = Instant::now();
            (backend.probe(target).await, begun.elapsed())
        }));
    }

    fn probed(&mut self, sight: Sight, took: Duration) {
        self.probe = None;
        let looked = Instant::now();
        let sight = if sight == Sight::Wanted {
            self.whose()
        } else {
            sight
        };
        // To look for a stranger takes time too, which the next probe has to keep away from.
        let took = took + looked.elapsed();
        // Its end is told first, and decides what the answer was worth.
        if self.has_corpse() {
            return;
        }
        let leases = self.shared.leases.word().count();
        self.take(Event::Probed {
            sight,
            took,
            leases,
        });
    }

    /// Whether a wanted answer is that of our process.
    fn whose(&self) -> Sight {
        let Some(process) = self
            .process
            .as_ref()
            .filter(|_| self.state.wants_own_listener())
        else {
            return Sight::Wanted;
        };
        match process.listener(self.last.settings.target.port) {
            Listener::Other { pid } => Sight::Stranger(pid),
            Listener::Ours | Listener::Unseen => Sight::Wanted,
        }
    }

    /// Whether the process has ended, and we are not told yet.
    fn has_corpse(&mut self) -> bool {
        !self.exit_told && self.process.as_mut().is_some_and(|it| !it.is_alive())
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
        self.spawn = Some(Box::pin(self.backend.spawn(&settings, &name)));
        None
    }

    fn spawned(&mut self, spawned: Result<B::Process, String>) {
        self.spawn = None;
        match spawned {
            Ok(process) => {
                let pid = process.pid();
                self.process = Some(process);
                self.facts.spawned(pid);
                self.trace.started(pid);
                self.take(Event::Spawned);
            }
            Err(reason) => {
                self.facts
                    .spawn_failed(Error::new(&self.last.name, ErrorKind::Spawn { reason }));
                self.take(Event::SpawnFailed { invalid: false });
            }
        }
    }

    fn exited(&mut self, exit: Exit) {
        self.exit_told = true;
        let output = self.output();
        let exited = Exited {
            code: exit.code,
            signal: exit.signal,
            served: self.shared.leases.word().has_served(),
            port_taken: port_taken(&output),
        };
        let phase = self.state.phase();
        let after = self.facts.age(self.shared.now());
        self.trace.exited(exit, after, phase == Phase::Stopping);
        self.facts.died(exited, output);
        self.take(Event::Exited(exited));
        for mourner in self.mourners.drain(..) {
            let _ = mourner.send(false);
        }
        for command in std::mem::take(&mut self.early) {
            self.commanded(command);
        }
    }

    /// What the process wrote, without any handle's secrets.
    fn output(&self) -> String {
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

    fn open(&mut self, origin: Origin) {
        let now = self.shared.now();
        self.shared.leases.open(now);
        self.facts.ready(now);
        self.trace.ready(origin, self.facts.age(now));
    }

    fn reopen(&mut self, origin: Origin) {
        self.shared.leases.update(Word::reopen);
        if origin == Origin::External {
            self.trace.replaced();
        }
    }

    fn end(&mut self, end: End) {
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

    fn error(&self, failure: &Failure) -> Error {
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

    fn confirm(&mut self, run: u64, reply: oneshot::Sender<bool>) {
        while self.confirmations.try_join_next().is_some() {}
        let current = self.shared.leases.word().run() == run;
        let alive = self.process.as_mut().map(Process::is_alive);
        match alive {
            _ if !current => _ = reply.send(false),
            // Its end is told soon, and then it is known of what it died.
            Some(false) if !self.exit_told => self.mourners.push(reply),
            Some(alive) => _ = reply.send(alive),
            // Nobody tells us of the end of another's server, so we ask.
            None => {
                let (backend, target) = (self.backend.clone(), self.last.settings.target.clone());
                self.confirmations.spawn(async move {
                    let sight = backend.probe(target).await;
                    let _ = reply.send(!matches!(sight, Sight::Refused | Sight::Broken));
                });
            }
        }
    }

    fn attached(&self, handle: u64) -> Attached {
        self.shared
            .handles()
            .get(&handle)
            .unwrap_or(&self.last)
            .clone()
    }

    fn publish(&self) {
        let (phase, origin) = (self.state.phase(), self.state.origin());
        self.shared.snapshot.send_if_modified(|snapshot| {
            let news = (snapshot.phase, snapshot.origin) != (phase, origin);
            snapshot.phase = phase;
            snapshot.origin = origin;
            snapshot.waiters = self.state.waiters();
            snapshot.pid = self.process.as_ref().map(Process::pid);
            self.facts.fill(snapshot);
            news
        });
    }
}

impl<B: Backend> Drop for Supervisor<B> {
    /// Its runtime may end before its work does: then nothing runs any more, and whoever asks next
    /// makes another.
    fn drop(&mut self) {
        if !self.finished {
            self.shared.end_run(self.facts.ended(End::Died));
        }
        self.shared.snapshot.send_modify(|snapshot| {
            snapshot.phase = Phase::Stopped;
            snapshot.origin = None;
            snapshot.pid = None;
            snapshot.waiters = 0;
            snapshot.ready_since = None;
        });
    }
}

async fn next_of_process<P: Process>(process: Option<&mut P>, exit_told: bool) -> Woken<P> {
    match process {
        Some(process) if exit_told => {
            process.gone().await;
            Woken::Gone
        }
        Some(process) => Woken::Exited(process.ended().await),
        None => std::future::pending().await,
    }
}

async fn next_of_claim(ticket: Option<&mut Ticket>) -> Claim {
    match ticket {
        Some(ticket) => ticket.next().await,
        None => std::future::pending().await,
    }
}

async fn pending<T>(future: Option<&mut Pending<T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn due(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
