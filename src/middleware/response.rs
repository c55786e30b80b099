//! Responses that can hold a lease.

use std::time::Duration;

use http::{StatusCode, Version, header, response::Parts};
use http_body::Body;
use hyper::upgrade::OnUpgrade;

use super::body::LeasedBody;
use crate::{leases::Outcome, service::Lease};

/// A response that can hold a lease until its body has ended.
///
/// You never call or implement it: it is what the compiler asks for where a response cannot hold a lease.
/// It is sealed: implemented by `http::Response<B>`, where `B` is a [`Body`], and, with feature `reqwest`,
/// by `reqwest::Response` (0.13). [`EnsureLocalService`](crate::EnsureLocalService#clients-with-other-responses)
/// shows how to wrap a client with other responses.
///
/// # Example
///
/// The type of the responses of a layered client:
///
/// ```
/// use http::Response;
/// use tower_local_service::{HoldLease, body::LeasedBody};
///
/// fn held<B: http_body::Body>(response: <Response<B> as HoldLease>::Held) -> Response<LeasedBody<B>> {
///     response
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a response of type `{Self}` cannot hold the lease of a local service",
    label = "the wrapped client has to answer with another type",
    note = "responses that can: `http::Response<B>` where `B` is an `http_body::Body`, and the `Response` of reqwest 0.13 if the feature `reqwest` of `tower-local-service` is on",
    note = "for any other, such as that of reqwest 0.12, convert it to an `http::Response` between the client and the layer: the documentation of `EnsureLocalService` shows how"
)]
pub trait HoldLease: sealed::Sealed {
    /// The response that holds one.
    type Held;

    #[doc(hidden)]
    fn hold(self, lease: Option<Lease>) -> Self::Held;
}

pub(crate) mod sealed {
    /// Keeps foreign responses out, so that the trait can grow.
    #[expect(unnameable_types, reason = "that is what seals the trait")]
    pub trait Sealed {}
}

/// In the extensions of a response whose request waited for the server: for a start, for another
/// service to make way, or for a new look at the server. Warm responses have none.
/// # Example
///
/// ```
/// use http::Response;
/// use tower_local_service::ColdStart;
///
/// fn report<B>(response: &Response<B>) {
///     if let Some(cold) = response.extensions().get::<ColdStart>() {
///         println!("the model was loaded first, for {:?}", cold.waited);
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColdStart {
    /// How long the request waited before it was sent.
    pub waited: Duration,
}

impl<B> sealed::Sealed for http::Response<B> {}

// Otherwise the compiler asks for a `Body`, and does not say what for.
#[diagnostic::do_not_recommend]
impl<B: Body> HoldLease for http::Response<B> {
    type Held = http::Response<LeasedBody<B>>;

    #[inline]
    fn hold(self, mut lease: Option<Lease>) -> Self::Held {
        // Moved in parts: the compiler copies a whole response more often.
        let (mut head, body) = self.into_parts();
        if let Some(lease) = &mut lease {
            lease.reached(Outcome::Answered);
            if !lease.waited().is_zero() {
                let waited = lease.waited();
                head.extensions.insert(ColdStart { waited });
            }
        }
        if is_upgrade(&head)
            && let Some(mut lease) = lease.take()
        {
            // The body has ended and the socket has not. We do not learn when it does.
            lease.reached(Outcome::ByHand);
            lease.forget_task();
            head.extensions.insert(lease);
        }
        let is_unbounded = lease.is_some() && is_unbounded(&head, &body);
        Self::Held::from_parts(head, LeasedBody::new(body, lease, is_unbounded))
    }
}

/// A 101, or a successful CONNECT, which the response does not tell; hyper marks both.
#[inline]
fn is_upgrade(head: &Parts) -> bool {
    head.status == StatusCode::SWITCHING_PROTOCOLS || head.extensions.get::<OnUpgrade>().is_some()
}

/// Whether only the end of its connection delimits the body.
#[inline]
fn is_unbounded(head: &Parts, body: &impl Body) -> bool {
    // The cheapest first: most bodies know their length.
    body.size_hint().exact().is_none()
        && head.version <= Version::HTTP_11
        && !head.headers.contains_key(header::TRANSFER_ENCODING)
        && !head.headers.contains_key(header::CONTENT_LENGTH)
}
