//! Leases whose instance ends under them.
//!
//! Found by these models, each tried: `give_back` that ignores the instance; `take_another` and `suspect` that
//! do; `end` that keeps the count, or the number of the instance.

use super::*;

/// The process died, and another is ready.
fn restarts(server: &Server) -> u64 {
    server.leases.update(Word::end);
    let between = server.leases.word();
    assert!(between.count() == 0 && !between.is_open(), "{between:?}");
    server.leases.open(server.now())
}

#[test]
fn a_lease_of_a_former_instance_does_not_count() {
    model(|| {
        let server = Server::new();
        let reader = server.reader();
        let caller = server.caller();
        let instance = restarts(&server);
        let mine = server.leases.take();
        assert!(mine.is_some(), "nobody suspects the new instance");
        reader.join().unwrap();
        caller.join().unwrap();
        assert_eq!(server.leases.word().instance(), instance);
        assert_eq!(server.leases.word().count(), 1, "mine");
    });
}

#[test]
fn a_lease_of_a_former_instance_wakes_no_task() {
    model(|| {
        let server = Server::new();
        let reader = server.reader();
        let seen = server.leases.look();
        server.leases.update(Word::end);
        let over = server.leases.idle_since();
        server.leases.open(over);
        let told = reader.join().unwrap();
        assert!(!told || seen > 0, "nobody looked");
    });
}

#[test]
fn a_clone_counts_on_the_instance_of_its_lease_or_not_at_all() {
    model(|| {
        let server = Server::new();
        let instance = server.leases.take().unwrap();
        let cloning = server.client(move |server| {
            let cloned = server.leases.take_another(instance);
            server.give_back(instance);
            // As a clone does, whether or not it counts.
            server.give_back(instance);
            cloned
        });
        restarts(&server);
        cloning.join().unwrap();
        assert_eq!(server.leases.word().count(), 0);
    });
}

#[test]
fn what_a_former_instance_did_makes_the_next_not_suspect() {
    model(|| {
        let server = Server::new();
        let instance = server.leases.take().unwrap();
        let failing = server.client(move |server| {
            server.leases.suspect(instance);
            server.give_back(instance);
        });
        restarts(&server);
        failing.join().unwrap();
        let word = server.leases.word();
        assert!(!word.is_suspect() && !word.has_served(), "{word:?}");
        assert_eq!(word.count(), 0);
    });
}
