//! The demo itself.

mod promises;
mod seen;
#[path = "../server/mod.rs"]
mod server;
mod setup;

use std::{env, process::ExitCode};

use tower_local_service::{BoxError, Registry};

use self::setup::Setup;

pub(crate) fn run() -> ExitCode {
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

#[tokio::main(flavor = "current_thread")]
async fn show() -> Result<(), BoxError> {
    let setup = Setup::new()?;
    println!("\n  no server runs on 127.0.0.1:{}\n", setup.port);
    let kept = promises::all(&setup).await;
    Registry::global().shutdown().await;
    kept
}
