//! Asks a server whether it is ready.
//!
//! One probe is one GET over a connection of its own, and one word for what came of it: a
//! [`Sight`]. What follows from a sight is decided by the supervisor; nothing is remembered here.

mod ask_first;
mod dial;
mod http;
#[cfg(test)]
mod tests;

#[cfg(feature = "retry")]
pub(crate) use self::dial::refuses;
pub(crate) use self::http::look;
