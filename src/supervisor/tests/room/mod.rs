//! Services that share a resource of which there is too little for all of them.

mod faults;

use super::*;
use crate::amount::Amount;

/// A machine that has so much of `gpu`.
struct Machine {
    claims: Arc<Claims>,
    ports: std::cell::Cell<u16>,
}

/// A service on a simulated machine of its own, which has a port of its own.
struct Server {
    fake: Fake,
    service: LocalService,
    client: Arc<Client>,
    url: String,
}

impl Machine {
    fn with(amount: u64) -> Self {
        let machine = Self {
            claims: Arc::default(),
            ports: std::cell::Cell::new(8000),
        };
        machine.has(amount);
        machine
    }

    fn has(&self, amount: u64) {
        let capacities = [("gpu".to_owned(), Amount::new(amount))].into();
        self.claims.table.set_capacities(0, capacities);
    }

    fn next_url(&self) -> String {
        self.ports.set(self.ports.get() + 1);
        format!("http://127.0.0.1:{}/v1", self.ports.get())
    }

    /// A service that needs so much.
    fn server(&self, name: &str, needs: u64, config: LocalServiceConfig) -> Server {
        let fake = Fake::new();
        let url = self.next_url();
        let runtime = Some(Handle::current());
        let client = Arc::new(Client::new(fake.clone(), self.claims.clone(), runtime));
        let service = handle(name, &client, &url, config.needs("gpu", needs));
        Server {
            fake,
            service,
            client,
            url,
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is built in the call")]
fn handle(name: &str, client: &Arc<Client>, url: &str, config: LocalServiceConfig) -> LocalService {
    let settings = config.validate(name, url).unwrap();
    LocalService::attach(name.to_owned(), Arc::new(settings), client.clone())
}

impl Server {
    async fn lease(&self) -> Lease {
        self.service.acquire().await.unwrap()
    }

    fn asks(&self) -> JoinHandle<Result<Lease, Error>> {
        asks(&self.service)
    }

    fn is_running(&self) -> bool {
        self.fake.is_running()
    }

    fn starts(&self) -> usize {
        self.fake.count(What::Spawned)
    }

    fn stops(&self) -> usize {
        self.fake.count(What::Term)
    }
}

/// The resource, and who has it.
fn no_room(error: &Error) -> (String, Vec<String>) {
    match error.kind() {
        ErrorKind::NoRoom {
            resource, holders, ..
        } => (resource.clone(), holders.clone()),
        other => panic!("{other:?}"),
    }
}

/// Makes way as soon as another service asks.
fn at_once() -> LocalServiceConfig {
    config().turn(Duration::ZERO)
}

// === R1, R2: room ===

#[tokio::test(start_paused = true)]
async fn services_that_fit_run_side_by_side() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 6, at_once());
    let _leases = (one.lease().await, two.lease().await);
    assert!(one.is_running() && two.is_running());
}

#[tokio::test(start_paused = true)]
async fn an_idle_service_makes_way_and_the_next_starts_when_it_is_gone() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    one.fake.script().heeds_term = Some((1, 4 * SEC));
    drop(one.lease().await);
    let begun = Instant::now();
    drop(two.lease().await);
    assert!(!one.is_running() && two.is_running());
    assert!(two.fake.times(What::Spawned)[0] >= begun + 4 * SEC);
    // It is looked once before the wait, and once more after it.
    assert!(two.fake.times(What::Probed)[0] < begun + SEC);
    assert!(two.fake.times(What::Probed)[1] >= begun + 4 * SEC);
}

#[tokio::test(start_paused = true)]
async fn what_survives_kill_keeps_its_room_and_is_named() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once().swap_timeout(30 * SEC));
    one.fake.script().heeds_term = None;
    one.fake.script().heeds_kill = false;
    drop(one.lease().await);
    let begun = Instant::now();
    let error = two.service.acquire().await.unwrap_err();
    assert_eq!(no_room(&error), ("gpu".to_owned(), vec!["one".to_owned()]));
    assert_eq!(begun.elapsed(), 30 * SEC);
    assert_eq!(two.starts(), 0);
    one.fake.vanish();
    drop(two.lease().await);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_lets_the_next_one_in() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    one.fake.script().spawn_takes = SEC;
    one.fake.script().spawn_error = Some("no");
    let failing = one.asks();
    sleep(10 * MS).await;
    let waiting = two.asks();
    failing.await.unwrap().unwrap_err();
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_runs_already_needs_no_room() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    two.fake.script().elsewhere = Answer::Ready;
    let lease = one.lease().await;
    let begun = Instant::now();
    drop(two.lease().await);
    assert_eq!(begun.elapsed(), MS);
    assert!(one.service.try_acquire().is_some());
    drop(lease);
    sleep(SEC).await;
    assert_eq!(one.stops(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_another_program_starts_meanwhile_is_used() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    let third = machine.server("three", 18, at_once());
    let lease = one.lease().await;
    let waiting = two.asks();
    sleep(SEC).await;
    two.fake.script().elsewhere = Answer::Ready;
    drop(lease);
    waiting.await.unwrap().unwrap();
    assert_eq!(two.starts(), 0);
    // What it would have needed is free again.
    drop(third.lease().await);
}

#[tokio::test(start_paused = true)]
async fn two_services_on_one_port_need_room_as_well() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let client = Arc::new(Client::new(
        Fake::new(),
        machine.claims.clone(),
        Some(Handle::current()),
    ));
    let two = handle("two", &client, &one.url, at_once().needs("gpu", 18));
    let lease = one.lease().await;
    let waiting = asks(&two);
    sleep(SEC).await;
    assert!(!waiting.is_finished());
    drop(lease);
    waiting.await.unwrap().unwrap();
    assert!(!one.is_running());
}

// === R3, R4: who makes way ===

#[tokio::test(start_paused = true)]
async fn the_one_that_was_not_used_for_longest_makes_way() {
    let machine = Machine::with(24);
    let [one, two, three] = ["one", "two", "three"].map(|it| machine.server(it, 12, at_once()));
    for server in [&one, &two, &one] {
        drop(server.lease().await);
        sleep(60 * SEC).await;
    }
    drop(three.lease().await);
    assert!(one.is_running() && !two.is_running() && three.is_running());
}

#[tokio::test(start_paused = true)]
async fn one_that_starts_slowly_counts_as_used_later() {
    let machine = Machine::with(24);
    let [slow, quick, three] =
        ["slow", "quick", "three"].map(|it| machine.server(it, 12, at_once()));
    slow.fake.script().load_time = 30 * SEC;
    drop(slow.lease().await);
    sleep(60 * SEC).await;
    drop(quick.lease().await);
    drop(three.lease().await);
    assert!(slow.is_running() && !quick.is_running());
}

#[tokio::test(start_paused = true)]
async fn none_makes_way_that_need_not() {
    let machine = Machine::with(24);
    let small = machine.server("small", 6, at_once());
    let large = machine.server("large", 18, at_once());
    let next = machine.server("next", 18, at_once());
    drop(small.lease().await);
    sleep(SEC).await;
    drop(large.lease().await);
    drop(next.lease().await);
    assert!(small.is_running() && !large.is_running());
    assert_eq!(small.stops(), 0);
}

#[tokio::test(start_paused = true)]
async fn those_that_make_way_serve_until_all_are_idle_and_stop_together() {
    let machine = Machine::with(24);
    let idle = machine.server("idle", 12, at_once());
    let busy = machine.server("busy", 12, at_once());
    let big = machine.server("big", 24, at_once());
    drop(idle.lease().await);
    let stream = busy.lease().await;
    let waiting = big.asks();
    sleep(60 * SEC).await;
    assert!(idle.service.try_acquire().is_some(), "it serves on");
    assert!(busy.service.try_acquire().is_none(), "it is closed");
    assert_eq!((idle.stops(), busy.stops()), (0, 0));
    drop(stream);
    drop(waiting.await.unwrap().unwrap());
    let stopped = [&idle, &busy].map(|it| it.fake.times(What::Term)[0]);
    assert_eq!(stopped[0], stopped[1]);
}

#[tokio::test(start_paused = true)]
async fn a_request_to_the_idle_one_is_waited_for_as_well() {
    let machine = Machine::with(24);
    let idle = machine.server("idle", 12, at_once());
    let busy = machine.server("busy", 12, at_once());
    let big = machine.server("big", 24, at_once());
    drop(idle.lease().await);
    let stream = busy.lease().await;
    let waiting = big.asks();
    sleep(SEC).await;
    let late = idle.service.try_acquire().unwrap();
    drop(stream);
    sleep(SEC).await;
    assert_eq!((idle.stops(), busy.stops()), (0, 0));
    drop(late);
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_becomes_idle_meanwhile_makes_way_in_the_place_of_one_in_use() {
    let machine = Machine::with(24);
    let one = machine.server("one", 12, at_once());
    let two = machine.server("two", 12, at_once());
    let three = machine.server("three", 12, at_once());
    let first = one.lease().await;
    sleep(SEC).await;
    let second = two.lease().await;
    let waiting = three.asks();
    sleep(SEC).await;
    assert!(one.service.try_acquire().is_none());
    let behind = one.asks();
    drop(second);
    waiting.await.unwrap().unwrap();
    behind.await.unwrap().unwrap();
    assert_eq!((one.stops(), two.stops()), (0, 1));
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_no_request_waits_for_makes_way() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    one.fake.script().load_time = 60 * SEC;
    let gone = one.asks();
    sleep(SEC).await;
    gone.abort();
    sleep(SEC).await;
    assert!(one.is_running());
    let begun = Instant::now();
    drop(two.lease().await);
    assert!(begun.elapsed() < SEC);
    assert_eq!(one.stops(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_a_request_waits_for_is_not_disturbed() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    one.fake.script().load_time = 60 * SEC;
    let first = one.asks();
    sleep(SEC).await;
    let second = two.asks();
    drop(first.await.unwrap().unwrap());
    drop(second.await.unwrap().unwrap());
    assert_eq!((one.starts(), two.starts()), (1, 1));
}

// === R5: order ===

#[tokio::test(start_paused = true)]
async fn a_big_service_is_not_kept_waiting_by_small_ones() {
    let machine = Machine::with(24);
    let small = ["a", "b"].map(|it| machine.server(it, 12, at_once()));
    let big = machine.server("big", 24, at_once());
    let clients = small.each_ref().map(|server| {
        let service = server.service.clone();
        Handle::current().spawn(async move {
            loop {
                let lease = service.acquire().await.unwrap();
                sleep(SEC).await;
                drop(lease);
            }
        })
    });
    sleep(10 * SEC).await;
    let begun = Instant::now();
    drop(big.lease().await);
    assert!(begun.elapsed() < 3 * SEC, "{:?}", begun.elapsed());
    for client in clients {
        client.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_one_starts_in_room_that_none_before_it_needs() {
    let machine = Machine::with(24);
    let busy = machine.server("busy", 12, at_once());
    let big = machine.server("big", 20, at_once());
    let small = machine.server("small", 4, at_once());
    let other = machine.server("other", 8, at_once());
    let stream = busy.lease().await;
    let waiting = big.asks();
    sleep(SEC).await;
    let begun = Instant::now();
    drop(small.lease().await);
    assert!(begun.elapsed() < SEC);
    // Eight are free now, and would keep the big one waiting.
    let behind = other.asks();
    sleep(SEC).await;
    assert_eq!(other.starts(), 0);
    drop(stream);
    drop(waiting.await.unwrap().unwrap());
    drop(behind.await.unwrap().unwrap());
}

// === R6, R7: bounds ===

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_room_no_longer_than_its_swap_timeout() {
    for (held_for, works) in [(29_990 * MS, true), (30_001 * MS, false)] {
        let machine = Machine::with(24);
        let one = machine.server("one", 18, at_once());
        let two = machine.server("two", 18, at_once().swap_timeout(30 * SEC));
        let stream = one.lease().await;
        let waiting = two.asks();
        sleep(held_for).await;
        drop(stream);
        let asked = waiting.await.unwrap();
        assert_eq!(asked.is_ok(), works, "{held_for:?}");
        if let Err(error) = asked {
            assert_eq!(no_room(&error), ("gpu".to_owned(), vec!["one".to_owned()]));
            assert_eq!(phase(&two.service), Phase::Stopped, "it is no failed start");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_no_request_waits_any_more_the_others_serve_on() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    let stream = one.lease().await;
    let rival = two.asks();
    sleep(SEC).await;
    let behind = one.asks();
    sleep(SEC).await;
    assert!(!behind.is_finished());
    rival.abort();
    let lease = behind.await.unwrap().unwrap();
    assert_eq!(lease.instance(), stream.instance());
    assert_eq!(one.stops(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_holds_a_lease_gets_no_room_while_others_are_served() {
    let machine = Machine::with(24);
    let chat = machine.server("chat", 18, at_once());
    let embed = machine.server("embed", 12, at_once().swap_timeout(30 * SEC));
    let small = machine.server("small", 6, at_once());
    let stream = chat.lease().await;
    let begun = Instant::now();
    let waiting = embed.asks();
    sleep(SEC).await;
    drop(small.lease().await);
    assert!(begun.elapsed() < 2 * SEC);
    let error = waiting.await.unwrap().unwrap_err();
    assert!(no_room(&error).1.contains(&"chat".to_owned()));
    assert_eq!(begun.elapsed(), 30 * SEC);
    drop(stream);
    assert!(chat.service.try_acquire().is_some());
}

#[tokio::test(start_paused = true)]
async fn beside_a_pinned_service_there_is_no_room_at_once() {
    let machine = Machine::with(24);
    let idle_stop = 60 * SEC;
    let pinned = machine.server("pinned", 18, at_once().pinned(true).idle_stop(idle_stop));
    let two = machine.server("two", 18, at_once());
    drop(pinned.lease().await);
    let begun = Instant::now();
    let error = two.service.acquire().await.unwrap_err();
    assert_eq!(no_room(&error).1, ["pinned"]);
    assert!(begun.elapsed() < SEC);
    // Its idle time counts as ever.
    sleep(idle_stop + SEC).await;
    drop(two.lease().await);
}

#[tokio::test(start_paused = true)]
async fn a_pinned_service_keeps_its_port() {
    let machine = Machine::with(24);
    let pinned = machine.server("pinned", 1, at_once().pinned(true));
    let client = Arc::new(Client::new(
        Fake::new(),
        machine.claims.clone(),
        Some(Handle::current()),
    ));
    let two = handle("two", &client, &pinned.url, at_once());
    drop(pinned.lease().await);
    let error = two.acquire().await.unwrap_err();
    let named = matches!(error.kind(), ErrorKind::AddressInUse { by, .. } if by.contains("pinned"));
    assert!(named, "{error}");
    assert_eq!(pinned.stops(), 0);
}

// === R8: turns ===

/// A server whose start takes ten seconds, and that is always in use from then on.
async fn always_in_use(machine: &Machine, config: LocalServiceConfig) -> (Server, Instant) {
    let server = machine.server("busy", 18, config);
    server.fake.script().load_time = 10 * SEC;
    let lease = server.lease().await;
    let ready = Instant::now();
    let service = server.service.clone();
    drop(Handle::current().spawn(async move {
        let mut held = Some(lease);
        while held.is_some() {
            sleep(100 * MS).await;
            held = service.try_acquire();
        }
    }));
    (server, ready)
}

#[tokio::test(start_paused = true)]
async fn a_server_in_use_is_served_for_as_long_as_its_start_took() {
    let machine = Machine::with(24);
    let (busy, ready) = always_in_use(&machine, config()).await;
    let two = machine.server("two", 18, config());
    drop(two.lease().await);
    let stopped = busy.fake.times(What::Term)[0] - ready;
    assert!(stopped >= 10 * SEC && stopped < 11 * SEC, "{stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn the_configured_turn_counts() {
    let machine = Machine::with(24);
    let (busy, ready) = always_in_use(&machine, config().turn(30 * SEC)).await;
    let two = machine.server("two", 18, config());
    drop(two.lease().await);
    let stopped = busy.fake.times(What::Term)[0] - ready;
    assert!(stopped >= 30 * SEC && stopped < 31 * SEC, "{stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn no_turn_lasts_longer_than_half_of_the_swap_timeout() {
    let machine = Machine::with(24);
    let (busy, _) = always_in_use(&machine, config().turn(600 * SEC)).await;
    let two = machine.server("two", 18, config().swap_timeout(40 * SEC));
    let begun = Instant::now();
    drop(two.lease().await);
    let stopped = busy.fake.times(What::Term)[0] - begun;
    assert!(stopped >= 20 * SEC && stopped < 21 * SEC, "{stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_used_a_moment_ago_is_in_use() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, config().turn(10 * SEC));
    let two = machine.server("two", 18, config());
    drop(one.lease().await);
    let begun = Instant::now();
    drop(two.lease().await);
    let stopped = one.fake.times(What::Term)[0] - begun;
    assert!(stopped >= SEC && stopped < 2 * SEC, "{stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_turn_a_server_makes_way_at_once() {
    let machine = Machine::with(24);
    let (busy, _) = always_in_use(&machine, at_once()).await;
    let two = machine.server("two", 18, config());
    let begun = Instant::now();
    drop(two.lease().await);
    assert!(busy.fake.times(What::Term)[0] < begun + SEC);
}

#[tokio::test(start_paused = true)]
async fn a_turn_counts_for_a_port_as_well() {
    let machine = Machine::with(24);
    let (busy, ready) = always_in_use(&machine, config()).await;
    let client = Arc::new(Client::new(
        Fake::new(),
        machine.claims.clone(),
        Some(Handle::current()),
    ));
    let two = handle("two", &client, &busy.url, config());
    drop(two.acquire().await.unwrap());
    let stopped = busy.fake.times(What::Term)[0] - ready;
    assert!(stopped >= 10 * SEC && stopped < 11 * SEC, "{stopped:?}");
}

// === Changes while services wait ===

#[tokio::test(start_paused = true)]
async fn a_larger_need_of_another_handle_counts_from_the_next_start() {
    let machine = Machine::with(24);
    let one = machine.server("one", 12, at_once());
    let two = machine.server("two", 12, at_once());
    drop(one.lease().await);
    let larger = handle("larger", &one.client, &one.url, at_once().needs("gpu", 20));
    drop(two.lease().await);
    assert_eq!(one.stops(), 0, "it keeps what it was granted");
    one.service.stop().await.unwrap();
    drop(larger.acquire().await.unwrap());
    assert_eq!(two.stops(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_capacity_that_is_lowered_stops_none_and_one_that_is_raised_lets_one_in() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    let stream = one.lease().await;
    machine.has(12);
    sleep(SEC).await;
    assert!(one.service.try_acquire().is_some());
    let begun = Instant::now();
    let error = two.service.acquire().await.unwrap_err();
    assert_eq!(no_room(&error).0, "gpu");
    assert!(begun.elapsed() < SEC, "there is not so much");
    machine.has(24);
    let waiting = two.asks();
    sleep(SEC).await;
    assert!(!waiting.is_finished() && one.service.try_acquire().is_none());
    machine.has(36);
    waiting.await.unwrap().unwrap();
    assert!(one.service.try_acquire().is_some());
    assert_eq!(one.stops(), 0);
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_left_of_a_resource_only_those_start_that_need_none() {
    let machine = Machine::with(24);
    let one = machine.server("one", 1, at_once());
    let two = machine.server("two", 1, at_once());
    let none = machine.server("none", 0, at_once());
    let stream = one.lease().await;
    machine.has(0);
    sleep(SEC).await;
    assert!(one.service.try_acquire().is_some());
    let begun = Instant::now();
    let error = two.service.acquire().await.unwrap_err();
    assert_eq!(no_room(&error).0, "gpu");
    assert!(begun.elapsed() < SEC, "it is known at once");
    drop(none.lease().await);
    assert_eq!((one.stops(), two.starts()), (0, 0));
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_stopped_or_retired_while_it_waits_leaves_the_others_alone() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    let stream = one.lease().await;
    let waiting = two.asks();
    sleep(SEC).await;
    two.service.stop().await.unwrap();
    assert!(!waiting.is_finished(), "a stop does not end a wait");
    two.service.shut_down();
    waiting.await.unwrap().unwrap_err();
    sleep(SEC).await;
    assert!(one.service.try_acquire().is_some());
    assert_eq!((one.stops(), two.starts()), (0, 0));
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_stopped_while_it_is_closed_lets_the_next_one_in() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    let _stream = one.lease().await;
    let waiting = two.asks();
    sleep(SEC).await;
    one.service.stop().await.unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn services_that_ask_for_more_than_there_is_never_have_it_at_once() {
    // Ten services and a random load: what runs never needs more than there is, and every request is served.
    let machine = Machine::with(24);
    let needs = [3, 5, 7, 11, 13, 17, 19, 23, 24, 2];
    let servers = needs.map(|it| {
        (
            it,
            machine.server("some", it, config().swap_timeout(3600 * SEC)),
        )
    });
    let mut state = 1_u64;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let mut clients = Vec::new();
    for _ in 0..200 {
        let (_, server) = &servers[usize::try_from(random(10)).unwrap()];
        let (service, held) = (server.service.clone(), random(2_000));
        clients.push(Handle::current().spawn(async move {
            let lease = service.acquire().await;
            sleep(Duration::from_millis(held)).await;
            lease.map(drop)
        }));
        sleep(Duration::from_millis(random(500))).await;
        let running = servers.iter().filter(|(_, server)| server.is_running());
        assert!(running.map(|(needs, _)| needs).sum::<u64>() <= 24);
    }
    for client in clients {
        client.await.unwrap().unwrap();
    }
    assert!(servers.iter().all(|(_, server)| server.starts() > 0));
}

// === R9: kept ready ===

fn kept() -> LocalServiceConfig {
    at_once().keep_ready(true).idle_stop(10 * SEC)
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_kept_ready_starts_without_a_request_and_stays() {
    let machine = Machine::with(24);
    let small = machine.server("small", 12, kept());
    small.service.keep_ready();
    sleep(60 * SEC).await;
    assert!(small.is_running());
    assert_eq!((small.starts(), small.stops()), (1, 0));
    assert!(small.service.try_acquire().is_some());
}

#[tokio::test(start_paused = true)]
async fn it_makes_way_for_a_request_and_is_back_when_there_is_room() {
    let machine = Machine::with(24);
    let small = machine.server("small", 12, kept());
    let big = machine.server("big", 24, at_once().idle_stop(30 * SEC));
    small.service.keep_ready();
    sleep(SEC).await;
    let begun = Instant::now();
    drop(big.lease().await);
    assert!(begun.elapsed() < SEC && !small.is_running());
    sleep(20 * SEC).await;
    assert!(big.is_running(), "nothing makes way for it");
    sleep(15 * SEC).await;
    assert!(!big.is_running() && small.is_running());
    assert_eq!(small.starts(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_keeps_no_request_waiting_while_it_starts() {
    let machine = Machine::with(24);
    let small = machine.server("small", 24, kept());
    let other = machine.server("other", 24, at_once());
    small.fake.script().load_time = 60 * SEC;
    small.service.keep_ready();
    sleep(SEC).await;
    assert!(small.is_running());
    let begun = Instant::now();
    drop(other.lease().await);
    assert!(begun.elapsed() < SEC);
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_it_stays_stopped_until_the_next_request() {
    let machine = Machine::with(24);
    let small = machine.server("small", 12, kept());
    small.service.keep_ready();
    sleep(SEC).await;
    small.service.stop().await.unwrap();
    sleep(600 * SEC).await;
    assert_eq!(small.starts(), 1);
    drop(small.lease().await);
    small.fake.exit(1);
    sleep(SEC).await;
    assert!(small.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_tried_again_less_and_less_often() {
    for (error, elsewhere) in [(Some("no"), Answer::Refused), (None, Answer::Status(404))] {
        let machine = Machine::with(24);
        let small = machine.server("small", 12, kept());
        small.fake.script().spawn_error = error;
        small.fake.script().elsewhere = elsewhere;
        small.service.keep_ready();
        sleep(300 * SEC).await;
        let tries = small.fake.count(What::Probed);
        assert!((5..=20).contains(&tries), "{tries}");
        // It works as soon as that is mended.
        small.fake.script().spawn_error = None;
        small.fake.script().elsewhere = Answer::Refused;
        sleep(61 * SEC).await;
        assert!(small.is_running());
    }
}
