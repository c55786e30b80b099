//! One task per service owns its process; requests only count.
mod backoff;
pub(crate) mod lease;
pub(crate) mod state;
