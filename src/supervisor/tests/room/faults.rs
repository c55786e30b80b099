//! What goes wrong, or changes, while services have room or wait for it.

use tokio::runtime::Runtime;

use super::*;

/// A runtime beside that of the test, which the test can end.
fn another_runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

impl Machine {
    /// A service that is supervised on that runtime at first.
    fn server_on(
        &self,
        runtime: &Runtime,
        name: &str,
        needs: u64,
        config: LocalServiceConfig,
    ) -> Server {
        let fake = Fake::new();
        let url = self.next_url();
        let runtime = Some(runtime.handle().clone());
        let client = Arc::new(Client::new(fake.clone(), self.claims.clone(), runtime));
        let service = handle(name, &client, &url, config.needs("gpu", needs));
        Server {
            fake,
            service,
            client,
            url,
        }
    }

    /// The services that have some of it, and those that wait for some.
    fn names(&self) -> (Vec<String>, Vec<String>) {
        let mut usage = self.claims.table.usage();
        let usage = usage.remove("gpu").unwrap_or_default();
        let names = |list: Vec<(String, Amount)>| list.into_iter().map(|(name, _)| name).collect();
        (names(usage.holders), names(usage.waiting))
    }
}

/// Waits in real time.
async fn becomes(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        sleep(10 * MS).await;
    }
    panic!("never: {what}");
}

// === The runtime of a supervisor ends ===

#[tokio::test]
async fn when_the_runtime_of_a_service_that_waits_ends_the_others_serve_on() {
    let machine = Machine::with(24);
    let runtime = another_runtime();
    let one = machine.server("one", 18, at_once());
    let two = machine.server_on(&runtime, "two", 18, at_once());
    let stream = one.lease().await;
    let waiting = two.asks();
    becomes("it is closed", || one.service.try_acquire().is_none()).await;
    let behind = one.asks();
    runtime.shutdown_background();
    // Its request is served by another task, on a runtime that lives, and waits again until it leaves.
    becomes("it waits again", || machine.names().1 == ["two"]).await;
    waiting.abort();
    let lease = behind.await.unwrap().unwrap();
    assert_eq!(lease.instance(), stream.instance());
    assert_eq!(one.stops(), 0);
    assert_eq!(machine.names().0, ["one"]);
}

#[tokio::test]
async fn when_the_runtime_of_a_service_that_has_room_ends_the_next_one_gets_it() {
    let machine = Machine::with(24);
    let runtime = another_runtime();
    let one = machine.server_on(&runtime, "one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    let _stream = one.lease().await;
    let waiting = two.asks();
    becomes("it waits", || machine.names().1 == ["two"]).await;
    assert!(!waiting.is_finished());
    runtime.shutdown_background();
    drop(waiting.await.unwrap().unwrap());
    assert!(!one.is_running());
    assert_eq!(machine.names().0, ["two"]);
    // It comes back on a runtime that lives, when there is room.
    drop(one.lease().await);
}

// === The order of asking ===

#[tokio::test(start_paused = true)]
async fn a_request_for_a_service_that_is_kept_ready_waits_behind_those_that_asked_before_it() {
    let machine = Machine::with(24);
    let busy = machine.server("busy", 18, at_once());
    let small = machine.server("small", 12, kept());
    let big = machine.server("big", 24, at_once().swap_timeout(30 * SEC));
    let stream = busy.lease().await;
    // It waits from now on, politely.
    small.service.keep_ready();
    sleep(SEC).await;
    let first = big.asks();
    sleep(SEC).await;
    let second = small.asks();
    sleep(SEC).await;
    drop(stream);
    let lease = first.await.unwrap().unwrap();
    assert_eq!(small.starts(), 0);
    drop(lease);
    drop(second.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_a_bigger_service_is_named_when_the_wait_is_over() {
    let machine = Machine::with(24);
    let busy = machine.server("busy", 12, at_once());
    let big = machine.server("big", 20, at_once());
    let other = machine.server("other", 8, at_once().swap_timeout(30 * SEC));
    let _stream = busy.lease().await;
    let _waiting = big.asks();
    sleep(SEC).await;
    let behind = other.asks();
    sleep(SEC).await;
    let waits_for = other.service.status().waits_for;
    assert_eq!(
        waits_for.as_deref(),
        Some("8 of gpu, which `busy` has and uses; the rest is kept for `big`")
    );
    let error = behind.await.unwrap().unwrap_err();
    assert_eq!(no_room(&error).1, ["busy", "big"]);
}

#[tokio::test(start_paused = true)]
async fn while_a_service_that_uses_it_is_in_its_turn_the_error_says_how_long_that_lasts() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, config().turn(60 * SEC));
    let two = machine.server("two", 18, config().swap_timeout(20 * SEC));
    let stream = one.lease().await;
    let ready = Instant::now();
    let error = two.service.acquire().await.unwrap_err();
    assert_eq!(no_room(&error).1, ["one"]);
    let wait = error.retry_after().unwrap();
    let left = (ready + 60 * SEC).duration_since(Instant::now());
    assert!(wait <= left && wait + SEC > left, "{wait:?} of {left:?}");
    // After its turn, nothing says when the stream ends.
    sleep(wait).await;
    let error = two.service.acquire().await.unwrap_err();
    assert_eq!(error.retry_after(), None);
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn of_two_turns_the_error_names_the_one_that_ends_first_and_none_of_a_pinned_service() {
    let machine = Machine::with(24);
    let turns = [
        ("pinned", 30, true),
        ("long", 90, false),
        ("short", 60, false),
    ];
    let holders = turns.map(|(name, turn, pinned)| {
        machine.server(name, 8, config().turn(turn * SEC).pinned(pinned))
    });
    let begun = Instant::now();
    let _streams = [
        holders[0].lease().await,
        holders[1].lease().await,
        holders[2].lease().await,
    ];
    let next = machine.server("next", 8, config().swap_timeout(20 * SEC));
    let error = next.service.acquire().await.unwrap_err();
    let ends = begun.elapsed() + error.retry_after().unwrap();
    assert!(ends >= 60 * SEC && ends < 61 * SEC, "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn the_turn_of_a_service_that_has_something_else_says_nothing_of_when_to_try_again() {
    let machine = Machine::with(24);
    let capacities = [("gpu", 24), ("ram", 1)].map(|(it, much)| (it.to_owned(), much.into()));
    machine.claims.table.set_capacities(0, capacities.into());
    let long = config().swap_timeout(3600 * SEC);
    let (_busy, _) = always_in_use(&machine, config().turn(600 * SEC)).await;
    let other = machine.server("other", 18, long.clone());
    let slow = machine.server("slow", 0, long.needs("ram", 1));
    slow.fake.script().load_time = 600 * SEC;
    let last = machine.server("last", 0, config().needs("ram", 1).swap_timeout(30 * SEC));
    let _waiting = (other.asks(), slow.asks());
    sleep(SEC).await;
    let error = last.service.acquire().await.unwrap_err();
    assert_eq!(no_room(&error), ("ram".to_owned(), vec!["slow".to_owned()]));
    assert_eq!(error.retry_after(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_in_the_instant_in_which_its_server_makes_way_is_served() {
    let machine = Machine::with(24);
    let [one, two] = ["one", "two"].map(|it| machine.server(it, 18, at_once()));
    for server in [&one, &two] {
        server.fake.script().probe_takes = Duration::ZERO;
    }
    for round in 0..300_u32 {
        drop(one.lease().await);
        let other = two.service.clone();
        let rival = async move { other.acquire().await.map(drop) };
        let rival = Handle::current().spawn(rival);
        // The instant differs from round to round.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(5) * (round % 40) {
            std::hint::spin_loop();
        }
        let lease = one.lease().await;
        let instance = lease.instance();
        assert!(one.is_running(), "{round}");
        tokio::task::yield_now().await;
        assert!(one.is_running(), "{round}: stopped under a lease");
        assert_eq!(lease.instance(), instance);
        drop(lease);
        rival.await.unwrap().unwrap();
    }
}

// === A start that comes to nothing ===

#[tokio::test(start_paused = true)]
async fn the_room_of_a_service_whose_supervisor_panics_comes_back() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    let stream = two.lease().await;
    one.fake.script().panics = true;
    let failing = one.asks();
    sleep(SEC).await;
    let waiting = two.asks();
    sleep(SEC).await;
    drop(stream);
    let error = failing.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Internal {});
    drop(waiting.await.unwrap().unwrap());
    assert_eq!(machine.names().0, ["two"]);
}

#[tokio::test(start_paused = true)]
async fn the_room_of_a_start_that_is_given_up_comes_back_when_its_process_is_gone() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once().ready_timeout(10 * SEC));
    let two = machine.server("two", 18, at_once());
    one.fake.script().load_time = 3600 * SEC;
    one.fake.script().heeds_term = Some((1, 4 * SEC));
    let begun = Instant::now();
    let failing = one.asks();
    sleep(10 * MS).await;
    let waiting = two.asks();
    failing.await.unwrap().unwrap_err();
    assert!(begun.elapsed() < 11 * SEC, "{:?}", begun.elapsed());
    drop(waiting.await.unwrap().unwrap());
    let started = two.fake.times(What::Spawned)[0] - begun;
    assert!(started >= 14 * SEC && started < 15 * SEC, "{started:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_loses_its_port_to_another_program_gives_its_room_back() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    one.fake.script().load_time = 10 * SEC;
    let first = one.asks();
    sleep(SEC).await;
    let second = two.asks();
    sleep(SEC).await;
    // What it wrote at its end says that another program has the port.
    one.fake.script().output = "bind: Address already in use, port 8001".to_owned();
    one.fake.script().elsewhere = Answer::Ready;
    one.fake.exit(1);
    let stream = first.await.unwrap().unwrap();
    assert_eq!(
        one.service.status().ownership,
        Some(Ownership::External { pid: None })
    );
    drop(second.await.unwrap().unwrap());
    assert_eq!(one.starts(), 1);
    assert_eq!(machine.names().0, ["two"]);
    drop(stream);
}

// === What is configured changes meanwhile ===

#[tokio::test(start_paused = true)]
async fn a_service_that_needs_nothing_any_more_waits_no_longer_and_takes_nothing() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    let stream = one.lease().await;
    let waiting = two.asks();
    sleep(SEC).await;
    // The same server from a file that was changed, asked through its new handle.
    let light = handle("two", &two.client, &two.url, at_once());
    let asked = asks(&light);
    waiting.abort();
    drop(waiting.await);
    drop(two.service);
    let lease = asked.await.unwrap().unwrap();
    assert!(one.service.try_acquire().is_some());
    drop(stream);
    sleep(SEC).await;
    assert_eq!(machine.names(), (vec!["one".to_owned()], Vec::new()));
    drop(lease);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_pinned_meanwhile_ends_the_wait_and_serves_on() {
    let machine = Machine::with(24);
    let one = machine.server("one", 18, at_once());
    let two = machine.server("two", 18, at_once());
    let _stream = one.lease().await;
    let waiting = two.asks();
    sleep(SEC).await;
    assert!(one.service.try_acquire().is_none());
    let begun = Instant::now();
    let _pinned = handle("one", &one.client, &one.url, at_once().pinned(true));
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(no_room(&error).1, ["one"]);
    assert!(begun.elapsed() < SEC);
    sleep(SEC).await;
    assert!(one.service.try_acquire().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_longer_turn_of_another_handle_counts_at_once_and_ends_with_it() {
    let machine = Machine::with(24);
    let (busy, ready) = always_in_use(&machine, config()).await;
    let two = machine.server("two", 18, config().swap_timeout(600 * SEC));
    let waiting = two.asks();
    sleep(SEC).await;
    let url = &busy.url;
    let longer = handle("longer", &busy.client, url, config().turn(60 * SEC));
    sleep_until(ready + 20 * SEC).await;
    assert_eq!(busy.stops(), 0);
    drop(longer);
    drop(waiting.await.unwrap().unwrap());
    let stopped = busy.fake.times(What::Term)[0] - ready;
    assert!(stopped >= 20 * SEC && stopped < 21 * SEC, "{stopped:?}");
}

// === Ends, in each situation ===

/// What a user does to a service.
#[derive(Clone, Copy, Debug)]
enum End {
    Stop,
    Retire,
    ShutDown,
    Drop,
}

impl End {
    const ALL: [Self; 4] = [Self::Stop, Self::Retire, Self::ShutDown, Self::Drop];

    fn of(self, server: Server) -> (Fake, Option<LocalService>) {
        let Server {
            fake,
            service,
            client,
            ..
        } = server;
        match self {
            Self::Stop => {
                let stopped = service.clone();
                drop(Handle::current().spawn(async move { stopped.stop().await }));
            }
            Self::Retire => drop(client.retire(None)),
            Self::ShutDown => {
                service.shut_down();
                drop(client.retire(Some(Duration::ZERO)));
            }
            Self::Drop => return (fake, None),
        }
        (fake, Some(service))
    }
}

#[tokio::test(start_paused = true)]
async fn however_a_service_ends_that_waits_the_others_serve_on() {
    for end in End::ALL {
        let machine = Machine::with(24);
        let one = machine.server("one", 18, at_once());
        let two = machine.server("two", 18, at_once());
        let _stream = one.lease().await;
        let waiting = two.asks();
        sleep(SEC).await;
        waiting.abort();
        let (_, kept) = end.of(two);
        sleep(SEC).await;
        assert!(one.service.try_acquire().is_some(), "{end:?}");
        assert_eq!(one.stops(), 0, "{end:?}");
        assert_eq!(machine.names().1, Vec::<String>::new(), "{end:?}");
        drop(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn however_a_service_ends_a_request_that_waits_is_answered() {
    for end in End::ALL {
        let machine = Machine::with(24);
        let one = machine.server("one", 18, at_once());
        let two = machine.server("two", 18, at_once());
        let stream = one.lease().await;
        let waiting = two.asks();
        sleep(SEC).await;
        let (fake, kept) = end.of(two);
        sleep(SEC).await;
        if matches!(end, End::ShutDown) {
            let error = waiting.await.unwrap().unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::ShutDown {});
            assert!(one.service.try_acquire().is_some());
            assert_eq!((one.stops(), fake.count(What::Spawned)), (0, 0));
            assert_eq!(machine.names().1, Vec::<String>::new());
            drop(stream);
            continue;
        }
        assert!(!waiting.is_finished(), "{end:?}");
        // What was retired makes none leave for a request that still waits for it.
        let is_retired = matches!(end, End::Retire);
        assert_eq!(one.service.try_acquire().is_some(), is_retired, "{end:?}");
        drop(stream);
        sleep(SEC).await;
        assert_eq!(waiting.is_finished(), !is_retired, "{end:?}");
        if is_retired {
            assert_eq!(one.stops(), 0);
            one.service.stop().await.unwrap();
        }
        let lease = waiting.await.unwrap().unwrap();
        assert_eq!(machine.names().0, ["two"], "{end:?}");
        drop(lease);
        // Without a handle it is stopped when its last use is over.
        sleep(SEC).await;
        let is_dropped = matches!(end, End::Drop);
        assert_eq!(fake.is_running(), !is_dropped, "{end:?}");
        drop(one.lease().await);
        assert_eq!(machine.names().0, ["one"], "{end:?}");
        drop(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn however_a_closed_service_ends_the_one_that_waits_gets_the_room() {
    for end in End::ALL {
        let machine = Machine::with(24);
        let idle = machine.server("idle", 12, at_once());
        let busy = machine.server("busy", 12, at_once());
        let big = machine.server("big", 24, at_once());
        drop(idle.lease().await);
        let stream = busy.lease().await;
        let waiting = big.asks();
        sleep(SEC).await;
        assert!(busy.service.try_acquire().is_none());
        let (_, kept) = end.of(busy);
        sleep(SEC).await;
        drop(stream);
        drop(waiting.await.unwrap().unwrap());
        assert_eq!(machine.names().0, ["big"], "{end:?}");
        drop(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn however_a_service_ends_that_serves_until_all_are_idle_the_rest_is_as_before() {
    for end in End::ALL {
        let machine = Machine::with(24);
        let idle = machine.server("idle", 12, at_once());
        let busy = machine.server("busy", 12, at_once());
        let big = machine.server("big", 24, at_once());
        drop(idle.lease().await);
        let stream = busy.lease().await;
        let waiting = big.asks();
        sleep(SEC).await;
        let (fake, kept) = end.of(idle);
        sleep(SEC).await;
        assert!(!fake.is_running(), "{end:?}");
        assert_eq!((busy.stops(), big.starts()), (0, 0), "{end:?}");
        drop(stream);
        drop(waiting.await.unwrap().unwrap());
        assert_eq!(machine.names().0, ["big"], "{end:?}");
        drop(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn two_waits_of_one_start_are_bounded_together() {
    let machine = Machine::with(24);
    let holder = machine.server("holder", 1, at_once());
    let busy = machine.server("busy", 18, at_once());
    let client = Arc::new(Client::new(
        Fake::new(),
        machine.claims.clone(),
        Some(Handle::current()),
    ));
    let config = at_once().needs("gpu", 18).swap_timeout(30 * SEC);
    let last = handle("last", &client, &holder.url, config);
    let (of_port, _of_room) = (holder.lease().await, busy.lease().await);
    let begun = Instant::now();
    let waiting = asks(&last);
    sleep(20 * SEC).await;
    drop(of_port);
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(no_room(&error).1, ["busy"]);
    assert_eq!(begun.elapsed(), 30 * SEC);
}

#[tokio::test(start_paused = true)]
async fn streams_that_do_not_end_leave_all_as_it_was() {
    let machine = Machine::with(24);
    let idle = machine.server("idle", 12, at_once());
    let busy = machine.server("busy", 12, at_once());
    let big = machine.server("big", 24, at_once().swap_timeout(30 * SEC));
    drop(idle.lease().await);
    let stream = busy.lease().await;
    let error = big.service.acquire().await.unwrap_err();
    assert_eq!(no_room(&error).1, ["idle", "busy"]);
    sleep(SEC).await;
    for server in [&idle, &busy] {
        assert!(server.service.try_acquire().is_some());
        assert_eq!(server.stops(), 0);
    }
    drop(stream);
}
