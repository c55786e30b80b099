//! The engine is killed: an engine of the test's own, which the program `ENGINE_START` starts in a folder, with the image
//! of the file `ENGINE_IMAGE`.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use tokio::runtime::Handle;
use tower_local_service::{
    ErrorKind, LocalService, LocalServiceConfig, Phase, Registry, docker::Container,
};

use super::{IMAGE, url};
use crate::support::{Pid, ask, eventually, free_port, ms, signal, within};

struct Engine {
    folder: PathBuf,
    process: Child,
}

impl Engine {
    async fn start() -> Self {
        let folder = env::var("ENGINE_FOLDER").expect("where engines may have folders");
        let folder = PathBuf::from(folder).join(format!("killed-{}", free_port()));
        fs::create_dir(&folder).unwrap();
        let process = Self::spawn(&folder);
        let mut engine = Self { folder, process };
        engine.answers().await;
        engine.import();
        engine
    }

    fn spawn(folder: &Path) -> Child {
        let start = env::var("ENGINE_START").expect("the program that starts an engine");
        // Two engines of Docker with a bridge would give containers the same addresses.
        let mut command = Command::new(start);
        command.arg(folder).args(["--bridge", "none"]);
        command.stdin(Stdio::null()).spawn().unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("engine.sock")
    }

    fn pings(&self) -> bool {
        let asked = || {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(stream, "GET /_ping HTTP/1.0\r\nhost: engine\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text)
        };
        asked().is_ok_and(|it: String| it.contains("200 OK"))
    }

    /// Docker Engine fails once where it was killed, as its containerd runs.
    async fn answers(&mut self) {
        let begun = crate::support::now();
        while !self.pings() {
            assert!(crate::support::since(begun) < Duration::from_secs(60));
            if self.process.try_wait().unwrap().is_some() {
                self.process = Self::spawn(&self.folder);
            }
            tokio::time::sleep(ms(50)).await;
        }
    }

    fn import(&self) {
        let image = fs::read(env::var("ENGINE_IMAGE").unwrap()).unwrap();
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        write!(
            stream,
            "POST /images/create?fromSrc=-&repo={IMAGE}&changes=ENTRYPOINT%20%5B%22%2Ffixture%22%5D HTTP/1.0\r\n\
             host: engine\r\ncontent-type: application/x-tar\r\ncontent-length: {}\r\n\r\n",
            image.len()
        )
        .unwrap();
        stream.write_all(&image).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.contains(" 200 "), "{text}");
    }

    fn pid(&self) -> Pid {
        self.process.id()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    async fn start_again(&mut self) {
        self.process = Self::spawn(&self.folder);
        self.answers().await;
    }

    /// On the network of this machine, which needs nothing of the engine while it runs.
    fn service(&self, port: u16) -> LocalService {
        let args = "--host 127.0.0.1 --max-life 90000 --term-delay 1 --port";
        let container = Container::new(IMAGE)
            .args(args.split(' '))
            .args([port.to_string()])
            .host_network(true)
            .engine(self.socket().to_str().unwrap());
        let config = LocalServiceConfig::launched_by(container)
            .ready_timeout(Duration::from_secs(30))
            .stop_timeout(ms(500));
        let url = format!("http://127.0.0.1:{port}/v1");
        Registry::new().service("container", url, config).unwrap()
    }

    fn containers(&self) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        write!(
            stream,
            "GET /containers/json?all=1 HTTP/1.0\r\nhost: engine\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.trim().to_owned()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        signal(self.pid(), Signal::TERM);
        drop(self.process.wait());
        // That of a Docker Engine that was killed.
        let containerd = self.folder.join("run/containerd/containerd.pid");
        if let Ok(Ok(pid)) = fs::read_to_string(containerd).map(|it| it.trim().parse()) {
            signal(pid, Signal::TERM);
        }
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn an_engine_that_is_killed_under_a_start_fails_it_and_the_next_request_works() {
    let mut engine = Engine::start().await;
    let port = free_port();
    let service = engine.service(port);
    // It takes connections, and answers nothing.
    signal(engine.pid(), Signal::STOP);
    let asked = {
        let service = service.clone();
        Handle::current().spawn(async move { service.acquire().await })
    };
    eventually("it starts", || service.status().phase == Phase::Starting).await;
    engine.kill();
    let error = within("the error", asked).await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Spawn { .. }), "{error}");
    let shown = error.to_string();
    assert!(shown.contains("engine.sock cannot be asked"), "{shown}");
    assert!(error.hint().contains("start the engine"), "{error:#}");

    engine.start_again().await;
    assert_eq!(engine.containers(), "[]", "nothing is half done");
    let (_, hello) = ask(&service, &url(port, "/hello")).await.unwrap();
    assert_eq!(hello, "hello");
    within("the stop", service.stop()).await.unwrap();
    assert_eq!(engine.containers(), "[]");
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn an_engine_that_is_killed_under_a_request_ends_the_instance_and_the_next_request_works() {
    let mut engine = Engine::start().await;
    let port = free_port();
    let service = engine.service(port);
    let lease = within("ready", service.acquire()).await.unwrap();
    engine.kill();
    let ended = within("the end", lease.ended()).await;
    let shown = format!("{ended:#}");
    assert!(shown.contains("cannot be asked"), "{shown}");
    drop(lease);
    let error = within("the error", service.acquire()).await.unwrap_err();
    let shown = format!("{error:#}");
    assert!(shown.contains("engine.sock"), "{shown}");

    engine.start_again().await;
    let asked = async {
        // What the engine has left of it is being removed.
        while ask(&service, &url(port, "/hello")).await.is_err() {
            tokio::time::sleep(ms(50)).await;
        }
    };
    within("an answer", asked).await;
    within("the stop", service.stop()).await.unwrap();
    assert_eq!(engine.containers(), "[]");
}
