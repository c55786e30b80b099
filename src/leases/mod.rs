//! What every request touches: the lease word, and who is woken when an instance ends.

pub(crate) mod wakers;
pub(crate) mod word;

pub(crate) use self::word::Outcome;
