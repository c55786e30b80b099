//! A test for each budget of evils, so that they run side by side.

use super::*;

fn keeps_all_promises(bounds: &Bounds) {
    match explore(bounds) {
        // Fewer, and something keeps the machine from going on.
        Ok(states) => assert!(states > 10_000, "{states}"),
        Err(Found { violation, path }) => panic!("{violation}:\n{}", path.join("\n")),
    }
}

#[test]
fn in_peace() {
    keeps_all_promises(&PEACE);
}

#[test]
fn with_a_crash() {
    keeps_all_promises(&Bounds {
        crashes: 1,
        ..PEACE
    });
}

#[test]
fn with_a_stranger() {
    keeps_all_promises(&Bounds {
        strangers: 1,
        ..PEACE
    });
}

#[test]
fn with_a_rival() {
    keeps_all_promises(&Bounds { rivals: 1, ..PEACE });
}

#[test]
fn with_another_host() {
    keeps_all_promises(&Bounds { hosts: 1, ..PEACE });
}

#[test]
fn with_other_hosts_in_trouble() {
    keeps_all_promises(&Bounds {
        clients: 1,
        crashes: 1,
        strangers: 1,
        rivals: 1,
        hosts: 2,
        ..PEACE
    });
}

#[test]
fn with_other_hosts_at_the_end() {
    keeps_all_promises(&Bounds {
        clients: 1,
        crashes: 1,
        hosts: 2,
        stops: 1,
        retirements: 1,
        ..PEACE
    });
}

#[test]
fn with_a_stop() {
    keeps_all_promises(&Bounds { stops: 1, ..PEACE });
}

#[test]
fn with_a_retirement() {
    keeps_all_promises(&Bounds {
        rounds: 1,
        retirements: 1,
        ..PEACE
    });
}

#[test]
fn with_a_dismissal() {
    keeps_all_promises(&Bounds {
        dismissals: 1,
        ..PEACE
    });
}

#[test]
fn with_everything_for_one_client() {
    keeps_all_promises(&Bounds {
        clients: 1,
        crashes: 1,
        strangers: 1,
        rivals: 1,
        stops: 1,
        ..PEACE
    });
}

#[test]
fn with_everything_in_one_round() {
    keeps_all_promises(&Bounds {
        rounds: 1,
        crashes: 1,
        strangers: 1,
        rivals: 1,
        stops: 1,
        ..PEACE
    });
}

#[test]
fn with_a_retirement_in_trouble() {
    keeps_all_promises(&Bounds {
        clients: 1,
        crashes: 1,
        strangers: 1,
        rivals: 1,
        retirements: 1,
        dismissals: 1,
        ..PEACE
    });
}

#[test]
fn with_a_drain_under_a_rival() {
    keeps_all_promises(&Bounds {
        clients: 1,
        rivals: 2,
        stops: 1,
        retirements: 1,
        ..PEACE
    });
}

#[test]
fn with_two_ports() {
    keeps_all_promises(&Bounds {
        clients: 1,
        ports: 2,
        rivals: 2,
        ..PEACE
    });
}

#[test]
fn with_two_ports_in_trouble() {
    keeps_all_promises(&Bounds {
        clients: 1,
        ports: 2,
        crashes: 1,
        rivals: 2,
        stops: 1,
        ..PEACE
    });
}

#[test]
fn with_two_ports_for_two_clients() {
    keeps_all_promises(&Bounds {
        rounds: 1,
        ports: 2,
        rivals: 2,
        retirements: 1,
        ..PEACE
    });
}

#[test]
fn with_a_crash_loop() {
    keeps_all_promises(&Bounds {
        clients: 1,
        rounds: 4,
        crashes: 3,
        ..PEACE
    });
}
