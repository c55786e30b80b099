//! Which service may have an address: a queue in this program, and files with its peers.
//!
//! Two servers cannot listen on one port, so a service claims its addresses before it looks what is running there, and
//! gives them back when nothing of its process is left. A service that waits makes the one that has the address
//! retire: first among the services of this program ([`queue`]), then among those of its [`peers`].

mod claim;
pub(crate) mod peers;
#[cfg_attr(not(test), expect(dead_code, reason = "the table will use it"))]
mod plan;
mod queue;

pub(crate) use self::claim::{Claims, Ticket};
