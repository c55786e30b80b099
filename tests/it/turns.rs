//! R5, R7, R8: servers that take turns, with real servers and times that are a tenth of those in `benches`.

use std::time::Duration;

use tokio::{runtime::Handle, task::JoinHandle, time::Instant};
use tower_local_service::{ErrorKind, LocalService};

use crate::support::{Fixture, PATIENCE, Resource, ask, eventually, ms, within};

/// So many services are registered that need something, and so many of them have a request that waits.
#[cfg(unix)]
const REGISTERED: u16 = 1000;
#[cfg(unix)]
const WAITING: u16 = 20;

/// A client that asks again and again until then: how long each answer took.
fn client(service: &LocalService, url: String, until: Instant) -> JoinHandle<Vec<Duration>> {
    let service = service.clone();
    Handle::current().spawn(async move {
        let mut times = Vec::new();
        while Instant::now() < until {
            let begun = Instant::now();
            ask(&service, &url).await.unwrap();
            times.push(begun.elapsed());
        }
        times
    })
}

/// 89 in a minute was one start for each four answers: 30 in these six seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_that_exclude_each_other_answer_many_times_for_each_start() {
    let gpu = Resource::with(1);
    let fixtures = [(); 2].map(|()| Fixture::new().with("--delay-bind", 200));
    let services = fixtures.each_ref().map(|it| {
        let config = it.config().swap_timeout(PATIENCE * 4);
        gpu.service(it, "one of two", 1, config)
    });
    let until = Instant::now() + Duration::from_secs(6);
    let clients = (0..8).map(|nth| {
        let url = fixtures[nth % 2].url("/slow?ms=40");
        client(&services[nth % 2], url, until)
    });
    let clients: Vec<_> = clients.collect();
    let mut times = Vec::new();
    for client in clients {
        times.push(within("the last answers", client).await.unwrap());
    }
    let answers = times.concat().len();
    let starts: usize = fixtures.iter().map(|it| it.starts().len()).sum();
    // Without turns there are four answers for each start, and with them some twenty.
    assert!(answers >= 9 * starts, "{answers} answers, {starts} starts");
    // Each client is served, whatever the others do, in the turn after the next one.
    assert!(times.iter().all(|it| it.len() > 1));
    let worst = times.concat().into_iter().max().unwrap();
    assert!(worst < ms(4000), "{worst:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_service_is_served_at_least_every_second_turn_of_small_ones() {
    let gpu = Resource::with(2);
    let fixtures = [(); 3].map(|()| {
        let fixture = Fixture::new().with("--delay-bind", 100);
        fixture.notes_its_life()
    });
    let services = [("big", 2), ("small", 1), ("small, too", 1)];
    let services: [_; 3] = std::array::from_fn(|nth| {
        let (name, needs) = services[nth];
        let config = fixtures[nth].config().swap_timeout(PATIENCE * 4);
        gpu.service(&fixtures[nth], name, needs, config)
    });
    let until = Instant::now() + Duration::from_secs(5);
    let clients = [0, 1, 1, 1, 2, 2, 2].map(|nth| {
        let url = fixtures[nth].url("/slow?ms=20");
        client(&services[nth], url, until)
    });
    for client in clients {
        within("the last answers", client).await.unwrap();
    }
    for service in &services {
        service.stop().await.unwrap();
    }
    let starts = |nth: usize| fixtures[nth].lives().into_iter().map(|(start, _)| start);
    let of_big: Vec<_> = starts(0).collect();
    assert!(of_big.len() >= 3, "{of_big:?}");
    for small in [1, 2] {
        for pair in of_big.windows(2) {
            let turns = starts(small).filter(|it| pair[0] < *it && *it < pair[1]);
            assert!(turns.count() <= 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_waits_for_itself_gets_no_room_in_time_and_others_are_served_meanwhile() {
    let gpu = Resource::with(24);
    let fixtures = [(); 3].map(|()| Fixture::new());
    let services = [("chat", 18), ("embed", 12), ("small", 6)];
    let services: [_; 3] = std::array::from_fn(|nth| {
        let (name, needs) = services[nth];
        let config = fixtures[nth].config().swap_timeout(ms(3000));
        gpu.service(&fixtures[nth], name, needs, config)
    });
    let stream = services[0].acquire().await.unwrap();
    let begun = Instant::now();
    let embed = services[1].clone();
    let asked = Handle::current().spawn(async move { embed.acquire().await.map(drop) });
    eventually("it waits", || services[1].status().waits_for.is_some()).await;
    let mut answers = 0;
    while begun.elapsed() < ms(1500) {
        ask(&services[2], &fixtures[2].url("/hello")).await.unwrap();
        answers += 1;
    }
    assert!(!asked.is_finished() && answers > 0, "{answers}");
    let error = within("the error", asked).await.unwrap().unwrap_err();
    let took = begun.elapsed();
    assert!(took >= ms(3000) && took < ms(10_000), "{took:?}");
    let ErrorKind::NoRoom { holders, .. } = error.kind() else {
        panic!("{error}");
    };
    assert!(holders.contains(&"chat".to_owned()), "{holders:?}");
    assert!(fixtures[1].starts().is_empty());
    drop(stream);
}

/// Optimised, a plan takes less than a millisecond: `benches` has the figure. Here is room for a debug build and for a machine
/// that has other things to do.
///
/// All services of a program are planned together, and those of other programs as far as they share files with it. So these
/// are in a program of their own, and share none.
#[cfg(unix)]
#[test]
fn a_plan_for_a_thousand_services_that_need_something_takes_milliseconds() {
    let fixture = Fixture::new();
    let folder = format!("XDG_RUNTIME_DIR={}", fixture.folder().display());
    crate::support::alone(
        &["env", &folder],
        "turns::plays_a_program_with_a_thousand_services",
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "plays a program with a thousand services, for the test beside it"]
async fn plays_a_program_with_a_thousand_services() {
    let fixture = Fixture::new();
    let gpu = Resource::with(2);
    let busy = gpu.service(&fixture, "busy", 2, fixture.config());
    let lease = within("the lease", busy.acquire()).await.unwrap();
    // They are never started, so their ports are not used.
    let services = (0..REGISTERED).map(|nth| {
        let url = format!("http://127.0.0.1:{}/v1", 30_000 + nth);
        let config = fixture.config().arg(nth.to_string());
        let config = config.swap_timeout(PATIENCE * 4).needs(&gpu.name, 2);
        gpu.registry.service(format!("service-{nth}"), url, config)
    });
    let services: Vec<_> = services.map(Result::unwrap).collect();
    let mut requests = tokio::task::JoinSet::new();
    for service in &services[..usize::from(WAITING)] {
        let service = service.clone();
        requests.spawn(async move { service.acquire().await.map(drop) });
    }
    let all_wait = || gpu.status().waiting.len() == usize::from(WAITING);
    eventually("they wait", all_wait).await;
    // Another amount each time, of which there is never enough for a second one. This call plans once.
    let plan = |nth: u64| {
        let begun = Instant::now();
        gpu.registry.capacity(&gpu.name, 2 + nth % 2);
        begun.elapsed()
    };
    let mut took: Vec<_> = (1..=51).map(plan).collect();
    took.sort_unstable();
    let median = took[took.len() / 2];
    assert!(median < ms(50), "{took:?}");
    requests.shutdown().await;
    drop(lease);
}
