//! What a service needs beside its addresses, as far as peers have or need it as well: who asks it, whom it asks, and
//! when the programs meet.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    peers::{self, Bell, Ring},
    table::Place,
};

#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Otherwise nothing is to be agreed on.
    pub(super) is_wanted: bool,
    /// Where peers ask for what the service has.
    bell: Option<(PathBuf, Bell)>,
    rings: BTreeMap<PathBuf, Ring>,
    /// The longest pause between two tries of a service that waits.
    tries: Option<Duration>,
    waits_since: Option<Instant>,
    contended_since: Option<Instant>,
}

impl Sharing {
    /// Asks the peers that have what the service waits for, and can be asked for what it has.
    pub(super) async fn contact(&mut self, place: &Place) {
        if !self.is_wanted {
            return;
        }
        let contacts = place.contacts();
        let is_hung = self.bell.as_ref().map(|(path, _)| path) == contacts.bell.as_ref();
        if !is_hung {
            self.bell = None;
            self.bell = contacts
                .bell
                .map(|path| (path.clone(), Bell::hang(vec![path])));
        }
        self.tries = contacts.tries;
        self.waits_since = self
            .tries
            .map(|_| self.waits_since.unwrap_or_else(Instant::now));
        self.rings.retain(|bell, _| contacts.ring.contains(bell));
        for bell in contacts.ring {
            self.rings.entry(bell.clone()).or_default().at(&bell).await;
        }
    }

    /// Resolves when the programs have to meet. Cancel safe.
    pub(super) async fn changed(&mut self) {
        let pause = self.pause();
        tokio::select! {
            () = peers::rung(self.bell.as_mut().map(|(_, bell)| bell)) => {}
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
    }

    /// How long nothing is decided with the peers, unless one rings.
    fn pause(&self) -> Option<Duration> {
        let waits = self.waits_since.zip(self.tries);
        let contended = self.contended_since.map(|it| (it, peers::PATIENTLY));
        let pauses = waits.into_iter().chain(contended);
        let pause = pauses.map(|(since, longest)| peers::pace(since.elapsed(), longest));
        pause.min()
    }

    pub(super) fn meet(&mut self, place: &Place) {
        // The pause has grown a little since this service began to sleep, and its own tries have to count.
        let pause = self.pause().unwrap_or_default() / 2;
        let is_rung = self.bell.as_ref().is_some_and(|(_, bell)| bell.is_rung());
        let was_contended = self.contended_since.is_some();
        self.contended_since = is_rung.then(|| self.contended_since.unwrap_or_else(Instant::now));
        if is_rung || was_contended {
            place.contend(is_rung, pause);
        } else {
            place.try_again(pause);
        }
    }
}
