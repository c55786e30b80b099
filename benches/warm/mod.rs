//! A warm request with nothing around it: a client that answers at once, with the layer and without it.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::Response;
use http_body::Body;
use http_body_util::Full;
use hyper::body::Bytes;
use tower::{Layer as _, Service, service_fn, util::ServiceFn};
use tower_local_service::{
    EnsureLocalService, EnsureLocalServiceLayer, EveryRequest, LocalService,
};

type Answer = Ready<Result<Response<Full<Bytes>>, Infallible>>;
pub(crate) type Bare = ServiceFn<fn(()) -> Answer>;
pub(crate) type Layered = EnsureLocalService<Bare, EveryRequest>;

fn answer((): ()) -> Answer {
    ready(Ok(Response::new(Full::new(Bytes::from_static(b"answer")))))
}

/// The client by itself.
pub(crate) fn bare() -> Bare {
    service_fn(answer)
}

/// The same client with the layer around it.
pub(crate) fn layered(service: &LocalService) -> Layered {
    EnsureLocalServiceLayer::new(service.every_request()).layer(bare())
}

/// One request, its answer read to the end, with no runtime that could cost something itself.
#[inline(never)]
pub(crate) fn request<S, B>(client: &mut S)
where
    S: Service<(), Response = Response<B>, Error: fmt::Debug>,
    B: Body<Error: fmt::Debug>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(client.poll_ready(&mut cx).is_ready());
    let Poll::Ready(answered) = pin!(client.call(())).poll(&mut cx) else {
        panic!("it has to be waited for");
    };
    let mut body = pin!(answered.expect("an answer").into_body());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        drop(black_box(frame.expect("data")));
    }
}
