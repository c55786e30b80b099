//! What the compiler promises of each public type: what may go to another thread, and what need not be `Unpin`.

use std::{
    convert::Infallible,
    future::Future,
    marker::PhantomPinned,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_local_service::{
    ColdStart, EnsureLocalService, EnsureLocalServiceLayer, EnsureOn, Error, ErrorKind,
    EveryRequest, Lease, LocalService, LocalServiceConfig, Record, Registry, Status, StatusWatch,
    body::LeasedBody,
    future::ResponseFuture,
    provider::{Changes, Provider, Providers, ProvidersConfig},
};

type Client = hyper_util::client::legacy::Client<
    hyper_util::client::legacy::connect::HttpConnector,
    Full<Bytes>,
>;
type Request = http::Request<Full<Bytes>>;

fn send<T: Send>() {}
fn send_sync<T: Send + Sync>() {}
fn unpin<T: Unpin>() {}
fn send_of<T: Send>(_: &T) {}

#[test]
fn everything_that_users_hold_is_send_and_sync() {
    send_sync::<LocalService>();
    send_sync::<LocalServiceConfig>();
    send_sync::<Lease>();
    send_sync::<Registry>();
    send_sync::<Error>();
    send_sync::<ErrorKind>();
    send_sync::<Status>();
    send_sync::<StatusWatch>();
    send_sync::<Record>();
    send_sync::<ColdStart>();
    send_sync::<EnsureOn>();
    send_sync::<EveryRequest>();
    send_sync::<Providers>();
    send_sync::<ProvidersConfig>();
    send_sync::<Provider>();
    send_sync::<Changes>();
    send_sync::<EnsureLocalServiceLayer>();
    send_sync::<EnsureLocalServiceLayer<EveryRequest>>();
    send_sync::<EnsureLocalService<Client>>();
    send_sync::<EnsureLocalService<Client, EveryRequest>>();
    send_sync::<LeasedBody<hyper::body::Incoming>>();
}

#[test]
fn the_future_of_a_response_is_send() {
    send::<ResponseFuture<Client, Request>>();
}

#[cfg(feature = "reqwest")]
#[test]
fn everything_around_reqwest_is_send_and_sync() {
    send_sync::<EnsureLocalService<reqwest::Client>>();
    send_sync::<LeasedBody<reqwest::Body>>();
    send::<ResponseFuture<reqwest::Client, reqwest::Request>>();
}

#[cfg(feature = "reqwest-middleware")]
#[test]
fn the_middleware_is_send_and_sync() {
    send_sync::<tower_local_service::EnsureLocalServiceMiddleware<EveryRequest>>();
}

#[cfg(feature = "retry")]
#[test]
fn the_policy_is_send_and_sync() {
    send_sync::<tower_local_service::retry::ServerGone>();
}

#[test]
fn what_could_be_read_without_a_pin_still_can() {
    unpin::<LeasedBody<hyper::body::Incoming>>();
    unpin::<ResponseFuture<Client, Request>>();
}

/// Compiled and never run: what a future holds across its awaits is part of its type.
#[expect(dead_code, reason = "that it compiles is the test")]
fn all_futures_of_the_api_are_send(service: &LocalService, registry: &Registry, lease: &Lease) {
    send_of(&service.acquire());
    send_of(&service.start());
    send_of(&service.stop());
    send_of(&service.watch().changed());
    send_of(&registry.shutdown());
    send_of(&registry.drain(Duration::ZERO));
    send_of(&registry.retire(service));
    send_of(&lease.ended());
}

/// A body that must not be moved once it was polled, as one made of an `async` block.
struct Pinned {
    left: Option<&'static str>,
    _pin: PhantomPinned,
}

impl Body for Pinned {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut left = self.as_ref().left;
        let frame = left.take().map(|text| Ok(Frame::data(text.into())));
        // Without unsafe code this cannot be changed, so it never ends.
        Poll::Ready(frame)
    }
}

#[tokio::test]
async fn neither_the_body_nor_the_future_of_the_client_has_to_be_unpin() {
    let client = service_fn(async |(): ()| {
        tokio::task::yield_now().await;
        let body = Pinned {
            left: Some("pinned"),
            _pin: PhantomPinned,
        };
        Ok::<_, Infallible>(http::Response::new(body))
    });
    let nobody = |(): &()| None::<LocalService>;
    let layered = ServiceBuilder::new()
        .layer(EnsureLocalServiceLayer::new(nobody))
        .service(client);
    let response = layered.oneshot(()).await.unwrap();
    let mut body = Box::pin(response.into_body());
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "pinned");
}

/// A client that is asked with anything but a request: what builds one.
fn is_service_of<Req, S: Service<Req> + Clone + Send + Sync>(_: &S)
where
    S::Future: Future + Send,
{
}

#[test]
fn a_layered_client_is_as_sync_as_the_client_is() {
    let client = service_fn(|question: u32| {
        std::future::ready(Ok::<_, Infallible>(http::Response::new(
            Full::<Bytes>::from(question.to_string()),
        )))
    });
    let nobody = |_: &u32| None::<LocalService>;
    let layered = ServiceBuilder::new()
        .layer(EnsureLocalServiceLayer::new(nobody))
        .service(client);
    is_service_of::<u32, _>(&layered);
}
