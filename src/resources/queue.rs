//! Who of this process has an endpoint, and who waits for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::config::Address;

/// The endpoints of a host process.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    queues: Mutex<HashMap<Address, VecDeque<Arc<Claimant>>>>,
}

/// One that has an endpoint, or waits for it.
#[derive(Debug)]
struct Claimant {
    name: String,
    endpoints: Vec<Address>,
    standing: watch::Sender<Standing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Waiting,
    First,
    /// First, and somebody else waits.
    Wanted,
}

/// Where a claimant stands; dropping it leaves the queues.
#[derive(Debug)]
pub(crate) struct Place {
    queues: Arc<Queues>,
    claimant: Arc<Claimant>,
    standing: watch::Receiver<Standing>,
}

impl Queues {
    /// Queues for all the endpoints at once, so that no two can wait for each other.
    pub(crate) fn join(self: &Arc<Self>, name: &str, endpoints: &[Address]) -> Place {
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
        Place {
            queues: self.clone(),
            claimant,
            standing,
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
    fn tell(queues: &HashMap<Address, VecDeque<Arc<Claimant>>>, endpoints: &[Address]) {
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
        queues: &HashMap<Address, VecDeque<Arc<Claimant>>>,
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
            Standing::First
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, VecDeque<Arc<Claimant>>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Resolves when nobody stands before us. Cancel safe.
    pub(crate) async fn first(&mut self) {
        while *self.standing.borrow_and_update() == Standing::Waiting {
            self.changed().await;
        }
    }

    /// Whether somebody stands behind us.
    pub(crate) fn is_wanted(&self) -> bool {
        *self.standing.borrow() == Standing::Wanted
    }

    /// Resolves when we stand elsewhere. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        // The sender lives as long as the claimant that we hold.
        if self.standing.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The name of who stands before us.
    pub(crate) fn holder(&self) -> Option<String> {
        let queues = self.queues.lock();
        let firsts = self
            .claimant
            .endpoints
            .iter()
            .filter_map(|at| queues.get(at)?.front());
        let mut others = firsts.filter(|first| !Arc::ptr_eq(first, &self.claimant));
        others.next().map(|first| first.name.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queues.leave(&self.claimant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(port: u16) -> Address {
        Address {
            host: "localhost".to_owned(),
            port,
        }
    }

    fn standing(place: &Place) -> Standing {
        *place.standing.borrow()
    }

    #[test]
    fn who_comes_second_waits_and_makes_the_first_wanted() {
        let queues = Arc::new(Queues::default());
        let first = queues.join("first", &[endpoint(1)]);
        assert_eq!(standing(&first), Standing::First);
        let second = queues.join("second", &[endpoint(1)]);
        assert_eq!(standing(&first), Standing::Wanted);
        assert_eq!(standing(&second), Standing::Waiting);
        assert_eq!(second.holder().as_deref(), Some("first"));
        drop(first);
        assert_eq!(standing(&second), Standing::First);
        assert_eq!(second.holder(), None);
    }

    #[test]
    fn who_leaves_the_queue_is_not_waited_for() {
        let queues = Arc::new(Queues::default());
        let first = queues.join("first", &[endpoint(1)]);
        drop(queues.join("second", &[endpoint(1)]));
        assert_eq!(standing(&first), Standing::First);
        drop(first);
        assert!(queues.lock().is_empty());
    }

    #[test]
    fn two_endpoints_are_had_together() {
        let queues = Arc::new(Queues::default());
        let one = queues.join("one", &[endpoint(1)]);
        let both = queues.join("both", &[endpoint(1), endpoint(2)]);
        let two = queues.join("two", &[endpoint(2)]);
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
        assert_eq!(standing(&two), Standing::First);
    }
}
