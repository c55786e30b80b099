//! The clients that the tests wrap, and requests through them.

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_local_service::{
    BoxError, EnsureLocalService, EnsureLocalServiceLayer, Error, ErrorKind, EveryRequest,
    LocalService, LocalServiceConfig, body::LeasedBody,
};

use crate::support::{Fixture, within};

pub(crate) type Request = http::Request<Full<Bytes>>;
pub(crate) type Response = http::Response<LeasedBody<Incoming>>;
pub(crate) type Ensured<S> = EnsureLocalService<S, EveryRequest>;
pub(crate) type HyperClient = Client<HttpConnector, Full<Bytes>>;

/// A connection for each request: what a pool does when a server ends is not what we test.
pub(crate) fn hyper_client() -> HyperClient {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build_http()
}

pub(crate) fn request(method: http::Method, url: &str) -> Request {
    let request = http::Request::builder().method(method).uri(url);
    request.body(Full::default()).expect("a request")
}

pub(crate) fn get(url: &str) -> Request {
    request(http::Method::GET, url)
}

/// The client with the layer around it, for requests of any type.
pub(crate) fn ensured<S>(service: &LocalService, client: S) -> Ensured<S> {
    EnsureLocalServiceLayer::new(service.every_request()).layer(client)
}

/// Its response head.
pub(crate) async fn send<S, Req>(client: &S, request: Req) -> Result<S::Response, BoxError>
where
    S: Service<Req, Error = BoxError> + Clone,
{
    within("a response head", client.clone().oneshot(request)).await
}

/// A fixture, its service, and a layered client of hyper's.
pub(crate) struct Setup {
    pub(crate) client: Ensured<HyperClient>,
    pub(crate) service: LocalService,
    // The last to be dropped: it looks what the others left behind.
    pub(crate) fixture: Fixture,
}

impl Setup {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, Fixture::new())
    }

    pub(crate) fn with(name: &str, fixture: Fixture) -> Self {
        let service = fixture.service(name);
        Self::of(service, fixture)
    }

    pub(crate) fn configured(
        name: &str,
        fixture: Fixture,
        configure: impl FnOnce(LocalServiceConfig) -> LocalServiceConfig,
    ) -> Self {
        let service = fixture.configured(name, configure(fixture.config()));
        Self::of(service, fixture)
    }

    fn of(service: LocalService, fixture: Fixture) -> Self {
        let client = ensured(&service, hyper_client());
        Self {
            client,
            service,
            fixture,
        }
    }

    pub(crate) async fn try_get(&self, path: &str) -> Result<Response, BoxError> {
        send(&self.client, get(&self.fixture.url(path))).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.try_get(path).await.expect("an answer")
    }

    /// A whole answer.
    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.get(path).await;
        text(response.into_body()).await.expect("a whole body")
    }

    pub(crate) fn leases(&self) -> usize {
        self.service.status().leases
    }
}

/// The next data of a body.
pub(crate) async fn chunk<B>(body: &mut B) -> Option<Result<Bytes, B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let frame = within("the next frame", body.frame()).await?;
    let data = |frame: http_body::Frame<Bytes>| frame.into_data().expect("data");
    Some(frame.map(data))
}

/// All of a body.
pub(crate) async fn text<B>(body: B) -> Result<String, B::Error>
where
    B: Body<Data = Bytes>,
{
    let bytes = within("the end of a body", body.collect())
        .await?
        .to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What we say went wrong; nothing if it was the client that failed.
pub(crate) fn kind(error: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    Error::find_in(error).map(|error| error.kind().clone())
}
