//! Each rule by itself.

use std::time::Duration;

use super::super::{Holder, Id, Plan, Stage, Use, Waiter, plan};

const IDLE: Use = Use {
    leased: false,
    in_turn: false,
    lingers: false,
    closed: false,
};
const BUSY: Use = Use {
    leased: true,
    ..IDLE
};

fn holder(id: Id, has: u64, stage: Stage) -> Holder {
    Holder {
        id,
        has: vec![has],
        stage,
        is_pinned: false,
        worth: Duration::from_secs(id),
    }
}

fn waiter(id: Id, needs: u64) -> Waiter {
    Waiter {
        id,
        needs: vec![needs],
        is_polite: false,
        is_impatient: false,
    }
}

fn decide(holders: &[Holder], waiters: &[Waiter]) -> Plan {
    plan(&[10], holders, waiters)
}

#[test]
fn the_least_worth_makes_way_if_both_are_idle() {
    let both = [
        holder(2, 5, Stage::Ready(IDLE)),
        holder(1, 5, Stage::Ready(IDLE)),
    ];
    assert_eq!(decide(&both, &[waiter(3, 5)]).leave, [1]);
}

#[test]
fn an_idle_one_makes_way_before_one_in_use() {
    let both = [
        holder(1, 5, Stage::Ready(BUSY)),
        holder(2, 5, Stage::Ready(IDLE)),
    ];
    let decided = decide(&both, &[waiter(3, 5)]);
    assert_eq!((decided.leave, decided.close), (vec![2], vec![]));
}

#[test]
fn in_its_turn_it_serves_until_the_waiting_service_has_waited_for_long() {
    let in_turn = Use {
        in_turn: true,
        ..BUSY
    };
    let holders = [holder(1, 10, Stage::Ready(in_turn))];
    let decided = decide(&holders, &[waiter(2, 1)]);
    assert_eq!((decided.in_turn, decided.close), (vec![1], vec![]));
    let impatient = Waiter {
        is_impatient: true,
        ..waiter(2, 1)
    };
    assert_eq!(decide(&holders, &[impatient]).close, [1]);
}

#[test]
fn a_lease_that_ended_a_moment_ago_counts_in_its_turn() {
    let lingers = Use {
        in_turn: true,
        lingers: true,
        ..IDLE
    };
    let holders = [holder(1, 10, Stage::Ready(lingers))];
    let decided = decide(&holders, &[waiter(2, 1)]);
    assert_eq!((decided.in_turn, decided.leave), (vec![1], vec![]));
    let impatient = Waiter {
        is_impatient: true,
        ..waiter(2, 1)
    };
    assert_eq!(decide(&holders, &[impatient]).leave, [1]);
}

#[test]
fn a_polite_one_makes_none_leave_and_keeps_none_waiting() {
    let holders = [holder(1, 5, Stage::Ready(IDLE))];
    let polite = Waiter {
        is_polite: true,
        ..waiter(2, 6)
    };
    assert_eq!(
        decide(&holders, std::slice::from_ref(&polite)),
        Plan::default()
    );
    let decided = decide(&holders, &[polite, waiter(3, 5)]);
    assert_eq!(decided.grant, [3]);
}

#[test]
fn a_start_that_no_request_waits_for_makes_way() {
    let holders = [holder(1, 10, Stage::Starting { wanted: false })];
    assert_eq!(decide(&holders, &[waiter(2, 1)]).leave, [1]);
}

#[test]
fn what_only_pinned_ones_have_is_refused_at_once() {
    let pinned = Holder {
        is_pinned: true,
        ..holder(1, 5, Stage::Ready(IDLE))
    };
    let decided = decide(&[pinned], &[waiter(2, 6), waiter(3, 5)]);
    assert_eq!((decided.no_room, decided.grant), (vec![2], vec![3]));
}

#[test]
fn a_capacity_that_was_lowered_under_use_makes_none_leave() {
    let holders = [holder(1, 20, Stage::Ready(IDLE))];
    assert_eq!(decide(&holders, &[]), Plan::default());
    assert_eq!(decide(&holders, &[waiter(2, 1)]).leave, [1]);
}

#[test]
fn amounts_of_any_size_are_compared() {
    let holders = [holder(1, u64::MAX, Stage::Starting { wanted: true })];
    let decided = plan(&[u64::MAX], &holders, &[waiter(2, 1)]);
    assert_eq!((decided.grant, decided.contested), (vec![], vec![1]));
}
