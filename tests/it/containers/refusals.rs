//! What makes a start of a container impossible: each a clear error at the earliest moment.

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixListener, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use socket2::{Domain, SockAddr, Socket, Type};
use tower_local_service::{Error, ErrorKind, docker::Container};

use super::{IMAGE, answer, containers, fails, service};
use crate::support::free_port;

/// A socket where an engine could listen.
struct FakeEngine {
    folder: PathBuf,
    listener: UnixListener,
}

impl FakeEngine {
    fn new(name: &str) -> Self {
        let folder = format!("tower-local-service-{name}-{}", std::process::id());
        let folder = env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let listener = UnixListener::bind(folder.join("engine.sock")).unwrap();
        Self { folder, listener }
    }

    fn socket(&self) -> String {
        self.folder.join("engine.sock").to_str().unwrap().to_owned()
    }

    fn container(&self) -> Container {
        Container::new(IMAGE).engine(self.socket())
    }

    /// Answers each request with 404, and says that its API has this version.
    fn answer_as(&self, version: &'static str) {
        let listener = self.listener.try_clone().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                drop(stream.read(&mut [0; 4096]));
                let answer = format!(
                    "HTTP/1.1 404 Not Found\r\napi-version: {version}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
                );
                drop(stream.write_all(answer.as_bytes()));
            }
        });
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn is_spawn(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::Spawn { .. }), "{error}");
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_an_error_that_says_so() {
    let engine = FakeEngine::new("old");
    engine.answer_as("1.24");
    let error = fails(&service(free_port(), engine.container())).await;
    is_spawn(&error);
    let shown = error.to_string();
    assert!(shown.contains("its API is version 1.24"), "{shown}");
    assert!(error.hint().contains("update Docker"), "{}", error.hint());
}

#[tokio::test]
async fn a_folder_to_mount_that_is_missing_is_found_before_anything_is_asked() {
    let engine = FakeEngine::new("mounts");
    let container = engine.container().mount("/nonexistent/models:/models:ro");
    let error = fails(&service(free_port(), container)).await;
    let ErrorKind::InvalidConfig { problems, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(problems[0].field, "container.mounts");
    let message = &problems[0].message;
    assert!(message.contains("/nonexistent/models"), "{message}");
    engine.listener.set_nonblocking(true).unwrap();
    let asked = engine.listener.accept();
    assert_eq!(asked.unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

// Elsewhere that address is not one of the loopback unless it is configured.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_base_url_at_which_the_port_is_not_published_is_an_error_that_says_so() {
    let engine = FakeEngine::new("published");
    let config = tower_local_service::LocalServiceConfig::launched_by(engine.container());
    let url = format!("http://127.0.0.2:{}/v1", free_port());
    let registry = tower_local_service::Registry::new();
    let service = registry.service("container", url, config).unwrap();
    let error = fails(&service).await;
    is_spawn(&error);
    let shown = error.to_string();
    assert!(shown.contains("published on 127.0.0.1 alone"), "{shown}");
    assert!(error.hint().contains("127.0.0.1 in `baseUrl`"), "{error:#}");
}

/// Run by the next test, as a user that may not use the socket.
#[tokio::test]
#[ignore = "run by another test"]
async fn plays_a_user_without_rights() {
    let Ok(socket) = env::var("ENGINE_WITHOUT_RIGHTS") else {
        return;
    };
    let container = Container::new(IMAGE).engine(socket);
    let error = fails(&service(free_port(), container)).await;
    is_spawn(&error);
    let (shown, hint) = (error.to_string(), error.hint());
    assert!(shown.contains("ermission denied"), "{shown}");
    assert!(hint.contains("let this user use the engine"), "{hint}");
}

#[test]
fn without_the_rights_for_the_socket_the_error_says_how_to_get_them() {
    let engine = FakeEngine::new("rights");
    let closed = fs::Permissions::from_mode(0o000);
    fs::set_permissions(engine.socket(), closed).unwrap();
    let name = "containers::refusals::plays_a_user_without_rights";
    let mut program = Command::new(env::current_exe().unwrap());
    program
        .args(["--ignored", "--exact", name])
        .env("ENGINE_WITHOUT_RIGHTS", engine.socket())
        .env("XDG_RUNTIME_DIR", &engine.folder);
    if rustix::process::geteuid().is_root() {
        // For root there are no rights: as `nobody`.
        program.uid(65534).gid(65534);
    }
    let output = match program.output() {
        // The checkout is in a folder that only root may enter.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return,
        output => output.unwrap(),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

/// Docker has nothing here that could give them, and Podman gives none through its API.
#[tokio::test]
#[ignore = "needs an engine"]
async fn gpus_that_an_engine_does_not_give_are_an_error_and_nothing_is_left() {
    let is_podman = answer("GET", "/version").contains("Podman");
    if !is_podman && Path::new("/dev/nvidiactl").exists() {
        return;
    }
    let port = free_port();
    let error = fails(&service(port, super::container(&[]).gpus())).await;
    is_spawn(&error);
    let (shown, hint) = (error.to_string(), error.hint());
    if is_podman {
        assert!(shown.contains("has left out the GPUs"), "{shown}");
        assert!(hint.contains("set `engine` to a Docker Engine"), "{hint}");
    } else {
        assert!(shown.contains("could not select device driver"), "{shown}");
        assert!(hint.contains("Container Toolkit"), "{hint}");
    }
    assert!(containers(port).is_empty());
}

/// It is bound, and does not listen: a look at it sees nothing.
#[tokio::test]
#[ignore = "needs an engine"]
async fn a_port_that_is_taken_is_an_error_and_the_container_is_removed() {
    let port = free_port();
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address: std::net::SocketAddr = ([127, 0, 0, 1], port).into();
    taken.bind(&SockAddr::from(address)).unwrap();
    let service = service(port, super::container(&[]));
    let error = fails(&service).await;
    is_spawn(&error);
    let hint = error.hint();
    assert!(
        hint.contains("another program or container has the port"),
        "{error:#}"
    );
    assert!(containers(port).is_empty());

    drop(taken);
    service.start().await.unwrap();
    service.stop().await.unwrap();
    assert!(containers(port).is_empty());
}
