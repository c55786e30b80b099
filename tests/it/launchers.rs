//! L1: a launcher of the user's own, here one whose servers are threads of this program. What the crate promises of
//! processes holds for it, too.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};
use tower_local_service::{
    ErrorKind, Guarantees, Launcher, LocalService, LocalServiceConfig, OutputStream, Ownership,
    Phase, Problem, Registry, Running,
    launch::{BoxFuture, Exit, LaunchContext, LaunchError, LaunchIdentity},
};

use crate::support::{ask, eventually, free_port, ms, within};

/// What happened to all servers of one launcher.
#[derive(Default)]
struct Seen {
    starts: AtomicUsize,
    stops: AtomicUsize,
    /// Ends the last server.
    last: Mutex<Option<watch::Sender<Option<i32>>>>,
}

/// Starts threads that answer everything with 200.
#[derive(Clone, Default)]
struct Threads {
    seen: Arc<Seen>,
    name: &'static str,
    problem: Option<&'static str>,
    failure: Option<&'static str>,
    /// This system has no threads.
    is_unsupported: bool,
    /// It answers nothing, and ends with this code.
    exits: Option<i32>,
    deaf: bool,
}

impl Threads {
    fn service(&self, port: u16) -> LocalService {
        self.configured(port, |config| config)
    }

    fn configured(
        &self,
        port: u16,
        change: impl FnOnce(LocalServiceConfig) -> LocalServiceConfig,
    ) -> LocalService {
        let config = LocalServiceConfig::launched_by(self.clone()).stop_timeout(ms(400));
        let url = format!("http://127.0.0.1:{port}/v1");
        let service = Registry::new().service("thread", url, change(config));
        service.expect("a configuration that works")
    }
}

impl Launcher for Threads {
    fn identity(&self) -> LaunchIdentity {
        LaunchIdentity::new("threads of a test").part(self.name)
    }

    fn problems(&self, service: &str) -> Vec<Problem> {
        let problem = self.problem.map(|it| Problem::new(service, "thread", it));
        problem.into_iter().collect()
    }

    fn launch(
        &self,
        context: LaunchContext,
    ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>> {
        let threads = self.clone();
        Box::pin(async move {
            threads.seen.starts.fetch_add(1, Relaxed);
            if let Some(failure) = threads.failure {
                let error = LaunchError::new("the thread", io::Error::other(failure));
                return Err(error.hint("ask for fewer threads"));
            }
            if threads.is_unsupported {
                let error = io::Error::new(io::ErrorKind::Unsupported, "no threads here");
                return Err(LaunchError::new("the thread", error));
            }
            let output = context.output();
            output
                .write(OutputStream::Stdout, b"the key is sk-12345678\n")
                .await;
            let running = Thread::start(context.port(), &threads)?;
            Ok(Box::new(running) as Box<dyn Running>)
        })
    }

    fn guarantees(&self) -> Guarantees {
        let mut guarantees = Guarantees::default();
        guarantees.dies_with_program = true;
        guarantees
    }

    fn secrets(&self) -> Vec<String> {
        vec!["sk-12345678".to_owned()]
    }
}

struct Thread {
    seen: Arc<Seen>,
    deaf: bool,
    port: u16,
    ends: watch::Sender<Option<i32>>,
}

impl Thread {
    fn start(port: u16, threads: &Threads) -> Result<Self, LaunchError> {
        let (ends, _) = watch::channel(threads.exits);
        if threads.exits.is_none() {
            let failed = |error| LaunchError::new("the thread", error);
            let listener = TcpListener::bind(("127.0.0.1", port)).map_err(failed)?;
            let end = ends.clone();
            thread::spawn(move || serve(&listener, || end.borrow().is_some()));
        }
        *threads.seen.last.lock().unwrap() = Some(ends.clone());
        Ok(Self {
            seen: threads.seen.clone(),
            deaf: threads.deaf,
            port,
            ends,
        })
    }

    fn end(&self, code: i32) {
        self.ends.send_replace(Some(code));
        // The thread waits for a connection.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn serve(listener: &TcpListener, is_over: impl Fn() -> bool) {
    while let Ok((stream, _)) = listener.accept() {
        if is_over() {
            break;
        }
        drop(answer(&stream));
    }
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream).lines();
    while lines.next().transpose()?.is_some_and(|it| !it.is_empty()) {}
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
}

impl Running for Thread {
    fn id(&self) -> Option<u32> {
        None
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        let mut ends = self.ends.subscribe();
        Box::pin(async move {
            let ended = ends.wait_for(Option::is_some).await;
            Exit::with_code(ended.unwrap().unwrap_or_default())
        })
    }

    fn gone(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn is_alive(&mut self) -> bool {
        self.ends.borrow().is_none()
    }

    fn stop(&mut self) {
        self.seen.stops.fetch_add(1, Relaxed);
        if !self.deaf {
            self.end(0);
        }
    }

    fn kill(&mut self) {
        self.end(137);
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.end(137);
    }
}

#[tokio::test]
async fn many_requests_start_one_server_which_stops_when_it_is_idle() {
    let (threads, port) = (Threads::default(), free_port());
    let service = threads.configured(port, |config| config.idle_stop(ms(300)));
    let url = format!("http://127.0.0.1:{port}/hello");
    let mut asked = JoinSet::new();
    for _ in 0..50 {
        let (service, url) = (service.clone(), url.clone());
        asked.spawn(async move { ask(&service, &url).await.unwrap().1 });
    }
    for answer in within("the answers", asked.join_all()).await {
        assert_eq!(answer, "ok");
    }
    assert_eq!(threads.seen.starts.load(Relaxed), 1);
    let status = service.status();
    assert_eq!((status.pid, status.starts), (None, 1));
    eventually("stopped", || service.status().phase == Phase::Stopped).await;
    assert_eq!(threads.seen.stops.load(Relaxed), 1);
    // The port is free, and the next request finds another server.
    assert_eq!(ask(&service, &url).await.unwrap().1, "ok");
    assert_eq!(threads.seen.starts.load(Relaxed), 2);
}

#[tokio::test]
async fn what_a_launcher_guarantees_is_in_the_status_while_its_server_runs() {
    let threads = Threads::default();
    let service = threads.service(free_port());
    assert_eq!(service.status().guarantees, None);
    let lease = service.acquire().await.unwrap();
    let guarantees = service.status().guarantees.expect("it runs");
    assert!(guarantees.dies_with_program);
    assert!(!guarantees.finds_descendants && !guarantees.has_grace);
    let of_machine = Registry::global().guarantees();
    assert_eq!(guarantees.shares_servers, of_machine.shares_servers);
    assert_eq!(guarantees.sees_use, of_machine.sees_use);
    drop(lease);
    within("the stop", service.stop()).await.unwrap();
    assert_eq!(service.status().guarantees, None);
}

#[tokio::test]
async fn what_its_server_writes_is_shown_without_the_secrets_of_the_launcher() {
    let service = Threads::default().service(free_port());
    drop(service.acquire().await.unwrap());
    let line = within("a line", service.output().next()).await;
    assert_eq!(line.text, "the key is [redacted]");
}

#[tokio::test]
async fn a_server_that_ends_before_it_is_ready_fails_the_start_with_its_code_and_output() {
    let threads = Threads {
        exits: Some(3),
        ..Threads::default()
    };
    let service = threads.service(free_port());
    let error = within("the error", service.acquire()).await.unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::Exited { code: Some(3), .. }
    ));
    assert_eq!(error.output_tail(), Some("the key is [redacted]\n"));
}

#[tokio::test]
async fn a_launch_that_fails_says_why_and_what_to_do() {
    let threads = Threads {
        failure: Some("no thread left"),
        ..Threads::default()
    };
    let service = threads.service(free_port());
    let error = within("the error", service.acquire()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Spawn { .. }), "{error}");
    assert!(error.to_string().contains("the thread: no thread left"));
    assert_eq!(error.hint(), "ask for fewer threads");
}

#[tokio::test]
async fn what_this_system_cannot_launch_says_so_each_time_and_a_server_that_runs_is_used() {
    let threads = Threads {
        is_unsupported: true,
        ..Threads::default()
    };
    let port = free_port();
    let service = threads.service(port);
    // No pause follows: another try would find out nothing else, and a server may have been started by then.
    for _ in 0..5 {
        let error = within("the error", service.acquire()).await.unwrap_err();
        let ErrorKind::Unsupported { reason, .. } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(reason, "the thread: no threads here");
        assert_eq!(error.status_code(), 501);
        assert_eq!(error.retry_after(), None);
        assert!(error.hint().contains("start the server yourself"));
    }
    assert_eq!(threads.seen.starts.load(Relaxed), 5);
    assert_eq!(service.status().starts, 0);

    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || serve(&listener, || false));
    let url = format!("http://127.0.0.1:{port}/hello");
    assert_eq!(ask(&service, &url).await.unwrap().1, "ok");
    let ownership = service.status().ownership;
    assert!(
        matches!(ownership, Some(Ownership::External { .. })),
        "{ownership:?}"
    );
    assert_eq!(threads.seen.starts.load(Relaxed), 5);
}

#[tokio::test]
async fn a_problem_that_is_known_before_refuses_the_start() {
    let threads = Threads {
        problem: Some("is not spun: spin it"),
        ..Threads::default()
    };
    let service = threads.service(free_port());
    let error = within("the error", service.acquire()).await.unwrap_err();
    let ErrorKind::InvalidConfig { problems, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(
        problems[0].to_string(),
        "`thread`: `thread` is not spun: spin it"
    );
    assert_eq!(threads.seen.starts.load(Relaxed), 0);
}

#[tokio::test]
async fn a_server_that_does_not_heed_a_stop_is_killed() {
    let threads = Threads {
        deaf: true,
        ..Threads::default()
    };
    let service = threads.service(free_port());
    drop(service.acquire().await.unwrap());
    within("the stop", service.stop()).await.unwrap();
    assert_eq!(threads.seen.stops.load(Relaxed), 2);
}

#[tokio::test]
async fn a_server_that_ends_under_a_lease_is_started_again_for_the_next_request() {
    let (threads, port) = (Threads::default(), free_port());
    let service = threads.service(port);
    let lease = service.acquire().await.unwrap();
    let ends = threads.seen.last.lock().unwrap().clone().unwrap();
    ends.send_replace(Some(5));
    drop(TcpStream::connect(("127.0.0.1", port)));
    let ended = within("its end", lease.ended()).await;
    assert!(matches!(
        ended.kind(),
        ErrorKind::Exited { code: Some(5), .. }
    ));
    drop(lease);
    let url = format!("http://127.0.0.1:{port}/hello");
    assert_eq!(ask(&service, &url).await.unwrap().1, "ok");
    assert_eq!(threads.seen.starts.load(Relaxed), 2);
}

#[tokio::test]
async fn launchers_with_the_same_identity_at_one_address_have_one_server() {
    let (one, other) = (Threads::default(), Threads::default());
    let port = free_port();
    let (first, second) = (one.service(port), other.service(port));
    let leases = (
        first.acquire().await.unwrap(),
        second.acquire().await.unwrap(),
    );
    let starts = [&one, &other].map(|it| it.seen.starts.load(Relaxed));
    assert_eq!(starts.iter().sum::<usize>(), 1);
    assert_eq!(leases.0.instance(), leases.1.instance());
    drop(leases);

    // Another identity at the address takes its turn.
    let another = Threads {
        name: "another",
        ..Threads::default()
    };
    let third = another.service(port);
    drop(within("the swap", third.acquire()).await.unwrap());
    assert_eq!(another.seen.starts.load(Relaxed), 1);
}

#[test]
fn what_says_how_a_process_is_started_is_refused_beside_a_launcher() {
    let config = LocalServiceConfig::launched_by(Threads::default())
        .arg("--port")
        .env("A", "b")
        .stop_signal("INT");
    let url = "http://127.0.0.1:8080/v1";
    let error = Registry::new().service("thread", url, config).unwrap_err();
    let ErrorKind::InvalidConfig { problems, .. } = error.kind() else {
        panic!("{error}");
    };
    let fields: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(fields, ["args", "env", "stopSignal"]);
}
