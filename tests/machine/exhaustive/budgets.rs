//! A test for each budget of evils, so that they run side by side.

use super::{Bounds, Found, PEACE, explore};
use crate::bug::NONE;

fn keeps_all_promises(bounds: &Bounds) {
    match explore(bounds, &NONE) {
        // Fewer, and something keeps the machine from going on.
        Ok(states) => assert!(states > 5_000, "{states}"),
        Err(Found { violation, path }) => panic!("{violation}:\n{}", path.join("\n")),
    }
}

#[test]
fn without_an_evil() {
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
fn with_a_peer() {
    keeps_all_promises(&Bounds { peers: 1, ..PEACE });
}

#[test]
fn with_peers_in_trouble() {
    keeps_all_promises(&Bounds {
        clients: 1,
        crashes: 1,
        strangers: 1,
        rivals: 1,
        peers: 2,
        ..PEACE
    });
}

#[test]
fn with_peers_at_the_end() {
    keeps_all_promises(&Bounds {
        clients: 1,
        crashes: 1,
        peers: 2,
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
fn with_a_stop_command() {
    keeps_all_promises(&Bounds {
        clients: 1,
        crashes: 1,
        stops: 1,
        retirements: 1,
        command: true,
        ..PEACE
    });
}

#[test]
fn with_a_launcher() {
    keeps_all_promises(&Bounds {
        clients: 1,
        crashes: 1,
        strangers: 2,
        stops: 1,
        command: true,
        launcher: true,
        ..PEACE
    });
}

#[test]
fn with_a_launcher_for_two_clients() {
    keeps_all_promises(&Bounds {
        rounds: 1,
        crashes: 1,
        strangers: 1,
        rivals: 1,
        stops: 1,
        command: true,
        launcher: true,
        ..PEACE
    });
}

#[test]
fn with_a_ready_request() {
    keeps_all_promises(&Bounds {
        rounds: 1,
        crashes: 2,
        strangers: 1,
        stops: 1,
        dismissals: 1,
        ready_request: true,
        ..PEACE
    });
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
fn with_a_need_beside_the_address() {
    keeps_all_promises(&Bounds {
        room: true,
        rivals: 1,
        ..PEACE
    });
}

#[test]
fn with_a_need_beside_the_address_in_trouble() {
    keeps_all_promises(&Bounds {
        clients: 1,
        room: true,
        crashes: 1,
        strangers: 1,
        rivals: 1,
        stops: 1,
        ..PEACE
    });
}

#[test]
fn with_a_need_beside_the_address_at_the_end() {
    keeps_all_promises(&Bounds {
        rounds: 1,
        room: true,
        crashes: 1,
        rivals: 1,
        retirements: 1,
        dismissals: 1,
        ..PEACE
    });
}

#[test]
fn with_a_service_that_is_kept_ready() {
    keeps_all_promises(&Bounds {
        clients: 1,
        rounds: 1,
        room: true,
        keep: true,
        rivals: 1,
        stops: 1,
        ..PEACE
    });
}

#[test]
fn with_a_service_that_is_kept_ready_in_trouble() {
    keeps_all_promises(&Bounds {
        clients: 1,
        rounds: 1,
        keep: true,
        crashes: 1,
        strangers: 1,
        rivals: 1,
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

#[test]
fn with_a_body_that_ends_with_its_connection() {
    keeps_all_promises(&Bounds {
        crashes: 1,
        bodies: 1,
        ..PEACE
    });
}

#[test]
fn with_bodies_in_trouble() {
    keeps_all_promises(&Bounds {
        rounds: 1,
        crashes: 1,
        strangers: 1,
        stops: 1,
        retirements: 1,
        bodies: 2,
        ..PEACE
    });
}

#[test]
fn with_a_guest_whose_address_a_rival_gets() {
    keeps_all_promises(&Bounds {
        rounds: 1,
        crashes: 1,
        rivals: 1,
        peers: 3,
        ..PEACE
    });
}

#[test]
fn with_a_server_that_does_not_answer() {
    keeps_all_promises(&Bounds {
        clients: 1,
        rounds: 4,
        silences: 3,
        ..PEACE
    });
}

#[test]
fn with_another_program_that_uses_the_server() {
    keeps_all_promises(&Bounds {
        crashes: 1,
        uses: 1,
        ..PEACE
    });
}

#[test]
fn with_another_program_that_uses_the_server_and_a_rival() {
    keeps_all_promises(&Bounds {
        rounds: 1,
        crashes: 1,
        rivals: 1,
        uses: 1,
        ..PEACE
    });
}

#[test]
fn with_a_peers_server_that_does_not_answer() {
    keeps_all_promises(&Bounds {
        clients: 1,
        rounds: 4,
        peers: 1,
        silences: 3,
        ..PEACE
    });
}
