//! A configuration that has been checked.

use std::{fmt, sync::Arc, time::Duration};

use http::Uri;

use super::{Address, Share, Target};
use crate::{error::Error, launch::Launcher, machine::Policy, secrets::Secrets};

/// A configuration that has been checked, in the parts that other rooms need.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Its identity and the addresses are that of the service.
    pub(crate) launcher: Arc<dyn Launcher>,
    /// Of the base URL and, where it differs, of the health URL. Sorted.
    pub(crate) addresses: Vec<Address>,
    /// The configuration leaves the port open, and the crate has chosen it.
    pub(crate) port_is_chosen: bool,
    /// The base URL as it is written, without blanks around it.
    pub(crate) base: Uri,
    pub(crate) target: Arc<Target>,
    /// What the server has to answer before it is ready.
    pub(crate) ready_request: Option<Arc<Target>>,
    /// Starts the stop command.
    pub(crate) stop_command: Option<Arc<dyn Launcher>>,
    pub(crate) policy: Policy,
    pub(crate) swap_timeout: Duration,
    pub(crate) max_waiters: Option<usize>,
    pub(crate) share: Share,
    pub(crate) secrets: Arc<Secrets>,
    /// Each request for the service fails with this error, and nothing is ever started.
    pub(crate) unavailable: Option<Error>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("launcher", &self.launcher.identity())
            .field("addresses", &self.addresses)
            .field("target", &self.target)
            .field("policy", &self.policy)
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// The command and its arguments, or what else is launched, without secrets.
    pub(crate) fn shown_command(&self) -> Vec<String> {
        let identity = self.launcher.identity();
        let words = identity.words();
        words.map(|it| self.secrets.redact(it)).collect()
    }
}
