//! The page at `/`, in a real Chromium: `.ci/page` gets one, and runs these.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{
    Fixture, blocking_until, eventually, free_port,
    gateway::{ConfigFile, Gateway, chat_provider, file, provider},
    is_alive, within,
};

/// How `WebDriver` names an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A Chromium without a window, and the program that drives it.
struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    async fn open(url: &str) -> Self {
        let program = std::env::var("CHROMEDRIVER").expect("CHROMEDRIVER: see .ci/page");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let driver = Command::new(program)
            .arg(format!("--port={}", address.port()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver");
        assert!(blocking_until(|| TcpStream::connect(address).is_ok()));
        let mut browser = Self {
            driver,
            session: format!("http://{address}/session"),
        };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ];
        let options = json!({ "args": arguments });
        let wanted =
            json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let session = browser.post("", json!({ "capabilities": { "alwaysMatch": wanted } }));
        let id = session.await["sessionId"].as_str().unwrap().to_owned();
        browser.session = format!("http://{address}/session/{id}");
        browser.post("/url", json!({ "url": url })).await;
        browser
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.session))
            .header("content-type", "application/json")
            .body(Full::<hyper::body::Bytes>::from(body.to_string()))
            .unwrap();
        let answer = async {
            let answer = client.request(request).await.unwrap();
            answer.into_body().collect().await.unwrap().to_bytes()
        };
        let answer = within("an answer of the browser", answer).await;
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        let value = answer["value"].take();
        assert!(value.get("error").is_none(), "{path}: {value}");
        value
    }

    /// What the page computes.
    async fn eval(&self, script: &str) -> Value {
        let script = format!("return {script}");
        let body = json!({ "script": script, "args": [] });
        self.post("/execute/sync", body).await
    }

    /// What is written there; nothing if it is hidden.
    async fn text(&self, selector: &str) -> String {
        let script = format!(
            "(it => it?.checkVisibility() ? it.innerText : '')(document.querySelector({selector:?}))"
        );
        self.eval(&script).await.as_str().unwrap().to_owned()
    }

    /// Waits until that is written there.
    async fn until(&self, selector: &str, text: &str) -> String {
        let comes = async {
            loop {
                let now = self.text(selector).await;
                if now.contains(text) {
                    return now;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within(&format!("{text:?} in {selector}"), comes).await
    }

    async fn element(&self, selector: &str) -> String {
        let body = json!({ "using": "css selector", "value": selector });
        let element = self.post("/element", body).await;
        element[ELEMENT].as_str().unwrap().to_owned()
    }

    async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.post(&format!("/element/{element}/click"), json!({}))
            .await;
    }

    async fn enter(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        let body = json!({ "text": text });
        self.post(&format!("/element/{element}/value"), body).await;
    }

    /// Presses a key of the keyboard, wherever the focus is.
    async fn press(&self, key: &str) {
        let keys = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let actions = json!([{ "type": "key", "id": "keyboard", "actions": keys }]);
        self.post("/actions", json!({ "actions": actions })).await;
    }

    async fn devtools(&self, command: &str, params: Value) {
        let command = json!({ "cmd": command, "params": params });
        self.post("/goog/cdp/execute", command).await;
    }

    /// The bars in the timeline of each service, from left to right: what each is, and from where to where in an hour
    /// it is, in seconds. `before` is run first, and nothing comes between.
    async fn bars(&self, before: &str) -> BTreeMap<String, Vec<Bar>> {
        let script = "(() => {
            BEFORE;
            const bars = (strip) => [...strip.children].map((it) => {
                const { x, width } = it.getBBox();
                const { fill } = getComputedStyle(it);
                return { kind: it.getAttribute('class'), from: x, to: x + width, fill };
            });
            const strips = [...document.querySelectorAll('#strips svg')];
            return Object.fromEntries(strips.map((it) => [it.previousElementSibling.innerText, bars(it)]));
        })()";
        let bars = self.eval(&script.replace("BEFORE", before)).await;
        serde_json::from_value(bars).unwrap()
    }

    /// How bright the background and the text of the page are, of 255.
    async fn brightness(&self) -> (f64, f64) {
        let script = "['backgroundColor', 'color'].map((name) => {
            const colour = getComputedStyle(document.body.parentElement)[name];
            const [red, green, blue] = colour.match(/\\d+/g).map(Number);
            return (red + green + blue) / 3;
        })";
        serde_json::from_value(self.eval(script).await).unwrap()
    }

    /// What the page has written to the console.
    async fn console(&self) -> Vec<String> {
        let lines = self.post("/se/log", json!({ "type": "browser" })).await;
        let lines = lines.as_array().unwrap().iter();
        lines
            .map(|it| it["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Ends Chromium. Without being asked, its driver would leave it.
    fn close(&self) -> io::Result<usize> {
        let path = self.session.strip_prefix("http://").unwrap_or_default();
        let (host, path) = path.split_once('/').unwrap_or_default();
        let mut stream = TcpStream::connect(host)?;
        write!(stream, "DELETE /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n")?;
        stream.read(&mut [0; 1024])
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.close());
        let _ = kill_process(Pid::from_child(&self.driver), Signal::TERM);
        drop(self.driver.wait());
    }
}

/// A bar of a timeline.
#[derive(Debug, Deserialize)]
struct Bar {
    kind: String,
    from: f64,
    to: f64,
    fill: String,
}

impl Bar {
    /// Within some seconds: the page has a clock of its own, and a machine may be slow.
    fn is(&self, kind: &str, from: f64, to: f64) -> bool {
        let is_near = |one: f64, other: f64| (one - other).abs() < 30.0;
        self.kind == kind && is_near(self.from, from) && is_near(self.to, to)
    }
}

fn of(service: &str, selector: &str) -> String {
    format!("article[data-service={service}] {selector}")
}

#[tokio::test]
#[ignore = "needs CHROMEDRIVER"]
async fn the_page_shows_a_cold_start_a_log_a_stop_and_an_error_as_they_happen() {
    let good = Fixture::new()
        .with("--print-line", "loading the model")
        .with("--delay-bind", 1500);
    let bad = Fixture::new()
        .with("--print-line", "error: no such model")
        .flag("--exit-at-start");
    let gateway = Gateway::start(&json!({ "good": chat_provider(&good), "bad": provider(&bad) }));
    let page = Browser::open(&gateway.url("/")).await;
    page.until("#connection", "live").await;
    page.until(&of("good", ".phase"), "stopped").await;

    // A request of another program.
    let ask = json!({ "model": "good/m", "messages": [] });
    let (answer, ()) = tokio::join!(gateway.ask("/v1/chat/completions", &ask), async {
        page.until(&of("good", ".phase"), "loading for").await;
        page.until(&of("good", "dl"), "1 request waits").await;
    });
    assert_eq!(answer.status, 200);
    page.until(&of("good", ".phase"), "ready for").await;
    let facts = page.text(&of("good", "dl")).await;
    assert!(
        facts.contains(&good.base_url()) && facts.contains("MB"),
        "{facts}"
    );
    page.until("#events", "is ready after").await;

    page.click(&of("good", "summary")).await;
    page.until(&of("good", "pre[role=log]"), "loading the model")
        .await;
    good.get("/print?bytes=100").await.unwrap();
    page.until(&of("good", "pre[role=log]"), "....").await;

    let pid = good.starts()[0];
    page.click(&of("good", ".stop")).await;
    page.until(&of("good", ".phase"), "stopped").await;
    page.until("#events", "is stopped: asked").await;
    eventually("it is stopped", || !is_alive(pid)).await;

    page.click(&of("bad", ".start")).await;
    let error = page.until(&of("bad", ".error"), "no such model").await;
    assert!(
        error.contains("code 1") && error.lines().count() <= 3,
        "{error}"
    );
    page.until("#events li[data-kind=failed]", "code 1").await;
    assert_eq!(page.console().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs CHROMEDRIVER"]
async fn the_page_fits_a_telephone_and_is_used_by_keyboard() {
    let fixture = Fixture::new();
    let name = "a-provider-with-quite-a-long-name-of-its-own";
    let gateway = Gateway::start(&json!({ name: provider(&fixture) }));
    let page = Browser::open(&gateway.url("/")).await;
    page.until(&of(name, ".phase"), "stopped").await;
    let size = json!({ "width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": false });
    page.devtools("Emulation.setDeviceMetricsOverride", size)
        .await;
    let fits =
        "(it => innerWidth === 400 && it.scrollWidth <= it.clientWidth)(document.documentElement)";
    assert_eq!(page.eval(fits).await, true);

    let focused = "document.activeElement.getAttribute('aria-label') ?? ''";
    let start = format!("Start {name}");
    for _ in 0..10 {
        page.press("\u{e004}").await;
        if page.eval(focused).await == start {
            break;
        }
    }
    assert_eq!(page.eval(focused).await, start);
    page.press("\u{e007}").await;
    page.until(&of(name, ".phase"), "ready for").await;
    assert_eq!(page.eval(fits).await, true);
    page.click("#stop-all").await;
    page.until(&of(name, ".phase"), "stopped").await;
    assert_eq!(page.console().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs CHROMEDRIVER"]
async fn the_page_asks_for_a_key_and_follows_with_it() {
    let fixture = Fixture::new();
    let config = ConfigFile::new(file(&json!({ "one": provider(&fixture) })));
    let keys = config.path().with_file_name("keys");
    std::fs::write(&keys, "sk-the-only-key").unwrap();
    let gateway = Gateway::run(config, &["--api-key-file", keys.to_str().unwrap()]);
    let page = Browser::open(&gateway.url("/")).await;
    page.until("#connection", "a key is needed").await;
    page.enter("#key-value", "sk-another-key\u{e007}").await;
    page.until("#wrong", "does not know").await;
    page.enter("#key-value", "sk-the-only-key\u{e007}").await;
    page.until(&of("one", ".phase"), "stopped").await;
    assert_eq!(page.text("#key").await, "");
    page.click(&of("one", ".start")).await;
    page.until(&of("one", ".phase"), "ready for").await;
    page.until("#events", "is ready after").await;
    page.click(&of("one", "summary")).await;
    page.until(&of("one", "pre[role=log]"), "listening on")
        .await;
    // The two refusals, and nothing else.
    let console = page.console().await;
    assert!(
        console.len() == 2 && console.iter().all(|it| it.contains("401")),
        "{console:?}"
    );
}

#[tokio::test]
#[ignore = "needs CHROMEDRIVER"]
async fn the_page_shows_what_is_in_use_what_waits_for_it_and_when_it_stops() {
    let fixtures = [(); 2].map(|()| Fixture::new().with("--tokens", 1_000_000));
    let [mut one, mut two] = fixtures.each_ref().map(chat_provider);
    one["localService"]["needs"] = json!({ "gpu0": "18GiB" });
    one["localService"]["idleStopMs"] = json!(600_000);
    two["localService"]["needs"] = json!({ "gpu0": "20GiB" });
    let models =
        json!({ "resources": { "gpu0": "24GiB" }, "providers": { "one": one, "two": two } });
    let config = ConfigFile::new(json!({ "models": models }).to_string());
    let gateway = Gateway::run(config, &[]);
    let page = Browser::open(&gateway.url("/")).await;
    page.until("#resources", "0 of 24 GiB").await;

    let stream = |model: &str| json!({ "model": model, "stream": true });
    let answer = gateway.open("/v1/chat/completions", &stream("one/m")).await;
    page.until(&of("one", "dl"), "1 answer in progress").await;
    page.until("#resources", "18 GiB of 24 GiB · one 18 GiB")
        .await;
    assert_eq!(page.text(&of("one", ".waits")).await, "");
    assert!(!page.text(&of("one", "dl")).await.contains("stops in"));

    let ask = stream("two/m");
    tokio::select! {
        _ = gateway.open("/v1/chat/completions", &ask) => panic!("there is no room for it"),
        () = async {
            let waits = page.until(&of("two", ".waits"), "waits for").await;
            assert!(waits.contains("20 GiB of gpu0, which `one` has and uses"), "{waits}");
            assert_eq!(page.text(&of("two", ".phase")).await, "waits");
            page.until("#resources", "two waits for 20 GiB").await;
            page.until("#events li[data-kind=waiting]", "room").await;
            let bars = page.bars("").await;
            let [ref starting, ref ready] = bars["one"][..] else { panic!("{bars:?}") };
            assert!(starting.kind == "starting" && ready.is("ready", 3600.0, 3600.0), "{bars:?}");
            assert_ne!(starting.fill, ready.fill);
            let [ref waiting] = bars["two"][..] else { panic!("{bars:?}") };
            assert!(waiting.is("waiting", 3600.0, 3600.0), "{bars:?}");
        } => {}
    }
    // Its only client has hung up: the wait is over, and its bar moves on with the hour.
    page.until(&of("two", ".phase"), "stopped").await;
    assert_eq!(page.text(&of("two", ".waits")).await, "");
    let later = "Date.now = (now => () => now() + 20 * 60 * 1000)(Date.now); showPast()";
    let bars = page.bars(later).await;
    let [ref waited] = bars["two"][..] else {
        panic!("{bars:?}")
    };
    assert!(waited.is("waiting", 2400.0, 2400.0), "{bars:?}");

    drop(answer);
    let facts = page.until(&of("one", "dl"), "stops in").await;
    assert!(facts.contains("10 min, unless it is used"), "{facts}");
    assert!(!facts.contains("in progress"), "{facts}");
    assert_eq!(page.console().await, [""; 0]);
}

/// A bar: what it is, and from where to where in the hour.
type Expected = (&'static str, f64, f64);

/// What a service did how many minutes ago, how it is now, and its bars.
const TIMELINES: [(&str, &str, &[Expected]); 9] = [
    (
        "[['stopping', 10], ['stopped', 9]]",
        "{ phase: 'stopped' }",
        &[("ready", 0.0, 3000.0), ("stopping", 3000.0, 3060.0)],
    ),
    (
        "[['idle', 40], ['makingWay', 30], ['stopping', 20], ['stopped', 20], ['starting', 10], ['failed', 5]]",
        "{ phase: 'failed' }",
        &[
            ("ready", 0.0, 2400.0),
            ("stopping", 2400.0, 2400.0),
            ("starting", 3000.0, 3300.0),
            ("failed", 3300.0, 3300.0),
        ],
    ),
    (
        "[['released', 15]]",
        "{ phase: 'stopped' }",
        &[("ready", 0.0, 2700.0)],
    ),
    (
        "[['idle', 15]]",
        "{ phase: 'ready', upForMs: 90 * 60_000 }",
        &[("ready", 0.0, 3600.0)],
    ),
    (
        "[]",
        "{ phase: 'ready', upForMs: 90 * 60_000 }",
        &[("ready", 0.0, 3600.0)],
    ),
    (
        "[['waiting', 40]]",
        "{ phase: 'stopped' }",
        &[("waiting", 1200.0, 1200.0)],
    ),
    (
        "[['waiting', 40]]",
        "{ phase: 'starting' }",
        &[("waiting", 1200.0, 3600.0)],
    ),
    (
        "[['starting', 40], ['ready', 30]]",
        "{ phase: 'ready' }",
        &[("starting", 1200.0, 1800.0), ("ready", 1800.0, 3600.0)],
    ),
    ("[]", "{ phase: 'stopped' }", &[]),
];

#[tokio::test]
#[ignore = "needs CHROMEDRIVER"]
async fn the_timeline_has_what_began_before_the_hour_and_ends_a_wait_that_was_given_up() {
    let gateway = Gateway::start(&json!({}));
    let page = Browser::open(&gateway.url("/")).await;
    page.until("#connection", "live").await;
    for (events, status, expected) in TIMELINES {
        let before = format!(
            "services = {{ one: {status} }};
            past.length = 0;
            for (const [kind, minutes] of {events})
                past.push({{ service: 'one', kind, instance: 1, missed: 0, atMs: Date.now() - minutes * 60_000 }});
            showPast()"
        );
        let bars = page.bars(&before).await;
        let bars = &bars["one"];
        let mut pairs = bars.iter().zip(expected);
        let all_are = pairs.all(|(bar, (kind, from, to))| bar.is(kind, *from, *to));
        assert!(
            bars.len() == expected.len() && all_are,
            "{events} is shown as {bars:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs CHROMEDRIVER"]
async fn the_page_is_dark_for_those_who_want_that() {
    let gateway = Gateway::start(&json!({}));
    let page = Browser::open(&gateway.url("/")).await;
    page.until("#connection", "live").await;
    for (wanted, is_dark) in [("light", false), ("dark", true)] {
        let features = json!([{ "name": "prefers-color-scheme", "value": wanted }]);
        let media = json!({ "features": features });
        page.devtools("Emulation.setEmulatedMedia", media).await;
        let (background, text) = page.brightness().await;
        assert_eq!(background < text, is_dark, "{wanted}: {background}, {text}");
        // It can be read.
        assert!((background - text).abs() > 128.0, "{background}, {text}");
    }
}

/// What a browser is allowed, without one.
#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_needs_no_key() {
    let config = ConfigFile::new("{}");
    let keys = config.path().with_file_name("keys");
    std::fs::write(&keys, "sk-the-only-key").unwrap();
    let gateway = Gateway::run(config, &["--api-key-file", keys.to_str().unwrap()]);
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
    ] {
        let reply = gateway.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(
            reply.header("content-type").unwrap().starts_with(kind),
            "{path}"
        );
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let others = reply.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!others.contains("://"), "{path} names another host");
        for inline in ["<style", " style=", " onclick=", "<script>"] {
            assert!(!reply.body.contains(inline), "{path} has {inline}");
        }
    }
    assert_eq!(gateway.get("/admin/status").await.status, 401);
}
