//! One stack, one cold start, and how the requests ended.

use std::{collections::BTreeMap, env, fs, path::PathBuf, process, time::Duration};

use http_body_util::Empty;
use hyper::Request;
use tokio::{
    join,
    time::{Instant, sleep_until},
};
use tower::ServiceExt;
use tower_local_service::{BoxError, Error, LocalService, LocalServiceConfig, Registry};

use crate::{
    server,
    stacks::{Build, Stack},
};

/// When every start that continues is over.
const LATER: Duration = Duration::from_secs(2);

/// A line of the table.
pub(crate) struct Trial {
    pub(crate) at_once: String,
    pub(crate) other: String,
    pub(crate) later: String,
    pub(crate) starts: u64,
}

pub(crate) async fn run(
    registry: &Registry,
    other: u16,
    build: Build,
    first_start_fails: bool,
) -> Result<Trial, BoxError> {
    let port = free_port()?;
    let marker = first_start_fails
        .then(|| env::temp_dir().join(format!("layer-order-{}-{port}", process::id())));
    let services = [
        service(registry, port, marker.as_ref())?,
        service(registry, free_port()?, None)?,
    ];
    let stack = build(&services);

    let begun = Instant::now();
    let (a, b, c, other) = join!(
        send(&stack, port),
        send(&stack, port),
        send(&stack, port),
        send(&stack, other)
    );
    sleep_until(begun + LATER).await;
    let later = send(&stack, port).await;

    marker.map(fs::remove_file).transpose()?;
    Ok(Trial {
        at_once: describe(&[a, b, c]),
        other: describe(&[other]),
        later: describe(&[later]),
        starts: services.iter().map(|it| it.status().starts).sum(),
    })
}

fn free_port() -> Result<u16, BoxError> {
    Ok(server::listen(0)?.local_addr()?.port())
}

fn service(
    registry: &Registry,
    port: u16,
    marker: Option<&PathBuf>,
) -> Result<LocalService, BoxError> {
    let url = format!("http://127.0.0.1:{port}");
    let config = LocalServiceConfig::new(env::current_exe()?)
        .args(["--serve".to_owned(), port.to_string()])
        .args(marker)
        .health_url(format!("{url}/health"));
    Ok(registry.service(format!("port {port}"), url, config)?)
}

/// How a request ended, and after how long.
type Outcome = (String, Duration);

async fn send(stack: &Stack, port: u16) -> Outcome {
    let request = Request::get(format!("http://127.0.0.1:{port}/")).body(Empty::new());
    let begun = Instant::now();
    let result = match request {
        Ok(request) => stack.clone().oneshot(request).await,
        Err(error) => Err(error.into()),
    };
    let outcome = match result {
        Ok(status) => status.as_u16().to_string(),
        Err(error) => named(&error),
    };
    (outcome, begun.elapsed())
}

/// Errors of the crate by their kind, which is shorter than their message.
fn named(error: &BoxError) -> String {
    let Some(ours) = Error::of(error) else {
        return error.to_string();
    };
    let kind = format!("{:?}", ours.kind());
    kind.chars().take_while(char::is_ascii_alphabetic).collect()
}

/// The same outcomes together, with the time of the last of them.
fn describe(outcomes: &[Outcome]) -> String {
    let mut kinds = BTreeMap::<_, (usize, Duration)>::new();
    for (outcome, took) in outcomes {
        let (count, last) = kinds.entry(outcome).or_default();
        *count += 1;
        *last = (*took).max(*last);
    }
    let kinds = kinds.iter().map(|(outcome, (count, last))| {
        let times = if *count > 1 {
            format!("{count} x ")
        } else {
            String::new()
        };
        format!("{times}{outcome} in {:.2} s", last.as_secs_f64())
    });
    kinds.collect::<Vec<_>>().join(", ")
}
