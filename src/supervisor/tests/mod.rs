//! The driver with a machine of its own, on a paused clock.

mod backoff;
mod end;
mod fake;
mod handles;
mod launching;
mod peers;
mod ready;
mod room;
mod seen;
mod start;
mod stop;
mod swap;

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use self::fake::{Fake, What};
use crate::{
    config::LocalServiceConfig,
    error::{Error, ErrorKind},
    leases::Outcome,
    machine::{Ownership, Phase},
    probe::Answer,
    resources::Claims,
    service::{Lease, LocalService},
    supervisor::Client,
};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

fn config() -> LocalServiceConfig {
    LocalServiceConfig::new("/bin/sh")
}

/// A service on a machine of its own.
fn service(fake: &Fake, config: LocalServiceConfig) -> LocalService {
    claimant(fake, "server", &Arc::default(), config)
}

/// A service that shares its address with the services that have the same claims.
fn claimant(
    fake: &Fake,
    name: &str,
    claims: &Arc<Claims>,
    config: LocalServiceConfig,
) -> LocalService {
    let client = Client::new(fake.clone(), claims.clone(), Some(Handle::current()));
    attach(name, &Arc::new(client), config)
}

/// One more handle of the same process.
#[expect(clippy::needless_pass_by_value, reason = "it is built in the call")]
fn attach(name: &str, client: &Arc<Client>, config: LocalServiceConfig) -> LocalService {
    let settings = config.validate(name, "http://127.0.0.1:8080/v1").unwrap();
    LocalService::attach(name.to_owned(), Arc::new(settings), client.clone())
}

/// A request that waits in a task of its own.
fn asks(service: &LocalService) -> JoinHandle<Result<Lease, Error>> {
    let service = service.clone();
    Handle::current().spawn(async move { service.acquire().await })
}

/// A use whose response never got a head.
fn fail_before_head(lease: Lease) {
    lease.begin().suspect();
}

/// A use whose response came to its head only.
fn answer_without_end(lease: Lease) {
    lease.begin().reached(Outcome::Answered);
}

fn phase(service: &LocalService) -> Phase {
    service.status().phase
}
