//! The `tracing` events of a service. `docs::observability` lists every name that is used here.

use std::{
    mem,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::{
    Level, Span, debug,
    field::{Empty, display},
    info, info_span,
    level_filters::LevelFilter,
    warn,
};

use super::hint;
#[cfg(feature = "metrics")]
use crate::supervisor::meter;
use crate::{
    config::Target,
    error::Error,
    launch::Exit,
    log::{TARGET, emit},
    machine::Ownership,
    supervisor::event_kind::whole_millis,
};

/// An event in the span of an instance. The fields have to be values that can be sent to another thread.
macro_rules! event {
    ($level:ident, $span:expr, $($event:tt)+) => {
        $span.emit(move |span| $level!(target: TARGET, parent: span, $($event)+))
    };
}

/// A span whose subscriber may block and panic: it is made, used and dropped on the log's thread. None between two
/// instances.
#[derive(Clone, Debug, Default)]
struct InstanceSpan(Option<Arc<Mutex<Option<Span>>>>);

impl InstanceSpan {
    fn begin(span: impl FnOnce() -> Span + Send + 'static) -> Self {
        let made = Arc::new(Mutex::new(None));
        let place = made.clone();
        emit(move || *lock(&place) = Some(span()));
        Self(Some(made))
    }

    fn emit(&self, event: impl FnOnce(&Span) + Send + 'static) {
        let Some(span) = self.0.clone() else {
            return;
        };
        // A clone: a subscriber may do anything, and so is not called under the lock.
        emit(move || {
            let span = lock(&span).clone();
            event(&span.unwrap_or_else(Span::none));
        });
    }
}

impl Drop for InstanceSpan {
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            emit(move || drop(span));
        }
    }
}

fn lock(span: &Mutex<Option<Span>>) -> MutexGuard<'_, Option<Span>> {
    span.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The span of an instance, from the claim on its address to when nothing of it is left.
#[derive(Debug)]
pub(super) struct Trace {
    span: InstanceSpan,
    /// Who started the server, once that is known.
    ownership: Option<Ownership>,
    is_idle: bool,
    is_probed: bool,
}

impl Trace {
    /// Between two instances.
    pub(super) fn none() -> Self {
        Self {
            span: InstanceSpan::default(),
            ownership: None,
            is_idle: false,
            is_probed: false,
        }
    }

    /// A span without parent: the instance does not belong to the request that asked first.
    pub(super) fn begin(service: &str, instance: u64) -> Self {
        let service = service.to_owned();
        let span = InstanceSpan::begin(
            move || info_span!(target: TARGET, parent: None, "local_service", service, instance, pid = Empty),
        );
        Self {
            span,
            ..Self::none()
        }
    }

    /// The first probe of a start is news.
    pub(super) fn probing(&mut self, target: &Target) {
        if mem::replace(&mut self.is_probed, true) {
            return;
        }
        let path = target.path_and_query.split('?').next().map(str::to_owned);
        let host = target.authority.clone();
        event!(debug, self.span, host, path, "probing");
    }

    pub(super) fn starting(&self, command: Arc<str>) {
        event!(info, self.span, %command, "starting");
    }

    pub(super) fn started(&mut self, pid: Option<u32>) {
        self.ownership = Some(Ownership::Owned);
        self.span.emit(move |span| {
            span.record("pid", pid);
        });
        event!(debug, self.span, pid, "started");
    }

    pub(super) fn ready(&mut self, ownership: Ownership, took: Duration) {
        self.ownership = Some(ownership);
        let (external, took_ms) = (ownership != Ownership::Owned, whole_millis(took));
        event!(info, self.span, external, took_ms, "ready");
    }

    /// To be called, if it comes to that, where the server can be reached from other machines.
    pub(super) fn exposed(&self) -> impl FnOnce(SocketAddr) + Send + use<> {
        let span = self.span.clone();
        move |address| {
            let hint = "other machines can reach the server: have it listen on the loopback only, \
                          as most servers do with `--host 127.0.0.1`";
            event!(warn, span, %address, hint, "exposed");
        }
    }

    /// The process died of a taken port, and who took it answers well.
    pub(super) fn replaced(&mut self) {
        self.ownership = Some(Ownership::External { pid: None });
        event!(warn, self.span, "replaced");
    }

    /// What a look at the leases has shown; `idle` is an event once, until the service is used again. Returns whether
    /// it is one now.
    pub(super) fn counted(&mut self, leases: usize) -> bool {
        let was_idle = mem::replace(&mut self.is_idle, leases == 0);
        let is_news = self.is_idle && !was_idle;
        if is_news {
            event!(debug, self.span, "idle");
        }
        is_news
    }

    /// Another service has the port that was chosen for this one.
    pub(super) fn port_shared(&self, holder: Option<String>) {
        let hint = hint::CHOSEN_PORT_SHARED;
        event!(warn, self.span, holder, hint, "port_shared");
    }

    pub(super) fn suspended(&self, pid: u32) {
        let hint = hint::SUSPENDED;
        event!(warn, self.span, pid, hint, "suspended");
    }

    pub(super) fn unresponsive(&self) {
        let hint = "requests end without an answer while the server does nothing: it is started again; raise \
                    `unresponsiveMs` if it needs longer";
        event!(warn, self.span, hint, "unresponsive");
    }

    pub(super) fn stopping(&self, reason: &'static str) {
        event!(info, self.span, reason, "stopping");
    }

    /// The stop continues with signals.
    pub(super) fn stop_command_failed(&self, exit: Exit, error: Option<String>) {
        let (code, signal) = (exit.code, exit.signal);
        event!(warn, self.span, code, signal, error, "stop_command_failed");
    }

    pub(super) fn exited(&self, exit: Exit, after: Duration, is_expected: bool) {
        let (code, signal, after_ms) = (exit.code, exit.signal, whole_millis(after));
        if is_expected {
            event!(info, self.span, code, signal, after_ms, "exited");
        } else {
            event!(warn, self.span, code, signal, after_ms, "exited");
        }
    }

    pub(super) fn failed(&self, error: &Error) {
        let error = error.clone();
        event!(warn, self.span, %error, "failed");
    }

    /// The instance is over: nothing is left of its process, or an external server is not used any more.
    pub(super) fn over(&mut self) -> Option<Ownership> {
        match self.ownership {
            Some(Ownership::Owned) => event!(debug, self.span, "stopped"),
            Some(_) => event!(debug, self.span, "released"),
            None => {}
        }
        mem::replace(self, Self::none()).ownership
    }
}

/// A request had to wait: metrics, and an event in the span of the request, and not in that of the instance.
pub(crate) fn waited(service: &str, waited: Duration, error: Option<&Error>) {
    #[cfg(feature = "metrics")]
    meter::waited(service, waited, error.is_none());
    if LevelFilter::current() < Level::DEBUG {
        return;
    }
    let (service, waited_ms, error) = (service.to_owned(), whole_millis(waited), error.cloned());
    let request = Span::current();
    emit(move || {
        let error = error.as_ref().map(display);
        debug!(target: TARGET, parent: &request, service, waited_ms, error, "waited");
    });
}
