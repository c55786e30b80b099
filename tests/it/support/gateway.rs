//! The program `local-service-gateway`, as its users run it, and its clients.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{self, Client},
    rt::TokioExecutor,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Fixture, PROGRAM, blocking_until, free_port, signal, within};

pub(crate) fn program() -> &'static str {
    // The packages that share this module have no gateway.
    let built = option_env!("CARGO_BIN_EXE_local-service-gateway");
    built.expect("the feature `gateway`")
}

/// A file with these providers, in a folder of its own.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    folder: PathBuf,
}

impl ConfigFile {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, next) = (std::process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = env::temp_dir().join(format!("local-service-gateway-{process}-{next}"));
        fs::create_dir_all(&folder).expect("a folder for the test");
        let file = Self { folder };
        file.write(text);
        file
    }

    pub(crate) fn write(&self, text: impl AsRef<str>) {
        fs::write(self.path(), text.as_ref()).expect("a file for the test");
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("config.json5")
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// The text of a file with these providers.
pub(crate) fn file(providers: &Value) -> String {
    json!({ "models": { "providers": providers } }).to_string()
}

/// A provider whose server is that fixture, with all of its paths under `/v1`.
pub(crate) fn provider(fixture: &Fixture) -> Value {
    json!({
        "baseUrl": fixture.url(""),
        "models": [{ "id": "tiny" }],
        "localService": {
            "command": PROGRAM,
            "args": fixture.args(),
            "healthUrl": fixture.url("/v1/models"),
        },
    })
}

/// The same with its API alone: its chats are under `/v1`.
pub(crate) fn chat_provider(fixture: &Fixture) -> Value {
    let mut provider = provider(fixture);
    provider["baseUrl"] = json!(fixture.base_url());
    provider
}

/// A gateway that runs. Declare it behind the fixtures that it starts: what it started ends with it.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    address: SocketAddr,
    file: ConfigFile,
    log: Arc<Mutex<String>>,
    client: Client<legacy::connect::HttpConnector, Full<Bytes>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The status and the code of an error in `OpenAI`'s shape.
    #[track_caller]
    pub(crate) fn failure(&self) -> (u16, String) {
        let error = &self.json()["error"];
        for field in ["message", "type", "code"] {
            let is_there = error[field].as_str().is_some_and(|it| !it.is_empty());
            assert!(is_there, "no {field}: {self:?}");
        }
        let code = error["code"].as_str().expect("it is there");
        (self.status.as_u16(), code.to_owned())
    }
}

impl Gateway {
    pub(crate) fn start(providers: &Value) -> Self {
        Self::start_with(providers, &[])
    }

    pub(crate) fn start_with(providers: &Value, args: &[&str]) -> Self {
        Self::run(ConfigFile::new(file(providers)), args)
    }

    /// Runs until it listens.
    pub(crate) fn run(file: ConfigFile, args: &[&str]) -> Self {
        Self::run_with_log(file, args, None)
    }

    /// Runs until it listens, with that selected of its log.
    pub(crate) fn run_with_log(file: ConfigFile, args: &[&str], selected: Option<&str>) -> Self {
        let mut child = Command::new(program())
            .arg("--config")
            .arg(file.path())
            .args(if args.contains(&"--listen") {
                &[][..]
            } else {
                &["--listen", "127.0.0.1:0"]
            })
            .args(args)
            .env_remove("RUST_LOG")
            .envs(selected.map(|it| ("RUST_LOG", it)))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway");
        let log = Arc::new(Mutex::new(String::new()));
        follow(child.stderr.take().expect("its log"), &log);
        let mut address = None;
        let listens = blocking_until(|| {
            let log = log.lock().unwrap_or_else(PoisonError::into_inner);
            address = log.split_once("listening on http://").and_then(|(_, it)| {
                let (address, _) = it.split_once("/v1\n")?;
                address.parse().ok()
            });
            address.is_some()
        });
        assert!(listens, "it never listened: {log:?}");
        Self::of(child, address.expect("its address"), file, log)
    }

    /// Runs this command, the program or what starts it, with its log there and not in `log()`.
    pub(crate) fn run_as(file: ConfigFile, mut command: Command, stderr: impl Into<Stdio>) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let child = command
            .arg("--config")
            .arg(file.path())
            .args(["--listen", &address.to_string()])
            .stderr(stderr)
            .spawn()
            .expect("the gateway");
        let listens = blocking_until(|| TcpStream::connect(address).is_ok());
        assert!(listens, "it never listened");
        Self::of(child, address, file, Arc::default())
    }

    fn of(child: Child, address: SocketAddr, file: ConfigFile, log: Arc<Mutex<String>>) -> Self {
        // A connection for each request: a test that ends a connection ends no other's.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build_http();
        Self {
            child,
            address,
            file,
            log,
            client,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn file(&self) -> &ConfigFile {
        &self.file
    }

    pub(crate) fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a request, and waits for the head of its answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let sent = self.client.request(request);
        within("the head of an answer", sent).await.expect("a head")
    }

    pub(crate) async fn open(&self, path: &str, body: &Value) -> Response<Incoming> {
        let request = Request::post(self.url(path)).body(Full::from(body.to_string()));
        self.send(request.expect("a request")).await
    }

    pub(crate) async fn reply_to(&self, request: Request<Full<Bytes>>) -> Reply {
        let (head, body) = self.send(request).await.into_parts();
        Reply {
            status: head.status,
            headers: head.headers,
            body: all(body).await.expect("a whole body"),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        let request = Request::post(self.url(path)).body(Full::new(body.into()));
        self.reply_to(request.expect("a request")).await
    }

    pub(crate) async fn ask(&self, path: &str, body: &Value) -> Reply {
        self.post(path, body.to_string()).await
    }

    /// What is sent for a GET, from its beginning.
    pub(crate) async fn follow(&self, path: &str, headers: &[(&str, &str)]) -> Incoming {
        let mut request = Request::get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).expect("a request");
        let response = self.send(request).await;
        assert_eq!(response.status(), 200, "{path}");
        response.into_body()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        let request = Request::builder().method(Method::GET).uri(self.url(path));
        let request = request.body(Full::default());
        self.reply_to(request.expect("a request")).await
    }

    /// What it says of a provider.
    pub(crate) async fn status(&self, provider: &str) -> Value {
        self.get("/admin/status").await.json()["providers"][provider].clone()
    }

    /// Waits until it says that of a provider.
    pub(crate) async fn until(&self, provider: &str, is: impl Fn(&Value) -> bool) -> Value {
        let comes = async {
            loop {
                let status = self.status(provider).await;
                if is(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        within("the status of a provider", comes).await
    }

    pub(crate) fn signal(&self, it: Signal) {
        signal(self.child.id(), it);
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = blocking_until(|| {
            status = self.child.try_wait().expect("a child of the test");
            status.is_some()
        });
        assert!(ended, "it does not end: {}", self.log());
        status.expect("its status")
    }
}

impl Drop for Gateway {
    /// The servers that it has started are ended by their watchdogs.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A server of the test that reads each request to its end, or only its head, and does that with it and its
/// connection. It listens until the test ends.
pub(crate) fn server(
    reads_bodies: bool,
    answer: impl Fn(String, &mut TcpStream) + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || {
                if let Some(request) = request(&mut stream, reads_bodies) {
                    answer(request, &mut stream);
                }
            });
        }
    });
    address
}

fn request(stream: &mut TcpStream, with_body: bool) -> Option<String> {
    let mut read = Vec::new();
    let mut next = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase();
            let length = length.split_once("content-length: ").map_or(0, |(_, it)| {
                let digits = it.split("\r\n").next().unwrap_or_default();
                digits.parse().expect("a length")
            });
            if !with_body || body.len() >= length {
                return Some(text);
            }
        }
        match stream.read(&mut next) {
            Ok(length @ 1..) => read.extend(&next[..length]),
            _ => return None,
        }
    }
}

/// Sends a whole answer of that kind, and closes.
pub(crate) fn answer(stream: &mut TcpStream, status: &str, kind: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    // In one piece: what waits for its turn is lost if the request is not read to its end. Who has asked may
    // have gone.
    drop(stream.write_all((head + body).as_bytes()));
}

/// Reads a body until it has that text, and returns what was read.
pub(crate) async fn read_until(body: &mut Incoming, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let frame = within("more of a body", body.frame()).await;
        let frame = frame.unwrap_or_else(|| panic!("it has ended: {read}"));
        let data = frame.expect("it does not break off").into_data();
        read += &String::from_utf8_lossy(&data.expect("data"));
    }
    read
}

/// Reads a body to its end.
pub(crate) async fn all(body: Incoming) -> Result<String, hyper::Error> {
    let body = within("the end of a body", body.collect()).await?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

fn follow(stderr: std::process::ChildStderr, log: &Arc<Mutex<String>>) {
    let log = log.clone();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
}
