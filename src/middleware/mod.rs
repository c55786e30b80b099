//! The Tower middleware: makes sure that a server runs, before a request is sent to it.
//!
//! ```text
//! layer ─▶ service ─▶ future ─▶ response ─▶ body
//!             └─ resolve: for which local service is this request?
//! ```
//!
//! - `layer` wraps a client, and says when the start is asked for.
//! - `service` is the wrapped client. For each request it asks the resolver (`resolve`), clones the
//!   client, and makes a future. Nothing else happens before that is polled.
//! - `future` takes a lease on the running instance, or waits for one; then it makes the client ready and
//!   sends the request.
//! - `response` puts the lease into the response: into its body, or for an upgrade into its extensions.
//! - `body` gives the lease back when it ends, fails or is dropped.
//! - `reqwest` has the same for reqwest's request and response; `reqwest_middleware` puts all of it into
//!   that crate's chain; `retry` sends a request again whose server has gone.
//!
//! A warm request takes its lease with one exchange of the lease word, and gives it back with another. It
//! allocates nothing. While its client or its body is pending, the lease has a place among the tasks to wake
//! when the instance ends: one for both.

pub mod body;
pub mod future;
mod layer;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
mod resolve;
mod response;
#[cfg(feature = "retry")]
pub mod retry;
mod service;

#[cfg(feature = "reqwest-middleware")]
pub use self::reqwest_middleware::EnsureLocalServiceMiddleware;
pub use self::{
    layer::{EnsureLocalServiceLayer, EnsureOn},
    resolve::{EveryRequest, Resolve},
    response::{ColdStart, HoldLease},
    service::EnsureLocalService,
};
