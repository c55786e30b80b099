//! What went wrong, and what to do next.

mod kind;
mod message;
#[cfg(test)]
mod tests;

use std::{error, fmt, io, iter, sync::Arc, time::Duration};

use http::StatusCode;

pub use self::kind::{ErrorKind, Problem};

/// Any error, as Tower's middleware uses it.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// The local service could not be used.
///
/// One failed start fails every request that waited for it, so the error is cheap to clone.
/// `Display` names the service, the fact and the remedy, and shows the last lines that the
/// process wrote; so does `Debug`, which is what `unwrap` and a `main` that returns the error print.
/// The wording may change in any release: match on [`kind`](Self::kind) instead.
///
/// Neither `Display` nor `Debug` shows a value of `env`, a header value or an API key.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    service: String,
    kind: ErrorKind,
    after: Option<Duration>,
    output: Option<String>,
    retry_after: Option<Duration>,
    // What was probed.
    health_url: Option<String>,
    // The server was ready, and a request under way.
    is_cut_off: bool,
    // What to do next, where more is known than the kind.
    remedy: Option<&'static str>,
    // What led to this one: a crash loop tells the failure that it is about.
    cause: Option<Error>,
}

impl Error {
    pub(crate) fn new(service: &str, kind: ErrorKind) -> Self {
        Self {
            inner: Arc::new(Inner {
                service: service.to_owned(),
                kind,
                after: None,
                output: None,
                retry_after: None,
                health_url: None,
                is_cut_off: false,
                remedy: None,
                cause: None,
            }),
        }
    }

    /// How long it took from the start of the process, or of the wait, to the failure.
    pub(crate) fn after(self, after: Duration) -> Self {
        self.with(|inner| inner.after = Some(after))
    }

    /// The last output of the process. Secrets must have been taken out of it.
    pub(crate) fn output(self, output: String) -> Self {
        self.with(|inner| inner.output = (!output.trim().is_empty()).then_some(output))
    }

    /// How long it takes until another try makes sense.
    pub(crate) fn retry_in(self, retry_after: Duration) -> Self {
        self.with(|inner| inner.retry_after = Some(retry_after))
    }

    /// The URL that was probed. Without its query, which may hold a secret.
    pub(crate) fn health_url(self, url: String) -> Self {
        self.with(|inner| inner.health_url = Some(url))
    }

    /// The server ended under a request, and not as it started.
    pub(crate) fn cut_off(self) -> Self {
        self.with(|inner| inner.is_cut_off = true)
    }

    #[cfg(feature = "retry")]
    pub(crate) fn is_cut_off(&self) -> bool {
        self.inner.is_cut_off
    }

    /// What to do next, where more is known of the case than its kind.
    pub(crate) fn remedy(self, remedy: &'static str) -> Self {
        self.with(|inner| inner.remedy = Some(remedy))
    }

    /// The failure that led to this one.
    pub(crate) fn cause(self, cause: Self) -> Self {
        self.with(|inner| inner.cause = Some(cause))
    }

    /// The same failure, as another handle of the same process tells it.
    pub(crate) fn named(&self, service: &str) -> Self {
        if self.inner.service == service {
            return self.clone();
        }
        self.clone().with(|inner| {
            if let ErrorKind::InvalidConfig { problems } = &mut inner.kind {
                for problem in problems.iter_mut().filter(|it| it.service == inner.service) {
                    service.clone_into(&mut problem.service);
                }
            }
            inner.cause = inner.cause.as_ref().map(|cause| cause.named(service));
            service.clone_into(&mut inner.service);
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    /// What went wrong, with the facts of the case.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.inner.kind
    }

    /// The name of the service, as the handle that was asked bears it.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.inner.service
    }

    /// The status with which a gateway would answer its own client.
    ///
    /// 500 for a configuration that cannot work, 502 for a process that cannot be started, ends
    /// by itself or rejects its probe, 504 for one that is not ready in time, 503 for the rest.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        match self.inner.kind {
            ErrorKind::InvalidConfig { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::Spawn { .. }
            | ErrorKind::Exited { .. }
            | ErrorKind::HealthRejected { .. } => StatusCode::BAD_GATEWAY,
            ErrorKind::ReadyTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::AddressInUse { .. }
            | ErrorKind::CrashLoop { .. }
            | ErrorKind::Overloaded { .. }
            | ErrorKind::Stopped {}
            | ErrorKind::Unkillable { .. }
            | ErrorKind::ShutDown {} => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// How long to wait until another request has a chance, where that is known.
    ///
    /// A gateway sends it as `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// The last lines that the process wrote to its standard output and error.
    ///
    /// `Display` shows the end of it only. Secrets that the configuration knows are replaced.
    /// Where the failure is about an earlier one, as in a crash loop, it is the output of that.
    #[must_use]
    pub fn output_tail(&self) -> Option<&str> {
        self.inner.output()
    }

    /// Finds this error in another one or among its sources.
    ///
    /// Clients and middleware wrap the errors of the services inside of them; this looks through
    /// all of that.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::{BoxError, Error};
    ///
    /// fn status(error: &BoxError) -> u16 {
    ///     match Error::find_in(&**error) {
    ///         Some(error) => error.status_code().as_u16(),
    ///         None => 502, // the client's own failure
    ///     }
    /// }
    ///
    /// assert_eq!(status(&"connection lost".into()), 502);
    /// ```
    #[must_use]
    pub fn find_in<'a>(error: &'a (dyn error::Error + 'static)) -> Option<&'a Self> {
        iter::successors(Some(error), |&error| inside(error)).find_map(|error| error.downcast_ref())
    }
}

impl Inner {
    /// Its own, or that of the failure which led to it.
    fn output(&self) -> Option<&str> {
        let of_cause = || self.cause.as_ref()?.inner.output();
        self.output.as_deref().or_else(of_cause)
    }
}

/// What is inside of an error.
pub(crate) fn inside<'a>(
    error: &'a (dyn error::Error + 'static),
) -> Option<&'a (dyn error::Error + 'static)> {
    // An I/O error that holds another one passes for that: its source is the source of what it
    // holds.
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(held) => Some(held),
        None => error.source(),
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // For people, who see this in the panic of an `unwrap`; `{:#?}` shows the parts.
        if !f.alternate() {
            return message::write(f, &self.inner);
        }
        let inner = &*self.inner;
        f.debug_struct("Error")
            .field("service", &inner.service)
            .field("kind", &inner.kind)
            .field("after", &inner.after)
            .field("retry_after", &inner.retry_after)
            .field("health_url", &inner.health_url)
            .field("output", &inner.output.as_deref().map(message::last_lines))
            .field("cause", &inner.cause)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        message::write(f, &self.inner)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        let cause = self.inner.cause.as_ref()?;
        Some(cause)
    }
}
