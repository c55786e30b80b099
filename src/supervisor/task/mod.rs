//! Does what the state machine decides: one task per service, on the crate's own thread.
//!
//! The task holds no handle to its service, so the last handle to go closes its mailbox, and that
//! ends it.

mod actions;
mod command;
mod sharing;
mod waits;

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep},
};
use tracing::instrument::WithSubscriber;

pub(crate) use self::command::Command;
use self::command::{Answer, Stopped};
use super::{
    Backend,
    mailbox::Inbox,
    report::Facts,
    shared::{Attached, Ended, Shared},
    trace::Trace,
};
use crate::{
    config::Identity,
    error::{Error, ErrorKind},
    launch::{Exit, LaunchError, Running, process::mentions_taken_port},
    machine::{Ask, Claim, End, Event, Exited, Phase, Sight, State, Want},
    resources::{Claims, Ticket, peers::Hosts},
};

/// How long a client has to read what a process answered of which nothing is left.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) struct Supervisor<B: Backend> {
    shared: Arc<Shared>,
    backend: B,
    claims: Arc<Claims>,
    hosts: Arc<Hosts>,
    inbox: Inbox<Command>,
    /// Closed once the last handle is gone.
    is_open: bool,
    state: State,
    answers: HashMap<u64, (Answer, Want)>,
    stops: Vec<Stopped>,
    /// Who asks for a process that has ended, before we are told that it has.
    early: Vec<Command>,
    probe: Option<Pending<(Sight, Duration)>>,
    spawn: Option<Pending<Result<B::Running, LaunchError>>>,
    process: Option<B::Running>,
    /// Given back after the process, where the task ends before its work.
    ticket: Option<Ticket>,
    /// Since when another host process has been seen to use our server while we do not.
    lent_since: Option<Instant>,
    /// Until then, leases on another host's server may be taken without a look at it.
    borrowed_until: Option<Instant>,
    /// The machine knows that the process has ended.
    exit_told: bool,
    /// Goes on beside the events, and answers others than us.
    aside: JoinSet<()>,
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
    Spawned(Result<P, LaunchError>),
    /// The last lease has ended, here or in another host process.
    Idle,
    BorrowedLongEnough,
    Deadline,
}

impl<B: Backend> Supervisor<B> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        backend: B,
        claims: Arc<Claims>,
        first: Attached,
        inbox: Inbox<Command>,
    ) -> Self {
        let hosts = claims.hosts(Identity::of(&first.settings), &first.name);
        Self {
            shared,
            backend,
            claims,
            hosts,
            inbox,
            is_open: true,
            state: State::new(first.settings.policy),
            answers: HashMap::new(),
            stops: Vec::new(),
            early: Vec::new(),
            probe: None,
            spawn: None,
            process: None,
            ticket: None,
            lent_since: None,
            borrowed_until: None,
            exit_told: false,
            aside: JoinSet::new(),
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

    async fn wait(&mut self) -> Woken<B::Running> {
        let deadline = self
            .state
            .deadline()
            .map(|deadline| self.shared.instant(deadline));
        // An exit comes before what a probe saw at the same time.
        tokio::select! {
            biased;
            woken = waits::next_of_process(self.process.as_mut(), self.exit_told) => woken,
            claim = waits::next_of_claim(self.ticket.as_mut()) => Woken::Claim(claim),
            spawned = waits::pending(self.spawn.as_mut()) => Woken::Spawned(spawned),
            (sight, took) = waits::pending(self.probe.as_mut()) => Woken::Probed(sight, took),
            command = self.inbox.recv(), if self.is_open => Woken::Command(command),
            () = self.shared.idle.notified() => Woken::Idle,
            () = waits::returned(&self.hosts, self.lent_since) => Woken::Idle,
            () = waits::due(self.borrowed_until) => Woken::BorrowedLongEnough,
            () = waits::due(deadline) => Woken::Deadline,
        }
    }

    fn woken(&mut self, woken: Woken<B::Running>) {
        match woken {
            Woken::Command(Some(command)) => self.commanded(command),
            Woken::Command(None) => {
                self.is_open = false;
                self.take(Event::HandlesGone);
            }
            Woken::Exited(exit) => self.exited(exit),
            Woken::Gone => {
                self.process = None;
                self.silence_soon();
                self.take(Event::Gone);
            }
            Woken::Claim(claim) => self.take(Event::Claim(claim)),
            Woken::Probed(sight, took) => self.probed(sight, took),
            Woken::Spawned(spawned) => self.spawned(spawned),
            Woken::Idle => {
                let looked = self.look();
                self.take(looked);
            }
            Woken::BorrowedLongEnough => self.borrowed_long_enough(),
            Woken::Deadline => self.take(Event::Tick),
        }
    }

    fn commanded(&mut self, command: Command) {
        match command {
            Command::Ask { waiter, ask, reply } => self.asked(waiter, ask, reply),
            Command::Leave { waiter } => {
                self.answers.remove(&waiter);
                self.early
                    .retain(|it| !matches!(it, Command::Ask { waiter: of, .. } if *of == waiter));
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

    fn asked(&mut self, waiter: u64, ask: Ask, reply: Answer) {
        let Some(attached) = self.shared.handles().get(&ask.handle).cloned() else {
            // Shut down since it was asked; what that sent away is not to come back.
            let error = Error::new(&self.last.name, ErrorKind::ShutDown {});
            drop(reply.send(Err(error)));
            return;
        };
        let word = self.shared.leases.word();
        let suspect = word.is_suspect();
        // They are of interest for a run under suspicion only.
        let leases = if suspect {
            self.leases_out()
        } else {
            word.count()
        };
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
            let actions = self.state.on(event.clone(), now);
            self.shared.journal.write(now, event, self.state.phase());
            for action in actions {
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

    fn probed(&mut self, sight: Sight, took: Duration) {
        self.probe = None;
        // Its end is told first, and decides what the answer was worth. To look for it costs a fifth of what
        // the probe does.
        if !self.state.only_probes_again(sight) && self.has_corpse() {
            return;
        }
        let leases = self.leases_out();
        self.take(Event::Probed {
            sight,
            took,
            leases,
        });
    }

    /// Whether the process has ended, and we are not told yet.
    fn has_corpse(&mut self) -> bool {
        !self.exit_told && self.process.as_mut().is_some_and(|it| !it.is_alive())
    }

    fn spawned(&mut self, spawned: Result<B::Running, LaunchError>) {
        self.spawn = None;
        match spawned {
            Ok(process) => {
                let pid = process.pid();
                self.process = Some(process);
                self.facts.spawned(pid);
                self.trace.started(pid);
                self.take(Event::Spawned);
            }
            Err(error) => {
                let reason = error.to_string();
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
            port_taken: mentions_taken_port(&output),
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

    fn confirm(&mut self, run: u64, reply: oneshot::Sender<bool>) {
        let current = self.shared.leases.word().run() == run;
        let alive = self.process.as_mut().map(Running::is_alive);
        match alive {
            _ if !current => _ = reply.send(false),
            // Its end is told soon, and then it is known of what it died.
            Some(false) if !self.exit_told => self.mourners.push(reply),
            Some(alive) => _ = reply.send(alive),
            // Nobody tells us of the end of another's server, so we ask.
            None => {
                let (backend, target) = (self.backend.clone(), self.last.settings.target.clone());
                self.go_on_aside(async move {
                    let sight = backend.probe(target).await;
                    let _ = reply.send(!matches!(sight, Sight::Refused | Sight::Broken));
                });
            }
        }
    }

    /// Answers of the process may be on their way, and nobody tells us when they have been read.
    fn silence_soon(&mut self) {
        if !self.shared.is_heard() {
            return;
        }
        let shared = self.shared.clone();
        self.go_on_aside(async move {
            sleep(LAST_ANSWERS).await;
            shared.silence();
        });
    }

    fn go_on_aside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.aside.try_join_next().is_some() {}
        // What it tells goes to whom we tell, too.
        self.aside.spawn(task.with_current_subscriber());
    }

    fn attached(&self, handle: u64) -> Attached {
        self.shared
            .handles()
            .get(&handle)
            .unwrap_or(&self.last)
            .clone()
    }

    fn publish(&self) {
        let (phase, ownership) = (self.state.phase(), self.state.ownership());
        self.shared.snapshot.send_if_modified(|snapshot| {
            let news = (snapshot.phase, snapshot.ownership) != (phase, ownership);
            snapshot.phase = phase;
            snapshot.ownership = ownership;
            snapshot.waiters = self.state.waiters();
            snapshot.pid = self.process.as_ref().map(Running::pid);
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
            // The process ends with us, and nobody is left to give its last answers their time.
            self.shared.end_run(Ended {
                is_silent: self.process.is_some(),
                ..self.facts.ended(End::Died)
            });
        }
        self.shared.snapshot.send_modify(|snapshot| {
            snapshot.phase = Phase::Stopped;
            snapshot.ownership = None;
            snapshot.pid = None;
            snapshot.waiters = 0;
            snapshot.ready_since = None;
        });
    }
}
