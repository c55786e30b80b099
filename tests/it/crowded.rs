//! R1: many servers that share several resources, under a load at random.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use tower_local_service::{LocalService, Registry};

use crate::support::{Fixture, PATIENCE, ask, ms};

/// How much there is of each resource.
const CAPACITIES: [u64; 3] = [24, 10, 3];
/// What each service needs of them.
const NEEDS: [[u64; 3]; 10] = [
    [18, 0, 1],
    [6, 2, 1],
    [24, 10, 3],
    [0, 5, 1],
    [12, 5, 0],
    [12, 0, 1],
    [3, 3, 1],
    [0, 10, 1],
    [20, 1, 1],
    [1, 1, 1],
];
const CLIENTS: u64 = 6;
/// On a machine that has much else to do, the load lasts until there are so many.
const ANSWERS: u32 = 20;

/// Numbers at random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The services and their servers. Some have turns, and some stop soon when they are idle.
struct Crowd {
    services: Vec<LocalService>,
    fixtures: Vec<Fixture>,
}

impl Crowd {
    fn new(registry: &Registry) -> Self {
        // Other programs of this user may run the same test.
        let names = ["a", "b", "c"].map(|it| format!("crowded-{it}-{}", std::process::id()));
        for (name, much) in names.iter().zip(CAPACITIES) {
            registry.capacity(name, much);
        }
        let fixtures = NEEDS.map(|_| Fixture::new().notes_its_life().with("--term-delay", 20));
        let services = NEEDS
            .iter()
            .zip(&fixtures)
            .enumerate()
            .map(|(nth, (needs, fixture))| {
                let turn = ms(50 * (nth as u64 % 3));
                let config = fixture.config().turn(turn).swap_timeout(PATIENCE * 4);
                let idle_stop = if nth % 4 == 0 { ms(100) } else { PATIENCE };
                let config = names.iter().zip(needs).fold(
                    config.idle_stop(idle_stop).stop_timeout(PATIENCE),
                    |config, (name, much)| config.needs(name, *much),
                );
                fixture.configured(&format!("crowded-{nth}"), config)
            });
        Self {
            services: services.collect(),
            fixtures: Vec::from(fixtures),
        }
    }

    /// A client that asks for servers at random, one after another, and waits a little at times.
    async fn client(
        services: Vec<LocalService>,
        urls: Vec<String>,
        seed: u64,
        until: Instant,
        answers: Arc<AtomicU32>,
    ) {
        let mut random = Random(seed);
        while Instant::now() < until || answers.load(Relaxed) < ANSWERS {
            let nth = usize::try_from(random.below(NEEDS.len() as u64)).unwrap();
            let asked = ask(&services[nth], &urls[nth]).await;
            let (status, body) = asked.unwrap_or_else(|error| panic!("server {nth}: {error}"));
            let expected = (200, "chunk 0\nchunk 1\nchunk 2\n");
            assert_eq!((status.as_u16(), body.as_str()), expected);
            answers.fetch_add(1, Relaxed);
            tokio::time::sleep(ms(random.below(30))).await;
        }
    }

    /// The most that processes have had at once of each resource, by their own account, and how often one started beside
    /// another.
    fn most_at_once(&self) -> ([u64; 3], usize) {
        let lives = self.fixtures.iter().zip(NEEDS);
        let lives = lives.flat_map(|(fixture, needs)| {
            fixture.lives().into_iter().map(move |life| (life, needs))
        });
        let lives: Vec<_> = lives.collect();
        let (mut most, mut beside) = ([0; 3], 0);
        for ((at, _), _) in &lives {
            let runs = lives
                .iter()
                .filter(|((start, end), _)| start <= at && at < end);
            let runs: Vec<_> = runs.collect();
            beside += usize::from(runs.len() > 1);
            for (nth, most) in most.iter_mut().enumerate() {
                *most = runs
                    .iter()
                    .map(|(_, needs)| needs[nth])
                    .sum::<u64>()
                    .max(*most);
            }
        }
        (most, beside)
    }
}

/// `CROWDED_SECONDS` of load, a few by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_servers_never_have_more_than_there_is_and_each_request_is_answered() {
    let seconds = std::env::var("CROWDED_SECONDS").map_or(4, |it| it.parse().unwrap());
    let registry = Registry::new();
    let crowd = Crowd::new(&registry);
    let urls: Vec<_> = crowd
        .fixtures
        .iter()
        .map(|it| it.url("/stream?chunks=3&gap_ms=5"))
        .collect();
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut clients, answers) = (JoinSet::new(), Arc::new(AtomicU32::new(0)));
    for seed in 0..CLIENTS {
        let (services, urls) = (crowd.services.clone(), urls.clone());
        clients.spawn(Crowd::client(services, urls, seed, until, answers.clone()));
    }
    clients.join_all().await;
    for service in &crowd.services {
        service.stop().await.unwrap();
    }
    let starts: usize = crowd.fixtures.iter().map(|it| it.starts().len()).sum();
    assert!(starts >= 5, "{starts} starts");
    let (most, beside) = crowd.most_at_once();
    let fits = most
        .iter()
        .zip(CAPACITIES)
        .all(|(most, there)| *most <= there);
    assert!(fits, "{most:?} of {CAPACITIES:?}");
    assert!(beside > 0, "no two of them ran side by side");
}
