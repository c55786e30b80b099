//! Two programs on one machine, each a set of claims of its own over the same files.
//!
//! What one writes for the other has the time of a clock that all processes share, and that no test
//! can pause.

use std::{env, fs, path::PathBuf};

use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("local-service-claims-{name}-{}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A service of another program on this machine.
    fn program(&self, fake: &Fake, config: LocalServiceConfig) -> LocalService {
        claimant(fake, "server", &self.claims(), config)
    }

    /// Those of one more program.
    fn claims(&self) -> Arc<Claims> {
        let path = Arc::new(self.0.clone());
        let folder = move || Some(path.clone());
        Arc::new(Claims::new(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn other() -> LocalServiceConfig {
    config().args(["another", "server"])
}

fn ownership(service: &LocalService) -> Option<Ownership> {
    service.status().ownership
}

#[tokio::test(start_paused = true)]
async fn of_several_programs_one_starts_the_server_and_the_others_use_it() {
    let (folder, fake) = (Folder::new("several"), Fake::new());
    fake.script().load_time = 10 * SEC;
    let programs: Vec<_> = (0..8).map(|_| folder.program(&fake, config())).collect();
    let begun = Instant::now();
    for asked in programs.iter().map(asks).collect::<Vec<_>>() {
        asked.await.unwrap().unwrap();
    }
    assert!(begun.elapsed() < 10_300 * MS, "{:?}", begun.elapsed());
    assert_eq!(fake.count(What::Spawned), 1);
    let owners = programs
        .iter()
        .filter(|it| ownership(it) == Some(Ownership::Owned));
    assert_eq!(owners.count(), 1);
}

async fn is_stopped(fake: &Fake) {
    let stopped = async {
        while fake.is_running() {
            sleep(10 * MS).await;
        }
    };
    let in_time = tokio::time::timeout(20 * SEC, stopped).await;
    in_time.expect("it is stopped");
}

#[tokio::test]
async fn an_idle_stop_waits_for_a_lease_in_another_program() {
    let (folder, fake) = (Folder::new("idle"), Fake::new());
    let idle_stop = 1200 * MS;
    let owner = folder.program(&fake, config().idle_stop(idle_stop));
    let user = folder.program(&fake, config());
    owner.start().await.unwrap();
    let lease = user.acquire().await.unwrap();
    assert_eq!(ownership(&user), Some(Ownership::External { pid: None }));
    sleep(2 * idle_stop).await;
    assert_eq!(fake.count(What::Term), 0);
    let ended = Instant::now();
    drop(lease);
    is_stopped(&fake).await;
    let idle = fake.times(What::Term)[0] - ended;
    assert!(idle >= idle_stop, "{idle:?}");
}

#[tokio::test]
async fn an_idle_time_begins_with_the_last_use_of_any_program() {
    let (folder, fake) = (Folder::new("last"), Fake::new());
    let idle_stop = 2500 * MS;
    let owner = folder.program(&fake, config().idle_stop(idle_stop));
    let user = folder.program(&fake, config());
    owner.start().await.unwrap();
    sleep(SEC).await;
    // When the owner looks, this use is over.
    let begun = Instant::now();
    drop(user.acquire().await.unwrap());
    is_stopped(&fake).await;
    let idle = fake.times(What::Term)[0] - begun;
    assert!(idle >= idle_stop, "{idle:?}");
}

#[tokio::test]
async fn a_program_that_was_idle_asks_again_and_starts_its_own() {
    let (folder, fake) = (Folder::new("own"), Fake::new());
    let owner = folder.program(&fake, config().idle_stop(10 * MS));
    let user = folder.program(&fake, config().idle_stop(20 * SEC));
    // The owner does not stop it before the other program has used it.
    let leases = [
        owner.acquire().await.unwrap(),
        user.acquire().await.unwrap(),
    ];
    drop(leases);
    is_stopped(&fake).await;
    drop(user.acquire().await.unwrap());
    assert_eq!(ownership(&user), Some(Ownership::Owned));
    assert_eq!(fake.count(What::Spawned), 2);
    drop(owner.acquire().await.unwrap());
    assert_eq!(ownership(&owner), Some(Ownership::External { pid: None }));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_asks_now_and_then_keeps_the_server_running() {
    let (folder, fake) = (Folder::new("now-and-then"), Fake::new());
    let owner = folder.program(&fake, config().idle_stop(3600 * SEC));
    let user = folder.program(&fake, config());
    owner.start().await.unwrap();
    for _ in 0..20 {
        drop(user.acquire().await.unwrap());
        sleep(20 * SEC).await;
    }
    assert_eq!(fake.count(What::Spawned), 1);
    assert_eq!(fake.count(What::Term), 0);
}

#[tokio::test(start_paused = true)]
async fn another_identity_in_another_program_swaps() {
    let (folder, fake) = (Folder::new("swap"), Fake::new());
    let one = folder.program(&fake, config());
    let two = folder.program(&fake, other());
    let user = folder.program(&fake, config());
    let streams = [one.acquire().await.unwrap(), user.acquire().await.unwrap()];
    let waiter = asks(&two);
    sleep(20 * SEC).await;
    assert_eq!(fake.count(What::Term), 0);
    let queued = asks(&user);
    sleep(SEC).await;
    assert!(!queued.is_finished(), "it queues behind the swap");
    drop(streams);
    let lease = waiter.await.unwrap().unwrap();
    assert_eq!(ownership(&two), Some(Ownership::Owned));
    assert_eq!(fake.count(What::Spawned), 2);
    drop(lease);
    drop(queued.await.unwrap().unwrap());
    assert_eq!(fake.count(What::Spawned), 3);
}

#[tokio::test(start_paused = true)]
async fn a_swap_between_programs_that_takes_too_long_names_the_program_that_has_the_address() {
    let (folder, fake) = (Folder::new("timeout"), Fake::new());
    let one = folder.program(&fake, config());
    let two = folder.program(&fake, other().swap_timeout(10 * SEC));
    let _stream = one.acquire().await.unwrap();
    let begun = Instant::now();
    let error = two.acquire().await.unwrap_err();
    assert_eq!(begun.elapsed(), 10 * SEC);
    let ErrorKind::AddressInUse { by, .. } = error.kind() else {
        panic!("{error}");
    };
    let expected = format!("local service `server` of process {}", std::process::id());
    assert_eq!(*by, expected);
    // No peer waits for it any more.
    sleep(SEC).await;
    assert!(one.try_acquire().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_user_leaves_a_server_that_is_to_make_way_within_a_second() {
    let (folder, fake) = (Folder::new("busy"), Fake::new());
    let one = folder.program(&fake, config());
    let user = folder.program(&fake, config());
    one.start().await.unwrap();
    drop(user.acquire().await.unwrap());
    // One use after the other, each of which shows that the server lives.
    let busy = Handle::current().spawn(async move {
        loop {
            let lease = user.acquire().await.unwrap().begin();
            sleep(10 * MS).await;
            drop(lease);
        }
    });
    sleep(5 * SEC).await;
    let two = folder.program(&fake, other());
    let begun = Instant::now();
    two.acquire().await.unwrap();
    assert!(begun.elapsed() < 2 * SEC, "{:?}", begun.elapsed());
    busy.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_one_program_is_followed_by_a_start_in_another() {
    let (folder, fake) = (Folder::new("stop"), Fake::new());
    fake.script().heeds_term = Some((1, SEC));
    let one = folder.program(&fake, config());
    let user = folder.program(&fake, config());
    one.start().await.unwrap();
    drop(user.acquire().await.unwrap());
    sleep(2 * SEC).await;
    let stopped = Handle::current().spawn(async move { one.stop().await });
    sleep(500 * MS).await;
    user.acquire().await.unwrap();
    stopped.await.unwrap().unwrap();
    assert_eq!(ownership(&user), Some(Ownership::Owned));
    assert_eq!(fake.count(What::Spawned), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_no_program_started_is_used_by_all() {
    let (folder, fake) = (Folder::new("nobodys"), Fake::new());
    fake.script().elsewhere = Answer::Ready;
    for config in [config(), other(), config()] {
        let program = folder.program(&fake, config);
        drop(program.acquire().await.unwrap());
        assert_eq!(ownership(&program), Some(Ownership::External { pid: None }));
    }
    assert_eq!(fake.count(What::Spawned), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_replaced_although_its_owner_does_not_use_it() {
    let (folder, fake) = (Folder::new("hangs"), Fake::new());
    fake.script().holder = Some(1000);
    let (one, two) = (
        folder.program(&fake, config()),
        folder.program(&fake, config()),
    );
    one.start().await.unwrap();
    for _ in 0..3 {
        fail_before_head(two.acquire().await.unwrap());
        sleep(600 * MS).await;
    }
    let begun = Instant::now();
    drop(two.acquire().await.unwrap());
    assert_eq!(fake.count(What::Spawned), 2);
    assert!(begun.elapsed() < 20 * SEC, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_of_another_program_needs_no_room() {
    let (folder, shared) = (Folder::new("room"), Fake::new());
    let owner = folder.program(&shared, config().needs("gpu", 18));
    owner.start().await.unwrap();
    let (claims, fake) = (folder.claims(), Fake::new());
    // Each program has a part of it: there is no room for a third server.
    let capacities = [("gpu".to_owned(), 40.into())].into();
    claims.table.set_capacities(0, capacities);
    let client = Client::new(fake.clone(), claims.clone(), Some(Handle::current()));
    let settings = config().needs("gpu", 18).turn(Duration::ZERO);
    let settings = settings
        .validate("busy", "http://127.0.0.1:8081/v1")
        .unwrap();
    let busy = LocalService::attach("busy".to_owned(), Arc::new(settings), Arc::new(client));
    let stream = busy.acquire().await.unwrap();
    let guest = claimant(&shared, "server", &claims, config().needs("gpu", 18));
    let begun = Instant::now();
    let lease = guest.acquire().await.unwrap();
    assert!(begun.elapsed() < SEC);
    assert_eq!(ownership(&guest), Some(Ownership::External { pid: None }));
    drop(stream);
    sleep(SEC).await;
    assert_eq!(fake.count(What::Term), 0);
    drop(lease);
}
