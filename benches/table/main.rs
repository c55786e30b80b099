//! All figures of the crate in one table, each beside what the same work takes without the crate.
//!
//! `cargo bench --features reqwest`; `cargo bench --bench table -- NAME …` measures a part. With `--markdown` it prints
//! `benches/README.md`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark"
)]

mod cluster;
mod cold_start;
#[cfg(feature = "docker")]
mod containers;
mod contention;
mod crowd;
mod document;
mod gateway;
mod idle;
mod kernel;
mod loopback;
mod memory;
mod output;
mod pairs;
mod pause;
mod planning;
mod ports;
mod providers;
mod row;
mod running;
mod sample;
mod spawn;
mod stamp;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod turns;
mod waiting;
#[path = "../warm/mod.rs"]
mod warm;
mod warm_request;

use row::Row;

/// A name to ask for, what its rows are about, and what measures them.
type Part = (&'static str, &'static str, fn() -> Vec<Row>);

const PARTS: &[Part] = &[
    ("warm_request", "A warm request", warm_request::measure),
    ("loopback", "A warm request on loopback", loopback::measure),
    ("gateway", "The gateway", gateway::measure),
    ("contention", "Many tasks at once", contention::measure),
    ("cold_start", "Wait after ready", cold_start::measure),
    ("pause", "Pauses between probes", pause::measure),
    ("spawn", "The start of a process", spawn::measure),
    #[cfg(feature = "docker")]
    ("containers", "Containers", containers::measure),
    ("waiting", "What waiting costs", waiting::measure),
    ("crowd", "Many waiting requests", crowd::measure),
    ("idle", "Idle", idle::measure),
    ("memory", "Memory", memory::measure),
    ("providers", "Many providers", providers::measure),
    ("output", "Output of a server", output::measure),
    ("turns", "Several models", turns::measure),
    ("planning", "Who makes way", planning::measure),
    ("ports", "Chosen ports", ports::measure),
    ("cluster", "A cluster", cluster::measure),
];

fn main() {
    if warm_request::only_requests() || gateway::only_proxies() || ports::only_asks() {
        return;
    }
    // cargo adds `--bench`.
    let (options, wanted): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|it| it.starts_with('-'));
    let mut groups = Vec::new();
    for (name, heading, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            eprintln!("measuring: {name}");
            let rows = measure();
            // What needs an engine has none without one.
            if !rows.is_empty() {
                groups.push((*heading, rows));
            }
        }
    }
    if options.iter().any(|it| it == "--markdown") {
        document::print(&groups);
    } else {
        let rows: Vec<_> = groups.into_iter().flat_map(|(_, rows)| rows).collect();
        row::print(&rows);
    }
}
