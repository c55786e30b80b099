//! Looking at a server that may be another host's: a look counts only while nobody can stop what is
//! seen.

use std::{future::Future, io, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::{Instant, sleep};

use super::{EAGERLY, Hosts, Ring, Standing, pace, user::Server, warn_once};
use crate::machine::Sight;

/// What to do about another host's server before the next try.
enum Found {
    /// Look: nobody can stop it.
    Held,
    Gone,
    Wait,
}

impl Hosts {
    /// Looks at what is there before a start. While the endpoint is another host's, what is seen is
    /// its server, once that is ready; that nothing is there is seen by the owner alone. A server that
    /// was condemned here is not waited for to recover: its owner is asked to make way.
    pub(crate) async fn first_look<F: Future<Output = Sight>>(
        &self,
        probe: impl Fn() -> F,
    ) -> (Sight, Duration) {
        let begun = Instant::now();
        let mut ring = Ring::default();
        loop {
            match self.try_own() {
                Standing::Owner => return timed(probe()).await,
                Standing::Rival { bell, .. } => ring.at(&bell).await,
                Standing::Guest { bell } => {
                    if let Some(seen) = self.look_as_guest(&probe).await {
                        return seen;
                    }
                    if self.condemned.load(Relaxed) {
                        ring.at(&bell).await;
                    } else {
                        ring.stop();
                    }
                }
                Standing::Unsettled => ring.stop(),
            }
            sleep(pace(begun.elapsed(), EAGERLY)).await;
        }
    }

    /// `None`: there is nothing to be seen that could be used.
    async fn look_as_guest<F: Future<Output = Sight>>(
        &self,
        probe: impl Fn() -> F,
    ) -> Option<(Sight, Duration)> {
        let tried = self.try_use(&mut self.lock());
        // As for the owner: who cannot lock is alone.
        let uses = tried.unwrap_or_else(|error| {
            warn_once(&error);
            true
        });
        if !uses {
            return None;
        }
        let (sight, took) = timed(probe()).await;
        let use_it = match sight {
            Sight::Wanted => {
                self.condemned.store(false, Relaxed);
                true
            }
            // It died, and its owner does not know yet.
            Sight::Refused | Sight::Status(502 | 504) => false,
            _ => !self.condemned.load(Relaxed),
        };
        if !use_it {
            self.stop_using(Duration::ZERO);
        }
        use_it.then_some((sight, took))
    }

    /// Looks again at a server that we did not start. When another host wants to stop it, it is gone
    /// for us as soon as no lease is out.
    pub(crate) async fn look_again<F: Future<Output = Sight>>(
        &self,
        leases: impl Fn() -> usize,
        probe: impl Fn() -> F,
    ) -> (Sight, Duration) {
        let begun = Instant::now();
        loop {
            match self.find() {
                Found::Held => return timed(probe()).await,
                Found::Gone if leases() == 0 => {
                    self.stop_using(Duration::ZERO);
                    return (Sight::Refused, Duration::ZERO);
                }
                Found::Gone | Found::Wait => sleep(pace(begun.elapsed(), EAGERLY)).await,
            }
        }
    }

    fn find(&self) -> Found {
        let mut locks = self.lock();
        let mut find = || -> io::Result<Found> {
            if self.folder.is_none() {
                return Ok(Found::Held);
            }
            self.open(&mut locks)?;
            Ok(match self.server(&locks.files[0])? {
                Server::Nobodys => {
                    locks.stop_using();
                    locks.close_unless_needed();
                    Found::Held
                }
                Server::Open if self.try_use(&mut locks)? => Found::Held,
                // For a moment, the owner had it for itself.
                Server::Open => Found::Wait,
                Server::Closed | Server::Anothers => Found::Gone,
            })
        };
        find().unwrap_or_else(|error| {
            warn_once(&error);
            Found::Held
        })
    }
}

async fn timed(probe: impl Future<Output = Sight>) -> (Sight, Duration) {
    let begun = Instant::now();
    (probe.await, begun.elapsed())
}
