//! The facts of a run, as errors, status and events tell them.

mod remedy;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::shared::{Attached, Ended, Snapshot};
use crate::{
    error::{Error, ErrorKind},
    machine::{End, Exited, Failure, Sight, Time},
};

/// What the supervisor remembers for what it has to report; decides nothing.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    starts: u64,
    /// When the process was started, or the look at another's server began.
    begun: Time,
    ready_since: Option<Time>,
    pid: Option<u32>,
    exit: Option<Exited>,
    /// The last words of the process that has ended.
    last_words: Option<String>,
    spawn_failed: Option<Error>,
    last_error: Option<Error>,
    stopping: bool,
}

impl Facts {
    pub(crate) fn begin(&mut self, now: Time) {
        let (starts, last_error) = (self.starts, self.last_error.take());
        *self = Self {
            starts,
            last_error,
            begun: now,
            ..Self::default()
        };
    }

    pub(crate) fn spawned(&mut self, pid: u32) {
        self.starts += 1;
        self.pid = Some(pid);
    }

    pub(crate) fn spawn_failed(&mut self, error: Error) {
        self.spawn_failed = Some(error);
    }

    pub(crate) fn ready(&mut self, now: Time) {
        self.ready_since = Some(now);
    }

    pub(crate) fn over(&mut self) {
        self.ready_since = None;
    }

    pub(crate) fn died(&mut self, exit: Exited, last_words: String) {
        self.exit = Some(exit);
        self.last_words = Some(last_words);
    }

    /// How it died, if that is how the run ended.
    pub(crate) fn death(&self, end: End) -> Option<Exited> {
        self.exit.filter(|_| end == End::Died)
    }

    pub(crate) fn ended(&self, end: End) -> Ended {
        let (code, signal) = self
            .exit
            .map_or((None, None), |exit| (exit.code, exit.signal));
        Ended {
            end,
            code,
            signal,
            is_silent: false,
        }
    }

    /// Whether the stop is news.
    pub(crate) fn begin_stop(&mut self) -> bool {
        !std::mem::replace(&mut self.stopping, true)
    }

    /// How long the run has taken so far.
    pub(crate) fn age(&self, now: Time) -> Duration {
        now.saturating_sub(self.begun)
    }

    pub(crate) fn remember(&mut self, error: &Error) {
        self.last_error = Some(error.clone());
    }

    pub(crate) fn fill(&self, snapshot: &mut Snapshot) {
        snapshot.starts = self.starts;
        snapshot.ready_since = self.ready_since;
        snapshot.last_error.clone_from(&self.last_error);
    }

    /// `asked` is the handle whose probe was used, `holder` names who has the endpoint, `output` is
    /// what the process wrote so far.
    pub(crate) fn error(
        &self,
        asked: &Attached,
        failure: &Failure,
        now: Time,
        holder: impl Fn() -> Option<String>,
        output: impl Fn() -> String,
    ) -> Error {
        let error = |kind| Error::new(&asked.name, kind);
        let probed = |kind| error(kind).health_url(asked.settings.target.shown());
        match failure {
            Failure::Spawn => match &self.spawn_failed {
                Some(error) => error.clone(),
                None => error(ErrorKind::Spawn {
                    reason: "it could not be started".to_owned(),
                }),
            },
            Failure::Exited(exited) => self.exited(asked, *exited, now),
            Failure::ReadyTimeout { limit, last } => {
                let last_probe = last.to_string();
                probed(ErrorKind::ReadyTimeout { last_probe })
                    .after(*limit)
                    .output(output())
                    .with_hint(remedy::of_timeout(*last, self.pid.is_some()))
            }
            Failure::Rejected { status } => probed(ErrorKind::HealthRejected { status: *status })
                .after(self.age(now))
                .output(output()),
            Failure::Held => {
                let by = holder().unwrap_or_else(|| "another program".to_owned());
                error(ErrorKind::AddressInUse { by }).with_hint(remedy::HELD)
            }
            Failure::AddressInUse { sight } => {
                let by = occupant(*sight);
                probed(ErrorKind::AddressInUse { by }).with_hint(remedy::of_occupied(*sight))
            }
            Failure::CrashLoop {
                failures,
                retry_after,
            } => self.crash_loop(asked, *failures, *retry_after),
            Failure::Overloaded { waiters } => {
                error(ErrorKind::Overloaded { waiters: *waiters }).retry_in(Duration::from_secs(1))
            }
            Failure::Unkillable => error(ErrorKind::Unkillable { pid: self.pid }),
            Failure::ShutDown => error(ErrorKind::ShutDown {}),
        }
    }

    fn exited(&self, asked: &Attached, exited: Exited, now: Time) -> Error {
        let kind = ErrorKind::Exited {
            code: exited.code,
            signal: exited.signal,
        };
        let error = Error::new(&asked.name, kind)
            .after(self.age(now))
            .output(self.last_words.clone().unwrap_or_default());
        if exited.port_taken {
            error.with_hint(remedy::PORT_TAKEN)
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

/// What is on the endpoint, for somebody who wanted something else there.
fn occupant(sight: Sight) -> String {
    match sight {
        Sight::Status(status) => {
            format!("a server that answers the health URL with status {status}")
        }
        other => format!("a program that answers the health URL with {other}"),
    }
}
