//! What a start takes longer than that of a bare child: for the probe of the port, the watchdog, and all
//! else that is done before the server runs.

use std::{
    hint::black_box,
    process::{Command, Stdio},
    time::Duration,
};

use tower_local_service::LocalService;

use crate::{
    pairs::Pairs,
    row::{Row, time},
    stamp::{stamping, take_stamp},
    support::{Fixture, PROGRAM, block_on, ms, now},
};

const PAIRS: usize = 40;
const MOST: Duration = ms(5);

/// As much as a program may have that has a model of its own: all of it would be copied by a plain fork.
const LARGE: usize = 2 << 30;

pub(crate) fn measure() -> Vec<Row> {
    let small = row("a start");
    let memory = black_box(vec![1_u8; LARGE]);
    let large = row("a start by a program of 2 GiB");
    drop(black_box(memory));
    vec![small, large]
}

fn row(what: &str) -> Row {
    let fixture = stamping(Fixture::new());
    let service = fixture.service("spawned");
    let pairs = Pairs::measure(PAIRS, || bare(&fixture), || ours(&fixture, &service));
    let (ours, bare) = (pairs.ours.median(), pairs.bare.median());
    Row::new(
        format!("{what}: request to listening, p50 of {PAIRS}"),
        time(ours),
        format!("≤ {} more", time(MOST)),
        ours <= bare + MOST,
    )
    .beside(time(bare))
}

fn ours(fixture: &Fixture, service: &LocalService) -> Duration {
    let begun = now();
    let lease = block_on(service.acquire()).expect("it starts");
    let took = take_stamp(fixture).saturating_sub(begun);
    drop(lease);
    block_on(service.stop()).expect("it stops");
    took
}

fn bare(fixture: &Fixture) -> Duration {
    let mut command = Command::new(PROGRAM);
    command.args(fixture.args()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = now();
    let mut child = command.spawn().expect("it starts");
    let took = take_stamp(fixture).saturating_sub(begun);
    child.kill().expect("it runs");
    child.wait().expect("it was killed");
    took
}
