//! What a container of the crate takes longer than one of `docker run`, and what it asks of the engine: `.ci/engines bench`.

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tower_local_service::{LocalService, LocalServiceConfig, Registry, docker::Container};

use crate::{
    row::{Row, time},
    sample::Sample,
    support::{block_on, free_port, ms, now, since},
};

const IMAGE: &str = "tls-fixture:1";
/// It ends at SIGTERM.
const ARGS: [&str; 8] = [
    "--host",
    "0.0.0.0",
    "--port",
    "8080",
    "--max-life",
    "90000",
    "--term-delay",
    "1",
];
const PAIRS: usize = 10;
const LEASES: usize = 100_000;

pub(crate) fn measure() -> Vec<Row> {
    let Ok(engine) = env::var("ENGINE") else {
        eprintln!("left out: `ENGINE` names no socket of an engine");
        return Vec::new();
    };
    let mut rows = times(Path::new(&engine));
    rows.extend(requests(Path::new(&engine)));
    rows
}

fn service(engine: &Path, port: u16) -> LocalService {
    let container = Container::new(IMAGE)
        .args(ARGS)
        .port(8080)
        .engine(engine.to_str().expect("a name"));
    let config = LocalServiceConfig::launched_by(container);
    let url = format!("http://127.0.0.1:{port}/v1");
    Registry::new()
        .service("container", url, config)
        .expect("a configuration that works")
}

/// Start and stop, by turns with and without the crate.
fn times(engine: &Path) -> Vec<Row> {
    let (mut ours, mut bare) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..PAIRS {
        let port = free_port();
        let service = service(engine, port);
        let pair = (by_the_crate(&service), by_the_client(engine, port));
        for (times, took) in [(&mut ours, pair.0), (&mut bare, pair.1)] {
            times[0].push(took.0);
            times[1].push(took.1);
        }
    }
    let medians = |times: [Vec<Duration>; 2]| times.map(|it| Sample::new(it).median());
    let ([start, stop], [run, rm]) = (medians(ours), medians(bare));
    let row = |what: &str, ours: Duration, bare: Duration| {
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        let measured = format!("{}, ×{ratio:.2}", time(ours));
        Row::new(what, measured, "≤ ×1.1", ratio <= 1.1).beside(time(bare))
    };
    vec![
        row(
            "a container: request to ready, p50 of 10; without: `docker run --detach` and a request each millisecond",
            start,
            run,
        ),
        row(
            "a container: stop to removed, p50 of 10; without: `docker stop` and `docker rm`",
            stop,
            rm,
        ),
    ]
}

fn by_the_crate(service: &LocalService) -> (Duration, Duration) {
    let begun = now();
    drop(block_on(service.acquire()).expect("it starts"));
    let start = since(begun);
    let begun = now();
    block_on(service.stop()).expect("it stops");
    (start, since(begun))
}

fn by_the_client(engine: &Path, port: u16) -> (Duration, Duration) {
    let name = format!("bare-{port}");
    let published = format!("127.0.0.1:{port}:8080");
    let run = [
        "run",
        "--detach",
        "--name",
        &name,
        "--publish",
        &published,
        IMAGE,
    ];
    let begun = now();
    docker(engine, run.into_iter().chain(ARGS));
    while !answers(port) {
        thread::sleep(ms(1));
    }
    let start = since(begun);
    let begun = now();
    docker(engine, ["stop", &name]);
    docker(engine, ["rm", "--volumes", &name]);
    (start, since(begun))
}

fn docker<'a>(engine: &Path, args: impl IntoIterator<Item = &'a str>) {
    let mut command = Command::new("docker");
    command
        .arg("--host")
        .arg(format!("unix://{}", engine.display()));
    let status = command.args(args).stdout(Stdio::null()).status();
    assert!(status.expect("the client of Docker").success());
}

fn answers(port: u16) -> bool {
    let asked = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(b"GET /v1/models HTTP/1.0\r\nhost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok::<_, io::Error>(text.contains(" 200 "))
    };
    asked().unwrap_or(false)
}

/// What is asked of the engine: each request has a connection of its own.
fn requests(engine: &Path) -> Vec<Row> {
    let proxy = Proxy::before(engine);
    let service = service(&proxy.socket, free_port());
    let lease = block_on(service.acquire()).expect("it starts");
    let start = proxy.taken();
    for _ in 0..LEASES {
        drop(service.try_acquire().expect("it is ready"));
    }
    let warm = proxy.taken();
    drop(lease);
    block_on(service.stop()).expect("it stops");
    let stop = proxy.taken();
    vec![
        Row::new(
            "requests to the engine for a start",
            start,
            "≤ 6",
            start <= 6,
        ),
        Row::new(
            format!("requests to the engine while {LEASES} leases are taken and given back"),
            warm,
            "0",
            warm == 0,
        ),
        Row::new("requests to the engine for a stop", stop, "≤ 4", stop <= 4),
    ]
}

/// Passes connections on to the engine, and counts them.
struct Proxy {
    socket: PathBuf,
    count: Arc<AtomicUsize>,
}

impl Proxy {
    fn before(engine: &Path) -> Self {
        let name = format!("tls-bench-{}.sock", std::process::id());
        let socket = env::temp_dir().join(name);
        let listener = UnixListener::bind(&socket).expect("a socket");
        let count = Arc::new(AtomicUsize::new(0));
        let (engine, counted) = (engine.to_owned(), count.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Relaxed);
                let client = stream.expect("a connection");
                let server = UnixStream::connect(&engine).expect("the engine");
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server, client),
                ] {
                    thread::spawn(move || {
                        drop(io::copy(&mut from, &mut to));
                        drop(to.shutdown(Shutdown::Both));
                    });
                }
            }
        });
        Self { socket, count }
    }

    /// How many there were since the last call.
    fn taken(&self) -> usize {
        // The last one may be under way.
        thread::sleep(ms(200));
        self.count.swap(0, Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.socket));
    }
}
