//! Ten seconds, seven promises: each line is what was seen, and this program checks it.
//!
//! ```sh
//! cargo run --example demo
//! ```
//!
//! It fails if a promise was not kept. The servers are this program itself.
#![expect(clippy::print_stdout, reason = "it shows what it has seen")]

#[cfg(unix)]
#[path = "program.rs"]
mod program;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    program::run()
}

#[cfg(not(unix))]
fn main() {
    println!("it kills its servers by signals, which only Unix has");
}
