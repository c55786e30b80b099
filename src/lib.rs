//! Starts a local server on demand, before the request that needs it is sent.
//!
//! [`EnsureLocalServiceLayer`] is a Tower middleware for HTTP *clients*. It makes sure that the local
//! server behind a URL runs, sends the request, and stops the server once nobody has used it for a
//! while. It is made for model servers such as llama.cpp or vLLM, and good for any local HTTP server.
//!
//! ```text
//! request ─▶ healthy? ─▶ (no) start the process ─▶ wait until ready ─▶ send ─▶ response holds a lease
//!               └─ yes: use what is there                                         └─ last lease gone + idle time ─▶ stop
//! ```
//!
//! No daemon is installed: the server is a child of the program that first needed it, and does not
//! outlive it.
//!
//! # Start here
//!
//! One service is one configured server; one layer around a client that you already have is all that
//! requests need.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use hyper::body::Bytes;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::{Layer, ServiceExt};
//! use tower_local_service::{BoxError, EnsureLocalServiceLayer, LocalService, LocalServiceConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
//!     .args(["--model", "/models/gemma.gguf", "--port", "8080"])
//!     .health_url("http://127.0.0.1:8080/health")
//!     .idle_stop(Duration::from_secs(300));
//! let service = LocalService::new("gemma", "http://127.0.0.1:8080/v1", config)?;
//!
//! let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//! let client = EnsureLocalServiceLayer::new(service).layer(client);
//!
//! let request = Request::get("http://127.0.0.1:8080/v1/models").body(Full::default())?;
//! let response = client.oneshot(request).await?;
//! println!("{:?}", response.into_body().collect().await?.to_bytes());
//! # Ok(())
//! # }
//! ```
//!
//! What a layer is made with decides which requests it is about; it is a [`Resolve`]:
//!
//! - a [`LocalService`]: the requests for the origin of its base URL. All others pass through, so that one
//!   client can talk to local and remote servers,
//! - [`LocalService::every_request`]: every request, also of a type that has no URL,
//! - any `Fn(&Request) -> Option<LocalService>`: several services behind one client. Where it says
//!   `None`, the request passes through, untouched,
//! - a [`Providers`](provider::Providers): all servers of a configuration file, each for the URLs under
//!   its base URL.
//!
//! With feature `reqwest`, a `reqwest::Client` (0.13) is such a client, too.
//!
//! # What happens, step by step
//!
//! 1. The response future is polled for the first time. If the server is known to be ready, a lease is
//!    counted and the request is sent: a few atomic operations, no probe, no allocation.
//! 2. Otherwise one supervisor per process takes over, however many requests wait. It *probes*: one
//!    GET of the health URL ([`health_url`](LocalServiceConfig::health_url)). A wanted status: the
//!    server was there before; it is used, and never stopped. A 503, or silence: somebody's server is
//!    loading; it is waited for. Any other answer: an error that says what has the address. Nobody
//!    listens: go on.
//! 3. It *starts* the command in a process group of its own, with a guardian that ends the group when
//!    this program ends, in whatever way.
//! 4. While the server *loads*, it is probed again, sooner while it is young, at about 2 % of a core.
//!    A process that exits ends the wait at once, with its exit code and the last lines of its output.
//! 5. *Ready*: all who wait get a lease and send their requests. Their responses have [`ColdStart`] in
//!    their extensions.
//! 6. The lease stays with the body of the response until that ends, fails or is dropped
//!    ([`LeasedBody`](body::LeasedBody)). While a lease is out the server is stopped by nothing but
//!    [`stop`](LocalService::stop) and [`shutdown`](Registry::shutdown).
//! 7. *Idle* for [`idle_stop`](LocalServiceConfig::idle_stop), it is *stopped*: SIGTERM to the group,
//!    SIGTERM again at half of [`stop_timeout`](LocalServiceConfig::stop_timeout), SIGKILL at its end.
//!    A request that comes meanwhile waits and is served by a new process.
//!
//! [`acquire`](LocalService::acquire) does the same by hand and gives a [`Lease`];
//! [`start`](LocalService::start) preloads; [`status`](LocalService::status) and
//! [`watch`](LocalService::watch) tell where things stand.
//!
//! # What you can rely on
//!
//! - *One process.* The same command, arguments, directory, environment and endpoint are one process
//!   in this program, under however many names, clones, layers, threads and runtimes. A thousand
//!   requests on a cold service are one start.
//! - *One endpoint, one server.* Another command on the same port makes the running one retire: its
//!   leases end in peace, then the new one starts. So two models can share a port. Who waits longer
//!   for that than [`swap_timeout`](LocalServiceConfig::swap_timeout) is told who has the port.
//! - *Several programs, one server.* Programs of one user agree on an endpoint, too: see
//!   [below](#several-programs).
//! - *A start belongs to nobody.* A request may time out or be cancelled: the start goes on, and the
//!   next request finds it further along.
//! - *Failures are told.* All who wait for a start that fails get the same [`Error`]. Then follows a
//!   back-off, at once, 1 s, 2 s, … 60 s, in which requests fail at once with
//!   [`CrashLoop`](ErrorKind::CrashLoop).
//! - *No orphans.* However this program ends, be it by SIGKILL, the processes that it started end, too.
//!   See the limits below.
//! - *No surprises in composition.* Dropping anything anywhere is harmless: at any await, outside of a
//!   runtime, while unwinding. No runtime of yours has to live or be tokio: the supervisors have a
//!   thread of their own ([`Registry::with_runtime`] gives them another).
//! - *No secrets in text.* `Debug`, `Display`, events and output show no value of `env`, no key and no
//!   header.
//!
//! A request is never sent twice by this crate, unless you [say so](#resending). A body that breaks off
//! because its server died ends with an error, also where HTTP alone could not tell (HTTP/1.0 style).
//!
//! # Where to put the layer
//!
//! By default its readiness is without meaning: it is always ready, and the response future waits for
//! the server, then for the client below.
//!
//! | | outside of ours | inside of ours |
//! |---|---|---|
//! | `Timeout` | its time includes a cold start; if it fires, the start goes on | **usual**: only the request itself is timed |
//! | `Retry` | **usual**: each try makes sure again that the server runs | tries again without a look at the server, which may be what is gone |
//! | `ConcurrencyLimit` | a permit is held for all of a cold start | **usual**: a permit is taken once the server runs |
//! | `LoadShed` | sheds nothing while the server starts, except with [`EnsureOn::PollReady`] | sheds what the client below has no room for |
//! | `Buffer` | good: its worker only calls, and the wait is in the response | good: a place is taken once the server runs |
//! | `Balance`, `Steer` | good: nothing starts before it is called; with [`EnsureOn::PollReady`] every endpoint starts | – |
//!
//! The client is cloned for each request, so a clone should be cheap, as those of reqwest and
//! hyper-util are.
//!
//! # Errors
//!
//! The layer's error is [`BoxError`]: the client's own, unchanged, or an [`Error`] of this crate, which
//! [`Error::find_in`] finds through whatever other layers have wrapped around it. Its
//! [`kind`](Error::kind) has the facts of each case ([`ErrorKind`] lists them), its text the next step
//! for whoever has to repair it, and [`status_code`](Error::status_code) and
//! [`retry_after`](Error::retry_after) what a gateway would answer.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_local_service::{
//!     BoxError, EnsureLocalServiceLayer, Error, ErrorKind, LocalService, LocalServiceConfig,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # let free = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let base_url = format!("http://{}/v1", free.local_addr()?);
//! # drop(free);
//! let config = LocalServiceConfig::new("/bin/sh").args(["-c", "echo no such model >&2; exit 3"]);
//! let service = LocalService::new("broken", &base_url, config)?;
//! // In the place of a real client.
//! let client = service_fn(|_: Request<String>| async {
//!     Ok::<_, BoxError>(Response::new(String::from("never sent")))
//! });
//! let client = EnsureLocalServiceLayer::new(service).layer(client);
//!
//! let request = Request::get(&base_url).body(String::new())?;
//! let failed = client.oneshot(request).await.unwrap_err();
//! let error = Error::find_in(&*failed).expect("an error of this crate");
//! assert!(matches!(error.kind(), ErrorKind::Exited { code: Some(3), .. }));
//! assert_eq!(error.output_tail(), Some("no such model\n"));
//! assert_eq!(error.status_code(), 502);
//! # Ok(())
//! # }
//! ```
//!
//! # Configuration files
//!
//! [`Providers`](provider::Providers) reads the file that `OpenClaw` is configured with, or one in its
//! shape: providers under `models.providers`, of which those with a `localService` have a server here.
//! What is not ours in it is skipped. [`register`](provider::Providers::register) puts in the
//! environment's values (`${VAR}`), tells all that is wrong at once and starts nothing;
//! [`reload`](provider::Providers::reload) puts another reading in its place, for every layer that holds
//! the handle: what did not change goes on, what did is replaced, and no request is lost by it. The
//! module [`provider`] says what is read, skipped and refused; `examples/config` has files for
//! llama.cpp, vLLM, MLX, inferrs and ds4, and a JSON Schema for editors.
//!
//! # Gateways
//!
//! A program that passes requests on knows from their bodies which server they are for, and not from
//! their URLs: so it makes the layer with the service of
//! [`resolve_model`](provider::Providers::resolve_model). A stack is cheap to put together, so each
//! request may have its own, with the times of its provider:
//!
//! ```
//! # use http::{Request, Response};
//! # use tower::{BoxError, Service, ServiceBuilder, ServiceExt, timeout::TimeoutLayer};
//! # use tower_local_service::{EnsureLocalServiceLayer, body::LeasedBody, provider::Provider};
//! async fn send<C, B>(
//!     client: C,
//!     provider: &Provider,
//!     request: Request<String>,
//! ) -> Result<Response<LeasedBody<B>>, BoxError>
//! where
//!     C: Service<Request<String>, Response = Response<B>, Error = BoxError> + Clone,
//!     B: http_body::Body,
//! {
//!     let service = provider.service.clone();
//!     ServiceBuilder::new()
//!         .layer(TimeoutLayer::new(provider.timeout)) // outside: includes a cold start
//!         .layer(EnsureLocalServiceLayer::new(move |_: &_| service.clone()))
//!         .service(client)
//!         .oneshot(request)
//!         .await
//! }
//! ```
//!
//! - *The response's body is the lease.* Pass it on as it is: a server such as axum drops it when its
//!   client hangs up, and that is when the use ends. A body that is collected holds no lease any more.
//! - *Errors* have a [`status_code`](Error::status_code) and a [`retry_after`](Error::retry_after), and
//!   their text says what to do.
//! - *The end*: [`Registry::drain`] beside the server's graceful shutdown.
//!
//! The example `gateway` is such a program, to run and to read: one address with `OpenAI`'s API for all
//! servers of a configuration file.
//!
//! # Upgrades, and other uses of a server
//!
//! A WebSocket outlives its response. So the [`Lease`] of a 101 (or a successful CONNECT) is in the
//! extensions of the response: take it out and keep it beside the socket.
//!
//! ```
//! # use http::Response;
//! use tower_local_service::Lease;
//!
//! # fn f<B>(mut response: Response<B>) {
//! let lease = response.extensions_mut().remove::<Lease>();
//! # }
//! ```
//!
//! For whatever does not go through the layer, hold a lease by hand:
//!
//! ```no_run
//! # use tower_local_service::{Error, LocalService};
//! # async fn f(service: LocalService) -> Result<(), Error> {
//! let lease = service.acquire().await?; // starts the server if need be
//! // … talk to it …
//! drop(lease);
//! # Ok(())
//! # }
//! ```
//!
//! # Resending
//!
//! A request that is on its way when its server dies fails, and the next one starts the server again.
//! With feature `retry`, `retry::ServerGone` is a policy for a `Retry` outside of the layer: one more try
//! where the server died before it answered, and only if nothing was sent, the method is idempotent, or
//! the request has an `Idempotency-Key`. A start that failed is not tried again.
//!
//! # reqwest-middleware
//!
//! With feature `reqwest-middleware`, `EnsureLocalServiceMiddleware` does what the layer does, in a
//! `ClientWithMiddleware`. Put what retries before it. [`Error::find_in`] finds our error in theirs.
//!
//! # Events
//!
//! With [`tracing`], each run of a process (from the first look at its endpoint until nothing is left)
//! is a root span, and what happens in it are events. All have the target `tower_local_service`. The
//! names and fields of this section change only with a breaking release.
//!
//! The span is **`local_service`** (info), with `service` (the name), `run` (the number that
//! [`Lease::run`] tells) and, once there is one, `pid`. Its events:
//!
//! | event | level | fields | when |
//! |---|---|---|---|
//! | `probing` | debug | `host`, `path` | the first look at what is there |
//! | `starting` | info | `command` | nothing is there, so the process is started |
//! | `started` | debug | `pid` | it runs, and loads |
//! | `ready` | info | `took_ms`, `external` | requests are served; by a server that was there before if `external` |
//! | `exposed` | warn | `address`, `remedy` | other machines can reach our server, as it listens beyond the loopback (Linux) |
//! | `idle` | debug | | nobody uses it; told once, until a use that lasts long enough to be noticed |
//! | `stopping` | info | `reason` | SIGTERM is sent: `abandoned`, `asked`, `idle`, `not ready`, `rejected`, `retired`, `swap`, `unhealthy` |
//! | `exited` | info, warn if nobody asked it to | `code`, `signal`, `after_ms` | the process, or its guardian, has ended |
//! | `stopped` | debug | | nothing is left of it |
//! | `replaced` | warn | | its port was taken from it; another's server that answers there is used |
//! | `released` | debug | | another's server is gone, or not of interest any more |
//! | `failed` | warn | `error` | what all who wait are told |
//!
//! | event outside of that span | level | fields | when |
//! |---|---|---|---|
//! | `waited` | debug | `service`, `waited_ms`, `error` if in vain | in the span of each request that could not be sent at once |
//! | a sentence | warn | `service`, `field` | a configured file cannot be started as it is now |
//! | a sentence | warn | `shell`, `pid` or `error` | this machine keeps a promise from being kept; once |
//!
//! Each line that a server writes is an event, too: target **`tower_local_service::output`**, level
//! debug, fields `service` and `stream` (`stdout`, `stderr`), the line as its message, without
//! secrets. A filter for all but them is `tower_local_service=debug,tower_local_service::output=off`.
//! They cost nothing while nobody listens.
//!
//! Events go to the global subscriber, or to that of the thread whose request started the supervisor.
//! For a bug report there is [`LocalService::journal`], whether or not somebody listened.
//!
//! # How fast, and why
//!
//! `cargo bench` measures all of this beside the same work without the crate; the README has its table.
//!
//! *A warm request* asks nobody. In order, it
//!
//! 1. clones the handle: one addition to a reference count;
//! 2. looks whether the handle was shut down: a load;
//! 3. takes the lease: a load and an exchange of one word, which has the number of the run, whether it is
//!    open or under suspicion, and how many leases are out;
//! 4. looks at that word before each frame of the body, whether the run was stopped: a load;
//! 5. gives the lease back: a load and an exchange of that word. The last lease that is out also reads the
//!    clock, once, and writes down when it ended;
//! 6. drops the handle: one subtraction.
//!
//! There is no allocation, no system call and no probe in it, and nobody is woken, unless the supervisor had
//! looked while leases were out: then the last of them wakes it, once. Beside the atomics it is the clock
//! that costs most, and that the response is put together again around the body.
//!
//! Where the client, or the body, makes its task wait, a waker is left with the service, so that a stop is
//! told at once: in a list whose places are used again, behind a lock that is held for some instructions.
//!
//! *A cold start* is one message to the supervisor, a few locks on files if the endpoint was not ours
//! already, one probe that is refused, and two processes, the guardian and the server. From then on the
//! server decides, and how soon it is noticed that it is ready: the pause between two probes is 10 times
//! what the last one took in the first second, then 50 times, and never more than 50 ms. So probing costs
//! 2 to 3 % of a core, and a server that takes a millisecond to say 503 is asked every 50 ms. All who wait
//! are answered in one go.
//!
//! What scales with what:
//!
//! | | costs |
//! |---|---|
//! | a request more | nothing that grows. All requests of one service change the same two cache lines (the word and the handle's reference count), so many cores at once get a share of what one could do, some ten million leases a second and more; a core that loses the word to another leaves it there for a moment, so that they take turns of many. Requests of different services have nothing in common |
//! | a request that waits | less than half a KiB, and its turn when all are answered; [`max_waiters`](LocalServiceConfig::max_waiters) bounds them |
//! | a service that is registered | some 3 KiB; no thread, no descriptor, no timer before its first request |
//! | a service that runs | a guardian (a shell that sleeps), four pipes, 64 KiB of output; one timer where it may become idle or silent |
//! | a handle more of the same identity | a place in a map, read when handles come and go |
//! | a provider more | nothing for other providers' requests: a URL is looked up by the hash of its origin, then of its path |
//! | a line of output | a look for its end; to tell it, only while somebody listens |
//! | all services together | one thread, which sleeps while nothing is to be done |
//!
//! # Platforms and limits
//!
//! Linux is tested. macOS has all that is needed and was never run. Windows is refused at compile time.
//!
//! - *Without `/bin/sh`* there is no guardian: a warning, and servers outlive a host that is killed.
//! - *Descendants that leave the group* (`setsid`) are found on Linux when the service is stopped
//!   ([`stop_detached`](LocalServiceConfig::stop_detached)), but not when the host is killed.
//! - *`docker run` as the command* starts a client; the container belongs to a daemon. SIGTERM reaches
//!   the container, SIGKILL does not, so it outlives a host that is killed. Its port is held by a
//!   process of the daemon: a host that may see that (root) takes it for another's, and the start is
//!   never ready. Start containers by other means: what is healthy is used.
//! - *A host that is PID 1* of a container inherits the orphans of its servers and has to reap them: put
//!   an init before it (`docker run --init`).
//! - *A host that forks after the first start*, without `exec`, passes the guardian's lifeline on:
//!   servers end when the last of both has ended.
//! - *systemd* sends SIGTERM to servers and host at once. For a host that drains on SIGTERM, set
//!   `KillMode=mixed`, so that its servers last as long as it does.
//! - *Signals that this program ignores or blocks* are so for its servers, too. One that does not hear
//!   SIGTERM is killed after [`stop_timeout`](LocalServiceConfig::stop_timeout).
//! - *A program that is suspended* while it has an endpoint, uses a server or waits for one keeps what it
//!   has until it goes on or ends.
//!
//! # Several programs
//!
//! Programs of one user that are configured alike for an endpoint (the same command, arguments,
//! directory and `env`) share one server:
//!
//! - Those that start at the same time start one server between them, and the others wait for it. It is
//!   the child of the one that started it, its *owner*; to the others it is
//!   [external](Ownership::External).
//! - The owner stops an idle server [`idle_stop`](LocalServiceConfig::idle_stop) after the last lease in
//!   any of them has ended. (A program counts as a user for up to a second longer.)
//! - A program with another command for that endpoint makes the owner retire its server, as within one
//!   program: all leases end in peace, then the other server is started. Who waits longer than
//!   [`swap_timeout`](LocalServiceConfig::swap_timeout) is told which program has the endpoint.
//! - The server ends with its owner, at once where that is killed. What the others had sent fails then;
//!   the next request that finds it gone starts one of its own. A program that is killed holds up nobody.
//! - [`stop`](LocalService::stop) and [`shutdown`](Registry::shutdown) of the owner stop the server,
//!   whoever uses it; those of a user leave it alone.
//!
//! They agree by locks on small files in `$XDG_RUNTIME_DIR/tower-local-service`, or without such a
//! folder in `tower-local-service-<uid>` among the temporary files, which nobody but the user may
//! open. The files stay there and say nothing once nobody holds them; no secret can be read in them.
//! Programs that see different folders, as in different containers, know nothing of each other: the
//! second uses the server of the first as one that was there before, and starts its own once that is
//! gone. The same goes, with a warning, where the folder or its locks cannot be used.
//!
//! Relative paths in `args` mean the same in all of these programs only with a
//! [`cwd`](LocalServiceConfig::cwd). The variables that a server inherits are those of its owner.
//!
//! None of this costs an owner's warm request anything; another program's look at its server, once a second
//! while it sends requests, is one probe and a few system calls.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `reqwest`: reqwest's request and response (0.13). To put the response together again takes a few
//!   allocations.
//! - `json5`: [`Providers::from_json5`](provider::Providers), which tells line, column and path of a
//!   mistake. With any other format of serde, files are read without it.
//! - `reqwest-middleware`: `EnsureLocalServiceMiddleware`, for clients of that crate (0.5). It turns on
//!   `reqwest`.
//! - `retry`: `retry::ServerGone`, a policy for Tower's `Retry`.
//! - `full`: all of them.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!(
    "tower-local-service needs Unix: process groups and a guardian shell keep servers from outliving their host"
);

mod config;
mod error;
mod launch;
mod leases;
mod log;
mod machine;
mod middleware;
mod probe;
pub mod provider;
mod random;
mod resources;
mod service;
mod supervisor;

#[cfg(feature = "reqwest-middleware")]
pub use self::middleware::EnsureLocalServiceMiddleware;
#[cfg(feature = "retry")]
pub use self::middleware::retry;
pub use self::{
    config::{InheritEnv, LocalServiceConfig},
    error::{BoxError, Error, ErrorKind, Problem},
    machine::{Ownership, Phase, Record},
    middleware::{
        ColdStart, EnsureLocalService, EnsureLocalServiceLayer, EnsureOn, EveryRequest, HoldLease,
        Resolve, body, future,
    },
    service::{Lease, LocalService, Registry, Status, StatusWatch},
};

/// The code of the README is compiled, like that of this documentation.
#[cfg(all(
    doctest,
    feature = "json5",
    feature = "reqwest-middleware",
    feature = "retry"
))]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
