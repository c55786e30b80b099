//! Starts a local server on demand, before the request that needs it is sent.
//!
//! [`EnsureLocalServiceLayer`] is a Tower middleware for HTTP *clients*. It makes sure that the local
//! server behind a URL runs, sends the request, and stops the server when it has been idle for a while.
//! It is made for model servers such as llama.cpp or vLLM, and works for any local HTTP server.
//!
//! ```text
//! request ─▶ healthy? ─▶ (no) start the process ─▶ wait until ready ─▶ send ─▶ response holds a lease
//!               └─ yes: use that server                                           └─ last lease gone + idle time ─▶ stop
//! ```
//!
//! No daemon is installed: the server is a child of the program that first needed it, and ends with
//! that program.
//!
//! # Start here
//!
//! A service is one configured server. Put one layer around the client that you already have.
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
//! A layer is made with a [`Resolve`], which says which service a request is for:
//!
//! - a [`LocalService`]: the requests for the origin of its base URL. All others pass through, so that one
//!   client can talk to local and remote servers,
//! - [`LocalService::every_request`]: every request, also of a type that has no URL,
//! - any `Fn(&Request) -> Option<LocalService>`: several services behind one client. Where it returns
//!   `None`, the request passes through untouched,
//! - a [`Providers`](provider::Providers): all servers of a configuration file, each for the URLs under
//!   its base URL.
//!
//! With feature `reqwest`, a `reqwest::Client` (0.13) is such a client, too. [`EnsureLocalService::new`] wraps
//! one client without a layer, and [`EnsureLocalService::layer`] is the layer.
//!
//! # What happens, step by step
//!
//! 1. The response future is polled for the first time. If the server is known to be ready, the future
//!    takes a lease and sends the request: a few atomic operations, no probe, no allocation.
//! 2. Otherwise the supervisor of the service takes over, for all requests that wait. It *probes*: one
//!    GET of the health URL ([`health_url`](LocalServiceConfig::health_url)). An expected status: an
//!    external server runs; it is used, and never stopped. A 503, or silence: an external server is
//!    loading; the requests wait for it. Any other answer: an error that says who has the address. If
//!    the connection is refused, the next step follows.
//! 3. It *starts* the command in a process group of its own, with a watchdog that ends the group when
//!    your program ends, in whatever way.
//! 4. While the server *loads*, it is probed again and again, each time after a pause of 1 % of the time
//!    waited so far, at least 1 ms and at most 50 ms. If the process exits, the wait ends immediately,
//!    with the exit code and the last lines of its output.
//! 5. *Ready*: all waiting requests get a lease and are sent. Their responses have [`ColdStart`] in
//!    their extensions.
//! 6. The lease stays with the body of the response until that ends, fails or is dropped
//!    ([`LeasedBody`](body::LeasedBody)). While there is a lease, only [`stop`](LocalService::stop) and
//!    [`shutdown`](Registry::shutdown) stop the server.
//! 7. *Idle* for [`idle_stop`](LocalServiceConfig::idle_stop), it is *stopped*: SIGTERM to the group,
//!    SIGTERM again at half of [`stop_timeout`](LocalServiceConfig::stop_timeout), SIGKILL at its end.
//!    A request that comes meanwhile waits and is served by a new process.
//!
//! [`acquire`](LocalService::acquire) does the same by hand and returns a [`Lease`];
//! [`start`](LocalService::start) preloads; [`status`](LocalService::status) and
//! [`watch`](LocalService::watch) say what the service is doing. A [`Status`] can be serialized, as JSON say.
//!
//! # What you can rely on
//!
//! - *One process.* The same command, arguments, directory, environment and address are one process in
//!   your program, for any number of names, clones, layers, threads and runtimes. A thousand requests
//!   for a cold service are one start.
//! - *One address, one server.* Another command for the same port makes the running one make way: its
//!   leases end, then the new one starts. So two models can share a port. A request that waits longer
//!   for that than [`swap_timeout`](LocalServiceConfig::swap_timeout) fails with an error that says who
//!   has the port.
//! - *Several programs, one server.* Programs of one user share an address, too: see
//!   [below](#several-programs).
//! - *A start belongs to no request.* A request may time out or be cancelled: the start continues, and
//!   the next request waits only for the rest of it.
//! - *Failures are reported.* All requests that wait for a start that fails get the same [`Error`]. Then
//!   follows a backoff of 0 s, 1 s, 2 s, … 60 s, in which requests fail immediately with
//!   [`CrashLoop`](ErrorKind::CrashLoop).
//! - *No orphans.* In whatever way your program ends, also by SIGKILL, the processes that it started
//!   end, too. See the limits below.
//! - *No surprises in composition.* You may drop anything anywhere: at any await, outside of a runtime,
//!   while unwinding. Your program needs no tokio runtime: the supervisors have a thread of their own
//!   ([`Registry::with_runtime`] gives them another).
//! - *No secrets in text.* `Debug`, `Display`, events and output show no value of `env`, no key and no
//!   header.
//!
//! This crate never sends a request twice, unless you [ask for it](#resending). A body that breaks off
//! because its server died ends with an error, also where HTTP alone could not tell (as in HTTP/1.0).
//!
//! # Where to put the layer
//!
//! By default the layer is always ready, and the response future waits for the server, then for the
//! client inside.
//!
//! | | outside of this layer | inside of this layer |
//! |---|---|---|
//! | `Timeout` | its time includes a cold start; if it fires, the start continues | **usual**: only the request itself is timed |
//! | `Retry` | **usual**: each attempt makes sure again that the server runs | each attempt goes to the same server, which may be gone |
//! | `ConcurrencyLimit` | a permit is held for the whole cold start | **usual**: a permit is taken when the server runs |
//! | `LoadShed` | sheds nothing while the server starts, except with [`EnsureOn::PollReady`] | sheds what the client inside has no room for |
//! | `Buffer` | good: its worker only calls, and the wait is in the response | good: a place is taken when the server runs |
//! | `Balance`, `Steer` | good: a server starts when it is called; with [`EnsureOn::PollReady`] all servers start | – |
//!
//! The client is cloned for each request, so a clone should be cheap, as those of reqwest and
//! hyper-util are.
//!
//! # Errors
//!
//! The layer's error is [`BoxError`]: the client's own, unchanged, or an [`Error`] of this crate, which
//! [`Error::of`] finds inside of the errors of other layers. Its [`kind`](Error::kind) has the facts of
//! each case ([`ErrorKind`] lists them), its [`hint`](Error::hint) says what to do next, and
//! [`status_code`](Error::status_code) and [`retry_after`](Error::retry_after) are what a gateway would
//! answer. Show it to a person with `{:#}`: what happened, the last output and the hint, in three lines.
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
//! // Instead of a real client.
//! let client = service_fn(|_: Request<String>| async {
//!     Ok::<_, BoxError>(Response::new(String::from("never sent")))
//! });
//! let client = EnsureLocalServiceLayer::new(service).layer(client);
//!
//! let request = Request::get(&base_url).body(String::new())?;
//! let failed = client.oneshot(request).await.unwrap_err();
//! let error = Error::of(&failed).expect("an error of this crate");
//! assert!(matches!(error.kind(), ErrorKind::Exited { code: Some(3), .. }));
//! assert_eq!(error.output_tail(), Some("no such model\n"));
//! assert_eq!(error.status_code(), 502);
//! assert!(error.hint().starts_with("run the command by hand"));
//! # Ok(())
//! # }
//! ```
//!
//! # Configuration files
//!
//! [`ProvidersConfig`](provider::ProvidersConfig) is `OpenClaw`'s configuration file, or one in its
//! shape: providers under `models.providers`, of which those with a `localService` have a local server.
//! Other keys are skipped. [`register`](provider::ProvidersConfig::register) fills in the variables
//! (`${VAR}`), reports everything that is wrong at once, and starts nothing. A provider whose variable or
//! key cannot be found out is unavailable, and the others are not. It returns
//! [`Providers`](provider::Providers), whose [`reload`](provider::Providers::reload) replaces the file
//! by another reading, for every layer that has the handle: services that have not changed keep
//! running, the others are replaced, and no request is lost by it. The module [`provider`] says what is
//! read, skipped and refused; `examples/config` has files for llama.cpp, vLLM, MLX, inferrs, llmman,
//! LM Studio and ds4, and a JSON Schema for editors.
//!
//! # Gateways
//!
//! A program that forwards requests knows from their bodies which server they are for, and not from
//! their URLs: so it makes the layer with the service of
//! [`resolve_model`](provider::Providers::resolve_model). A stack is cheap to build, so each request may
//! have its own, with the timeout of its provider:
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
//! - *The body of the response has the lease.* Pass it on as it is: a server such as axum drops it when
//!   its client hangs up, and then the lease ends. A body that was collected has no lease any more.
//! - *Errors* have a [`status_code`](Error::status_code) and a [`retry_after`](Error::retry_after), and
//!   their text says what to do.
//! - *The end*: [`Registry::drain`], together with the server's graceful shutdown.
//!
//! The example `gateway` is such a program, to run and to read: one address with `OpenAI`'s API for all
//! servers of a configuration file.
//!
//! # Upgrades, and other uses of a server
//!
//! A WebSocket outlives its response. So the [`Lease`] of a 101 (or a successful CONNECT) is in the
//! extensions of the response: take it out and keep it together with the socket.
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
//! For connections that do not go through the layer, take a lease by hand:
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
//! [`Lease::ended`] says when the server has died or was stopped under the lease, and
//! [`Lease::instance`] which instance that is: each start of the process is another.
//!
//! # Resending
//!
//! If a server dies while a request is on its way, the request fails, and the next one starts the server
//! again. With feature `retry`, `retry::ServerGone` is a policy for a `Retry` outside of the layer: one
//! more attempt if the server died before it answered, and only if nothing was sent, the method is
//! idempotent, or the request has an `Idempotency-Key`. A failed start is not tried again.
//!
//! # reqwest-middleware
//!
//! With feature `reqwest-middleware`, `EnsureLocalServiceMiddleware` does what the layer does, in a
//! `ClientWithMiddleware`. Put it after middleware that retries. [`Error::find_in`] finds the [`Error`]
//! in that crate's error.
//!
//! # Events
//!
//! With [`tracing`], each instance (from the first probe of its address until nothing of its process is
//! left) is a root span, and what happens in it are events. All have the target `tower_local_service`.
//! The names and fields of this section change only with a breaking release.
//!
//! The span is **`local_service`** (info), with `service` (the name), `instance` (the number that
//! [`Lease::instance`] returns) and, once there is one, `pid`. Its events:
//!
//! | event | level | fields | when |
//! |---|---|---|---|
//! | `probing` | debug | `host`, `path` | the first probe, before a start |
//! | `starting` | info | `command` | no server runs, so the process is started |
//! | `started` | debug | `pid` | the process runs, and loads |
//! | `ready` | info | `took_ms`, `external` | requests are served; by an external server if `external` |
//! | `exposed` | warn | `address`, `hint` | other machines can reach the server that was started: it listens beyond the loopback (Linux) |
//! | `idle` | debug | | the last lease has ended; reported again only after the service has been used again |
//! | `suspended` | warn | `pid`, `hint` | a process of a server that is not ready yet was stopped by a signal, most often since it waits for a terminal (Linux) |
//! | `unresponsive` | warn | `hint` | requests end without an answer while the server does nothing, so that it is restarted |
//! | `stopping` | info | `reason` | SIGTERM is sent: `abandoned`, `asked`, `idle`, `not ready`, `rejected`, `refuses`, `retired`, `swap`, `unresponsive` |
//! | `exited` | info, warn if it was not stopped | `code`, `signal`, `after_ms` | the process, or its watchdog, has ended |
//! | `stopped` | debug | | nothing of the process is left |
//! | `replaced` | warn | | another program has taken the port; its server, which answers there, is used |
//! | `released` | debug | | the external server is gone, or is not used any more |
//! | `failed` | warn | `error` | the error that all waiting requests get |
//!
//! | event outside of that span | level | fields | when |
//! |---|---|---|---|
//! | `waited` | debug | `service`, `waited_ms`, `error` if it failed | in the span of each request that could not be sent immediately |
//! | a sentence | warn | `service`, `field` | a configured file could not be started as it is now |
//! | a sentence | warn | `shell`, `pid` or `error` | on this machine a promise cannot be kept; once |
//!
//! Each line that a server writes is an event, too: target **`tower_local_service::output`**, level
//! debug, fields `service` and `stream` (`stdout`, `stderr`), the line as its message, without
//! secrets. A filter for all but them is `tower_local_service=debug,tower_local_service::output=off`.
//! Without a subscriber they cost nothing.
//!
//! Events go to the global subscriber, or to that of the thread whose request started the supervisor.
//! A subscriber that panics ends and fails nothing; the event is lost.
//! For a bug report there is [`LocalService::journal`], which needs no subscriber.
//!
//! # How fast, and why
//!
//! `cargo bench` measures all of this next to the same work without the crate; the README has its table.
//!
//! *A warm request* asks no other task. In order, it
//!
//! 1. clones the handle: one addition to a reference count;
//! 2. looks whether the handle was shut down: a load;
//! 3. takes the lease: a load and an exchange of one word, which has the number of the instance, whether
//!    it is open or suspect (a request got no answer), and the number of leases;
//! 4. reads that word before each frame of the body, to see whether the instance was stopped: a load;
//! 5. gives the lease back: a load and an exchange of that word. The last lease also reads the clock,
//!    once, and stores when it ended;
//! 6. drops the handle: one subtraction.
//!
//! There is no allocation, no system call and no probe in it, and no task is woken, unless the supervisor
//! has read the word while there were leases: then the last of them wakes it, once. Apart from the atomic
//! operations, most of the cost is the clock, and building the response again around the body: 562
//! instructions, as the benchmark `instructions` counts them with a client that is ready.
//!
//! Where the client or the body is pending, a waker is registered with the service, so that a stop is
//! noticed immediately: in a list whose places are reused, behind a lock that is held for some
//! instructions. A request has one place for both, which it takes once and gives back once. Polled again
//! with the same waker, it takes no lock. With a client and a body that are each pending once, the layer
//! adds 899 instructions.
//!
//! *A cold start* is one message to the supervisor, a few locks on files if your program did not have the
//! address already, one probe that is refused, and two processes, the watchdog and the server. The rest
//! is the server's own start, and the time until it is noticed: a server that loads is probed again after
//! a pause of 1 % of the time waited so far, at least 1 ms and at most 50 ms. All waiting requests are
//! answered together.
//!
//! What scales with what:
//!
//! | | costs |
//! |---|---|
//! | one more request | nothing that grows. All requests of one service change the same two cache lines (the word and the handle's reference count), so many cores together reach a share of what one could do, some ten million leases a second and more; a core that fails to change the word pauses for a moment, so that each core changes it many times in a row. Requests of different services share nothing |
//! | one more waiting request | less than half a KiB, and its turn when all are answered; [`max_waiters`](LocalServiceConfig::max_waiters) limits them |
//! | one more registered service | some 3 KiB; no thread, no descriptor, no timer before its first request |
//! | one more running service | a watchdog (a shell that sleeps), four pipes, 64 KiB of output; one timer where it can become idle or silent |
//! | one more handle of the same identity | a place in a map, which is read when handles are created and dropped |
//! | one more provider | a comparison or none: URLs are looked up in a sorted list |
//! | a line of output | a search for its end; an event only if a subscriber wants it |
//! | all services together | one thread, which sleeps while there is nothing to do |
//!
//! # Platforms and limits
//!
//! Linux is tested. macOS has everything that is needed, but was never run. Windows is refused at compile
//! time.
//!
//! - *Without `/bin/sh`* there is no watchdog: a warning says so, and servers outlive a program that is
//!   killed.
//! - *Descendants that leave the group* (`su`, `setsid`, `timeout`) are found on Linux when the service is
//!   stopped ([`stop_detached`](LocalServiceConfig::stop_detached)): by their parents, and by a variable in
//!   their environment. When your program is killed, those end whose parents live up to the service. A
//!   process of another user (`sudo`) ends only if its launcher passes the signal on, unless you are root.
//! - *When your program is killed*, its servers get SIGTERM, and SIGKILL after at most two seconds. Without
//!   `sleep` in `/bin` or `/usr/bin` they are killed at once.
//! - *`docker run` as the command* starts a client; the container belongs to a daemon. SIGTERM reaches
//!   the container, SIGKILL does not, so it outlives a program that is killed. A process of the daemon
//!   has the port: a program that may see that (root) takes it for another program's server, and the
//!   start is never ready. Start containers by other means: a server that is healthy is used.
//! - *A program that is PID 1* of a container inherits the orphans of its servers and has to reap them:
//!   run it under an init (`docker run --init`).
//! - *A program that forks after the first start*, without `exec`, passes the watchdog's pipe on: servers
//!   end when both processes have ended.
//! - *systemd* sends SIGTERM to servers and program at the same time. For a program that drains on
//!   SIGTERM, set `KillMode=mixed`, so that its servers run as long as it does.
//! - *Signals that your program ignores or blocks* are ignored or blocked in its servers, too. A server
//!   that ignores SIGTERM is killed after [`stop_timeout`](LocalServiceConfig::stop_timeout).
//! - *A program that is suspended* while it has an address, uses a server or waits for one keeps its place
//!   until it continues or ends.
//!
//! # Several programs
//!
//! Peers, which are programs of the same user that use this crate, share one server if their
//! configuration for an address is the same (command, arguments, directory and `env`):
//!
//! - Peers that start at the same time start one server, and the others wait for it. The server is the
//!   child of the program that started it, its *owner*; for its peers it is
//!   [external](Ownership::External).
//! - The owner stops an idle server [`idle_stop`](LocalServiceConfig::idle_stop) after the last lease in
//!   any of them has ended. (A program counts as a user for up to a second longer.)
//! - A peer with another command for that address makes the owner's server make way, as within one
//!   program: all leases end, then the other server is started. A request that waits longer than
//!   [`swap_timeout`](LocalServiceConfig::swap_timeout) fails with an error that names the program that
//!   has the address.
//! - The server ends with its owner, immediately if that is killed. Requests of peers that are on their
//!   way then fail; the next request starts another server. A program that is killed keeps no other
//!   program waiting.
//! - [`stop`](LocalService::stop) and [`shutdown`](Registry::shutdown) in the owner stop the server, also
//!   while peers use it; in a peer they do not.
//!
//! They agree by locks on small files in `$XDG_RUNTIME_DIR/tower-local-service`, or without such a
//! folder in `tower-local-service-<uid>` in the folder for temporary files, which only the user may
//! open. The files stay there and mean nothing while no program has locked them; they contain no secret.
//! Programs that see different folders, as in different containers, do not know of each other: the
//! second uses the server of the first as an external one, and starts its own when that is gone. The
//! same happens, with a warning, where the folder or its locks cannot be used.
//!
//! Relative paths in `args` mean the same in all of these programs only with a
//! [`cwd`](LocalServiceConfig::cwd). A server inherits the variables of its owner.
//!
//! None of this costs an owner's warm request anything. A peer, while it sends requests, checks the server
//! once a second, with one probe and a few system calls.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `reqwest`: reqwest's request and response (0.13). Building the response again around its body takes
//!   a few allocations.
//! - `json5`: `ProvidersConfig::from_json5`, which reports the line, column and path of a mistake. Files
//!   in any other format of serde can be read without it.
//! - `reqwest-middleware`: `EnsureLocalServiceMiddleware`, for clients of that crate (0.5). It enables
//!   `reqwest`.
//! - `retry`: `retry::ServerGone`, a policy for Tower's `Retry`.
//! - `full`: all of them.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!(
    "tower-local-service needs Unix: process groups and a watchdog shell keep servers from outliving your program"
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
    launch::Guarantees,
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
