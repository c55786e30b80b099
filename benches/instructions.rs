//! How many instructions a warm request takes, with the layer and without it: the same number each time,
//! whatever else the machine does. Fails if they have become more.
//!
//! Needs valgrind and `gungraun-runner`, which `.ci/tool` installs:
//! `PATH=$(.ci/tool gungraun-runner@0.20.0):$PATH cargo bench --bench instructions`
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unused_qualifications,
    reason = "a benchmark, made by macros"
)]

mod warm;

use std::{fmt, hint::black_box, net::TcpListener};

use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use http::Response;
use http_body::Body;
use tower::Service;
use tower_local_service::{LocalService, LocalServiceConfig, Registry};

/// 5 % more than were counted last. If you make the layer faster, lower it.
const MOST: u64 = 778;
/// The same where the answer and its body are pending once.
const MOST_LATE: u64 = 1141;

/// What the layer added to a client that is ready, and what a client took that is pending once, when they were counted last.
const ADDED: u64 = 587;
const LATE_CLIENT: u64 = 188;

// Where the answer and its body are pending once, the layer adds at most twice as many. A limit that allows more does not
// compile.
const _: () = assert!(MOST_LATE - LATE_CLIENT <= 2 * ADDED);

/// A service whose server runs, and which needs something: that is to cost a warm request nothing.
fn running() -> LocalService {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let port = address.port().to_string();
    let config = LocalServiceConfig::new(env!("CARGO_BIN_EXE_fixture")).args([
        "--port",
        &port,
        "--max-life",
        "60000",
    ]);
    let registry = Registry::new();
    registry.capacity("gpu of the benchmark", 1);
    let config = config.needs("gpu of the benchmark", 1);
    let service = registry
        .service("warm", format!("http://{address}/v1"), config)
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(service.start()).unwrap();
    service
}

/// A client that has sent one request: the first one allocates what all others use again.
fn used<S, B>(mut client: S) -> S
where
    S: Service<(), Response = Response<B>, Error: fmt::Debug>,
    B: Body<Error: fmt::Debug>,
{
    warm::request(&mut client);
    client
}

#[library_benchmark]
#[bench::request(used(warm::bare()))]
fn without_the_layer(mut client: warm::Bare) -> warm::Bare {
    warm::request(black_box(&mut client));
    client
}

#[library_benchmark]
#[bench::request(used(warm::layered(&running(), warm::bare())))]
fn with_the_layer(mut client: warm::Layered<warm::Bare>) -> warm::Layered<warm::Bare> {
    warm::request(black_box(&mut client));
    client
}

#[library_benchmark]
#[bench::request(used(warm::late()))]
fn late_without_the_layer(mut client: warm::Late) -> warm::Late {
    warm::request(black_box(&mut client));
    client
}

#[library_benchmark(
    config = LibraryBenchmarkConfig::default().tool(callgrind().hard_limits([(EventKind::Ir, MOST_LATE)]))
)]
#[bench::request(used(warm::layered(&running(), warm::late())))]
fn late_with_the_layer(mut client: warm::Layered<warm::Late>) -> warm::Layered<warm::Late> {
    warm::request(black_box(&mut client));
    client
}

library_benchmark_group!(
    name = warm_request,
    benchmarks = [
        without_the_layer,
        with_the_layer,
        late_without_the_layer,
        late_with_the_layer
    ]
);

fn callgrind() -> Callgrind {
    Callgrind::with_args(["trace-children=no", "cache-sim=no"])
}

main!(
    config =
        LibraryBenchmarkConfig::default().tool(callgrind().hard_limits([(EventKind::Ir, MOST)])),
    library_benchmark_groups = warm_request
);
