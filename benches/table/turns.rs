//! Services that need more than there is, and take turns.

use std::time::Duration;

use tokio::{runtime::Runtime, task::JoinSet, time::Instant};
use tower_local_service::{ErrorKind, LocalService};

use crate::{
    row::{Row, digits, time},
    sample::Sample,
    support::{Fixture, Resource, ask, block_on, blocking_until, ms, two_workers},
};

/// Of the two that exclude each other. The budget is for these times.
const START: Duration = ms(2000);
const ANSWER: Duration = ms(400);
const CLIENTS: usize = 4;
const MINUTE: Duration = Duration::from_secs(60);
const ANSWERS_A_MINUTE: f64 = 300.0;

/// How long a request waits for room while the caller holds what it would need.
const SWAP_TIMEOUT: Duration = ms(1000);

pub(crate) fn measure() -> Vec<Row> {
    vec![rivals(), big_and_small(), holds_and_waits()]
}

/// A server whose start takes so long.
fn server(start: Duration) -> Fixture {
    let fixture = Fixture::new().with("--delay-bind", start.as_millis());
    fixture.with("--max-life", 1_000_000)
}

/// A client that asks again and again until then: how long each answer was waited for, without the answer itself.
async fn client(
    service: LocalService,
    url: String,
    answer: Duration,
    until: Instant,
) -> Vec<Duration> {
    let mut waits = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        let (status, _) = ask(&service, &url).await.expect("an answer");
        assert!(status.is_success());
        waits.push(begun.elapsed().saturating_sub(answer));
    }
    waits
}

/// So many such clients of each service, for so long.
fn load(
    runtime: &Runtime,
    services: &[(&LocalService, &Fixture, usize)],
    answer: Duration,
    lasts: Duration,
) -> Vec<Vec<Duration>> {
    let until = Instant::now() + lasts;
    let path = format!("/slow?ms={}", answer.as_millis());
    let clients = services.iter().map(|(service, fixture, clients)| {
        let mut of_service = JoinSet::new();
        for _ in 0..*clients {
            let client = client((*service).clone(), fixture.url(&path), answer, until);
            of_service.spawn_on(client, runtime.handle());
        }
        of_service
    });
    let clients: Vec<_> = clients.collect();
    let waits = clients
        .into_iter()
        .map(|it| runtime.block_on(it.join_all()).concat());
    waits.collect()
}

fn rivals() -> Row {
    let (answers, worst) = answers_of_rivals(None, MINUTE);
    let (without, worst_without) = answers_of_rivals(Some(Duration::ZERO), MINUTE / 2);
    let shown = |answers, worst| format!("{} / {}", digits(answers), time(worst));
    Row::new(
        format!(
            "two services that exclude each other, start {}, answer {}, {CLIENTS} + {CLIENTS} clients: answers a minute / \
             worst wait (without: `turnMs: 0`)",
            time(START),
            time(ANSWER)
        ),
        shown(answers, worst),
        format!("≥ {}", digits(ANSWERS_A_MINUTE)),
        answers >= ANSWERS_A_MINUTE,
    )
    .beside(shown(without, worst_without))
}

/// How many answers there are in a minute, and the worst wait.
fn answers_of_rivals(turn: Option<Duration>, lasts: Duration) -> (f64, Duration) {
    let runtime = two_workers();
    let fixtures = [(); 2].map(|()| server(START));
    let gpu = Resource::with(1);
    let services = fixtures.each_ref().map(|it| {
        let config = it.config().turn(turn).swap_timeout(2 * MINUTE);
        gpu.service(it, "one of two", 1, config)
    });
    let both = [0, 1].map(|nth| (&services[nth], &fixtures[nth], CLIENTS));
    let begun = Instant::now();
    let waits = load(&runtime, &both, ANSWER, lasts).concat();
    // The last answers come after the time is over.
    let minutes = begun.elapsed().div_duration_f64(MINUTE);
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let answers = waits.len() as f64 / minutes;
    stop(&services);
    (answers, Sample::new(waits).percentile(100))
}

fn stop(services: &[LocalService]) {
    for service in services {
        block_on(service.stop()).expect("it stops");
    }
}

/// One that needs all that there is, and two of which each needs half and has three clients.
fn big_and_small() -> Row {
    let runtime = two_workers();
    let fixtures = [(); 3].map(|()| server(ms(500)).notes_its_life());
    let gpu = Resource::with(2);
    let services = [("big", 2), ("small", 1), ("small, too", 1)];
    let services: [_; 3] = std::array::from_fn(|nth| {
        let (name, needs) = services[nth];
        let config = fixtures[nth].config().swap_timeout(2 * MINUTE);
        gpu.service(&fixtures[nth], name, needs, config)
    });
    let all =
        [(0, 1), (1, 3), (2, 3)].map(|(nth, clients)| (&services[nth], &fixtures[nth], clients));
    let waits = load(&runtime, &all, ms(100), ms(20_000));
    stop(&services);
    let starts = |nth: usize| fixtures[nth].lives().into_iter().map(|(start, _)| start);
    let of_big: Vec<_> = starts(0).collect();
    let most = [1, 2].map(|small| {
        let between = of_big.windows(2).map(|pair| {
            let within = starts(small).filter(|it| pair[0] < *it && *it < pair[1]);
            within.count()
        });
        between.max().unwrap_or(usize::MAX)
    });
    let most = most.into_iter().max().unwrap_or_default();
    Row::new(
        "1 client of a big service against 6 of small ones, start 500 ms, answer 100 ms, 20 s: turns of a small one \
         between two of the big one / its worst wait",
        format!(
            "at most {most} / {}",
            time(Sample::new(waits[0].clone()).percentile(100))
        ),
        "≤ 2",
        most <= 2,
    )
}

/// An agent that streams from one model and asks another one for embeddings, while a third one is used by others.
fn holds_and_waits() -> Row {
    let runtime = two_workers();
    let fixtures = [(); 3].map(|()| Fixture::new().with("--max-life", 1_000_000));
    let gpu = Resource::with(24);
    let services = [("chat", 18), ("embed", 12), ("small", 6)];
    let services: [_; 3] = std::array::from_fn(|nth| {
        let (name, needs) = services[nth];
        let config = fixtures[nth].config().swap_timeout(SWAP_TIMEOUT);
        gpu.service(&fixtures[nth], name, needs, config)
    });
    let (late, others): (Vec<_>, Vec<_>) = (0..5)
        .map(|_| {
            let stream = block_on(services[0].acquire()).expect("it starts");
            let embed = services[1].clone();
            let asked = runtime.spawn(async move {
                let begun = Instant::now();
                let error = embed.acquire().await.expect_err("no room");
                assert!(matches!(error.kind(), ErrorKind::NoRoom { .. }), "{error}");
                begun.elapsed()
            });
            assert!(blocking_until(|| services[1].status().waits_for.is_some()));
            let small = [(&services[2], &fixtures[2], 2)];
            let others = load(&runtime, &small, Duration::ZERO, SWAP_TIMEOUT / 2).concat();
            let late = block_on(asked)
                .expect("no panic")
                .saturating_sub(SWAP_TIMEOUT);
            drop(stream);
            (late, Sample::new(others).percentile(100))
        })
        .unzip();
    stop(&services);
    let (late, others) = (
        Sample::new(late).percentile(100),
        Sample::new(others).percentile(100),
    );
    let (most_late, most) = (ms(50), ms(100));
    Row::new(
        "a caller that holds a stream and asks for what cannot run beside it: `NoRoom` after its time / worst wait of \
         others meanwhile for a third service, its start included, of 5",
        format!("{} / {}", time(late), time(others)),
        format!("≤ {} / {}", time(most_late), time(most)),
        late <= most_late && others <= most,
    )
}
