//! Containers of a Docker Engine, or of Podman, in the place of processes (feature `docker`).
//!
//! # Theory of operation
//!
//! A [`Container`] is a launcher that talks to the engine over its socket ([`api`]): seven requests over HTTP/1, which
//! have not changed for years.
//!
//! **One for an identity.** The name of a container is a digest of what is launched and of its port. So there is one,
//! whichever program of this user starts it, and a program knows the container that another one has left behind: that
//! is taken over, and its idle time runs again. It is never taken for an external server.
//!
//! **The lifeline.** A shell ends the container when your program has ended ([`lifeline`]). Where it cannot, the container is
//! left behind.
//!
//! **Life.** It is created without a restart policy, started, waited for, and removed when it has ended ([`instance`]).
//! What it writes is read as a stream of frames. A container that was created and could not be started is removed.
//!
//! **The engine ends first.** Then nothing is known of the container: the instance counts as ended. It is gone when the
//! engine answers again and has no container of that name.

mod api;
mod instance;
#[cfg(all(unix, not(tower_local_service_unsupported)))]
mod lifeline;
// The same names, where there is none.
#[cfg(any(not(unix), tower_local_service_unsupported))]
#[path = "no_lifeline.rs"]
mod lifeline;
mod socket;

use std::{
    fmt,
    hash::Hasher as _,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use tokio::time::{Instant, sleep};

use self::{
    api::{ApiError, Engine, Inspected, WATCHDOG_LABEL, candidates},
    instance::{Instance, Started},
    lifeline::Lifeline,
};
use super::{
    BoxFuture, Guarantees, LaunchContext, LaunchError, LaunchIdentity, Launcher, OutputSink,
    Running,
};
use crate::{
    amount::Amount,
    error::Problem,
    secrets::{is_secret_name, secret_args},
};

/// The label by which a container is known as one of this crate.
const LABEL: &str = "tower-local-service.identity";

/// How long the watchdog of another program may take to end the container, and how often that is looked at.
const ENDING_LIMIT: Duration = Duration::from_secs(30);
const ENDING_PAUSE: Duration = Duration::from_millis(50);

/// A container that serves, in the place of a process.
///
/// It runs in a Docker Engine, or in Podman: at the socket of [`engine`](Self::engine), or else at `DOCKER_HOST`, or the
/// first usual socket of Docker or Podman that takes a connection. The image has to be there: nothing is pulled.
///
/// Its port is published on 127.0.0.1, at the port of the base URL, where its server is expected. The
/// server itself has to listen on `0.0.0.0`, as in every container.
///
/// When your program is killed, a watchdog has the engine end the container, if this machine has `/bin/sh` and one of `curl`,
/// `docker` and `podman`. Otherwise it runs on, and the next program of this user that needs it takes it over, and stops it
/// when it is idle.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_local_service::{Amount, LocalServiceConfig, docker::Container};
///
/// let llama = Container::new("ghcr.io/ggml-org/llama.cpp:server")
///     .args(["--model", "/models/gemma.gguf", "--host", "0.0.0.0", "--port", "8080"])
///     .mount("/models:/models:ro")
///     .memory(Amount::gib(8))
///     .port(8080);
/// let config = LocalServiceConfig::launched_by(llama)
///     .health_url("http://127.0.0.1:18080/health")
///     .idle_stop(Duration::from_secs(300));
/// # drop(config); // at the base URL http://127.0.0.1:18080/v1
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Container {
    image: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    mounts: Vec<String>,
    port: Option<u16>,
    gpus: bool,
    memory: Option<u64>,
    init: bool,
    host_network: bool,
    engine: Option<String>,
}

impl Container {
    /// A container of this image, with the image's own command.
    #[must_use]
    pub fn new(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            args: Vec::new(),
            env: Vec::new(),
            mounts: Vec::new(),
            port: None,
            gpus: false,
            memory: None,
            init: false,
            host_network: false,
            engine: None,
        }
    }

    /// Adds arguments of its command. Where there are any, they replace those of the image. None by default.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item: Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable in it. It inherits none of your program.
    ///
    /// Where the name has a word such as `KEY`, `TOKEN` or `PASSWORD`, the value is replaced in its output.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Mounts a folder of this machine, as `docker run --volume` does: `/models:/models:ro`.
    #[must_use]
    pub fn mount(mut self, mount: impl Into<String>) -> Self {
        self.mounts.push(mount.into());
        self
    }

    /// The port on which its server listens inside; by default the one of the base URL.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Gives it all GPUs, as `docker run --gpus all` does. None by default. The start fails where the engine gives none:
    /// Podman gives none through its API.
    #[must_use]
    pub fn gpus(mut self) -> Self {
        self.gpus = true;
        self
    }

    /// The most memory that it may use. No limit by default.
    #[must_use]
    pub fn memory(mut self, memory: impl Into<Amount>) -> Self {
        self.memory = Some(memory.into().get());
        self
    }

    /// Whether an init runs in it, which passes signals on and reaps orphans; false by default. A server that ignores SIGTERM
    /// because it is the first process of its container ends sooner with one.
    #[must_use]
    pub fn init(mut self, init: bool) -> Self {
        self.init = init;
        self
    }

    /// Whether it has the network of this machine, where its server listens on the port of the base URL; false by default.
    #[must_use]
    pub fn host_network(mut self, host: bool) -> Self {
        self.host_network = host;
        self
    }

    /// The socket of the engine: `unix:///run/user/1000/podman/podman.sock`, or its path.
    #[must_use]
    pub fn engine(mut self, socket: impl Into<String>) -> Self {
        self.engine = Some(socket.into());
        self
    }

    /// The name of the container at this port: the same in every program.
    fn name(&self, port: u16) -> String {
        let mut digest = SipHasher24::new();
        digest.write(self.identity().bytes());
        digest.write(&port.to_le_bytes());
        format!("tower-local-service-{:032x}", digest.finish128().as_u128())
    }

    fn body(&self, name: &str, port: u16, watchdog: Option<&str>) -> Value {
        let inside = format!("{}/tcp", self.port.unwrap_or(port));
        let env: Vec<_> = self.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut host = json!({
            "Binds": self.mounts,
            "Init": self.init,
            "RestartPolicy": { "Name": "no" },
        });
        if self.host_network {
            host["NetworkMode"] = "host".into();
        } else {
            let published = json!([{ "HostIp": "127.0.0.1", "HostPort": port.to_string() }]);
            host["PortBindings"] = json!({ inside.as_str(): published });
        }
        if let Some(memory) = self.memory {
            host["Memory"] = memory.into();
            // Without it, as much again is swapped.
            host["MemorySwap"] = memory.into();
        }
        if self.gpus {
            host["DeviceRequests"] = json!([{ "Count": -1, "Capabilities": [["gpu"]] }]);
        }
        let mut body = json!({
            "Image": self.image,
            "Env": env,
            "Labels": { LABEL: name },
            "ExposedPorts": { inside: {} },
            "HostConfig": host,
        });
        if let Some(watchdog) = watchdog {
            body["Labels"][WATCHDOG_LABEL] = watchdog.into();
        }
        if !self.args.is_empty() {
            body["Cmd"] = self.args.clone().into();
        }
        body
    }

    /// The container that runs, or a new one.
    async fn start(
        &self,
        engine: &Engine,
        name: &str,
        context: &LaunchContext,
    ) -> Result<Started, ApiError> {
        match settled(engine, name).await? {
            Some(container) if container.is_running() => {
                return Ok(Started {
                    id: container.id().unwrap_or(name).to_owned(),
                    taken_over: true,
                    lifeline: None,
                });
            }
            Some(_) => engine.remove(name).await?,
            None => {}
        }
        let mut lifeline = Lifeline::start(engine.socket(), context.lock()).await;
        let watchdog = lifeline.as_ref().map(Lifeline::label);
        let id = engine
            .create(name, &self.body(name, context.port(), watchdog))
            .await?;
        // Before the start: from here on, the container ends with your program.
        if let Some(lifeline) = &mut lifeline {
            lifeline.tell(&id);
        }
        if let Err(error) = self.begin(engine, &id).await {
            // One that could not be started would keep its name.
            drop(engine.remove(&id).await);
            return Err(error);
        }
        Ok(Started {
            id,
            taken_over: false,
            lifeline,
        })
    }

    /// Starts the container that was made, if it has what it was to have.
    async fn begin(&self, engine: &Engine, id: &str) -> Result<(), ApiError> {
        if self.gpus {
            let made = engine.inspect(id).await?;
            if !made.is_some_and(|it| it.has_gpus()) {
                return Err(ApiError::GpusLeftOut);
            }
        }
        engine.start(id).await
    }

    fn failed(&self, error: ApiError) -> LaunchError {
        let hint = error.hint(&self.image);
        let failed = LaunchError::new("the container", std::io::Error::other(error));
        match hint {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }
}

fn unsupported() -> LaunchError {
    let reason =
        "this crate talks to an engine over a Unix socket only, which this system does not have";
    let error = std::io::Error::new(std::io::ErrorKind::Unsupported, reason);
    LaunchError::new("the container", error).hint(
        "start the container yourself: it is used as soon as it answers; or write a `command` with `launcher` \
         that does (such as `docker run --detach`), and a `stopCommand`",
    )
}

/// Whether requests for this host reach a port that is published on 127.0.0.1. A name such as `localhost` has that address,
/// too.
fn is_published_for(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
    let published = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].map(IpAddr::V4);
    address.is_err() || address.is_ok_and(|it| published.contains(&it))
}

/// What is guaranteed of a container with a watchdog, or without one.
fn guarantees(has_watchdog: bool) -> Guarantees {
    Guarantees {
        dies_with_program: has_watchdog,
        has_grace: has_watchdog,
        finds_descendants: true,
        ..Guarantees::default()
    }
}

/// The container of that name, if there is one that no watchdog is about to end.
async fn settled(engine: &Engine, name: &str) -> Result<Option<Inspected>, ApiError> {
    let begun = Instant::now();
    loop {
        let found = engine.inspect(name).await?;
        let watchdog = match &found {
            Some(container) if container.is_held() => container.watchdog(),
            _ => return Ok(found),
        };
        if begun.elapsed() > ENDING_LIMIT {
            let watchdog = watchdog.unwrap_or_default().to_owned();
            return Err(ApiError::Held { watchdog });
        }
        sleep(ENDING_PAUSE).await;
    }
}

impl Launcher for Container {
    fn identity(&self) -> LaunchIdentity {
        let Self {
            image,
            args,
            env,
            mounts,
            port,
            gpus,
            memory,
            init,
            host_network,
            engine,
        } = self;
        let mut identity = LaunchIdentity::new(&format!("container {image}"));
        identity.texts(args);
        identity.texts(env.iter().flat_map(|(name, value)| [name, value]));
        identity.texts(mounts);
        identity
            .part(format!("{port:?} {gpus} {memory:?} {init} {host_network}"))
            .part(engine.as_deref().unwrap_or_default())
    }

    fn problems(&self, service: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.image.trim().is_empty() {
            problems.push(Problem::new(
                service,
                "container.image",
                "is empty: write the name of an image",
            ));
        }
        // Where no engine can be reached, the launch says so, whatever is configured.
        if socket::IS_SUPPORTED
            && let Err(message) = candidates(self.engine.as_deref())
        {
            problems.push(Problem::new(service, "container.engine", message));
        }
        for mount in &self.mounts {
            let folder = mount.split(':').next().unwrap_or_default();
            // A name without a slash is that of a volume. The engine may see what this user may not.
            let exists = std::path::Path::new(folder).try_exists();
            if folder.starts_with('/') && matches!(exists, Ok(false)) {
                let message = format!(
                    "names {folder:?}, which does not exist: create it or correct the path"
                );
                problems.push(Problem::new(service, "container.mounts", message));
            }
        }
        problems
    }

    fn takes_over(&self, context: &LaunchContext) -> BoxFuture<'static, bool> {
        let name = self.name(context.port());
        let socket = self.engine.clone();
        Box::pin(async move {
            let Ok(engine) = Engine::find(socket.as_deref()).await else {
                return false;
            };
            let found = engine.inspect(&name).await;
            matches!(found, Ok(Some(container)) if container.is_running() || container.is_held())
        })
    }

    fn launch(
        &self,
        context: LaunchContext,
    ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>> {
        let container = self.clone();
        Box::pin(async move {
            if !socket::IS_SUPPORTED {
                return Err(unsupported());
            }
            let host = context.base_url().host().unwrap_or_default();
            if !container.host_network && !is_published_for(host) {
                let reason = format!("its port is published on 127.0.0.1 alone, and not on {host}");
                let failed = LaunchError::new("the container", std::io::Error::other(reason));
                return Err(failed.hint(
                    "write 127.0.0.1 in `baseUrl`, or give the container the network of this machine",
                ));
            }
            let engine = Engine::find(container.engine.as_deref()).await;
            let engine = engine.map_err(|message| {
                LaunchError::new("the container", std::io::Error::other(message))
            })?;
            let engine = Arc::new(engine);
            let name = container.name(context.port());
            let started = container.start(&engine, &name, &context).await;
            let started = started.map_err(|error| container.failed(error))?;
            let output: OutputSink = context.output().clone();
            Ok(Box::new(Instance::new(engine, started, output)) as Box<dyn Running>)
        })
    }

    fn guarantees(&self) -> Guarantees {
        guarantees(Lifeline::is_possible())
    }

    fn secrets(&self) -> Vec<String> {
        let variables = self.env.iter();
        let variables = variables.filter(|(name, _)| is_secret_name(name));
        let mut secrets: Vec<_> = variables.map(|(_, value)| value.clone()).collect();
        secrets.extend(secret_args(&self.args));
        secrets
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container")
            .field("image", &self.image)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_gets_what_is_configured_and_nothing_else() {
        let bare = Container::new("image:1").body("name", 18080, None);
        let published = json!([{ "HostIp": "127.0.0.1", "HostPort": "18080" }]);
        let nothing: [&str; 0] = [];
        assert_eq!(
            bare,
            json!({
                "Image": "image:1",
                "Env": nothing,
                "Labels": { LABEL: "name" },
                "ExposedPorts": { "18080/tcp": {} },
                "HostConfig": {
                    "Binds": nothing,
                    "Init": false,
                    "RestartPolicy": { "Name": "no" },
                    "PortBindings": { "18080/tcp": published },
                },
            })
        );
        let full = Container::new("image:1")
            .args(["--port", "8080"])
            .env("PLACE", "inside")
            .mount("/models:/models:ro")
            .port(8080)
            .gpus()
            .memory(Amount::gib(1))
            .init(true)
            .body("name", 18080, Some("17:1"));
        assert_eq!(full["Cmd"], json!(["--port", "8080"]));
        assert_eq!(full["Env"], json!(["PLACE=inside"]));
        assert_eq!(full["Labels"][WATCHDOG_LABEL], "17:1");
        assert_eq!(full["ExposedPorts"], json!({ "8080/tcp": {} }));
        let gib = 1 << 30;
        assert_eq!(
            full["HostConfig"],
            json!({
                "Binds": ["/models:/models:ro"],
                "Init": true,
                "RestartPolicy": { "Name": "no" },
                "PortBindings": { "8080/tcp": published },
                // No swap in addition.
                "Memory": gib,
                "MemorySwap": gib,
                "DeviceRequests": [{ "Count": -1, "Capabilities": [["gpu"]] }],
            })
        );
    }

    #[test]
    fn on_the_network_of_this_machine_no_port_is_published() {
        let container = Container::new("image:1").host_network(true);
        let host = &container.body("name", 18080, None)["HostConfig"];
        assert_eq!(host["NetworkMode"], "host");
        assert_eq!(host["PortBindings"], Value::Null);
    }

    #[test]
    fn a_port_is_published_for_names_and_for_one_address() {
        for reached in ["127.0.0.1", "localhost", "0.0.0.0", "llama.localhost"] {
            assert!(is_published_for(reached), "{reached}");
        }
        for other in ["[::1]", "[::]", "127.0.0.2"] {
            assert!(!is_published_for(other), "{other}");
        }
    }
}
