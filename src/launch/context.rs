//! What a launcher has to know of the service that it starts.

use std::{fs::File, sync::Arc};

use http::Uri;

use super::OutputSink;

/// What a launcher has to know of a start.
#[derive(Debug)]
pub struct LaunchContext {
    service: String,
    base_url: Uri,
    output: OutputSink,
    lock: Option<Arc<File>>,
}

impl LaunchContext {
    pub(crate) fn new(service: String, base_url: Uri, output: OutputSink) -> Self {
        Self {
            service,
            base_url,
            output,
            lock: None,
        }
    }

    /// With a file that peers see locked until nothing is left of the instance, as far as what ends it after this program
    /// can keep the lock.
    pub(crate) fn locking(self, lock: Option<Arc<File>>) -> Self {
        Self { lock, ..self }
    }

    /// The file that [`locking`](Self::locking) has set.
    pub(crate) fn lock(&self) -> Option<Arc<File>> {
        self.lock.clone()
    }

    /// The name of the service, of the handle that asked for the start.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Where requests go.
    #[must_use]
    pub fn base_url(&self) -> &Uri {
        &self.base_url
    }

    /// The port of [`base_url`](Self::base_url), on which the server is expected to listen.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.base_url.port_u16().unwrap_or(80)
    }

    /// Takes what the server writes.
    #[must_use]
    pub fn output(&self) -> &OutputSink {
        &self.output
    }
}
