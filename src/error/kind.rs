//! The facts of each failure.

use std::fmt;

use crate::amount::Amount;

/// What kept the local service from being used.
///
/// The text of the [`Error`](crate::Error) has the facts of the case and what to do next. For programs,
/// and to look up:
///
/// | kind | status | what happened | what to do |
/// |---|---|---|---|
/// | [`InvalidConfig`](Self::InvalidConfig) | 500 | the configuration cannot work, or a file that it names is missing | correct each field in `problems`; the next request checks again |
/// | [`Spawn`](Self::Spawn) | 502 | the operating system refused to run `command` | repair what `reason` says: most often a script's interpreter, a limit or memory |
/// | [`Unsupported`](Self::Unsupported) | 501 | this system cannot start such an instance | start the server yourself: it is used as soon as it answers |
/// | [`Exited`](Self::Exited) | 502 | the process ended by itself | read [`output_tail`](crate::Error::output_tail): a missing model, a bad flag, a taken port; or run the command by hand |
/// | [`HealthRejected`](Self::HealthRejected) | 502 | the health URL answered 401 or 403 | set `healthHeaders`, or a `healthUrl` that needs no key |
/// | [`ReadyTimeout`](Self::ReadyTimeout) | 504 | not ready within `readyTimeoutMs` | by `last_probe`: make the ports agree (refused), correct `healthUrl` (404), or allow more time (503) |
/// | [`AddressInUse`](Self::AddressInUse) | 503 | another program or service has the address | end it, give the service a port of its own, or wait until the other service has stopped |
/// | [`NoRoom`](Self::NoRoom) | 503 | other services have what it needs of a resource | send it again later, lower `needs`, raise `swapTimeoutMs`, or end a use of one of `holders` |
/// | [`CrashLoop`](Self::CrashLoop) | 503 | the last starts failed | repair what the [source](std::error::Error::source) says; the next start comes after [`retry_after`](crate::Error::retry_after), or with [`start`](crate::LocalService::start) |
/// | [`Overloaded`](Self::Overloaded) | 503 | more requests wait than `maxWaiters` | send it again later, or raise `maxWaiters` |
/// | [`Stopped`](Self::Stopped) | 503 | the instance was stopped while it was in use | send the request again: that starts the service again |
/// | [`Unkillable`](Self::Unkillable) | 503 | the process survived SIGKILL | find out what it waits for (a device, a network file system), and end it by hand |
/// | [`StillAnswers`](Self::StillAnswers) | 503 | the stop command of a server has ended, and its port still answers | correct `stopCommand`, and end the server by hand |
/// | [`External`](Self::External) | 409 | [`stop`](crate::LocalService::stop) was asked for a server that your program did not start | stop it in the program that started it |
/// | [`ShutDown`](Self::ShutDown) | 503 | the service is retired, or its registry shut down | create the service again, in a registry that is in use |
/// | [`Internal`](Self::Internal) | 500 | the task that supervises the service panicked | send the request again, and report the panic that was written to stderr |
///
/// The status is what a gateway would answer: [`status_code`](crate::Error::status_code).
///
/// "Counted" below means that the failure adds to a row of failed starts: the next start is tried
/// immediately, the one after that 1 s later, then 2 s, … 60 s. A response that comes to the end of its
/// body ends the row, as do an instance that runs for 60 s, [`start`](crate::LocalService::start) and
/// [`stop`](crate::LocalService::stop).
/// # Example
///
/// New kinds may come, so a `match` has a last arm:
///
/// ```
/// use tower_local_service::{Error, ErrorKind};
///
/// fn advice(error: &Error) -> String {
///     match error.kind() {
///         ErrorKind::InvalidConfig { problems, .. } => format!("{} mistakes", problems.len()),
///         ErrorKind::Exited { code: Some(code), .. } => format!("it exited with {code}"),
///         ErrorKind::CrashLoop { failures, .. } => format!("{failures} starts failed"),
///         _ => error.hint().to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration cannot work, by itself or with the files that it names. Nothing was started,
    /// and nothing is counted: once it is corrected, the next request works.
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
    /// This system cannot start such an instance: see [platforms](crate::docs::platforms). A server that runs is used
    /// all the same. Nothing is counted.
    #[non_exhaustive]
    Unsupported {
        /// What it cannot do.
        reason: String,
    },
    /// The process ended by itself: before it was ready (counted); during a body that only the end of
    /// its connection delimits; or while a client waited for an answer.
    #[non_exhaustive]
    Exited {
        /// Its exit code, if it ended by itself.
        code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
    },
    /// The server did not become ready within `readyTimeoutMs`, and was stopped. Counted, unless it
    /// was an external server.
    #[non_exhaustive]
    ReadyTimeout {
        /// What the last probe saw.
        last_probe: String,
    },
    /// The health URL asks for credentials that the configuration does not have. The process is stopped
    /// if no other request waits for it. Counted.
    #[non_exhaustive]
    HealthRejected {
        /// 401 or 403.
        status: u16,
    },
    /// Another program has the address and does not answer as a ready server does, or another service
    /// has it and its leases did not end within `swapTimeoutMs`.
    #[non_exhaustive]
    AddressInUse {
        /// Who has it: another service by its name, with the process if a peer has it, or what the
        /// health URL answered.
        by: String,
    },
    /// Other services have so much of a resource that this one could not be started: none of them made way
    /// within `swapTimeoutMs`, or those that never make way have too much. Nothing was started, and
    /// nothing is counted.
    ///
    /// A caller that holds a lease on one service and asks for another that cannot run beside it gets this
    /// error. [`retry_after`](crate::Error::retry_after) is known where a service that uses the resource is in its
    /// turn: it is what is left of the turn, or of the one that ends first. Until then that service makes way
    /// only for a request that has waited for half of its `swapTimeoutMs`.
    #[non_exhaustive]
    NoRoom {
        /// The name of the resource.
        resource: String,
        /// How much of it the service needs.
        needs: Amount,
        /// How much there is in all.
        capacity: Amount,
        /// The services that have some of it, or for which it is kept because they asked first. None, if another
        /// program was suspended in the middle of a decision.
        holders: Vec<String>,
    },
    /// The last starts failed, and the backoff before the next one is not over
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
        /// How many requests wait already.
        waiters: usize,
    },
    /// The instance was stopped by [`stop`](crate::LocalService::stop), by a shutdown, or at the end of
    /// a drain, before the response had ended. Or a start was given up while the request waited for it: the
    /// configuration was replaced by one with another base URL, or the service was retired and another one needs
    /// its address.
    #[non_exhaustive]
    Stopped {},
    /// The process survived SIGKILL. Nothing is started in its place.
    #[non_exhaustive]
    Unkillable {
        /// The process that survived.
        pid: Option<u32>,
    },
    /// The stop of a server that a [launcher command](crate::LocalServiceConfig::launcher) has started came to nothing: the
    /// stop command has ended, and the port still answers. The next request uses that server as an external one.
    #[non_exhaustive]
    StillAnswers {},
    /// [`stop`](crate::LocalService::stop) was asked for an external server, which is never stopped: another program, or
    /// a person, started it.
    #[non_exhaustive]
    External {
        /// The process that listens, where the system tells.
        pid: Option<u32>,
    },
    /// The service was retired, or its registry shut down.
    #[non_exhaustive]
    ShutDown {},
    /// The task that supervises the service has panicked, which is a bug of this crate. Nothing of the service is left
    /// running, and nothing is counted: the next request starts it again.
    #[non_exhaustive]
    Internal {},
}

/// One field of a configuration that cannot work.
/// # Example
///
/// For a form, each next to its field:
///
/// ```
/// use tower_local_service::{ErrorKind, LocalService, LocalServiceConfig};
///
/// let config = LocalServiceConfig::new("llama-server").health_url("ftp://127.0.0.1/");
/// let error = LocalService::new("llama", "http://127.0.0.1:8080/v1", config).unwrap_err();
/// let ErrorKind::InvalidConfig { problems, .. } = error.kind() else { panic!("{error}") };
/// let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
/// assert_eq!(fields, ["command", "healthUrl"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The service or provider that is configured.
    pub service: String,
    /// The field, as it is called in a configuration file.
    pub field: String,
    /// What is wrong with it, then what to do. Never a configured value that may be secret.
    pub message: String,
}

/// One line: the service or provider, the field, what is wrong with it and what to do.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_of_text() {
            return f.write_str(&self.message);
        }
        write!(f, "`{}`: `{}` {}", self.service, self.field, self.message)
    }
}

impl Problem {
    /// The field of a text that cannot be read at all.
    pub(crate) const TEXT: &str = "syntax";

    /// Whether the text as a whole is wrong, and no field of it.
    pub(crate) fn is_of_text(&self) -> bool {
        self.field == Self::TEXT
    }

    /// A problem that a [`Launcher`](crate::Launcher) has found: what is wrong with the field, then what to do.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::Problem;
    ///
    /// let problem = Problem::new("vm", "image", "names `llama.img`, which does not exist: run `make`");
    /// assert_eq!(
    ///     problem.to_string(),
    ///     "`vm`: `image` names `llama.img`, which does not exist: run `make`"
    /// );
    /// ```
    #[must_use]
    pub fn new(service: &str, field: &str, message: impl Into<String>) -> Self {
        Self {
            service: service.to_owned(),
            field: field.to_owned(),
            message: message.into(),
        }
    }
}
