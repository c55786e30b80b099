//! The configuration of one server: how it is written, what it means, what is refused.

mod address;
mod container;
mod health;
mod identity;
mod kubernetes;
mod launcher;
mod port;
mod ready_request;
mod refusals;
mod settings;
mod share;
mod strings;
mod target;
mod unique;
mod validate;
mod wire;

use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

pub use self::ready_request::ReadyRequest;
pub(crate) use self::{
    address::{Address, Origin, OwnedOrigin, UrlHost, same_origin, shown as shown_url},
    health::Credentials,
    identity::Identity,
    port::ChoosePort,
    refusals::Refusals,
    settings::Settings,
    share::{Needs, Share, Turn},
    target::Target,
    unique::Unique,
    validate::LONGEST,
};
use self::{container::Container, kubernetes::Workload, launcher::Own};
use crate::{
    amount::Amount,
    launch::{InheritEnv, Launch, Launcher, OomScoreAdj},
    secrets::shown_args,
};

/// How one local server is started, probed and stopped.
///
/// Nothing is checked here: [`LocalService::new`](crate::LocalService::new) refuses what cannot work,
/// all of it at once, and says for each field what to write instead. No time may be longer than a year.
///
/// It can be deserialized, in the shape of `OpenClaw`'s `localService`: keys in camel case
/// (`readyTimeoutMs`), times in milliseconds, unknown keys refused. It cannot be serialized, since it
/// has secrets: `Debug` shows no value of `env`, no header value, no query of a URL, and no argument
/// after a flag whose name looks secret.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_local_service::LocalServiceConfig;
///
/// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
///     .args(["--port", "8080", "--model", "/models/gemma.gguf"])
///     .env("LLAMA_API_KEY", "sk-very-secret")
///     .health_url("http://127.0.0.1:8080/health")
///     .idle_stop(Duration::from_secs(300));
///
/// assert!(!format!("{config:?}").contains("sk-very-secret"));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct LocalServiceConfig {
    launch: Launch,
    // In the place of the process.
    own: Option<Own>,
    container: Option<Container>,
    kubernetes: Option<Workload>,
    health_url: Option<String>,
    health_headers: Vec<(String, String)>,
    health_status: Option<Vec<u16>>,
    allow_remote_health: bool,
    // No field of `localService`: they come from the provider.
    credentials: Credentials,
    ready_timeout: Duration,
    probe_timeout: Duration,
    unresponsive_after: Option<Duration>,
    idle_stop: Duration,
    stop_timeout: Duration,
    swap_timeout: Option<Duration>,
    abandon_grace: Option<Duration>,
    max_waiters: Option<usize>,
    stop_detached: bool,
    oom_score_adj: OomScoreAdj,
    stop_signal: Option<String>,
    stop_command: Option<Vec<OsString>>,
    ready_request: Option<ReadyRequest>,
    needs: Needs,
    pinned: bool,
    turn: Option<Duration>,
    keep_ready: bool,
}

impl LocalServiceConfig {
    /// A server that is started by this command.
    ///
    /// It is an absolute path. It runs as it is: without a shell, and without a search of `PATH`.
    #[must_use]
    pub fn new(command: impl Into<PathBuf>) -> Self {
        Self {
            launch: Launch::new(command.into()),
            own: None,
            container: None,
            kubernetes: None,
            health_url: None,
            health_headers: Vec::new(),
            health_status: None,
            allow_remote_health: false,
            credentials: Credentials::default(),
            ready_timeout: Duration::from_secs(120),
            probe_timeout: Duration::from_secs(2),
            unresponsive_after: Some(Duration::from_secs(120)),
            idle_stop: Duration::ZERO,
            stop_timeout: Duration::from_secs(10),
            swap_timeout: None,
            abandon_grace: None,
            max_waiters: None,
            stop_detached: true,
            oom_score_adj: OomScoreAdj::default(),
            stop_signal: None,
            stop_command: None,
            ready_request: None,
            needs: Needs::new(),
            pinned: false,
            turn: None,
            keep_ready: false,
        }
    }

    /// A server that a launcher of your own starts, in the place of a process: see [`launch`](crate::launch).
    ///
    /// What says how a process is started or signalled (arguments, variables, `stop_signal` and the like) is refused
    /// beside it.
    ///
    /// # Example
    ///
    /// See [`launch`](crate::launch).
    #[must_use]
    pub fn launched_by(launcher: impl Launcher) -> Self {
        Self {
            own: Some(Own::new(launcher)),
            ..Self::new("")
        }
    }

    /// Adds an argument of the command, a path as well as text.
    ///
    /// It is passed on as it is: nothing is split, expanded or unquoted.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// use std::path::Path;
    ///
    /// let models = Path::new("/my models");
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
    ///     .arg("--model")
    ///     .arg(models.join("gemma.gguf"));
    /// ```
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.launch.args.push(arg.into());
        self
    }

    /// Adds arguments of the command, each as [`arg`](Self::arg) does. None by default.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// let port = 8080;
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
    ///     .args(["--model", "/my models/gemma.gguf"])
    ///     .args([String::from("--port"), port.to_string()]);
    /// ```
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item: Into<OsString>>) -> Self {
        self.launch.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Starts the command in this directory; in that of your program by default.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.launch.cwd = Some(cwd.into());
        self
    }

    /// Sets a variable in the environment of the process, also one that it would inherit.
    ///
    /// Where the name has a word such as `KEY`, `TOKEN` or `PASSWORD`, the value is replaced in the
    /// output of the process, wherever that is shown.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.launch.env.insert(name.into(), value.into());
        self
    }

    /// Sets variables, each as [`env`](Self::env) does. None by default.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
    ///     .envs([("CUDA_VISIBLE_DEVICES", "0"), ("LLAMA_API_KEY", "sk-very-secret")]);
    /// ```
    #[must_use]
    pub fn envs<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables.into_iter().map(|(k, v)| (k.into(), v.into()));
        self.launch.env.extend(variables);
        self
    }

    /// Which variables of your program's environment the process inherits. All of them by default.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::{InheritEnv, LocalServiceConfig};
    /// let names = ["PATH", "HOME"].map(String::from);
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
    ///     .inherit_env(InheritEnv::Only(names.into()));
    /// ```
    #[must_use]
    pub fn inherit_env(mut self, inherit: InheritEnv) -> Self {
        self.launch.inherit_env = inherit;
        self
    }

    /// The URL at which the server says whether it is ready.
    ///
    /// It is an `http` URL of this machine. By default, or if blank, it is the base URL followed by
    /// `/models`. Set another one if that tells better whether the server can work, or needs no key:
    /// `/health` for llama.cpp.
    #[must_use]
    pub fn health_url(mut self, url: impl Into<String>) -> Self {
        self.health_url = Some(url.into());
        self
    }

    /// The health URL of a provider whose base URL does not say where models are listed.
    pub(crate) fn health_url_or(mut self, url: String) -> Self {
        if self
            .health_url
            .as_deref()
            .is_none_or(|it| it.trim().is_empty())
        {
            self.health_url = Some(url);
        }
        self
    }

    /// Adds headers to each probe, for a health URL that needs credentials.
    ///
    /// Probes send these, and no header of a request. None by default.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// let config = LocalServiceConfig::new("/usr/local/bin/vllm")
    ///     .health_headers([("Authorization", format!("Bearer {}", "sk-very-secret"))]);
    /// ```
    #[must_use]
    pub fn health_headers<K, V>(mut self, headers: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let headers = headers.into_iter().map(|(k, v)| (k.into(), v.into()));
        self.health_headers.extend(headers);
        self
    }

    /// Adds statuses of the health URL that mean ready, instead of any 2xx.
    ///
    /// # Example
    ///
    /// A server that has no health URL, but answers everything with 404 when it is up:
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// let config = LocalServiceConfig::new("/usr/local/bin/server").health_status([200, 404]);
    /// ```
    #[must_use]
    pub fn health_status(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.health_status.get_or_insert_default().extend(statuses);
        self
    }

    /// Allows a health URL on another machine. Refused by default.
    #[must_use]
    pub fn allow_remote_health(mut self, allow: bool) -> Self {
        self.allow_remote_health = allow;
        self
    }

    /// How long a start may take, from the start of the process to ready; 120 s by default.
    ///
    /// An external server that is still loading gets as much time. Zero is refused.
    #[must_use]
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
        self
    }

    /// How long one probe may take, from the connect to the response head; 2 s by default.
    ///
    /// Zero is refused.
    #[must_use]
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.probe_timeout = timeout;
        self
    }

    /// Starts the server again if it is unresponsive: within this time at least three requests ended
    /// without an answer, none was answered, and its processes used less than 1 % of a core meanwhile
    /// (Linux; elsewhere the requests alone count). 120 s by default; `None`: never.
    ///
    /// A request that takes long does not mean that, and neither does a silent server without requests. While
    /// a lease is out, nothing is stopped. Zero is refused.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// # use std::time::Duration;
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server");
    /// let config = config.unresponsive_after(Duration::from_secs(600));
    /// let config = config.unresponsive_after(None); // never
    /// ```
    #[must_use]
    pub fn unresponsive_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.unresponsive_after = time.into();
        self
    }

    /// Stops the process when it has not been used for so long.
    ///
    /// A response counts as a use until its body has ended or is dropped; probes do not count. By
    /// default, or if zero, the process runs until the last handle of the service is gone, and that is
    /// in the [global registry](crate::Registry::global) the end of your program.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// use std::time::Duration;
    ///
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
    ///     .idle_stop(Duration::from_secs(300));
    /// ```
    #[must_use]
    pub fn idle_stop(mut self, duration: Duration) -> Self {
        self.idle_stop = duration;
        self
    }

    /// How long the process may take to end after SIGTERM, before SIGKILL; 10 s by default.
    ///
    /// If zero, SIGKILL follows immediately.
    ///
    /// On Windows, Ctrl-Break takes the place of SIGTERM where your program has a console, and the end of the job that of
    /// SIGKILL. Without a console nothing can ask the process to end: a stop ends the job immediately.
    #[must_use]
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// How long a request waits for other services, until its address and what it [needs](Self::needs) are
    /// free; as long as [`ready_timeout`](Self::ready_timeout) by default.
    ///
    /// If zero, it fails immediately while another service has them. Where several services take
    /// [turns](Self::turn), four times their number times the time of a start is a good choice.
    #[must_use]
    pub fn swap_timeout(mut self, timeout: Duration) -> Self {
        self.swap_timeout = Some(timeout);
        self
    }

    /// Needs so much of a named resource from before its process is started until nothing is left of it. None
    /// by default.
    ///
    /// [`Registry::capacity`](crate::Registry::capacity) says how much there is. A service that has not what it
    /// needs waits for at most [`swap_timeout`](Self::swap_timeout), and makes services leave that are not in use.
    /// A server that your program did not start needs nothing.
    ///
    /// Call it once for each resource. Where handles of one process differ, the largest need counts; a process
    /// that runs keeps what it has.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::{Amount, LocalServiceConfig, Registry};
    ///
    /// let registry = Registry::new();
    /// registry.capacity("gpu0", Amount::gib(24));
    /// registry.capacity("models", 3);
    ///
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
    ///     .needs("gpu0", Amount::gib(18))
    ///     .needs("models", 1);
    /// let chat = registry.service("chat", "http://127.0.0.1:8080/v1", config)?;
    /// # Ok::<(), tower_local_service::Error>(())
    /// ```
    #[must_use]
    pub fn needs(mut self, resource: impl Into<String>, amount: impl Into<Amount>) -> Self {
        self.needs.insert(resource.into(), amount.into());
        self
    }

    /// Whether it is never stopped for another service; false by default.
    ///
    /// Its idle stop counts all the same. Where handles of one process differ, it is pinned if any says so.
    #[must_use]
    pub fn pinned(mut self, pinned: bool) -> Self {
        self.pinned = pinned;
        self
    }

    /// How long a server that is in use is not asked to make way for another service, from when it was ready.
    ///
    /// `None`, the default: as long as its start took. So at least half of the time goes into answers where two
    /// services exclude each other. In use is a server with a lease out, or one whose last lease ended less than
    /// a tenth of the turn ago.
    /// A turn is over in any case when the first request that waits for the place has waited half of its
    /// [`swap_timeout`](Self::swap_timeout). If zero, the server makes way as soon as another service asks.
    /// Where handles of one process differ, the longest counts.
    #[must_use]
    pub fn turn(mut self, turn: impl Into<Option<Duration>>) -> Self {
        self.turn = turn.into();
        self
    }

    /// Starts the server without a request: when the service is created, and again whenever it has ended; false
    /// by default.
    ///
    /// For that no other service has to leave, and none is kept waiting. So a small model is back as soon as the
    /// big one has left that needed its room. It is not stopped for idleness; after
    /// [`stop`](crate::LocalService::stop) it stays stopped until the next request. A start that fails is
    /// tried again after the back-off, at most a minute later. With [`pinned`](Self::pinned), nothing makes it
    /// leave either. Where handles of one process differ, it is kept ready if any says so.
    #[must_use]
    pub fn keep_ready(mut self, keep: bool) -> Self {
        self.keep_ready = keep;
        self
    }

    /// Stops a start so long after the last request that waited for it was dropped.
    ///
    /// `None`, the default: the start continues until the server is ready, and the next request waits
    /// only for the rest of it. If zero, it is stopped immediately.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// use std::time::Duration;
    ///
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
    ///     .abandon_grace(Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn abandon_grace(mut self, grace: impl Into<Option<Duration>>) -> Self {
        self.abandon_grace = grace.into();
        self
    }

    /// How many requests may wait for the service; more fail immediately.
    ///
    /// No limit by default. Zero is refused, since the first request always has to wait.
    #[must_use]
    pub fn max_waiters(mut self, requests: usize) -> Self {
        self.max_waiters = Some(requests);
        self
    }

    /// Whether a stop also ends descendants that left the process group (Linux); true by default.
    #[must_use]
    pub fn stop_detached(mut self, stop: bool) -> Self {
        self.stop_detached = stop;
        self
    }

    /// The signal with which a stop begins: `TERM` (the default), `INT`, `QUIT` or `HUP`.
    ///
    /// For a server that ends in order on another signal than SIGTERM. At half of
    /// [`stop_timeout`](Self::stop_timeout) SIGTERM follows, and SIGKILL at its end. When your program is killed, the
    /// server gets SIGTERM. Where handles of one process differ, the handle counts that was used last before the start.
    /// It has no effect on Windows, which has no such signals.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// let config = LocalServiceConfig::new("/usr/bin/node").arg("server.js").stop_signal("INT");
    /// ```
    #[must_use]
    pub fn stop_signal(mut self, signal: impl Into<String>) -> Self {
        self.stop_signal = Some(signal.into());
        self
    }

    /// The command with which a stop begins: an absolute path, and arguments.
    ///
    /// It runs as the command of the server does: without a shell, in the same directory, with the same variables. When it
    /// has ended, or after [`stop_timeout`](Self::stop_timeout), the stop continues with signals to what is left; so it
    /// should end when the server has. What it writes is part of the output of the service. It is not
    /// part of the identity: where handles of one process differ, that of the handle that was used last counts.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// let config = LocalServiceConfig::new("/usr/bin/podman")
    ///     .args(["run", "--rm", "--name", "llama", "--network", "host", "llama-server"])
    ///     .stop_command(["/usr/bin/podman", "stop", "llama"]);
    /// ```
    #[must_use]
    pub fn stop_command(mut self, command: impl IntoIterator<Item: Into<OsString>>) -> Self {
        self.stop_command = Some(command.into_iter().map(Into::into).collect());
        self
    }

    /// Whether the command starts a server in the background, and ends: `docker compose up -d`, `lms server start`,
    /// `systemctl --user start`; false by default.
    ///
    /// An exit with code 0 is then no failure. The server counts as started by your program: it is stopped when it is
    /// idle, by the [`stop_command`](Self::stop_command), without which this is refused. That has ended it when the port
    /// refuses connections. A server that is not a descendant of your program does not end with it: see
    /// [launching](crate::docs::launching).
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// let config = LocalServiceConfig::new("/usr/bin/systemctl")
    ///     .args(["--user", "start", "llama"])
    ///     .launcher(true)
    ///     .stop_command(["/usr/bin/systemctl", "--user", "stop", "llama"]);
    /// ```
    #[must_use]
    pub fn launcher(mut self, launcher: bool) -> Self {
        self.launch.is_launcher = launcher;
        self
    }

    /// A request that the server has to answer before it counts as ready, once for each instance: the warm-up.
    ///
    /// None by default. It counts against [`ready_timeout`](Self::ready_timeout).
    ///
    /// # Example
    ///
    /// See [`ReadyRequest`].
    #[must_use]
    pub fn ready_request(mut self, request: ReadyRequest) -> Self {
        self.ready_request = Some(request);
        self
    }

    /// How readily the kernel ends the process when memory runs out (Linux), from -1000 (never) to
    /// 1000 (first); see `oom_score_adj` in `proc_pid(5)`.
    ///
    /// 500 by default, or that of your program if it is higher: when memory runs out, the kernel ends
    /// the server and not your program. `None`: that of your program. A score below that of your
    /// program needs a privilege; without it, the server runs with that of your program, and one
    /// warning says so.
    ///
    /// It is set right after the start of the process, which passes it on to its own children. Where
    /// handles of one process differ, the handle counts that was used last before the start.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::LocalServiceConfig;
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server").oom_score_adj(900);
    /// let config = config.oom_score_adj(None); // that of your program
    /// ```
    #[must_use]
    pub fn oom_score_adj(mut self, score: impl Into<Option<i32>>) -> Self {
        self.oom_score_adj = score.into().into();
        self
    }

    /// What the server at the base URL needs in requests.
    ///
    /// Probes of that origin send it, as far as `healthHeaders` have no header of the same name, and it is
    /// replaced in all output.
    pub(crate) fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }
}

impl fmt::Debug for LocalServiceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header_names: Vec<_> = self.health_headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("LocalServiceConfig")
            .field("launch", &self.launch)
            .field("launched_by", &self.own)
            .field("container", &self.container)
            .field("kubernetes", &self.kubernetes)
            .field("health_url", &self.health_url.as_deref().map(shown_url))
            .field("health_headers", &header_names)
            .field("health_status", &self.health_status)
            .field("allow_remote_health", &self.allow_remote_health)
            .field(
                "api_key",
                &self.credentials.key.as_ref().map(|_| "[redacted]"),
            )
            .field(
                "headers",
                &self.credentials.headers.keys().collect::<Vec<_>>(),
            )
            .field("ready_timeout", &self.ready_timeout)
            .field("probe_timeout", &self.probe_timeout)
            .field("unresponsive_after", &self.unresponsive_after)
            .field("idle_stop", &self.idle_stop)
            .field("stop_timeout", &self.stop_timeout)
            .field("swap_timeout", &self.swap_timeout)
            .field("abandon_grace", &self.abandon_grace)
            .field("max_waiters", &self.max_waiters)
            .field("stop_detached", &self.stop_detached)
            .field("oom_score_adj", &self.oom_score_adj)
            .field("stop_signal", &self.stop_signal)
            .field(
                "stop_command",
                &self.stop_command.as_deref().map(shown_args),
            )
            .field("ready_request", &self.ready_request)
            .field("needs", &self.needs)
            .field("pinned", &self.pinned)
            .field("turn", &self.turn)
            .field("keep_ready", &self.keep_ready)
            .finish()
    }
}
