//! A warm request over HTTP: the same client, connections and server, with the layer and without.

use std::{future::Future, time::Duration};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_local_service::{EnsureLocalServiceLayer, LocalService, LocalServiceConfig, Registry};

use crate::{
    pairs::Pairs,
    row::{Row, time},
    support::{PROGRAM, block_on, free_port, now, since},
};

/// Many and short, so that the other load of a busy machine disturbs each pair little.
const PAIRS: usize = 800;

/// What one side of a pair does: so many tasks at the same time, each of which sends so many requests.
const LOADS: [(u32, u32); 2] = [(1, 100), (64, 4)];

const BUDGET: &str = "×1.00 ± 0.02";

pub(crate) fn measure() -> Vec<Row> {
    let warm = Warm::new();
    let mut rows = hyper_util(&warm);
    rows.extend(reqwest(&warm));
    block_on(warm.service.stop()).unwrap();
    rows
}

fn hyper_util(warm: &Warm) -> Vec<Row> {
    type Hyper = Client<HttpConnector, Empty<Bytes>>;

    async fn ask<S, B>(client: S, url: String)
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
        B: Body,
    {
        let request = Request::get(url).body(Empty::new()).unwrap();
        let Ok(response) = client.oneshot(request).await else {
            panic!("no answer")
        };
        let Ok(body) = response.into_body().collect().await else {
            panic!("no whole answer")
        };
        assert_eq!(body.to_bytes(), "hello");
    }

    let client: Hyper = Client::builder(TokioExecutor::new()).build_http();
    let (ours, url) = (warm.layer().layer(client.clone()), warm.url.clone());
    let our_url = url.clone();
    warm.rows(
        "hyper-util",
        move || ask(client.clone(), url.clone()),
        move || ask(ours.clone(), our_url.clone()),
    )
}

#[cfg(feature = "reqwest")]
fn reqwest(warm: &Warm) -> Vec<Row> {
    use reqwest::{Client, Method, Request, Response, Url};

    async fn ask<S>(client: S, url: Url)
    where
        S: Service<Request, Response = Response>,
    {
        let Ok(response) = client.oneshot(Request::new(Method::GET, url)).await else {
            panic!("no answer")
        };
        assert_eq!(response.bytes().await.unwrap(), "hello");
    }

    let client = Client::builder().no_proxy().build().unwrap();
    let url = Url::parse(&warm.url).unwrap();
    let (ours, our_url) = (warm.layer().layer(client.clone()), url.clone());
    warm.rows(
        "reqwest",
        move || ask(client.clone(), url.clone()),
        move || ask(ours.clone(), our_url.clone()),
    )
}

#[cfg(not(feature = "reqwest"))]
fn reqwest(_: &Warm) -> Vec<Row> {
    let what = "a warm request on loopback, reqwest";
    vec![Row::new(
        what,
        "left out: it needs `--features reqwest`",
        BUDGET,
        true,
    )]
}

/// A server that runs, its service, and a runtime for clients.
struct Warm {
    service: LocalService,
    url: String,
    // With one thread, as the server needs a core, too.
    runtime: Runtime,
}

impl Warm {
    fn new() -> Self {
        let port = free_port().to_string();
        // Without the files of a test's fixture, to which the server would write each request.
        let config = LocalServiceConfig::new(PROGRAM).args(["--port", &port]);
        let origin = format!("http://127.0.0.1:{port}");
        let service = Registry::new().service("loopback", format!("{origin}/v1"), config);
        let service = service.unwrap();
        block_on(service.start()).unwrap();
        Self {
            service,
            url: format!("{origin}/hello"),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    fn layer(&self) -> EnsureLocalServiceLayer<LocalService> {
        EnsureLocalServiceLayer::new(self.service.clone())
    }

    fn rows<Bare, Ours>(
        &self,
        client: &str,
        bare: impl Fn() -> Bare + Clone + Send + 'static,
        ours: impl Fn() -> Ours + Clone + Send + 'static,
    ) -> Vec<Row>
    where
        Bare: Future<Output = ()> + Send,
        Ours: Future<Output = ()> + Send,
    {
        let row = |(tasks, times)| {
            let pairs = || {
                let bare = || self.time_of(tasks, times, bare.clone());
                let ours = || self.time_of(tasks, times, ours.clone());
                // The first requests make the connections.
                let _ = (bare(), ours());
                Pairs::measure(PAIRS, bare, ours)
            };
            row(client, tasks, &pairs())
        };
        LOADS.map(row).into()
    }

    /// The time of one request, if so many tasks send so many requests each.
    fn time_of<F: Future<Output = ()> + Send>(
        &self,
        tasks: u32,
        times: u32,
        ask: impl Fn() -> F + Clone + Send + 'static,
    ) -> Duration {
        let all = async {
            let mut running = JoinSet::new();
            for _ in 0..tasks {
                let ask = ask.clone();
                running.spawn(async move {
                    for _ in 0..times {
                        ask().await;
                    }
                });
            }
            running.join_all().await
        };
        let begun = now();
        self.runtime.block_on(all);
        since(begun) / (tasks * times)
    }
}

fn row(client: &str, at_once: u32, pairs: &Pairs) -> Row {
    let (ratio, margin) = (pairs.ratio(), pairs.margin());
    let (ours, bare) = (pairs.ours.median(), pairs.bare.median());
    // More than in the rows without a socket, since the client and the kernel use the same caches.
    let added = bare.as_secs_f64() * 1e9 * (ratio - 1.0);
    Row::new(
        format!("a warm request on loopback, {client}, {at_once} at once"),
        format!(
            "×{ratio:.3} ± {margin:.3}: {added:+.0} ns (to {})",
            time(ours)
        ),
        BUDGET,
        (ratio - 1.0).abs() <= 0.02,
    )
    .beside(time(bare))
}
