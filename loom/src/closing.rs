//! Leases that are taken while the supervisor closes.
//!
//! Found by these models, each tried: `close_if_idle` without a look at the count; without a look at
//! `TOUCHED`; `close_if_free` without a look at the count; `take` that ignores `OPEN`, or `SUSPECT`; `close_if_idle` as a load and a store.

use super::*;

/// As the supervisor does when the idle time is over.
fn closes_and_ends(server: &Server) -> bool {
    let closed = server.leases.close_if_idle();
    if closed {
        let was = server.leases.update(Word::end);
        assert_eq!(was.count(), 0, "closed for idleness with a lease out");
        server.leases.open(server.now());
    }
    closed
}

#[test]
fn an_instance_is_closed_for_idleness_or_used() {
    model(|| {
        let server = Server::new();
        let callers = [server.caller(), server.caller()];
        let closed = closes_and_ends(&server);
        let instances = callers.map(|caller| caller.join().unwrap());
        for (instance, _) in instances.into_iter().flatten() {
            // A caller that was quicker has kept the instance open; one that was not uses the next.
            assert!(instance == u64::from(closed), "a lease of instance {instance}");
        }
        assert_eq!(server.leases.word().count(), 0);
    });
}

#[test]
fn an_instance_that_was_used_since_the_last_look_stays_open() {
    model(|| {
        let server = Server::new();
        let caller = server.caller();
        let was_out = server.leases.look() > 0;
        let was_used = server.leases.idle_since() > Duration::ZERO;
        let closed = server.leases.close_if_idle();
        let used = caller.join().unwrap().is_some();
        assert!(
            !closed || !used || was_out || was_used,
            "closed before its idle time"
        );
    });
}

#[test]
fn a_lease_that_was_seen_keeps_its_instance_open() {
    model(|| {
        let server = Server::new();
        let readers = [server.reader(), server.reader()];
        server.leases.look();
        closes_and_ends(&server);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn no_lease_is_taken_between_the_close_and_what_follows() {
    model(|| {
        let server = Server::new();
        let reader = server.reader();
        let caller = server.caller();
        server.leases.update(Word::close);
        let left = server.leases.look();
        // No lease is added to those that were out when it was closed.
        assert!(server.leases.word().count() <= left);
        if left == 0 {
            let was = server.leases.update(Word::end);
            assert_eq!(was.count(), 0, "it was closed");
        } else {
            server.leases.update(Word::reopen);
        }
        reader.join().unwrap();
        caller.join().unwrap();
        assert_eq!(server.leases.word().count(), 0);
    });
}

#[test]
fn a_call_after_a_missing_answer_asks_the_supervisor() {
    model(|| {
        let server = Server::new();
        let instance = server.leases.take().unwrap();
        let failing = server.client(move |server| {
            server.leases.suspect(instance);
            let next = server.leases.take();
            server.give_back(instance);
            next
        });
        let caller = server.caller();
        assert_eq!(failing.join().unwrap(), None, "it has seen the server fail");
        caller.join().unwrap();
        assert_eq!(server.leases.take(), None);
        server.leases.update(Word::trust);
        assert_eq!(server.leases.take(), Some(instance));
    });
}

/// As the table does for a service that needs the place of this one.
fn makes_way(server: &Server) -> bool {
    let closed = server.leases.close_if_free().is_some();
    if closed {
        let was = server.leases.update(Word::end);
        assert_eq!(was.count(), 0, "stopped for another service with a lease out");
        server.leases.open(server.now());
    }
    closed
}

#[test]
fn an_instance_makes_way_for_another_service_or_is_used() {
    model(|| {
        let server = Server::new();
        let callers = [server.caller(), server.caller()];
        let closed = makes_way(&server);
        let instances = callers.map(|caller| caller.join().unwrap());
        for (instance, _) in instances.into_iter().flatten() {
            // One that came and went before does not keep it: another service waits.
            assert!(instance <= u64::from(closed), "a lease of instance {instance}");
        }
        assert_eq!(server.leases.word().count(), 0);
    });
}

#[test]
fn of_two_instances_both_make_way_or_none_does() {
    model(|| {
        let (one, other) = (Server::new(), Server::new());
        let caller = other.reader();
        if one.leases.close_if_free().is_some() {
            if other.leases.close_if_free().is_some() {
                for server in [&one, &other] {
                    assert_eq!(server.leases.update(Word::end).count(), 0);
                }
            } else {
                one.leases.update(Word::open_again);
                assert_eq!(one.leases.take(), Some(0), "it serves on");
                one.give_back(0);
            }
        }
        caller.join().unwrap();
    });
}

#[test]
fn one_that_is_open_again_is_as_suspect_as_before() {
    model(|| {
        let server = Server::new();
        let instance = server.leases.take().unwrap();
        let failing = server.client(move |server| {
            server.leases.suspect(instance);
            server.give_back(instance);
        });
        if server.leases.close_if_free().is_some() {
            server.leases.update(Word::open_again);
        }
        failing.join().unwrap();
        assert_eq!(server.leases.take(), None, "it is looked at first");
    });
}
