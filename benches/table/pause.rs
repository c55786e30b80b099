//! How soon a request learns that a server is ready, after a long start: the pause between two
//! probes, which is 1 % of the time waited so far, and at most 50 ms.

use std::{thread, time::Duration};

use crate::{
    row::{Row, time},
    support::{Fixture, block_on, ms, waiting},
};

const LOADING: u64 = 8000;
/// After so long the pause has its full length.
const FULL: Duration = ms(5000);
const COUNTED: Duration = ms(2000);

const LONGEST: Duration = ms(50);

pub(crate) fn measure() -> Vec<Row> {
    let pause = pause();
    vec![Row::new(
        "pause between two probes that see 503, after 5 s",
        time(pause),
        format!("≤ {}", time(LONGEST)),
        // What is measured includes the probe itself and the timer.
        pause <= LONGEST + ms(5),
    )]
}

fn pause() -> Duration {
    let fixture = Fixture::new().with("--loading", LOADING);
    let service = fixture.service("probed again and again");
    let acquire = block_on(waiting(&service));
    thread::sleep(FULL);
    let before = fixture.requests().len();
    thread::sleep(COUNTED);
    let probes = fixture.requests().len() - before;
    drop(block_on(acquire).expect("it gets ready"));
    block_on(service.stop()).expect("it stops");
    COUNTED / u32::try_from(probes).expect("some dozens")
}
