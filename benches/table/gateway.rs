//! The gateway beside a reverse proxy of axum that does nothing else, and beside no proxy: each is a process.

use std::{
    env,
    fs::File,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{Router, body::Body, extract, serve::ListenerExt as _};
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::{
    pairs::Pairs,
    row::{Row, time},
    support::{
        Fixture,
        gateway::{self, ConfigFile, Gateway, chat_provider, file},
        now, since,
    },
};

/// The process is a proxy for the server at this address.
const ONLY_PROXY: &str = "BENCH_ONLY_PROXY";

const PAIRS: usize = 100;

/// So many tasks at the same time, each of which sends so many requests.
const LOADS: [(u32, u32); 2] = [(1, 50), (64, 4)];

/// Of a usual answer.
const TOKENS: usize = 100;

const EVENTS: usize = 10_000;

const STREAMS: usize = 500;

const BUDGET: &str = "×1.00 to ×1.10";

/// Proxies and returns `true` if this process was started only for that.
pub(crate) fn only_proxies() -> bool {
    let Ok(server) = env::var(ONLY_PROXY) else {
        return false;
    };
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(proxy(server));
    true
}

async fn proxy(server: String) {
    // As the gateway does, or the kernel would hold back what is small.
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector);
    let app = Router::new().fallback(async move |mut request: extract::Request| {
        let path = request.uri().path_and_query().unwrap().as_str();
        *request.uri_mut() = format!("http://{server}{path}").parse().unwrap();
        request.headers_mut().remove(header::HOST);
        client.request(request).await.unwrap().map(Body::new)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, app).await.unwrap();
}

/// A bare proxy that runs.
struct Proxy {
    child: Child,
    url: String,
}

impl Proxy {
    fn start(port: u16) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .env(ONLY_PROXY, format!("127.0.0.1:{port}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let url = format!("http://{}", line.trim());
        Self { child, url }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

type Http = Client<HttpConnector, Full<Bytes>>;

#[derive(Clone)]
struct Ask {
    method: Method,
    url: String,
    body: String,
}

impl Ask {
    fn hello(url: String) -> Self {
        Self {
            method: Method::GET,
            url,
            body: String::new(),
        }
    }

    /// In the words of `OpenAI`'s API.
    fn chat(url: &str, stream: bool) -> Self {
        let messages = json!([{ "role": "user", "content": "Why is the sky blue? ".repeat(50) }]);
        let body = json!({ "model": "one/m", "messages": messages, "stream": stream });
        Self {
            method: Method::POST,
            url: format!("{url}/v1/chat/completions"),
            body: body.to_string(),
        }
    }

    async fn open(&self, client: &Http) -> http::Response<Incoming> {
        let request = Request::builder()
            .method(&self.method)
            .uri(&self.url)
            .header("content-type", "application/json")
            .body(Full::from(self.body.clone()));
        let answer = client.request(request.unwrap()).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer
    }

    async fn send(&self, client: &Http) -> Bytes {
        let answer = self.open(client).await.into_body().collect().await;
        answer.expect("a whole answer").to_bytes()
    }
}

/// The server, and the two ways to it.
struct Ways {
    gateway: Gateway,
    proxy: Proxy,
    direct: String,
    runtime: Runtime,
    // The servers end before it is looked for what is left.
    _fixture: Fixture,
}

impl Ways {
    fn new(tokens: usize) -> Self {
        let fixture = Fixture::new();
        let (port, tokens) = (fixture.port().to_string(), tokens.to_string());
        let mut provider = chat_provider(&fixture);
        // Without the files of a test's fixture, to which the server would write each request.
        provider["localService"]["args"] =
            json!(["--port", port, "--tokens", tokens, "--token-gap", "0"]);
        let config = ConfigFile::new(file(&json!({ "one": provider })));
        // Into a file, as on a machine that runs it: this process, which measures, need not read it.
        let log = File::create(config.path().with_file_name("log")).unwrap();
        let gateway = Gateway::run_as(config, Command::new(gateway::program()), log);
        // With one thread, as the other processes need a core, too.
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let started = runtime.block_on(gateway.post("/admin/one/start", ""));
        assert_eq!(started.status, 200);
        Self {
            gateway,
            proxy: Proxy::start(fixture.port()),
            direct: format!("http://127.0.0.1:{}", fixture.port()),
            runtime,
            _fixture: fixture,
        }
    }

    /// The time of one request, if so many tasks send so many requests each.
    fn time_of(&self, client: &Http, (tasks, times): (u32, u32), ask: &Ask) -> Duration {
        let all = async {
            let mut running = JoinSet::new();
            for _ in 0..tasks {
                let (client, ask) = (client.clone(), ask.clone());
                running.spawn(async move {
                    for _ in 0..times {
                        ask.send(&client).await;
                    }
                });
            }
            running.join_all().await
        };
        let begun = now();
        self.runtime.block_on(all);
        since(begun) / (tasks * times)
    }

    fn row(&self, what: &str, load: (u32, u32), [direct, bare, ours]: [&Ask; 3]) -> Row {
        let client: Http = Client::builder(TokioExecutor::new()).build_http();
        let time_of = |ask| self.time_of(&client, load, ask);
        // The first requests make the connections.
        let _ = (time_of(direct), time_of(bare), time_of(ours));
        let direct = (0..PAIRS / 4).map(|_| time_of(direct)).min();
        let pairs = Pairs::measure(PAIRS, || time_of(bare), || time_of(ours));
        let (ratio, margin) = (pairs.ratio(), pairs.margin());
        let (ours, bare) = (time(pairs.ours.median()), time(pairs.bare.median()));
        let direct = time(direct.unwrap_or_default());
        Row::new(
            format!("{what}, {} at once; without: a bare proxy of axum", load.0),
            format!("×{ratio:.3} ± {margin:.3}: {ours} (with no proxy {direct})"),
            BUDGET,
            ratio <= 1.1,
        )
        .beside(bare)
    }

    fn stream(&self) -> Row {
        let client: Http = Client::builder(TokioExecutor::new()).build_http();
        let time_of = |url: &str| {
            let begun = now();
            let body = self.runtime.block_on(Ask::chat(url, true).send(&client));
            assert!(body.ends_with(b"[DONE]\n\n"));
            since(begun)
        };
        let (ours, bare) = (self.gateway.url(""), &self.proxy.url);
        let _ = (time_of(bare), time_of(&ours));
        let pairs = Pairs::measure(PAIRS / 5, || time_of(bare), || time_of(&ours));
        let (ratio, margin) = (pairs.ratio(), pairs.margin());
        Row::new(
            format!("an answer of {EVENTS} events; without: a bare proxy of axum"),
            format!("×{ratio:.3} ± {margin:.3}: {}", time(pairs.ours.median())),
            BUDGET,
            ratio <= 1.1,
        )
        .beside(time(pairs.bare.median()))
    }

    /// What each open stream costs.
    fn memory(&self) -> Row {
        let of = |pid: u32, ask: &Ask| {
            let before = resident(pid);
            let held = self.runtime.block_on(async {
                // A connection for each.
                let client: Http = Client::builder(TokioExecutor::new()).build_http();
                let mut open = Vec::new();
                for _ in 0..STREAMS {
                    open.push(ask.open(&client).await);
                }
                let held = resident(pid);
                drop(open);
                held
            });
            held.saturating_sub(before) / STREAMS as u64
        };
        let bare = of(
            self.proxy.child.id(),
            &Ask::hello(format!("{}/stall", self.proxy.url)),
        );
        let ours = of(
            self.gateway.pid(),
            &Ask::hello(self.gateway.url("/upstream/one/stall")),
        );
        Row::new(
            format!("memory of an open stream, one of {STREAMS}; without: a bare proxy of axum"),
            format!("{} KiB", ours / 1024),
            "≤ 64 KiB",
            ours <= 64 * 1024,
        )
        .beside(format!("{} KiB", bare / 1024))
    }
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

pub(crate) fn measure() -> Vec<Row> {
    if option_env!("CARGO_BIN_EXE_local-service-gateway").is_none() {
        let left_out = "left out: it needs `--features gateway`";
        return vec![Row::new(
            "a request through the gateway",
            left_out,
            BUDGET,
            true,
        )];
    }
    let ways = Ways::new(TOKENS);
    let (direct, bare) = (ways.direct.clone(), ways.proxy.url.clone());
    let hellos = [
        Ask::hello(format!("{direct}/hello")),
        Ask::hello(format!("{bare}/hello")),
        Ask::hello(ways.gateway.url("/upstream/one/hello")),
    ];
    let chats = [
        Ask::chat(&direct, false),
        Ask::chat(&bare, false),
        Ask::chat(&ways.gateway.url(""), false),
    ];
    let mut rows = Vec::new();
    for load in LOADS {
        rows.push(ways.row("a GET through the gateway", load, hellos.each_ref()));
        rows.push(ways.row("a chat through the gateway", load, chats.each_ref()));
    }
    rows.push(ways.memory());
    drop(ways);
    rows.push(Ways::new(EVENTS).stream());
    rows
}
