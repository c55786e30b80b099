//! The supervisor that looks while leases end, and is woken by the last of them.
//!
//! Found by these models, each tried: `look` that sets no `NOTIFY`; `look` as a load and a change;
//! `give_back` that keeps `NOTIFY`, or writes the times after the word; `wakes` without `is_last`; `grant`
//! that sets no `TOUCHED`.

use super::*;

#[test]
fn the_last_of_the_leases_that_were_seen_wakes_the_supervisor_once() {
    model(|| {
        let server = Server::new();
        let readers = [server.reader(), server.reader()];
        let seen = server.leases.look();
        let told = readers.map(|reader| reader.join().unwrap());
        let told = told.into_iter().filter(|&told| told).count();
        assert_eq!(told, usize::from(seen > 0));
    });
}

#[test]
fn a_lease_that_comes_after_the_last_wakes_the_supervisor_only_if_it_was_seen() {
    model(|| {
        let server = Server::new();
        let reader = server.reader();
        let caller = server.caller();
        let seen = server.leases.look();
        let told = [
            reader.join().unwrap(),
            caller.join().unwrap().is_some_and(|(_, told)| told),
        ];
        let told = told.into_iter().filter(|&told| told).count();
        assert_eq!(told, usize::from(seen > 0));
    });
}

#[test]
fn the_time_of_the_last_lease_is_there_when_none_is_out() {
    model(|| {
        let server = Server::new();
        let readers = [server.reader(), server.reader()];
        if server.leases.look() == 0 {
            // As the supervisor reads them: the word first.
            assert!(server.leases.idle_since() > Duration::ZERO);
            assert!(server.leases.alive_since() > Duration::ZERO);
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_lease_that_the_supervisor_hands_out_counts_among_those_that_end() {
    model(|| {
        let server = Server::new();
        let reader = server.reader();
        server.leases.look();
        let instance = server.leases.update(Word::grant).instance();
        let waiter = server.client(move |server| server.give_back(instance));
        assert!(!server.leases.close_if_idle(), "it was just handed out");
        let seen = server.leases.look();
        let told = [reader.join().unwrap(), waiter.join().unwrap()];
        let told = told.into_iter().filter(|&told| told).count();
        // The first look is to be woken, too, if the reader ends before the waiter has its lease.
        assert!(told >= usize::from(seen > 0));
        assert!(server.leases.close_if_idle(), "both have ended");
    });
}

#[test]
fn a_lease_may_be_cloned_while_it_is_the_last() {
    model(|| {
        let server = Server::new();
        let instance = server.leases.take().unwrap();
        let cloning = server.client(move |server| {
            assert!(server.leases.take_another(instance), "one is out");
            [server.give_back(instance), server.give_back(instance)]
        });
        let seen = server.leases.look();
        let told = cloning.join().unwrap();
        let told = told.into_iter().filter(|&told| told).count();
        assert_eq!(told, usize::from(seen > 0));
        assert_eq!(server.leases.word().count(), 0);
    });
}
