//! R1 to R9: services that need more than there is, with real servers.

use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::{runtime::Handle, task::JoinHandle, time::Instant};
use tower_local_service::{Amount, Error, ErrorKind, EventKind, LocalService, Phase};

use crate::support::{
    Fixture, PATIENCE, Resource, ask, eventually, is_alive, ms, send, waiting, within,
};

fn no_room(error: &Error) -> Vec<String> {
    assert_eq!(error.status_code(), 503);
    match error.kind() {
        ErrorKind::NoRoom { holders, .. } => holders.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_servers_that_do_not_fit_take_turns() {
    let (first, second) = (Fixture::new(), Fixture::new());
    let gpu = Resource::with(24);
    let one = gpu.service(&first, "one", 18, first.config());
    let two = gpu.service(&second, "two", 18, second.config());
    for round in 1..=3 {
        assert_eq!(ask(&one, &first.url("/hello")).await.unwrap().1, "hello");
        let (_, pid) = ask(&two, &second.url("/pid")).await.unwrap();
        assert_eq!(pid, second.starts()[round - 1].to_string());
        assert!(!is_alive(first.starts()[round - 1]));
    }
    assert_eq!((first.starts().len(), second.starts().len()), (3, 3));
}

#[tokio::test]
async fn servers_that_fit_are_left_alone() {
    let (first, second) = (Fixture::new(), Fixture::new());
    let gpu = Resource::with(24);
    let one = gpu.service(&first, "one", 18, first.config());
    let two = gpu.service(&second, "two", 6, second.config());
    for _ in 0..3 {
        ask(&one, &first.url("/hello")).await.unwrap();
        ask(&two, &second.url("/hello")).await.unwrap();
    }
    assert_eq!((first.starts().len(), second.starts().len()), (1, 1));
    let status = gpu.status();
    assert_eq!(
        (status.capacity, status.used),
        (Amount::new(24), Amount::new(24))
    );
    let holders = [("one", 18), ("two", 6)].map(|(name, it)| (name.to_owned(), Amount::new(it)));
    assert_eq!(status.holders, holders);
}

#[tokio::test]
async fn a_stream_is_waited_for_and_the_status_says_by_whom() {
    let (first, second) = (Fixture::new(), Fixture::new());
    let gpu = Resource::with(24);
    let one = gpu.service(&first, "one", 18, first.config());
    let two = gpu.service(&second, "two", 20, second.config());
    let response = send(&one, &first.url("/stream?chunks=20&gap_ms=50"), PATIENCE)
        .await
        .unwrap();
    let next = waiting(&two).await;
    eventually("it says what it waits for", || {
        two.status().waits_for.is_some()
    })
    .await;
    let waits_for = two.status().waits_for.unwrap();
    assert_eq!(
        waits_for,
        format!("20 of {}, which `one` has and uses", gpu.name)
    );
    let status = gpu.status();
    assert_eq!(status.holders, [("one".to_owned(), Amount::new(18))]);
    assert_eq!(status.waiting, [("two".to_owned(), Amount::new(20))]);

    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"chunk 19\n"), "no byte is lost");
    let lease = within("the swap", next).await.unwrap();
    assert!(!is_alive(first.starts()[0]));
    assert_eq!(two.status().waits_for, None);
    drop(lease);
}

#[tokio::test]
async fn a_wait_for_room_is_an_event_with_who_has_it() {
    let (first, second) = (Fixture::new(), Fixture::new());
    let gpu = Resource::with(24);
    let service = |name: &str, fixture: &Fixture| {
        let config = fixture.config().needs(&gpu.name, 18);
        let service = gpu.registry.service(name, fixture.base_url(), config);
        service.unwrap()
    };
    let (one, two) = (service("one", &first), service("two", &second));
    let mut events = gpu.registry.events();
    let lease = one.acquire().await.unwrap();
    let next = waiting(&two).await;
    let holder = within("the event", async {
        loop {
            if let EventKind::Waiting { holder, .. } = events.next().await.kind {
                return holder;
            }
        }
    })
    .await;
    if let Some(holder) = holder {
        assert_eq!(holder, "local service `one`");
    } else {
        // Another program was deciding at that moment.
        let is_named = || {
            two.status()
                .waits_for
                .is_some_and(|it| it.contains("`one`"))
        };
        eventually("its name", is_named).await;
    }
    drop(lease);
    drop(within("the swap", next).await.unwrap());
}

#[cfg_attr(windows, ignore = "a server that is ended by its job notes no signal")]
#[tokio::test]
async fn those_that_make_way_stop_together() {
    let fixtures = [(); 3].map(|()| Fixture::new().notes_signals());
    let gpu = Resource::with(24);
    let [idle, busy, big] = [("idle", 12), ("busy", 12), ("big", 24)];
    let idle = gpu.service(&fixtures[0], idle.0, idle.1, fixtures[0].config());
    let busy = gpu.service(&fixtures[1], busy.0, busy.1, fixtures[1].config());
    let big = gpu.service(&fixtures[2], big.0, big.1, fixtures[2].config());
    ask(&idle, &fixtures[0].url("/hello")).await.unwrap();
    let stream = busy.acquire().await.unwrap();
    let next = waiting(&big).await;
    eventually("the one in use is closed", || busy.try_acquire().is_none()).await;
    assert_eq!(
        ask(&idle, &fixtures[0].url("/hello")).await.unwrap().1,
        "hello"
    );
    assert_eq!(fixtures[0].terms().len() + fixtures[1].terms().len(), 0);
    drop(stream);
    within("the big one", next).await.unwrap();
    let stopped = [&fixtures[0], &fixtures[1]].map(|it| it.terms()[0]);
    let apart = stopped[0].abs_diff(stopped[1]);
    assert!(apart < Duration::from_secs(2), "{apart:?}");
}

#[tokio::test]
async fn a_caller_that_holds_one_and_asks_for_another_gets_no_room_in_time() {
    let (first, second) = (Fixture::new(), Fixture::new());
    let gpu = Resource::with(24);
    let one = gpu.service(&first, "one", 18, first.config());
    let two = gpu.service(&second, "two", 18, second.config().swap_timeout(ms(2000)));
    let stream = one.acquire().await.unwrap();
    let begun = Instant::now();
    let error = within("the error", two.acquire()).await.unwrap_err();
    assert_eq!(no_room(&error), ["one"]);
    assert!(begun.elapsed() >= ms(2000), "{:?}", begun.elapsed());
    assert!(error.to_string().contains(&gpu.name), "{error}");
    assert_eq!(two.status().phase, Phase::Stopped, "it is no failed start");
    assert!(second.starts().is_empty());
    eventually("the one that was closed serves again", || {
        one.try_acquire().is_some()
    })
    .await;
    drop(stream);
    within("there is room now", two.acquire()).await.unwrap();
}

#[tokio::test]
async fn a_pinned_server_stays_and_a_request_that_needs_its_room_fails_at_once() {
    let (first, second, third) = (Fixture::new(), Fixture::new(), Fixture::new());
    let gpu = Resource::with(24);
    let embed = gpu.service(&first, "embed", 4, first.config().pinned(true));
    let chat = gpu.service(&second, "chat", 18, second.config());
    let coder = gpu.service(&third, "coder", 20, third.config());
    ask(&embed, &first.url("/hello")).await.unwrap();
    ask(&chat, &second.url("/hello")).await.unwrap();
    ask(&coder, &third.url("/hello")).await.unwrap();
    assert!(is_alive(first.starts()[0]) && !is_alive(second.starts()[0]));
    gpu.registry.capacity(&gpu.name, 23);
    coder.stop().await.unwrap();
    let error = within("the error", coder.acquire()).await.unwrap_err();
    assert_eq!(no_room(&error), ["embed"]);
    assert!(is_alive(first.starts()[0]));
}

#[tokio::test]
async fn what_fits_is_preloaded_and_nothing_makes_way_for_it() {
    let fixtures = [(); 3].map(|()| Fixture::new());
    let gpu = Resource::with(24);
    let services = ["a", "b", "c"].map(|name| {
        let place = usize::from(name.as_bytes()[0] - b'a');
        gpu.service(&fixtures[place], name, 12, fixtures[place].config())
    });
    let results = within("the preload", gpu.registry.preload(&services)).await;
    assert!(results[0].is_ok() && results[1].is_ok());
    assert_eq!(no_room(results[2].as_ref().unwrap_err()), ["a", "b"]);
    let starts = fixtures.each_ref().map(|it| it.starts().len());
    assert_eq!(starts, [1, 1, 0]);
    // The same again changes nothing, but a request does.
    let again = within("again", gpu.registry.preload(&services[..2])).await;
    assert!(again.iter().all(Result::is_ok));
    within("the request", services[2].acquire()).await.unwrap();
    let starts = fixtures.each_ref().map(|it| it.starts().len());
    assert_eq!(starts, [1, 1, 1]);
}

#[tokio::test]
async fn a_preload_under_way_makes_way_for_a_request() {
    let slow = Fixture::new().with("--delay-bind", "60000");
    let quick = Fixture::new();
    let gpu = Resource::with(24);
    let preloaded = gpu.service(
        &slow,
        "preloaded",
        18,
        slow.config().ready_timeout(PATIENCE * 4),
    );
    let asked = gpu.service(&quick, "asked", 18, quick.config());
    let (registry, services) = (gpu.registry.clone(), [preloaded]);
    let preload = Handle::current().spawn(async move { registry.preload(&services).await });
    eventually("it starts", || slow.starts().len() == 1).await;
    within("the request", asked.acquire()).await.unwrap();
    let results = within("the preload", preload).await.unwrap();
    assert!(results[0].is_err());
}

#[tokio::test]
async fn a_need_that_cannot_be_met_is_refused_at_construction() {
    let fixture = Fixture::new();
    let gpu = Resource::with(24);
    let config = fixture
        .config()
        .needs(&gpu.name, 25)
        .needs("nobody-has-it", 1);
    let error = fixture.try_configured("one", config).unwrap_err();
    let ErrorKind::InvalidConfig { problems, .. } = error.kind() else {
        panic!("{error}");
    };
    let fields: Vec<_> = problems.iter().map(|it| it.field.clone()).collect();
    let expected = [
        format!("needs.{}", gpu.name),
        "needs.nobody-has-it".to_owned(),
    ];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn a_server_that_dies_gives_its_room_back() {
    let (first, second) = (Fixture::new(), Fixture::new());
    let gpu = Resource::with(24);
    let one = gpu.service(&first, "one", 18, first.config());
    let two = gpu.service(&second, "two", 18, second.config());
    let lease = one.acquire().await.unwrap();
    let next = waiting(&two).await;
    crate::support::kill(first.starts()[0]);
    within("the next one", next).await.unwrap();
    drop(lease);
}

#[tokio::test]
async fn an_external_server_needs_no_room() {
    let (first, second) = (Fixture::new(), Fixture::new());
    let gpu = Resource::with(24);
    let one = gpu.service(&first, "one", 18, first.config());
    let two = gpu.service(&second, "two", 18, second.config());
    ask(&one, &first.url("/hello")).await.unwrap();
    let _outside = second.run_outside();
    assert_eq!(ask(&two, &second.url("/hello")).await.unwrap().1, "hello");
    assert!(is_alive(first.starts()[0]));
    assert_eq!(gpu.status().used, Amount::new(18));
}

/// Clients of one service that ask again and again, until the time is over.
fn closed_loop(service: &LocalService, until: Instant, answer: Duration) -> JoinHandle<u32> {
    let service = service.clone();
    Handle::current().spawn(async move {
        let mut answers = 0;
        while Instant::now() < until {
            let lease = service.acquire().await.unwrap();
            tokio::time::sleep(answer).await;
            drop(lease);
            answers += 1;
        }
        answers
    })
}

/// How many answers there are for each start, of two services that exclude each other and have four clients each.
async fn answers_for_each_start(turn: impl Into<Option<Duration>>) -> u32 {
    let turn = turn.into();
    let fixtures = [(); 2].map(|()| Fixture::new().with("--delay-bind", 400));
    let gpu = Resource::with(1);
    let services = fixtures.each_ref().map(|it| {
        let config = it.config().turn(turn).swap_timeout(PATIENCE);
        gpu.service(it, "one of two", 1, config)
    });
    let until = Instant::now() + Duration::from_secs(5);
    let clients = services.iter().flat_map(|it| [it, it, it, it]);
    let clients: Vec<_> = clients.map(|it| closed_loop(it, until, ms(80))).collect();
    let mut answers = 0;
    for client in clients {
        answers += within("the last answers", client).await.unwrap();
    }
    let starts = fixtures.iter().map(|it| it.starts().len()).sum::<usize>();
    answers / u32::try_from(starts).unwrap()
}

#[tokio::test]
async fn with_turns_a_start_serves_many_more_answers() {
    // Without turns, a start serves the four requests that waited for it.
    let at_once = answers_for_each_start(Duration::ZERO).await;
    let in_turns = answers_for_each_start(None).await;
    assert!(at_once <= 5, "{at_once}");
    assert!(in_turns >= 10, "{in_turns}");
}

#[tokio::test]
async fn a_server_that_is_kept_ready_is_back_when_the_big_one_has_left() {
    let (first, second) = (Fixture::new(), Fixture::new());
    let gpu = Resource::with(24);
    let small = gpu.service(&first, "small", 12, first.config().keep_ready(true));
    eventually("it starts without a request", || {
        small.try_acquire().is_some()
    })
    .await;
    let config = second.config().idle_stop(ms(100)).turn(Duration::ZERO);
    let big = gpu.service(&second, "big", 24, config);
    assert_eq!(ask(&big, &second.url("/hello")).await.unwrap().1, "hello");
    assert!(!is_alive(first.starts()[0]));
    eventually("it is back", || small.try_acquire().is_some()).await;
    assert_eq!(first.starts().len(), 2);
}
