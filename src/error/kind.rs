//! The facts of each failure.

/// What kept the local service from being used.
///
/// The text of the [`Error`](crate::Error) has the facts of the case and the next step. For programs,
/// and to look up:
///
/// | kind | status | what happened | what to do |
/// |---|---|---|---|
/// | [`InvalidConfig`](Self::InvalidConfig) | 500 | the configuration cannot work, or a file that it names is missing | correct each field in `problems`; the next request looks again |
/// | [`Spawn`](Self::Spawn) | 502 | the system refused to run `command` | repair what `reason` says: most often a script's interpreter, a limit or memory |
/// | [`Exited`](Self::Exited) | 502 | the process ended by itself | read [`output_tail`](crate::Error::output_tail): a missing model, a bad flag, a taken port; or run the command by hand |
/// | [`HealthRejected`](Self::HealthRejected) | 502 | the health URL answered 401 or 403 | set `healthHeaders`, or a `healthUrl` that needs no key |
/// | [`ReadyTimeout`](Self::ReadyTimeout) | 504 | not ready within `readyTimeoutMs` | by `last_probe`: make ports agree (refused), correct `healthUrl` (404), or give it more time (503) |
/// | [`AddressInUse`](Self::AddressInUse) | 503 | something else has the address | end it, give the service a port of its own, or wait for the other service to be free |
/// | [`CrashLoop`](Self::CrashLoop) | 503 | the last starts failed | repair what the [source](std::error::Error::source) says; the next start comes after [`retry_after`](crate::Error::retry_after), or with [`start`](crate::LocalService::start) |
/// | [`Overloaded`](Self::Overloaded) | 503 | more requests wait than `maxWaiters` | send it again later, or raise `maxWaiters` |
/// | [`Stopped`](Self::Stopped) | 503 | the run was stopped while it was in use | send the request again: that starts the service anew |
/// | [`Unkillable`](Self::Unkillable) | 503 | the process survived SIGKILL | find out what it hangs on (a device, a network file system), and end it by hand |
/// | [`ShutDown`](Self::ShutDown) | 503 | the service is retired, or its registry shut down | create the service again, in a registry that is in use |
///
/// The status is what a gateway would answer: [`status_code`](crate::Error::status_code).
///
/// "Counted" below means that the failure adds to a row of failed starts: the next start is tried at
/// once, the one after that 1 s later, then 2 s, … 60 s. A response that comes to the end of its body
/// ends the row, as do a run of 60 s, [`start`](crate::LocalService::start) and [`stop`](crate::LocalService::stop).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration cannot work, by itself or with the files that it names. Nothing was started,
    /// and nothing is counted: once it is put right, the next request works.
    #[non_exhaustive]
    InvalidConfig {
        /// Each field that cannot work; never empty.
        problems: Vec<Problem>,
    },
    /// The operating system refused to start the process. Counted.
    #[non_exhaustive]
    Spawn {
        /// What the operating system said.
        reason: String,
    },
    /// The process ended by itself: before it was ready (counted); under a body that nothing but the
    /// end of its connection delimits; or under a request for which the client waits in vain.
    #[non_exhaustive]
    Exited {
        /// Its exit code, if it ended by itself.
        code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
    },
    /// The server did not become ready within `readyTimeoutMs`, and was stopped. Counted, unless it is
    /// another's server that was waited for.
    #[non_exhaustive]
    ReadyTimeout {
        /// What the last probe saw.
        last_probe: String,
    },
    /// The health URL asks for credentials that the configuration does not give. The process is stopped
    /// if nobody else waits for it. Counted.
    #[non_exhaustive]
    HealthRejected {
        /// 401 or 403.
        status: u16,
    },
    /// Something else has the endpoint: a program that does not answer as wanted, or another service
    /// whose leases did not end within `swapTimeoutMs`.
    #[non_exhaustive]
    AddressInUse {
        /// What it is: another service by its name, with its process if that is another program, or
        /// what the health URL answered.
        by: String,
    },
    /// The last starts failed, and the back-off before the next one is not over
    /// ([`retry_after`](crate::Error::retry_after) is what is left of it). Its
    /// [source](std::error::Error::source) is the last failure.
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
    /// The request was on its way, or its response not at its end, when the run was stopped by
    /// [`stop`](crate::LocalService::stop), a shutdown, or at the end of a drain.
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
