//! Who may have an address: among the services of this program, and among those of its peers.

mod claim;
pub(crate) mod peers;
mod queue;

pub(crate) use self::claim::{Claims, Ticket};
