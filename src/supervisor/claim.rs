//! Who has an endpoint, and who waits for it.
//!
//! Two servers cannot listen on one port, so a service claims its endpoints before it looks at what
//! is there, and gives them back when nothing of its process is left. A service that waits makes the
//! one that has the endpoint retire.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::state::Claim;
use crate::config::Endpoint;

/// The endpoints of a host process.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    queues: Mutex<HashMap<Endpoint, VecDeque<Arc<Claimant>>>>,
}

/// One that has an endpoint, or waits for it.
#[derive(Debug)]
struct Claimant {
    name: String,
    endpoints: Vec<Endpoint>,
    standing: watch::Sender<Standing>,
}

/// What a claim has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Waiting,
    Granted,
    /// Granted, and somebody else waits for it.
    Wanted,
}

/// A claim; dropping it gives the endpoints back, or leaves the queue.
#[derive(Debug)]
pub(crate) struct Ticket {
    claims: Arc<Claims>,
    claimant: Arc<Claimant>,
    standing: watch::Receiver<Standing>,
    told: Standing,
}

impl Claims {
    /// Queues for all the endpoints at once, so that no two can wait for each other.
    pub(crate) fn claim(self: &Arc<Self>, name: &str, endpoints: &[Endpoint]) -> Ticket {
        let (sender, standing) = watch::channel(Standing::Waiting);
        let (name, endpoints) = (name.to_owned(), endpoints.to_vec());
        let claimant = Arc::new(Claimant {
            name,
            endpoints,
            standing: sender,
        });
        let mut queues = self.lock();
        for endpoint in &claimant.endpoints {
            queues
                .entry(endpoint.clone())
                .or_default()
                .push_back(claimant.clone());
        }
        Self::tell(&queues, &claimant.endpoints);
        drop(queues);
        Ticket {
            claims: self.clone(),
            claimant,
            standing,
            told: Standing::Waiting,
        }
    }

    fn leave(&self, leaving: &Arc<Claimant>) {
        let mut queues = self.lock();
        for endpoint in &leaving.endpoints {
            let Some(queue) = queues.get_mut(endpoint) else {
                continue;
            };
            queue.retain(|claimant| !Arc::ptr_eq(claimant, leaving));
            if queue.is_empty() {
                queues.remove(endpoint);
            }
        }
        Self::tell(&queues, &leaving.endpoints);
    }

    /// Tells everybody at these endpoints where they stand now.
    fn tell(queues: &HashMap<Endpoint, VecDeque<Arc<Claimant>>>, endpoints: &[Endpoint]) {
        let affected = endpoints
            .iter()
            .filter_map(|endpoint| queues.get(endpoint))
            .flatten();
        for claimant in affected {
            let standing = Self::standing(queues, claimant);
            claimant
                .standing
                .send_if_modified(|was| std::mem::replace(was, standing) != standing);
        }
    }

    fn standing(
        queues: &HashMap<Endpoint, VecDeque<Arc<Claimant>>>,
        claimant: &Arc<Claimant>,
    ) -> Standing {
        let mut queues = claimant
            .endpoints
            .iter()
            .filter_map(|endpoint| queues.get(endpoint));
        let leads = |queue: &VecDeque<Arc<Claimant>>| {
            queue
                .front()
                .is_some_and(|first| Arc::ptr_eq(first, claimant))
        };
        if !queues.clone().all(leads) {
            Standing::Waiting
        } else if queues.any(|queue| queue.len() > 1) {
            Standing::Wanted
        } else {
            Standing::Granted
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, VecDeque<Arc<Claimant>>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// What has become of the claim since the last call.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Claim {
        loop {
            let stands = *self.standing.borrow_and_update();
            let (told, claim) = match (self.told, stands) {
                (Standing::Waiting, Standing::Granted | Standing::Wanted) => {
                    (Standing::Granted, Claim::Granted)
                }
                (Standing::Granted, Standing::Wanted) => (Standing::Wanted, Claim::Wanted),
                (Standing::Wanted, Standing::Granted) => (Standing::Granted, Claim::Unwanted),
                _ => {
                    // The sender lives as long as the claimant that we hold.
                    if self.standing.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    continue;
                }
            };
            self.told = told;
            return claim;
        }
    }

    /// The name of who stands before us.
    pub(crate) fn holder(&self) -> Option<String> {
        let queues = self.claims.lock();
        let firsts = self
            .claimant
            .endpoints
            .iter()
            .filter_map(|at| queues.get(at)?.front());
        let mut others = firsts.filter(|first| !Arc::ptr_eq(first, &self.claimant));
        others.next().map(|first| first.name.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.claims.leave(&self.claimant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint {
            host: "localhost".to_owned(),
            port,
        }
    }

    fn standing(ticket: &Ticket) -> Standing {
        *ticket.standing.borrow()
    }

    #[test]
    fn a_second_claim_makes_the_first_wanted_and_waits() {
        let claims = Arc::new(Claims::default());
        let first = claims.claim("first", &[endpoint(1)]);
        assert_eq!(standing(&first), Standing::Granted);
        let second = claims.claim("second", &[endpoint(1)]);
        assert_eq!(standing(&first), Standing::Wanted);
        assert_eq!(standing(&second), Standing::Waiting);
        assert_eq!(second.holder().as_deref(), Some("first"));
        drop(first);
        assert_eq!(standing(&second), Standing::Granted);
        assert_eq!(second.holder(), None);
    }

    #[test]
    fn who_leaves_the_queue_is_not_waited_for() {
        let claims = Arc::new(Claims::default());
        let first = claims.claim("first", &[endpoint(1)]);
        drop(claims.claim("second", &[endpoint(1)]));
        assert_eq!(standing(&first), Standing::Granted);
        drop(first);
        assert!(claims.lock().is_empty());
    }

    #[test]
    fn two_endpoints_are_granted_together() {
        let claims = Arc::new(Claims::default());
        let one = claims.claim("one", &[endpoint(1)]);
        let both = claims.claim("both", &[endpoint(1), endpoint(2)]);
        let two = claims.claim("two", &[endpoint(2)]);
        assert_eq!(
            (standing(&both), standing(&two)),
            (Standing::Waiting, Standing::Waiting)
        );
        drop(one);
        assert_eq!(
            (standing(&both), standing(&two)),
            (Standing::Wanted, Standing::Waiting)
        );
        drop(both);
        assert_eq!(standing(&two), Standing::Granted);
    }
}
