//! Where the other layers go: what each does during a cold start, outside and inside of the layer that
//! starts the server.
//!
//! ```sh
//! cargo run --example layer_order
//! cargo run --example layer_order -- Buffer   # the lines with this word
//! ```
//!
//! Every line is measured when it is printed: three requests at the same time to a server that does not
//! run and takes a second to start, one to another server meanwhile, and one to the first server later.
#![expect(clippy::print_stdout, reason = "it prints a table")]

mod server;
mod stacks;
mod trial;

use std::{env, thread};

use tower_local_service::{BoxError, Registry};

use self::trial::Trial;

fn main() -> Result<(), BoxError> {
    let args: Vec<String> = env::args().skip(1).collect();
    match &args[..] {
        [] => measure(""),
        // The local server is this program once more.
        [flag, port, fails_once @ ..] if flag == "--serve" => {
            server::cold(port.parse()?, fails_once.first())?;
            Ok(())
        }
        [word] => measure(word),
        _ => Err("it takes one word of the lines to show, or nothing".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn measure(word: &str) -> Result<(), BoxError> {
    let other = server::listen(0)?;
    let other_port = other.local_addr()?.port();
    thread::spawn(move || server::serve(&other));

    let registry = Registry::new();
    row(
        "",
        "three requests at once",
        "to another server meanwhile",
        "2 s later",
        "starts",
    );
    let is_asked_for = |title: &str| title.contains(word);
    for (title, build) in stacks::ALL.iter().filter(|it| is_asked_for(it.0)) {
        print(
            title,
            &trial::run(&registry, other_port, *build, false).await?,
        );
    }
    println!("where the first start fails");
    for (title, build) in stacks::FRAIL.iter().filter(|it| is_asked_for(it.0)) {
        print(
            title,
            &trial::run(&registry, other_port, *build, true).await?,
        );
    }
    registry.shutdown().await;
    Ok(())
}

fn print(title: &str, trial: &Trial) {
    let starts = trial.starts.to_string();
    row(title, &trial.at_once, &trial.other, &trial.later, &starts);
}

fn row(title: &str, at_once: &str, other: &str, later: &str, starts: &str) {
    println!("{title:<38}{at_once:<49}{other:<32}{later:<26}{starts}");
}
