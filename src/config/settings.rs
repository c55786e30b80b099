//! A configuration that has been checked.

use std::{sync::Arc, time::Duration};

use http::Uri;

use super::{Address, Launch, OomScoreAdj, Secrets, Target};
use crate::machine::Policy;

/// A configuration that has been checked, split by who needs what.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// With the endpoints, the identity.
    pub(crate) launch: Arc<Launch>,
    /// Of the base URL and, where it differs, of the health URL. Sorted.
    pub(crate) endpoints: Vec<Address>,
    /// As written, without blanks around it.
    pub(crate) base: Uri,
    pub(crate) target: Arc<Target>,
    pub(crate) policy: Policy,
    pub(crate) swap_timeout: Duration,
    pub(crate) max_waiters: Option<usize>,
    pub(crate) stop_detached: bool,
    pub(crate) oom_score_adj: OomScoreAdj,
    pub(crate) secrets: Arc<Secrets>,
}
