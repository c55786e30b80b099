//! Which service of this program has an address, and which ones wait for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::config::Address;

/// The addresses that the services of this program claim.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    queues: Mutex<HashMap<Address, VecDeque<Arc<Claimant>>>>,
}

/// A service that has an address, or waits for it.
#[derive(Debug)]
struct Claimant {
    name: String,
    addresses: Vec<Address>,
    rank: watch::Sender<Rank>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    Waiting,
    First,
    /// First, and another service waits.
    Contested,
}

/// The place of a claimant in the queues; dropping it leaves them.
#[derive(Debug)]
pub(crate) struct Place {
    queues: Arc<Queues>,
    claimant: Arc<Claimant>,
    rank: watch::Receiver<Rank>,
}

impl Queues {
    /// Queues for all the addresses at once, so that no two can wait for each other.
    pub(crate) fn join(self: &Arc<Self>, name: &str, addresses: &[Address]) -> Place {
        let (sender, rank) = watch::channel(Rank::Waiting);
        let (name, addresses) = (name.to_owned(), addresses.to_vec());
        let claimant = Arc::new(Claimant {
            name,
            addresses,
            rank: sender,
        });
        let mut queues = self.lock();
        for address in &claimant.addresses {
            queues
                .entry(address.clone())
                .or_default()
                .push_back(claimant.clone());
        }
        Self::tell(&queues, &claimant.addresses);
        drop(queues);
        Place {
            queues: self.clone(),
            claimant,
            rank,
        }
    }

    fn leave(&self, leaving: &Arc<Claimant>) {
        let mut queues = self.lock();
        for address in &leaving.addresses {
            let Some(queue) = queues.get_mut(address) else {
                continue;
            };
            queue.retain(|claimant| !Arc::ptr_eq(claimant, leaving));
            if queue.is_empty() {
                queues.remove(address);
            }
        }
        Self::tell(&queues, &leaving.addresses);
    }

    /// Tells all claimants of these addresses which rank they have now.
    fn tell(queues: &HashMap<Address, VecDeque<Arc<Claimant>>>, addresses: &[Address]) {
        let affected = addresses
            .iter()
            .filter_map(|address| queues.get(address))
            .flatten();
        for claimant in affected {
            let rank = Self::rank(queues, claimant);
            claimant
                .rank
                .send_if_modified(|was| std::mem::replace(was, rank) != rank);
        }
    }

    fn rank(queues: &HashMap<Address, VecDeque<Arc<Claimant>>>, claimant: &Arc<Claimant>) -> Rank {
        let mut queues = claimant
            .addresses
            .iter()
            .filter_map(|address| queues.get(address));
        let leads = |queue: &VecDeque<Arc<Claimant>>| {
            queue
                .front()
                .is_some_and(|first| Arc::ptr_eq(first, claimant))
        };
        if !queues.clone().all(leads) {
            Rank::Waiting
        } else if queues.any(|queue| queue.len() > 1) {
            Rank::Contested
        } else {
            Rank::First
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, VecDeque<Arc<Claimant>>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether no other service is before this one.
    pub(crate) fn is_first(&self) -> bool {
        *self.rank.borrow() != Rank::Waiting
    }

    /// Whether another service waits behind this one.
    pub(crate) fn is_contested(&self) -> bool {
        *self.rank.borrow() == Rank::Contested
    }

    /// Resolves when the rank has changed since the last call. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        // The sender lives as long as the claimant that this place holds.
        if self.rank.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The name of the service that is before this one.
    pub(crate) fn holder(&self) -> Option<String> {
        let queues = self.queues.lock();
        let firsts = self
            .claimant
            .addresses
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

    fn address(port: u16) -> Address {
        Address {
            host: "localhost".to_owned(),
            port,
        }
    }

    fn rank(place: &Place) -> Rank {
        *place.rank.borrow()
    }

    #[test]
    fn the_second_waits_and_the_first_is_contested() {
        let queues = Arc::new(Queues::default());
        let first = queues.join("first", &[address(1)]);
        assert_eq!(rank(&first), Rank::First);
        let second = queues.join("second", &[address(1)]);
        assert_eq!(rank(&first), Rank::Contested);
        assert_eq!(rank(&second), Rank::Waiting);
        assert_eq!(second.holder().as_deref(), Some("first"));
        drop(first);
        assert_eq!(rank(&second), Rank::First);
        assert_eq!(second.holder(), None);
    }

    #[test]
    fn a_claimant_that_leaves_is_not_waited_for() {
        let queues = Arc::new(Queues::default());
        let first = queues.join("first", &[address(1)]);
        drop(queues.join("second", &[address(1)]));
        assert_eq!(rank(&first), Rank::First);
        drop(first);
        assert!(queues.lock().is_empty());
    }

    #[test]
    fn two_addresses_are_had_together() {
        let queues = Arc::new(Queues::default());
        let one = queues.join("one", &[address(1)]);
        let both = queues.join("both", &[address(1), address(2)]);
        let two = queues.join("two", &[address(2)]);
        assert_eq!((rank(&both), rank(&two)), (Rank::Waiting, Rank::Waiting));
        drop(one);
        assert_eq!((rank(&both), rank(&two)), (Rank::Contested, Rank::Waiting));
        drop(both);
        assert_eq!(rank(&two), Rank::First);
    }
}
