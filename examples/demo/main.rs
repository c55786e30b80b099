//! Ten seconds, seven promises: each line is what was seen, and this program checks it.
//!
//! ```sh
//! cargo run --example demo
//! ```
//!
//! It fails if a promise was not kept. The servers are this program itself.
#![expect(clippy::print_stdout, reason = "it shows what it has seen")]

#[cfg(unix)]
mod promises;
#[cfg(unix)]
mod seen;
#[cfg(unix)]
#[path = "../server/mod.rs"]
mod server;
#[cfg(unix)]
mod setup;

#[cfg(unix)]
use std::{env, process::ExitCode};

#[cfg(unix)]
use tower_local_service::{BoxError, Registry};

#[cfg(unix)]
use setup::Setup;

#[cfg(not(unix))]
fn main() {
    println!("it kills its servers by signals, which only Unix has");
}

#[cfg(unix)]
fn main() -> ExitCode {
    server::serve_if_asked();
    let args: Vec<String> = env::args().skip(1).collect();
    let kept = match &args[..] {
        [] => show(),
        // Line 7 kills this program, once more started.
        [flag, port] if flag == promises::OWN => promises::own(port),
        _ => Err("it takes no arguments".into()),
    };
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\n  NOT KEPT: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(unix)]
#[tokio::main(flavor = "current_thread")]
async fn show() -> Result<(), BoxError> {
    let setup = Setup::new()?;
    println!("\n  no server runs on 127.0.0.1:{}\n", setup.port);
    let kept = promises::all(&setup).await;
    Registry::global().shutdown().await;
    kept
}
