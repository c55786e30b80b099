use super::*;

fn keeps_all_promises(bounds: &Bounds) {
    let begun = tokio::time::Instant::now();
    match explore(bounds) {
        Ok(states) => eprintln!("{states} states in {:?}", begun.elapsed()),
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
fn with_a_stop() {
    keeps_all_promises(&Bounds { stops: 1, ..PEACE });
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
        dismissals: 1,
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
fn with_a_crash_loop() {
    keeps_all_promises(&Bounds {
        clients: 1,
        rounds: 4,
        crashes: 4,
        ..PEACE
    });
}

#[test]
fn with_a_drain_under_a_rival() {
    keeps_all_promises(&Bounds {
        clients: 1,
        rivals: 2,
        stops: 2,
        ..PEACE
    });
}
