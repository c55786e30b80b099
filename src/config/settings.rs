//! A configuration that has been checked.

use std::{sync::Arc, time::Duration};

use http::Uri;

use super::{Address, Launch, OomScoreAdj, Secrets, Share, StopSignal, Target};
use crate::{error::Error, machine::Policy};

/// A configuration that has been checked, in the parts that other rooms need.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Together with the addresses, the identity.
    pub(crate) launch: Arc<Launch>,
    /// Of the base URL and, where it differs, of the health URL. Sorted.
    pub(crate) addresses: Vec<Address>,
    /// The base URL as it is written, without blanks around it.
    pub(crate) base: Uri,
    pub(crate) target: Arc<Target>,
    pub(crate) policy: Policy,
    pub(crate) swap_timeout: Duration,
    pub(crate) max_waiters: Option<usize>,
    pub(crate) stop_detached: bool,
    pub(crate) oom_score_adj: OomScoreAdj,
    pub(crate) stop_signal: StopSignal,
    pub(crate) share: Share,
    pub(crate) secrets: Arc<Secrets>,
    /// Each request for the service fails with this error, and nothing is ever started.
    pub(crate) unavailable: Option<Error>,
}
