//! Each layer outside and inside of the one that starts the server.

use std::{
    future::{Ready, ready},
    time::Duration,
};

use http_body_util::Empty;
use hyper::{Request, Response, StatusCode, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    balance::p2c::Balance,
    buffer::Buffer,
    discover::ServiceList,
    load::Constant,
    retry::{Policy, RetryLayer},
    util::BoxCloneService,
};
use tower_local_service::{BoxError, EnsureLocalServiceLayer, EnsureOn, LocalService};

pub(crate) type Req = Request<Empty<Bytes>>;
pub(crate) type Stack = BoxCloneService<Req, StatusCode, BoxError>;
type HttpClient = Client<HttpConnector, Empty<Bytes>>;

/// Shorter than a cold start, longer than an answer.
const LIMIT: Duration = Duration::from_millis(300);

/// A stack for the first service; one that balances has a second.
pub(crate) type Build = fn(&[LocalService; 2]) -> Stack;

#[rustfmt::skip]
pub(crate) const ALL: &[(&str, Build)] = &[
    ("nothing else", |[one, _]| stack(&new().layer(ensure(one)))),
    ("Timeout(300 ms) outside", |[one, _]| stack(&new().timeout(LIMIT).layer(ensure(one)))),
    ("Timeout(300 ms) inside", |[one, _]| stack(&new().layer(ensure(one)).timeout(LIMIT))),
    ("Retry, then Timeout(300 ms) outside", |[one, _]| stack(&new().layer(retry()).timeout(LIMIT).layer(ensure(one)))),
    ("ConcurrencyLimit(1) outside", |[one, _]| stack(&new().concurrency_limit(1).layer(ensure(one)))),
    ("ConcurrencyLimit(1) inside", |[one, _]| stack(&new().layer(ensure(one)).concurrency_limit(1))),
    ("LoadShed outside", |[one, _]| stack(&new().load_shed().layer(ensure(one)))),
    ("LoadShed outside, PollReady", |[one, _]| stack(&new().load_shed().layer(preload(one)))),
    ("LoadShed, ConcurrencyLimit(1) inside", |[one, _]| stack(&new().layer(ensure(one)).load_shed().concurrency_limit(1))),
    ("Buffer outside", |[one, _]| stack(&new().buffer(8).layer(ensure(one)))),
    ("Buffer outside, PollReady", |[one, _]| stack(&new().buffer(8).layer(preload(one)))),
    ("Buffer inside", |[one, _]| stack(&new().layer(ensure(one)).buffer(8))),
    ("Balance outside", |[one, two]| balance(stack(&new().layer(ensure(one))), stack(&new().layer(ensure(two))))),
    ("Balance outside, PollReady", |[one, two]| balance(stack(&new().layer(preload(one))), stack(&new().layer(preload(two))))),
];

/// For a server whose first start fails.
#[rustfmt::skip]
pub(crate) const FRAIL: &[(&str, Build)] = &[
    ("Retry outside", |[one, _]| stack(&new().layer(retry()).layer(ensure(one)))),
    ("Retry inside", |[one, _]| stack(&new().layer(ensure(one)).layer(retry()))),
];

fn new() -> ServiceBuilder<tower::layer::util::Identity> {
    ServiceBuilder::new()
}

fn ensure(service: &LocalService) -> EnsureLocalServiceLayer {
    EnsureLocalServiceLayer::new(service.clone())
}

fn preload(service: &LocalService) -> EnsureLocalServiceLayer {
    ensure(service).ensure_on(EnsureOn::PollReady)
}

fn stack<L, B>(layers: &ServiceBuilder<L>) -> Stack
where
    L: Layer<HttpClient>,
    L::Service: Service<Req, Response = Response<B>> + Clone + Send + 'static,
    <L::Service as Service<Req>>::Error: Into<BoxError>,
    <L::Service as Service<Req>>::Future: Send,
{
    let client = Client::builder(TokioExecutor::new()).build_http();
    let stack = layers.service(client).map_err(Into::into);
    stack
        .map_response(|response| response.status())
        .boxed_clone()
}

/// Prefers the first of the two, which carries less.
fn balance(first: Stack, second: Stack) -> Stack {
    let both = [Constant::new(first, 1), Constant::new(second, 2)];
    let balance = Balance::new(ServiceList::new::<Req>(both));
    Buffer::new(balance, 8).boxed_clone()
}

fn retry() -> RetryLayer<Attempts> {
    RetryLayer::new(Attempts(5))
}

#[derive(Clone)]
struct Attempts(usize);

impl<T, E> Policy<Req, T, E> for Attempts {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<T, E>) -> Option<Self::Future> {
        self.0 = self.0.checked_sub(1)?;
        result.is_err().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}
