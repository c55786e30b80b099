//! What the task waits for; each wait may be dropped and begun again.

use tokio::time::{Instant, sleep, sleep_until};

use super::{Pending, Woken};
use crate::{
    launch::Running,
    machine::Claim,
    resources::{
        Ticket,
        peers::{self, Hosts},
    },
};

pub(super) async fn next_of_process<P: Running>(
    process: Option<&mut P>,
    exit_told: bool,
) -> Woken<P> {
    match process {
        Some(process) if exit_told => {
            process.gone().await;
            Woken::Gone
        }
        Some(process) => Woken::Exited(process.ended().await),
        None => std::future::pending().await,
    }
}

pub(super) async fn next_of_claim(ticket: Option<&mut Ticket>) -> Claim {
    match ticket {
        Some(ticket) => ticket.next().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn pending<T>(future: Option<&mut Pending<T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

pub(super) async fn due(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Resolves when no other host process uses what has been lent.
pub(super) async fn returned(hosts: &Hosts, lent_since: Option<Instant>) {
    let Some(since) = lent_since else {
        return std::future::pending().await;
    };
    loop {
        sleep(peers::pace(since.elapsed(), peers::PATIENTLY)).await;
        if !hosts.others_use() {
            return;
        }
    }
}
