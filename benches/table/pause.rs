//! What bounds how soon it is noticed that a server is ready which has loaded for long: the pause between two
//! probes, which is so many times what a probe takes.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use crate::{
    row::{Row, time},
    sample::Sample,
    support::{Fixture, block_on, ms, now, since, waiting},
};

const LOADING: u64 = 6000;
/// In the first second the pauses are shorter.
const EAGER: Duration = ms(1500);
const COUNTED: Duration = ms(3000);

const TIMES: u32 = 50;
const BARE_PROBES: usize = 100;
const LONGEST: Duration = ms(50);

pub(crate) fn measure() -> Vec<Row> {
    let ours = pause();
    let bare = TIMES * bare_probe(ours);
    let row = Row::new(
        format!(
            "pause between two probes that see 503, after the first second; without: {TIMES} times what a \
             client of `std` takes for the same"
        ),
        time(ours),
        format!("≤ {}", time(LONGEST)),
        // What comes between two pauses is not one.
        ours <= LONGEST + ms(5),
    );
    vec![row.beside(time(bare))]
}

fn pause() -> Duration {
    let fixture = loading();
    let service = fixture.service("asked again and again");
    let acquire = block_on(waiting(&service));
    thread::sleep(EAGER);
    let before = fixture.requests().len();
    thread::sleep(COUNTED);
    let probes = fixture.requests().len() - before;
    drop(block_on(acquire).expect("it gets ready"));
    block_on(service.stop()).expect("it stops");
    COUNTED / u32::try_from(probes).expect("some hundreds")
}

/// After a rest of that length each time: the cores have gone to sleep, as before ours.
fn bare_probe(rest: Duration) -> Duration {
    let fixture = loading();
    let _server = fixture.run_outside();
    let times = (0..BARE_PROBES).map(|_| {
        thread::sleep(rest);
        let begun = now();
        ask(fixture.port()).expect("it answers 503");
        since(begun)
    });
    Sample::new(times.collect()).median()
}

fn ask(port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    assert_eq!(
        &head, b"HTTP/1.1 503",
        "it loads for longer than this takes"
    );
    Ok(())
}

fn loading() -> Fixture {
    Fixture::new().with("--loading", LOADING)
}
