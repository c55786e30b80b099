//! A warm request with nothing around it, with the layer and without it: to a client that answers at once, and
//! to one whose answer and body are pending once, as those of a socket are.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    hint::black_box,
    mem,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use http::Response;
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper::body::Bytes;
use tower::{Layer as _, Service, service_fn, util::ServiceFn};
use tower_local_service::{
    EnsureLocalService, EnsureLocalServiceLayer, EveryRequest, LocalService,
};

type Answer<B> = Ready<Result<Response<B>, Infallible>>;
pub(crate) type Bare = ServiceFn<fn(()) -> Answer<Full<Bytes>>>;
pub(crate) type Late = ServiceFn<fn(()) -> Once<Answer<Once<Full<Bytes>>>>>;
pub(crate) type Layered<S> = EnsureLocalService<S, EveryRequest>;

fn body() -> Full<Bytes> {
    Full::new(Bytes::from_static(b"answer"))
}

fn answer((): ()) -> Answer<Full<Bytes>> {
    ready(Ok(Response::new(body())))
}

fn late_answer((): ()) -> Once<Answer<Once<Full<Bytes>>>> {
    Once::new(ready(Ok(Response::new(Once::new(body())))))
}

/// A client that answers at once.
pub(crate) fn bare() -> Bare {
    service_fn(answer)
}

/// A client whose answer and body are pending once.
pub(crate) fn late() -> Late {
    service_fn(late_answer)
}

/// The client with the layer around it.
pub(crate) fn layered<S>(service: &LocalService, client: S) -> Layered<S> {
    EnsureLocalServiceLayer::new(service.every_request()).layer(client)
}

/// A future or body that is pending once, and then does what the inner one does.
pub(crate) struct Once<T> {
    inner: T,
    was_pending: bool,
}

impl<T> Once<T> {
    fn new(inner: T) -> Self {
        let was_pending = false;
        Self { inner, was_pending }
    }
}

impl<T: Future + Unpin> Future for Once<T> {
    type Output = T::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        if mem::replace(&mut self.was_pending, true) {
            return Pin::new(&mut self.inner).poll(cx);
        }
        Poll::Pending
    }
}

impl<T: Body + Unpin> Body for Once<T> {
    type Data = T::Data;
    type Error = T::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<T::Data>, T::Error>>> {
        if mem::replace(&mut self.was_pending, true) {
            return Pin::new(&mut self.inner).poll_frame(cx);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
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
    let mut answer = pin!(client.call(()));
    let answered = loop {
        if let Poll::Ready(answered) = answer.as_mut().poll(&mut cx) {
            break answered;
        }
    };
    let mut body = pin!(answered.expect("an answer").into_body());
    loop {
        match body.as_mut().poll_frame(&mut cx) {
            Poll::Ready(Some(frame)) => drop(black_box(frame.expect("data"))),
            Poll::Ready(None) => break,
            Poll::Pending => {}
        }
    }
}
