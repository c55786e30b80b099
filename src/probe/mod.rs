//! Asks a server whether it is ready.
//!
//! One probe is one GET of the health URL, or the ready request, over a connection of its own, and one [`Answer`]. A probe
//! decides nothing and remembers nothing: what follows from an answer is decided by
//! [`machine`](crate::machine).
//!
//! A probe must leave no trace on the server that it asks: it never connects from the server's own port
//! ([`dial`]), it closes its connection in the regular way, and it has one deadline and bounded memory
//! whatever the server sends ([`http`]).

mod answer;
mod ask_first;
mod dial;
mod http;
#[cfg(test)]
mod tests;

pub(crate) use self::answer::Answer;
#[cfg(feature = "retry")]
pub(crate) use self::dial::refuses;
pub(crate) use self::http::{ask, refuses_requests};
