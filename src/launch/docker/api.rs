//! The engine's API: what is needed of it, over a connection of its own for each request.

use std::{
    env, fmt,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use http::{
    Method, Request, StatusCode,
    header::{CONTENT_TYPE, HOST},
};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::timeout;

use super::{lifeline, socket};

/// How long the engine may take for a request that does not wait for a container.
const LIMIT: Duration = Duration::from_secs(30);
/// The oldest version of the API that has all that a container may be given: an older one leaves out GPUs, and says nothing.
const OLDEST: (u32, u32) = (1, 40);
/// The label with the process that ends a container together with its program.
pub(super) const WATCHDOG_LABEL: &str = "tower-local-service.watchdog";
/// No answer that is read as a whole is longer.
const LONGEST: usize = 1 << 20;

/// An engine, by its socket.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    socket: PathBuf,
}

/// What went wrong with a request.
#[derive(Debug)]
pub(super) enum ApiError {
    /// There is no connection to the engine, or it broke.
    Connection { socket: PathBuf, error: String },
    /// The engine has left the GPUs out of the container that it made. Podman does, and says nothing.
    GpusLeftOut,
    /// The watchdog of a program that has ended still has the container.
    Held { watchdog: String },
    /// The engine knows less than this crate asks for.
    TooOld { version: String },
    /// The engine refused.
    Refused { status: StatusCode, message: String },
}

impl ApiError {
    /// What to do next, as far as that is known.
    pub(super) fn hint(&self, image: &str) -> Option<String> {
        match self {
            Self::Connection { socket, error } if error.contains("ermission") => Some(format!(
                "let this user use the engine: add it to the group of {}, or use a rootless engine",
                socket.display()
            )),
            Self::Connection { .. } => Some("start the engine, or set `engine` to its socket".to_owned()),
            Self::Refused { status, message }
                if *status == StatusCode::NOT_FOUND && message.contains("mage") =>
            {
                Some(format!("get the image: `docker pull {image}`"))
            }
            Self::Refused { message, .. }
                if message.contains("already in use") || message.contains("already allocated") =>
            {
                Some("another program or container has the port: end that, or give the service a port of its own".to_owned())
            }
            Self::Refused { message, .. } if message.contains("could not select device driver") => {
                Some("install what gives GPUs to containers (for NVIDIA: its Container Toolkit) and start the engine again, or leave out `gpus`".to_owned())
            }
            Self::GpusLeftOut => {
                Some(format!("set `engine` to a Docker Engine, or start the container by a launcher command: `podman run --detach --device nvidia.com/gpu=all {image}`"))
            }
            Self::Held { watchdog } => {
                let pid = watchdog.split(':').next().unwrap_or_default();
                Some(format!("look what keeps process {pid}, and end it"))
            }
            Self::TooOld { .. } => Some("update Docker to 19.03 or later, or Podman to 3.0 or later".to_owned()),
            Self::Refused { .. } => None,
        }
    }

    fn is_missing(&self) -> bool {
        // Podman has another status for a container that is just being removed.
        matches!(self, Self::Refused { status, message }
            if *status == StatusCode::NOT_FOUND || message.contains("no such container"))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { socket, error } => {
                write!(
                    f,
                    "the engine at {} cannot be asked: {error}",
                    socket.display()
                )
            }
            Self::GpusLeftOut => f.write_str(
                "the engine has left out the GPUs that `gpus` asks for: Podman gives none through its API",
            ),
            Self::Held { .. } => {
                f.write_str("another program's container is about to be ended, and does not end")
            }
            Self::TooOld { version } => {
                let (major, minor) = OLDEST;
                write!(
                    f,
                    "the engine is too old: its API is version {version}, and {major}.{minor} is needed"
                )
            }
            Self::Refused { status, message } => write!(f, "the engine says {status}: {message}"),
        }
    }
}

impl std::error::Error for ApiError {}

/// What is known of a container.
pub(super) struct Inspected(Value);

impl Inspected {
    pub(super) fn id(&self) -> Option<&str> {
        self.0["Id"].as_str()
    }

    pub(super) fn is_running(&self) -> bool {
        self.0["State"]["Running"] == true
    }

    /// The process that ends it together with its program.
    pub(super) fn watchdog(&self) -> Option<&str> {
        self.0["Config"]["Labels"][WATCHDOG_LABEL].as_str()
    }

    /// That process lives. If its program does not, it is about to end the container.
    pub(super) fn is_held(&self) -> bool {
        self.watchdog().is_some_and(lifeline::lives)
    }

    pub(super) fn exit_code(&self) -> Option<i32> {
        self.0["State"]["ExitCode"].as_i64()?.try_into().ok()
    }

    pub(super) fn has_gpus(&self) -> bool {
        let requests = self.0["HostConfig"]["DeviceRequests"].as_array();
        requests.is_some_and(|it| !it.is_empty())
    }

    /// The kernel has ended it, since it needed more memory than it may have.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        self.0["State"]["OOMKilled"] == true
    }
}

impl Engine {
    /// The engine at this socket, or else that of `DOCKER_HOST`, or else the first usual one that takes a connection.
    ///
    /// # Errors
    ///
    /// There is none: why, and what to do.
    pub(super) async fn find(socket: Option<&str>) -> Result<Self, String> {
        Ok(Self::first_that_answers(candidates(socket)?).await)
    }

    /// A socket stays behind when its engine ends. The last one is not tried.
    async fn first_that_answers(mut sockets: Vec<PathBuf>) -> Self {
        while sockets.len() > 1 && socket::connect(&sockets[0]).await.is_err() {
            sockets.remove(0);
        }
        let socket = sockets.swap_remove(0);
        Self { socket }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) async fn inspect(&self, name: &str) -> Result<Option<Inspected>, ApiError> {
        match self
            .json(Method::GET, &format!("/containers/{name}/json"), None)
            .await
        {
            Ok(value) => Ok(Some(Inspected(value))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns its id; its name does as well, should the engine not say the id.
    pub(super) async fn create(&self, name: &str, body: &Value) -> Result<String, ApiError> {
        let path = format!("/containers/create?name={name}");
        let created = self.json(Method::POST, &path, Some(body)).await?;
        Ok(created["Id"].as_str().unwrap_or(name).to_owned())
    }

    pub(super) async fn start(&self, id: &str) -> Result<(), ApiError> {
        self.json(Method::POST, &format!("/containers/{id}/start"), None)
            .await
            .map(drop)
    }

    pub(super) async fn signal(&self, id: &str, signal: &str) -> Result<(), ApiError> {
        let path = format!("/containers/{id}/kill?signal={signal}");
        self.json(Method::POST, &path, None).await.map(drop)
    }

    /// Resolves when the container has ended.
    pub(super) async fn wait(&self, id: &str) -> Result<(), ApiError> {
        let path = format!("/containers/{id}/wait");
        let response = self.send(Method::POST, &path, None).await?;
        let mut response = self.checked(response).await?;
        response.whole().await.map(drop)
    }

    /// Ends and removes it, if there is one.
    pub(super) async fn remove(&self, id: &str) -> Result<(), ApiError> {
        match self.json(Method::DELETE, &removal(id), None).await {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
    }

    /// The same on a thread of its own, for a caller that cannot wait.
    pub(super) fn remove_in_background(&self, id: &str) {
        let (socket, path) = (self.socket.clone(), removal(id));
        let work = move || {
            let mut stream = socket::connect_and_block(&socket)?;
            stream.set_read_timeout(Some(LIMIT))?;
            write!(stream, "DELETE {path} HTTP/1.0\r\nhost: engine\r\n\r\n")?;
            stream.read_to_end(&mut Vec::new())
        };
        let thread = std::thread::Builder::new().name("local-service-container".to_owned());
        drop(thread.spawn(move || drop(work())));
    }

    /// All that it has written and writes from now on, in frames; `from_end`: of what it has written the last lines only.
    /// (Podman loses what is written just then, if the last lines are asked for.)
    pub(super) async fn logs(&self, id: &str, from_end: bool) -> Result<Response, ApiError> {
        let tail = if from_end { "1000" } else { "all" };
        let path = format!("/containers/{id}/logs?follow=1&stdout=1&stderr=1&tail={tail}");
        let response = self.send(Method::GET, &path, None).await?;
        self.checked(response).await
    }

    async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let asked = async {
            let response = self.send(method, path, body).await?;
            let mut response = self.checked(response).await?;
            response.whole().await
        };
        let answer = timeout(LIMIT, asked)
            .await
            .map_err(|_| self.broken("it does not answer"))??;
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, ApiError> {
        let broken = |error: &dyn fmt::Display| self.broken(&error.to_string());
        let stream = socket::connect(&self.socket).await;
        let stream = stream.map_err(|error| broken(&error))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
        let mut request = Request::new(body.map(Value::to_string).unwrap_or_default());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|error| broken(&error))?;
        let headers = request.headers_mut();
        headers.insert(HOST, http::HeaderValue::from_static("engine"));
        headers.insert(
            CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        );
        let driven: Connection = Box::pin(async move { drop(connection.await) });
        let mut connection = Some(driven);
        let response = {
            let mut answered = std::pin::pin!(sender.send_request(request));
            tokio::select! {
                biased;
                response = &mut answered => response,
                () = over(&mut connection) => answered.await,
            }
        };
        let response = response.map_err(|error| broken(&error))?;
        let version = response.headers().get("api-version");
        let version = version.and_then(|it| it.to_str().ok());
        if let Some(version) = version.filter(|it| is_too_old(it)) {
            let version = version.to_owned();
            return Err(ApiError::TooOld { version });
        }
        Ok(Response {
            status: response.status(),
            body: response.into_body(),
            connection,
            socket: self.socket.clone(),
        })
    }

    async fn checked(&self, mut response: Response) -> Result<Response, ApiError> {
        let status = response.status;
        // 304: it has that state already.
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let text = response.whole().await?;
        let said = serde_json::from_slice::<Value>(&text).ok();
        let message = said.and_then(|it| Some(it["message"].as_str()?.to_owned()));
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(&text).trim().to_owned());
        Err(ApiError::Refused { status, message })
    }

    fn broken(&self, error: &str) -> ApiError {
        ApiError::Connection {
            socket: self.socket.clone(),
            error: error.to_owned(),
        }
    }
}

/// The sockets of engines that may be used, the best first: at least one.
///
/// # Errors
///
/// There is none: why, and what to do.
pub(super) fn candidates(configured: Option<&str>) -> Result<Vec<PathBuf>, String> {
    let host = env::var("DOCKER_HOST").ok();
    choose(configured, host.as_deref(), &socket::usual(), socket::sight)
}

/// What is seen of a path where a socket may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// There is one, and this user may connect to it.
    Usable,
    /// This user may not connect to it, or may not see whether there is one.
    Forbidden,
    Missing,
}

fn choose(
    configured: Option<&str>,
    docker_host: Option<&str>,
    usual: &[PathBuf],
    sight: impl Fn(&Path) -> Sight,
) -> Result<Vec<PathBuf>, String> {
    let host = docker_host.filter(|it| !it.trim().is_empty());
    let host = host.map(|it| ("DOCKER_HOST", it));
    if let Some((source, socket)) = configured.map(|it| ("engine", it)).or(host) {
        let path = socket.strip_prefix("unix://").unwrap_or(socket);
        if !path.starts_with('/') {
            return Err(format!(
                "is not a socket of this machine ({source}): write unix:// and its path, as this crate talks to an \
                 engine over that only"
            ));
        }
        return match sight(Path::new(path)) {
            Sight::Missing => Err(format!(
                "has no socket at {path} ({source}): start the engine, or correct the path"
            )),
            // The error of the connection says what this user may not.
            Sight::Usable | Sight::Forbidden => Ok(vec![path.into()]),
        };
    }
    let all_that_are = |seen| {
        let mut found = usual.to_vec();
        found.retain(|it| sight(it) == seen);
        Some(found).filter(|it| !it.is_empty())
    };
    let found = all_that_are(Sight::Usable).or_else(|| all_that_are(Sight::Forbidden));
    found.ok_or_else(|| {
        let tried: Vec<_> = usual.iter().map(|it| it.to_string_lossy()).collect();
        format!(
            "is not to be found: none of the sockets {} exists; install and start Docker or Podman, or set \
             `engine` or DOCKER_HOST",
            tried.join(", ")
        )
    })
}

/// An engine that does not say its version, or not as a number, may be any.
fn is_too_old(version: &str) -> bool {
    let parsed = version.split_once('.');
    let parsed = parsed.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parsed.is_some_and(|it: (u32, u32)| it < OLDEST)
}

fn removal(id: &str) -> String {
    format!("/containers/{id}?force=1&v=1")
}

type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Drives a connection to its end. What came over it may not be taken yet.
async fn over(connection: &mut Option<Connection>) {
    match connection {
        Some(driven) => driven.await,
        None => std::future::pending().await,
    }
    *connection = None;
}

/// An answer, and the connection that it comes over: it is driven while the answer is read.
pub(super) struct Response {
    status: StatusCode,
    body: Incoming,
    connection: Option<Connection>,
    socket: PathBuf,
}

impl Response {
    /// More of the body; `None` at its end. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        loop {
            let body = &mut self.body;
            let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
            let frame = tokio::select! {
                biased;
                frame = frame => frame,
                () = over(&mut self.connection) => continue,
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data.to_vec()));
                    }
                }
                Some(Err(error)) => {
                    return Err(ApiError::Connection {
                        socket: self.socket.clone(),
                        error: error.to_string(),
                    });
                }
            }
        }
    }

    async fn whole(&mut self) -> Result<Vec<u8>, ApiError> {
        let mut whole = Vec::new();
        while let Some(more) = self.next().await? {
            whole.extend_from_slice(&more);
            if whole.len() > LONGEST {
                break;
            }
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Sight::{Forbidden, Missing, Usable},
        *,
    };

    const USUAL: [&str; 3] = ["/docker", "/rootless", "/podman"];

    /// What is chosen if the usual sockets, and one at `/other`, are seen like this.
    fn chosen(
        configured: Option<&str>,
        docker_host: Option<&str>,
        usual: [Sight; 3],
        other: Sight,
    ) -> Result<Vec<String>, String> {
        let places = USUAL.map(PathBuf::from).to_vec();
        let sight = |path: &Path| {
            let found = USUAL.iter().position(|it| Path::new(it) == path);
            found.map_or(other, |place| usual[place])
        };
        let chosen = choose(configured, docker_host, &places, sight)?;
        let texts = chosen.iter().map(|it| it.to_str().unwrap().to_owned());
        Ok(texts.collect())
    }

    #[test]
    fn the_socket_that_is_configured_is_used_before_docker_host_and_that_before_the_usual_ones() {
        let all = [Usable; 3];
        for other in ["/other", "unix:///other"] {
            let only = Ok(vec!["/other".to_owned()]);
            assert_eq!(chosen(Some(other), Some("tcp://x:1"), all, Usable), only);
            assert_eq!(chosen(None, Some(other), all, Usable), only);
            // Its rights are those of the connection's error.
            assert_eq!(chosen(None, Some(other), all, Forbidden), only);
        }
        for nothing in [None, Some(""), Some(" ")] {
            assert_eq!(chosen(None, nothing, all, Missing).unwrap(), USUAL);
        }
    }

    #[test]
    fn an_engine_that_is_not_at_a_socket_of_this_machine_is_refused_by_the_name_of_its_source() {
        for remote in [
            "tcp://127.0.0.1:2375",
            "ssh://host",
            "npipe:////./pipe/x",
            "docker.sock",
        ] {
            let refused = chosen(None, Some(remote), [Usable; 3], Usable).unwrap_err();
            assert!(
                refused.contains("not a socket of this machine (DOCKER_HOST)"),
                "{refused}"
            );
            let refused = chosen(Some(remote), None, [Usable; 3], Usable).unwrap_err();
            assert!(
                refused.contains("not a socket of this machine (engine)"),
                "{refused}"
            );
        }
        let missing = chosen(None, Some("unix:///other"), [Usable; 3], Missing).unwrap_err();
        assert!(
            missing.contains("has no socket at /other (DOCKER_HOST)"),
            "{missing}"
        );
    }

    #[test]
    fn a_usual_socket_that_this_user_may_not_use_hides_none_that_it_may() {
        let of = |usual| chosen(None, None, usual, Missing);
        assert_eq!(of([Forbidden, Missing, Usable]).unwrap(), ["/podman"]);
        assert_eq!(
            of([Missing, Usable, Usable]).unwrap(),
            ["/rootless", "/podman"]
        );
        // Better an error that names the rights than one that says that there is no engine.
        assert_eq!(of([Missing, Forbidden, Missing]).unwrap(), ["/rootless"]);
        let none = of([Missing; 3]).unwrap_err();
        assert!(none.contains("/docker, /rootless, /podman"), "{none}");
        assert!(none.contains("start Docker or Podman"), "{none}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_socket_that_an_engine_has_left_behind_is_passed_over() {
        let folder =
            env::temp_dir().join(format!("tower-local-service-left-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let paths = ["left", "listening"].map(|it| folder.join(it));
        let mut listeners = paths
            .clone()
            .map(|it| std::os::unix::net::UnixListener::bind(it).ok());
        listeners[0] = None;
        assert_eq!(paths.clone().map(|it| socket::sight(&it)), [Usable; 2]);
        let found = Engine::first_that_answers(paths.to_vec()).await;
        assert_eq!(found.socket(), paths[1]);
        // The last one is not tried: its error says what to do.
        let found = Engine::first_that_answers(vec![paths[0].clone()]).await;
        assert_eq!(found.socket(), paths[0]);
        assert_eq!(socket::sight(&folder.join("missing")), Missing);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
