//! The facts of each failure.

/// What kept the local service from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration cannot work. Nothing was started.
    #[non_exhaustive]
    InvalidConfig {
        /// Each field that cannot work; never empty.
        problems: Vec<Problem>,
    },
    /// The operating system refused to start the process.
    #[non_exhaustive]
    Spawn {
        /// What the operating system said.
        reason: String,
    },
    /// The process ended by itself.
    #[non_exhaustive]
    Exited {
        /// Its exit code, if it ended by itself.
        code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
    },
    /// The server did not become ready within `readyTimeoutMs`.
    #[non_exhaustive]
    ReadyTimeout {
        /// What the last probe saw.
        last_probe: String,
    },
    /// The health URL asks for credentials that the configuration does not give.
    #[non_exhaustive]
    HealthRejected {
        /// 401 or 403.
        status: u16,
    },
    /// Something else has the endpoint.
    #[non_exhaustive]
    Occupied {
        /// What it is: another service by its name, or what the health URL answered.
        by: String,
    },
    /// The last starts failed, and the back-off before the next one is not over.
    #[non_exhaustive]
    CrashLoop {
        /// How many starts failed in a row.
        failures: u32,
    },
    /// More requests wait for the service than `maxWaiters` allows.
    #[non_exhaustive]
    Overloaded {
        /// How many wait already.
        waiters: usize,
    },
    /// The run that this lease counted on was stopped by [`stop`](crate::LocalService::stop).
    #[non_exhaustive]
    Stopped {},
    /// The process survived SIGKILL; nothing is started over it.
    #[non_exhaustive]
    Unkillable {
        /// The process.
        pid: Option<u32>,
    },
    /// The service was retired, or its registry shut down.
    #[non_exhaustive]
    ShutDown {},
}

/// One field of a configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The service or provider that is configured.
    pub service: String,
    /// The field, as it is called in a configuration file.
    pub field: String,
    /// What is wrong with it and what to do; never a configured value that may be secret.
    pub remedy: String,
}

impl Problem {
    pub(crate) fn new(service: &str, field: &str, remedy: impl Into<String>) -> Self {
        Self {
            service: service.to_owned(),
            field: field.to_owned(),
            remedy: remedy.into(),
        }
    }
}
