//! What every request touches: the lease word, how past instances ended, and which requests are woken by that.

mod instances;
pub(crate) mod wakers;
pub(crate) mod word;

pub(crate) use self::{
    instances::{Grant, Instances, PastInstance},
    word::Outcome,
};
