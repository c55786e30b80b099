//! All figures of the crate in one table, each beside what the same work takes without the crate.
//!
//! `cargo bench --features reqwest`; `cargo bench --bench table -- NAME …` measures a part.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark"
)]

mod cold_start;
mod contention;
mod crowd;
mod idle;
mod kernel;
mod loopback;
mod memory;
mod output;
mod pairs;
mod pause;
mod providers;
mod row;
mod running;
mod sample;
mod spawn;
mod stamp;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod waiting;
#[path = "../warm/mod.rs"]
mod warm;
mod warm_request;

use row::Row;

/// A name to ask for, and what measures some rows.
type Part = (&'static str, fn() -> Vec<Row>);

const PARTS: &[Part] = &[
    ("warm_request", warm_request::measure),
    ("loopback", loopback::measure),
    ("contention", contention::measure),
    ("cold_start", cold_start::measure),
    ("pause", pause::measure),
    ("spawn", spawn::measure),
    ("waiting", waiting::measure),
    ("crowd", crowd::measure),
    ("idle", idle::measure),
    ("memory", memory::measure),
    ("providers", providers::measure),
    ("output", output::measure),
];

fn main() {
    if warm_request::only_requests() {
        return;
    }
    // cargo adds `--bench`.
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    let mut rows = Vec::new();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            eprintln!("measuring: {name}");
            rows.extend(measure());
        }
    }
    row::print(&rows);
}
