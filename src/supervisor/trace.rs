//! What `tracing` hears of a service. The crate's documentation lists every name that is used here.

use std::{mem, net::SocketAddr, time::Duration};

use tracing::{
    Span, debug,
    field::{Empty, display},
    info, info_span, warn,
};

use crate::{
    config::{Launch, Target},
    error::Error,
    launch::Exit,
    log::TARGET,
    machine::Ownership,
};

/// The span of a run, from the first look at the endpoint to when nothing is left.
#[derive(Debug)]
pub(crate) struct Trace {
    span: Span,
    /// Whose server it turned out to be.
    ownership: Option<Ownership>,
    is_idle: bool,
}

impl Trace {
    /// Between two runs.
    pub(crate) fn none() -> Self {
        Self {
            span: Span::none(),
            ownership: None,
            is_idle: false,
        }
    }

    /// A span without parent: whoever asks first is not whom the run is for.
    pub(crate) fn begin(service: &str, run: u64) -> Self {
        let span =
            info_span!(target: TARGET, parent: None, "local_service", service, run, pid = Empty);
        Self {
            span,
            ownership: None,
            is_idle: false,
        }
    }

    pub(crate) fn probing(&self, target: &Target) {
        let path = target.path_and_query.split('?').next();
        debug!(target: TARGET, parent: &self.span, host = target.authority, path, "probing");
    }

    pub(crate) fn starting(&self, launch: &Launch) {
        let command = launch.command.display();
        info!(target: TARGET, parent: &self.span, %command, "starting");
    }

    pub(crate) fn started(&mut self, pid: u32) {
        self.ownership = Some(Ownership::Owned);
        self.span.record("pid", pid);
        debug!(target: TARGET, parent: &self.span, pid, "started");
    }

    pub(crate) fn ready(&mut self, ownership: Ownership, took: Duration) {
        self.ownership = Some(ownership);
        let (external, took_ms) = (ownership == Ownership::External, millis(took));
        info!(target: TARGET, parent: &self.span, external, took_ms, "ready");
    }

    /// To be called, if it comes to that, where the server can be reached from other machines.
    pub(crate) fn exposed(&self) -> impl FnOnce(SocketAddr) + Send + use<> {
        let span = self.span.clone();
        move |address| {
            let remedy = "other machines can reach the server: have it listen on the loopback only, \
                          as most servers do with `--host 127.0.0.1`";
            warn!(target: TARGET, parent: &span, %address, remedy, "exposed");
        }
    }

    /// The process died of a taken port, and who took it answers well.
    pub(crate) fn replaced(&mut self) {
        self.ownership = Some(Ownership::External);
        warn!(target: TARGET, parent: &self.span, "replaced");
    }

    /// What a look at the leases has shown; that nobody uses it is told once, until somebody does.
    pub(crate) fn looked(&mut self, leases: usize) {
        let was_idle = mem::replace(&mut self.is_idle, leases == 0);
        if self.is_idle && !was_idle {
            debug!(target: TARGET, parent: &self.span, "idle");
        }
    }

    pub(crate) fn stopping(&self, reason: &str) {
        info!(target: TARGET, parent: &self.span, reason, "stopping");
    }

    pub(crate) fn exited(&self, exit: Exit, after: Duration, is_expected: bool) {
        let (code, signal, after_ms) = (exit.code, exit.signal, millis(after));
        if is_expected {
            info!(target: TARGET, parent: &self.span, code, signal, after_ms, "exited");
        } else {
            warn!(target: TARGET, parent: &self.span, code, signal, after_ms, "exited");
        }
    }

    pub(crate) fn failed(&self, error: &Error) {
        warn!(target: TARGET, parent: &self.span, %error, "failed");
    }

    /// Nothing is left of the run, or nothing of ours.
    pub(crate) fn over(&mut self) {
        match self.ownership {
            Some(Ownership::Owned) => debug!(target: TARGET, parent: &self.span, "stopped"),
            Some(Ownership::External) => debug!(target: TARGET, parent: &self.span, "released"),
            None => {}
        }
        *self = Self::none();
    }
}

/// A request had to wait; told where the request is, and not in the span of the run.
pub(crate) fn waited(service: &str, waited: Duration, error: Option<&Error>) {
    let (waited_ms, error) = (millis(waited), error.map(display));
    debug!(target: TARGET, service, waited_ms, error, "waited");
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
