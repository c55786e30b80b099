//! The instant at which a fixture became ready, as it says itself.

use std::{fs, time::Duration};

use crate::support::{Fixture, blocking_until};

const FILE: &str = "ready";

/// A fixture that writes it down.
pub(crate) fn stamping(fixture: Fixture) -> Fixture {
    let file = fixture.path(FILE);
    fixture.with("--ready-file", file)
}

/// The instant that it wrote, on the clock of `support::now`. The file is removed, so that the next start
/// writes another.
pub(crate) fn take_stamp(fixture: &Fixture) -> Duration {
    let file = fixture.path(FILE);
    let read = || fs::read_to_string(&file).ok()?.parse().ok();
    let mut nanos = None;
    // It is written a moment after that instant.
    let is_written = blocking_until(|| {
        nanos = read();
        nanos.is_some()
    });
    assert!(is_written, "the fixture is ready");
    fs::remove_file(&file).expect("it was there");
    nanos.map_or(Duration::ZERO, Duration::from_nanos)
}
