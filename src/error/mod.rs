//! What went wrong, and what to do next.

mod excerpt;
mod kind;
mod message;
mod system;
#[cfg(unix)]
#[cfg(test)]
mod tests;

use std::{borrow::Cow, error, fmt, io, iter, sync::Arc, time::Duration};

use http::StatusCode;

pub use self::kind::{ErrorKind, Problem};

/// Any error, as Tower's middleware uses it.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// The local service could not be used.
///
/// One failed start fails every request that waited for it, so the error is cheap to clone.
///
/// `Display` is one sentence for a log: the service, what happened, the last lines that the process
/// wrote, and what to do next. `{:#}` is the same for a person, in up to three lines:
///
/// ```text
/// local service `gemma` exited with code 1, 12 ms after its start
/// last output: failed to load model, '/models/gemma.gguf'
/// hint: run the command by hand, with the same `args`, `cwd` and `env`, to see why
/// ```
///
/// # Example
///
/// ```
/// use tower_local_service::{BoxError, Error};
///
/// fn show(failed: &BoxError) {
///     match Error::of(failed) {
///         Some(error) => eprintln!("{error:#}"), // three lines
///         None => eprintln!("{failed}"),         // the client's own error
///     }
/// }
/// # show(&"connection lost".into());
/// ```
///
/// # Texts
///
/// `Debug`, which `unwrap` and a `main` that returns the error print, is the same as `Display`;
/// `{:#?}` shows the parts. The wording may change in any release: match on [`kind`](Self::kind)
/// instead.
///
/// None of these texts has a value of `env`, a header value or an API key.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    service: String,
    subject: Subject,
    kind: ErrorKind,
    after: Option<Duration>,
    output: Option<String>,
    retry_after: Option<Duration>,
    // What the operating system said.
    errno: Option<i32>,
    // What was probed.
    health_url: Option<String>,
    // The request that the server had to answer before it was ready, if it came to that.
    ready_request: Option<String>,
    // What the server had to do still when it ended, if it had been ready.
    cut_off: Option<CutOff>,
    // Where more is known of the case than its kind.
    hint: Option<Cow<'static, str>>,
    // The failure that led to this one: that of the last start, in a crash loop.
    cause: Option<Error>,
    // What the client said of the same case.
    client: Option<Arc<BoxError>>,
}

/// What the end of a server has cut off.
#[derive(Clone, Copy)]
pub(crate) enum CutOff {
    /// A request waited for its answer.
    Answer,
    /// The answer was not read to its end.
    Body,
}

/// What an error is about.
#[derive(Clone)]
enum Subject {
    /// A local service of that name.
    Service,
    /// A provider of that name, with or without a local service.
    Provider,
    /// A whole configuration, and the file that it comes from.
    Configuration(Option<String>),
}

impl Error {
    pub(crate) fn new(service: &str, kind: ErrorKind) -> Self {
        Self {
            inner: Arc::new(Inner {
                service: service.to_owned(),
                subject: Subject::Service,
                kind,
                after: None,
                output: None,
                retry_after: None,
                errno: None,
                health_url: None,
                ready_request: None,
                cut_off: None,
                hint: None,
                cause: None,
                client: None,
            }),
        }
    }

    /// The operating system refused to start something: `what` is the part that failed.
    pub(crate) fn spawn(service: &str, what: &str, error: &io::Error) -> Self {
        let reason = format!("{what}: {error}");
        let errno = error.raw_os_error();
        if error.kind() == io::ErrorKind::Unsupported && errno.is_none() {
            return Self::new(service, ErrorKind::Unsupported { reason });
        }
        Self::new(service, ErrorKind::Spawn { reason }).with(|inner| inner.errno = errno)
    }

    /// It is about a provider, and not about its local service.
    pub(crate) fn of_provider(self) -> Self {
        self.with(|inner| inner.subject = Subject::Provider)
    }

    /// It is about a whole configuration, which may come from a file.
    pub(crate) fn of_configuration(self, file: Option<&str>) -> Self {
        self.with(|inner| inner.subject = Subject::Configuration(file.map(str::to_owned)))
    }

    /// How long it took from the start of the process, or of the wait, to the failure.
    pub(crate) fn after(self, after: Duration) -> Self {
        self.with(|inner| inner.after = Some(after))
    }

    /// The last output of the process. Secrets must have been taken out of it.
    pub(crate) fn output(self, output: String) -> Self {
        self.with(|inner| inner.output = (!output.trim().is_empty()).then_some(output))
    }

    /// How long it takes until the next attempt makes sense.
    pub(crate) fn retry_in(self, retry_after: Duration) -> Self {
        self.with(|inner| inner.retry_after = Some(retry_after))
    }

    /// The URL that was probed. Without its query, which may hold a secret.
    pub(crate) fn health_url(self, url: String) -> Self {
        self.with(|inner| inner.health_url = Some(url))
    }

    /// The request that the server had to answer before it was ready: method and URL.
    pub(crate) fn ready_request(self, request: String) -> Self {
        self.with(|inner| inner.ready_request = Some(request))
    }

    /// The server ended under a request, and not while it started.
    pub(crate) fn cut_off(self, what: CutOff) -> Self {
        self.with(|inner| inner.cut_off = Some(what))
    }

    /// The client's own error, which it gave because of this one.
    pub(crate) fn seen_as(self, error: BoxError) -> Self {
        self.with(|inner| inner.client = Some(Arc::new(error)))
    }

    /// The client's own error instead of this one.
    ///
    /// # Errors
    ///
    /// This error, if there is none or clones of it have it, too.
    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn into_client(mut self) -> Result<BoxError, Self> {
        let client = Arc::get_mut(&mut self.inner).and_then(|inner| inner.client.take());
        client.and_then(Arc::into_inner).ok_or(self)
    }

    #[cfg(feature = "retry")]
    pub(crate) fn is_cut_off(&self) -> bool {
        self.inner.cut_off.is_some()
    }

    /// What to do next, where more is known of the case than its kind.
    pub(crate) fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.with(|inner| inner.hint = Some(hint.into()))
    }

    /// The failure of the last start, which led to this crash loop.
    pub(crate) fn cause(self, cause: Self) -> Self {
        // What made that start fail has to be repaired.
        let hint = format!("{}; {}", cause.hint(), message::START_RETRIES);
        self.with(|inner| inner.cause = Some(cause)).with_hint(hint)
    }

    /// The same failure, reported by another handle of the same process.
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

    /// The name of the service, as the handle has it through which it was used.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.inner.service
    }

    /// What to do next.
    ///
    /// # Example
    ///
    /// A program with windows shows both in their places:
    ///
    /// ```
    /// use tower_local_service::{ErrorKind, LocalService, LocalServiceConfig};
    ///
    /// let config = LocalServiceConfig::new("llama-server");
    /// let error = LocalService::new("gemma", "http://127.0.0.1:8080/v1", config).unwrap_err();
    /// assert_eq!(error.hint(), "correct the configuration");
    /// if let ErrorKind::InvalidConfig { problems, .. } = error.kind() {
    ///     assert_eq!(problems[0].field, "command");
    ///     assert!(problems[0].message.starts_with("is not an absolute path: write it in full"));
    /// }
    /// ```
    #[must_use]
    pub fn hint(&self) -> &str {
        match &self.inner.hint {
            Some(hint) => hint,
            None => message::hint(&self.inner.kind, self.inner.errno),
        }
    }

    /// The status with which a gateway would answer its own client.
    ///
    /// 500 for a configuration that cannot work and for a bug of this crate, 501 for what this system cannot do, 502 for a process that cannot be started, ends
    /// by itself or rejects its probe, 504 for one that is not ready in time, 409 for a stop of an external server, 503
    /// for the rest.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        match self.inner.kind {
            ErrorKind::InvalidConfig { .. } | ErrorKind::Internal {} => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            ErrorKind::Unsupported { .. } => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Spawn { .. }
            | ErrorKind::Exited { .. }
            | ErrorKind::HealthRejected { .. } => StatusCode::BAD_GATEWAY,
            ErrorKind::ReadyTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::External { .. } => StatusCode::CONFLICT,
            ErrorKind::AddressInUse { .. }
            | ErrorKind::CrashLoop { .. }
            | ErrorKind::NoRoom { .. }
            | ErrorKind::Overloaded { .. }
            | ErrorKind::Stopped {}
            | ErrorKind::StillAnswers {}
            | ErrorKind::Unkillable { .. }
            | ErrorKind::ShutDown {} => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// How long to wait until another request can succeed, where that is known.
    ///
    /// A gateway sends it as `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// The last lines that the process wrote to its standard output and error; above them earlier ones that
    /// name a failure.
    ///
    /// `Display` shows the lines that matter and the last ones, at most 2 000 characters. Secrets that the
    /// configuration knows are replaced. In a crash loop it is the output of the start that failed last.
    #[must_use]
    pub fn output_tail(&self) -> Option<&str> {
        self.inner.output()
    }

    /// Finds this error in another one or among its sources.
    ///
    /// Clients and middleware wrap the errors of the services inside of them; this finds it in all of
    /// them. For a [`BoxError`], [`of`](Self::of) does the same without the stars.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::Error;
    ///
    /// fn status(error: &(dyn std::error::Error + 'static)) -> u16 {
    ///     match Error::find_in(error) {
    ///         Some(error) => error.status_code().as_u16(),
    ///         None => 502, // the client's own failure
    ///     }
    /// }
    ///
    /// assert_eq!(status(&std::fmt::Error), 502);
    /// ```
    #[must_use]
    pub fn find_in<'a>(error: &'a (dyn error::Error + 'static)) -> Option<&'a Self> {
        iter::successors(Some(error), |&error| inside(error)).find_map(|error| error.downcast_ref())
    }

    /// Finds this error in one of Tower's, or among its sources, as [`find_in`](Self::find_in) does.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::{BoxError, Error};
    ///
    /// fn report(failed: &BoxError) {
    ///     match Error::of(failed) {
    ///         Some(error) => eprintln!("{error:#}"),
    ///         None => eprintln!("the client failed: {failed}"),
    ///     }
    /// }
    /// # report(&"connection lost".into());
    /// ```
    #[must_use]
    pub fn of(error: &BoxError) -> Option<&Self> {
        Self::find_in(&**error)
    }
}

impl Inner {
    /// Its own output, or that of its cause.
    fn output(&self) -> Option<&str> {
        let of_cause = || self.cause.as_ref()?.inner.output();
        self.output.as_deref().or_else(of_cause)
    }
}

/// The error inside of an error.
pub(crate) fn inside<'a>(
    error: &'a (dyn error::Error + 'static),
) -> Option<&'a (dyn error::Error + 'static)> {
    // An I/O error hides the error that it holds: its source is the source of that one.
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
        // The panic of an `unwrap` shows this to a person.
        if !f.alternate() {
            return message::write(f, self);
        }
        let inner = &*self.inner;
        f.debug_struct("Error")
            .field("service", &inner.service)
            .field("kind", &inner.kind)
            .field("after", &inner.after)
            .field("retry_after", &inner.retry_after)
            .field("health_url", &inner.health_url)
            .field("output", &inner.output.as_deref().map(excerpt::excerpt))
            .field("cause", &inner.cause)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            message::write_lines(f, self)
        } else {
            message::write(f, self)
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        if let Some(cause) = &self.inner.cause {
            return Some(cause);
        }
        let client = self.inner.client.as_ref()?;
        Some(&***client)
    }
}
