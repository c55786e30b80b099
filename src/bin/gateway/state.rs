//! What all requests share.

use std::{ops::Deref, sync::Arc, time::Duration};

use tower_local_service::provider::Providers;

use crate::{
    args::Args, ending::Ending, gpu::Gpu, history::History, metrics::Metrics, upstream::Upstream,
};

/// Cheap to clone, as each request does.
#[derive(Clone, Debug)]
pub(crate) struct Gateway(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) providers: Providers,
    pub(crate) upstream: Upstream,
    pub(crate) keep_alive: Option<Duration>,
    /// Whether people see what a stream waits for.
    pub(crate) shows_progress: bool,
    pub(crate) body_limit: usize,
    pub(crate) history: History,
    pub(crate) metrics: Metrics,
    pub(crate) gpu: Gpu,
    pub(crate) ending: Ending,
    /// When this gateway was started, in seconds since 1970.
    pub(crate) started: u64,
}

impl Gateway {
    pub(crate) fn new(
        args: &Args,
        providers: Providers,
        history: History,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Shared {
            providers,
            upstream: Upstream::new(),
            keep_alive: args.keep_alive.0,
            shows_progress: args.progress,
            body_limit: args.body_limit,
            history,
            metrics,
            gpu: Gpu::default(),
            ending: Ending::new(),
            started: now(),
        }))
    }
}

impl Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "the time is shown, and decides nothing"
)]
fn now() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap_or_default().as_secs()
}
