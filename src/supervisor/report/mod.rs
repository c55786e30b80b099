//! What is reported of a service, as errors, status and events. It decides nothing.

mod hint;
#[cfg(test)]
mod tests;
mod trace;

#[cfg(feature = "metrics")]
use std::collections::BTreeMap;
use std::{mem, net::SocketAddr, sync::Arc, time::Duration};

use self::trace::Trace;
pub(crate) use self::trace::waited;
use super::{
    board::{Attached, Snapshot},
    event_kind::EventKind,
    events::Teller,
    waits::Probe,
};
use crate::{
    config::Target,
    error::{Error, ErrorKind},
    launch::{Exit, LaunchError, Look},
    leases::PastInstance,
    machine::{Exited, Failure, InstanceEnd, Ownership, Phase, StopReason, Time},
    probe::Answer,
    resources::Shortage,
};
#[cfg(feature = "metrics")]
use crate::{resources::Usage, supervisor::meter};

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What the supervisor remembers for its reports.
#[derive(Debug)]
pub(super) struct Report {
    facts: Facts,
    trace: Trace,
    events: Teller,
    /// A warning was given of the port that was chosen for two services.
    warned_of_port: bool,
}

/// Of one start and the instance that comes of it, but for the first two.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Facts {
    starts: u64,
    last_error: Option<Error>,
    /// When the process was started, or the look at an external server began.
    begun: Time,
    ready_since: Option<Time>,
    /// This program has started it. It need not be a process.
    is_started: bool,
    pid: Option<u32>,
    /// The process of an external server.
    holder: Option<u32>,
    /// What the last probe came to.
    probe: Option<Probe>,
    /// Whether an earlier one came to something else.
    probes_differ: bool,
    /// The ready request, once it was sent, and what came of it, once that is known.
    ready_request: Option<(String, Option<Answer>)>,
    /// What the processes did at the last look, and when that was.
    look: Look,
    looked: Option<Time>,
    exit: Option<Exited>,
    /// The last output of the process that has ended.
    output: Option<String>,
    spawn_failed: Option<Error>,
    is_stopping: bool,
    makes_way: bool,
}

impl Report {
    pub(super) fn new(events: Teller) -> Self {
        Self {
            facts: Facts::default(),
            trace: Trace::none(),
            events,
            warned_of_port: false,
        }
    }

    /// A start begins.
    pub(super) fn claimed(&mut self, service: &str, instance: u64, now: Time) {
        self.over();
        self.trace = Trace::begin(service, instance);
        self.events.begin(service, instance);
        self.facts.begin(now);
    }

    /// Another service or program has the address, or what is needed beside it.
    pub(super) fn waiting(&mut self, holder: Option<String>) {
        self.events.tell(EventKind::Waiting { holder });
    }

    /// The same of an address. Both services would have it for ever, so the first wait is warned of if the port was chosen.
    pub(super) fn waiting_for_address(&mut self, holder: Option<String>, port_is_chosen: bool) {
        if port_is_chosen && !mem::replace(&mut self.warned_of_port, true) {
            self.trace.port_shared(holder.clone());
        }
        self.waiting(holder);
    }

    pub(super) fn probing(&mut self, target: &Target) {
        self.trace.probing(target);
    }

    pub(super) fn probed(&mut self, probe: Probe) {
        let last = self.facts.probe.replace(probe);
        let answer = |probe: Option<&Probe>| probe.map(|probe| probe.answer);
        self.facts.probes_differ |=
            last.is_some() && answer(last.as_ref()) != answer(self.facts.probe.as_ref());
    }

    pub(super) fn asking_to_be_ready(&mut self, target: &Target) {
        let shown = format!("{} {}", target.method, target.shown());
        self.facts.ready_request = Some((shown, None));
    }

    pub(super) fn ready_requested(&mut self, answer: Answer) {
        if let Some((_, answered)) = &mut self.facts.ready_request {
            *answered = Some(answer);
        }
    }

    pub(super) fn stop_command_ended(&self, exit: &Result<Exit, LaunchError>) {
        match exit {
            Ok(Exit { code: Some(0), .. }) => {}
            Ok(exit) => self.trace.stop_command_failed(*exit, None),
            Err(error) => {
                let error = Some(error.to_string());
                self.trace.stop_command_failed(Exit::default(), error);
            }
        }
    }

    /// It was not waited for any longer.
    pub(super) fn stop_command_broken_off(&self) {
        let error = "it had not ended after `stopTimeoutMs`, and was killed";
        self.trace
            .stop_command_failed(Exit::default(), Some(error.to_owned()));
    }

    /// A look takes milliseconds, so that there is one a second, and none in a quick start.
    pub(super) fn is_look_due(&self, now: Time) -> bool {
        now.saturating_sub(self.facts.looked.unwrap_or(self.facts.begun)) >= BETWEEN_LOOKS
    }

    pub(super) fn looked(&mut self, look: Look, now: Time) {
        if let Some(pid) = look
            .suspended
            .filter(|_| self.facts.look.suspended.is_none())
            && !self.facts.is_stopping
        {
            self.trace.suspended(pid);
        }
        self.facts.look = look;
        self.facts.looked = Some(now);
    }

    pub(super) fn spawning(&mut self, now: Time) {
        self.facts.begin(now);
    }

    pub(super) fn is_invalid(&mut self, error: Error) {
        self.facts.spawn_failed = Some(error);
    }

    pub(super) fn starting(&mut self, command: &Arc<str>) {
        self.trace.starting(command.clone());
        self.events.tell(EventKind::Starting);
    }

    pub(super) fn spawned(&mut self, pid: Option<u32>) {
        self.facts.starts += 1;
        self.facts.is_started = true;
        self.facts.pid = pid;
        self.trace.started(pid);
        self.events.tell(EventKind::Loading { pid });
    }

    pub(super) fn spawn_failed(&mut self, service: &str, error: &LaunchError) {
        let LaunchError { what, error, hint } = error;
        let failed = Error::spawn(service, what, error);
        self.facts.spawn_failed = Some(match hint {
            Some(hint) => failed.with_hint(hint.clone()),
            None => failed,
        });
    }

    pub(super) fn ready(&mut self, ownership: Ownership, now: Time) {
        self.facts.ready_since = Some(now);
        let took = self.facts.age(now);
        self.trace.ready(ownership, took);
        let external = ownership != Ownership::Owned;
        self.events.tell(EventKind::Ready { took, external });
    }

    pub(super) fn found_holder(&mut self, pid: Option<u32>) {
        self.facts.holder = pid;
    }

    pub(super) fn holder(&self) -> Option<u32> {
        self.facts.holder
    }

    /// The ownership with what is known of an external server.
    pub(super) fn with_holder(&self, ownership: Ownership) -> Ownership {
        match ownership {
            Ownership::Owned => Ownership::Owned,
            Ownership::External { .. } => Ownership::External {
                pid: self.facts.holder,
            },
        }
    }

    pub(super) fn reopened(&mut self, ownership: Ownership) {
        self.facts.makes_way = false;
        if ownership != Ownership::Owned {
            self.trace.replaced();
        }
    }

    /// To be called if the server can be reached from other machines.
    pub(super) fn exposed(&self) -> impl FnOnce(SocketAddr) + Send + use<> {
        self.trace.exposed()
    }

    pub(super) fn counted(&mut self, leases: usize) {
        if self.trace.counted(leases) {
            self.events.tell(EventKind::Idle);
        }
    }

    /// The instance gives out no new leases.
    pub(super) fn closed(&mut self, is_contested: bool) {
        // Another service asks for that again and again; the first time is news.
        if is_contested && !mem::replace(&mut self.facts.makes_way, true) {
            self.events.tell(EventKind::MakingWay);
        }
    }

    /// The first step of a stop is news.
    pub(super) fn stopping(&mut self, reason: StopReason) {
        if !mem::replace(&mut self.facts.is_stopping, true) {
            if reason == StopReason::Unresponsive {
                self.trace.unresponsive();
            }
            let reason = reason.as_str();
            self.trace.stopping(reason);
            self.events.tell(EventKind::Stopping { reason });
        }
    }

    pub(super) fn exited(
        &mut self,
        exit: Exit,
        exited: Exited,
        output: String,
        now: Time,
        is_expected: bool,
    ) {
        self.trace.exited(exit, self.facts.age(now), is_expected);
        self.facts.exit = Some(exited);
        self.facts.output = Some(output);
    }

    /// The instance is over.
    pub(super) fn ended(&mut self) {
        self.facts.ready_since = None;
    }

    /// How it died, if that is how the instance ended.
    pub(super) fn death(&self, end: InstanceEnd) -> Option<Exited> {
        self.facts.exit.filter(|_| end == InstanceEnd::Died)
    }

    pub(super) fn past_instance(&self, end: InstanceEnd) -> PastInstance {
        let exit = self.facts.exit;
        PastInstance {
            end,
            death: None,
            code: exit.and_then(|exit| exit.code),
            signal: exit.and_then(|exit| exit.signal),
            answers_over: false,
        }
    }

    pub(super) fn failed(&mut self, error: &Error) {
        self.trace.failed(error);
        self.events.tell(EventKind::Failed {
            error: error.clone(),
        });
        self.remember(error);
    }

    pub(super) fn remember(&mut self, error: &Error) {
        self.facts.last_error = Some(error.clone());
    }

    /// Nothing is left of the instance.
    pub(super) fn over(&mut self) {
        match self.trace.over() {
            Some(Ownership::Owned) => self.events.tell(EventKind::Stopped),
            Some(Ownership::External { .. }) => self.events.tell(EventKind::Released),
            None => {}
        }
    }

    /// How many requests wait, and what services have of named resources, if anything happened.
    #[cfg(feature = "metrics")]
    pub(super) fn measured(
        &mut self,
        waiters: usize,
        usage: impl FnOnce() -> BTreeMap<String, Usage>,
    ) {
        self.events.meter.set_waiters(waiters);
        if self.events.meter.has_counted() {
            meter::set_resources(usage());
        }
    }

    pub(super) fn fill(&self, snapshot: &mut Snapshot) {
        snapshot.starts = self.facts.starts;
        snapshot.ready_since = self.facts.ready_since;
        snapshot.loading_since = (snapshot.phase == Phase::Starting).then_some(self.facts.begun);
        snapshot.last_error.clone_from(&self.facts.last_error);
    }

    /// `asked` is the handle whose probe was used, `output` is what the process wrote so far.
    pub(super) fn error(
        &self,
        asked: &Attached,
        failure: &Failure,
        now: Time,
        others: &Others<impl Fn() -> Option<String>, impl Fn() -> Option<Shortage>>,
        output: impl Fn() -> String,
    ) -> Error {
        self.facts.error(asked, failure, now, others, output)
    }
}

impl Facts {
    fn begin(&mut self, now: Time) {
        *self = Self {
            starts: self.starts,
            last_error: self.last_error.take(),
            begun: now,
            ..Self::default()
        };
    }

    /// How long the start, or the instance, has taken so far.
    fn age(&self, now: Time) -> Duration {
        now.saturating_sub(self.begun)
    }

    fn error(
        &self,
        asked: &Attached,
        failure: &Failure,
        now: Time,
        others: &Others<impl Fn() -> Option<String>, impl Fn() -> Option<Shortage>>,
        output: impl Fn() -> String,
    ) -> Error {
        let error = |kind| Error::new(&asked.name, kind);
        let probed = |kind| error(kind).health_url(asked.settings.target.shown());
        match failure {
            Failure::Spawn => match &self.spawn_failed {
                Some(error) => error.clone(),
                None => error(ErrorKind::Spawn {
                    reason: "the process could not be started".to_owned(),
                }),
            },
            Failure::Exited(exited) => self.exited(asked, *exited, now),
            Failure::ReadyTimeout { limit } => self.timed_out(asked, *limit).output(output()),
            Failure::Denied => {
                let status = match self.answer() {
                    Some(Answer::Status(status)) => status,
                    _ => 401,
                };
                let error = probed(ErrorKind::HealthRejected { status })
                    .after(self.age(now))
                    .output(output());
                if asked.settings.target.sends_key {
                    error.with_hint(hint::KEY_REFUSED)
                } else {
                    error
                }
            }
            Failure::ReadyRejected => self.ready_rejected(asked, now).output(output()),
            Failure::StillAnswers => error(ErrorKind::StillAnswers {}).output(output()),
            Failure::Held => {
                let by = (others.holder)().unwrap_or_else(|| "another program".to_owned());
                error(ErrorKind::AddressInUse { by }).with_hint(hint::HELD)
            }
            Failure::NoRoom => no_room(asked, (others.shortage)()),
            Failure::AddressInUse => {
                let by = occupant(self.probe.as_ref());
                let hint = hint::of_occupied(self.answer(), &asked.settings);
                probed(ErrorKind::AddressInUse { by }).with_hint(hint)
            }
            Failure::CrashLoop {
                failures,
                retry_after,
            } => self.crash_loop(asked, *failures, *retry_after),
            Failure::Overloaded { waiters } => {
                error(ErrorKind::Overloaded { waiters: *waiters }).retry_in(Duration::from_secs(1))
            }
            Failure::Unkillable => {
                let error = error(ErrorKind::Unkillable { pid: self.pid });
                if let Some(obstacle) = &self.look.obstacle {
                    return error.with_hint(obstacle.clone());
                }
                match self.look.beyond_reach {
                    Some(pid) => error.with_hint(hint::of_another_user(pid)),
                    None => error,
                }
            }
            Failure::Stopped => error(ErrorKind::Stopped {}),
            Failure::ShutDown => error(ErrorKind::ShutDown {}),
        }
    }

    fn ready_rejected(&self, asked: &Attached, now: Time) -> Error {
        let (request, answer) = self.ready_request.clone().unwrap_or_default();
        let status = match answer {
            Some(Answer::Status(status)) => status,
            _ => 500,
        };
        Error::new(&asked.name, ErrorKind::HealthRejected { status })
            .ready_request(request)
            .after(self.age(now))
            .with_hint(hint::READY_REJECTED)
    }

    fn answer(&self) -> Option<Answer> {
        self.probe.as_ref().map(|probe| probe.answer)
    }

    fn timed_out(&self, asked: &Attached, limit: Duration) -> Error {
        let last_probe = match &self.probe {
            Some(probe) => probe.to_string(),
            None if self.is_started => "nothing yet".to_owned(),
            None => "nothing: another program is starting this server".to_owned(),
        };
        if let Some((request, answer)) = &self.ready_request {
            let saw = match answer {
                None => "no answer".to_owned(),
                Some(answer) => answer.to_string(),
            };
            return Error::new(&asked.name, ErrorKind::ReadyTimeout { last_probe: saw })
                .ready_request(request.clone())
                .after(limit)
                .with_hint(hint::READY_UNANSWERED);
        }
        let target = &asked.settings.target;
        // A hundredth of the time would be a process that does at least something.
        let idle = self.look.cpu.is_some_and(|cpu| cpu < limit / 100);
        let stuck = idle && !self.probes_differ;
        let hint = hint::of_timeout(self.probe.as_ref(), self.is_started, stuck, &self.look);
        Error::new(&asked.name, ErrorKind::ReadyTimeout { last_probe })
            .health_url(target.shown())
            .after(limit)
            .with_hint(hint)
    }

    fn exited(&self, asked: &Attached, exited: Exited, now: Time) -> Error {
        let kind = ErrorKind::Exited {
            code: exited.code,
            signal: exited.signal,
        };
        let error = Error::new(&asked.name, kind)
            .after(self.age(now))
            .output(self.output.clone().unwrap_or_default());
        if exited.port_taken {
            error.with_hint(hint::PORT_TAKEN)
        } else {
            error
        }
    }

    fn crash_loop(&self, asked: &Attached, failures: u32, retry_after: Duration) -> Error {
        let error =
            Error::new(&asked.name, ErrorKind::CrashLoop { failures }).retry_in(retry_after);
        match &self.last_error {
            Some(last) => error.cause(last.clone()),
            None => error,
        }
    }
}

/// What is known of the other services when an error is made.
pub(super) struct Others<H, S> {
    /// Names the one that has the address.
    pub(super) holder: H,
    pub(super) shortage: S,
}

/// What is too little for the service that was asked for.
fn no_room(asked: &Attached, shortage: Option<Shortage>) -> Error {
    let shortage = shortage.unwrap_or_default();
    let holders = shortage.holders.into_iter().map(|(name, _)| name);
    let kind = ErrorKind::NoRoom {
        resource: shortage.resource,
        needs: shortage.needs,
        capacity: shortage.capacity,
        holders: holders.chain(shortage.before).collect(),
    };
    let error = Error::new(&asked.name, kind);
    match shortage.turn_ends_in {
        Some(turn) => error.retry_in(turn),
        None => error,
    }
}

/// The program at the address, for a service that expected another one there.
fn occupant(probe: Option<&Probe>) -> String {
    let Some(Probe {
        answer, occupant, ..
    }) = probe
    else {
        return "another program".to_owned();
    };
    match (occupant, answer) {
        (Some(program), _) => format!("{program}, which answers the health URL with {answer}"),
        (None, Answer::Status(_)) => {
            format!("a server that answers the health URL with {answer}")
        }
        (None, _) => format!("a program that answers the health URL with {answer}"),
    }
}
