//! The memory of a service that does not run, and of a lease on one that does.

use allocation_counter::measure as count;
use tower_local_service::{Lease, LocalServiceConfig, Registry};

use crate::{
    kernel,
    row::Row,
    support::{Fixture, block_on},
};

const SERVICES: u16 = 10_000;
const FIRST_PORT: u16 = 20_000;

/// The budget of one service, in bytes.
const BUDGET: i64 = 4096;

const LEASES: usize = 1000;

pub(crate) fn measure() -> Vec<Row> {
    vec![service(), lease()]
}

fn service() -> Row {
    let registry = Registry::new();
    // What all of them share.
    register(&registry, 0);
    let before = kernel::resident();
    let heap = count(|| (1..=SERVICES).for_each(|n| register(&registry, n)));
    let resident = kernel::resident().saturating_sub(before) / u64::from(SERVICES);
    let heap = heap.bytes_current / i64::from(SERVICES);
    Row::new(
        format!("heap of a registered, stopped service, one of {SERVICES}"),
        format!("{heap} bytes ({resident} by VmRSS)"),
        format!("≤ {BUDGET} bytes"),
        heap <= BUDGET,
    )
}

/// Configured as llama.cpp's server is.
fn register(registry: &Registry, n: u16) {
    let port = FIRST_PORT + n;
    let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
        .args(["--model", &format!("/models/gemma-{n}.gguf")])
        .args(["--port", &port.to_string(), "--ctx-size", "8192"])
        .env("LLAMA_API_KEY", "sk-0123456789abcdef")
        .env("CUDA_VISIBLE_DEVICES", "0")
        .health_url(format!("http://127.0.0.1:{port}/health"));
    let base_url = format!("http://127.0.0.1:{port}/v1");
    let service = registry.service(format!("gemma-{n}"), base_url, config);
    drop(service.unwrap());
}

fn lease() -> Row {
    let fixture = Fixture::new();
    let service = fixture.service("memory of a lease");
    block_on(service.start()).unwrap();
    let allocations = count(|| {
        for _ in 0..LEASES {
            drop(service.try_acquire().unwrap());
        }
    });
    let allocations = allocations.count_total;
    let bytes = size_of::<Lease>();
    Row::new(
        format!("heap allocations of {LEASES} leases ({bytes} bytes each, on the stack)"),
        allocations,
        "0",
        allocations == 0,
    )
}
