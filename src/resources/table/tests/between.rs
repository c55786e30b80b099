//! Several programs with the same resource. To the files, each table is a program: a lock belongs to a file as it was
//! opened.

use std::{
    collections::VecDeque,
    env, fs,
    fs::File,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};

use super::*;
use crate::{
    config::{Identity, LocalServiceConfig},
    resources::peers::{Meeting, Peers, Seat, SeatStage},
};

/// A folder that goes with the test.
struct Folder(Arc<PathBuf>);

impl Folder {
    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Relaxed);
        let name = format!("local-service-seats-{}-{number}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(Arc::new(path))
    }

    /// A program that knows of so much.
    fn program(&self, capacity: u64) -> Arc<Table> {
        let folder = self.0.clone();
        let table = Arc::new(Table::new(Arc::new(move || Some(folder.clone()))));
        table.set_capacities(0, [("gpu".to_owned(), Amount::new(capacity))].into());
        table
    }

    fn seats(&self) -> Seats {
        let folder = self.0.clone();
        Seats::new(Arc::new(move || Some(folder.clone())))
    }

    /// A program that has an address.
    fn owner(&self) -> Peers {
        let config = LocalServiceConfig::new(env::current_exe().unwrap());
        let settings = config.validate("owner", "http://127.0.0.1:9/v1").unwrap();
        let owner = Peers::new(Some(self.0.clone()), Identity::of(&settings), "owner");
        owner.try_own();
        owner
    }

    /// What a program says of a service and does not keep up to date.
    fn says(&self, stage: SeatStage, needs: u64) -> Seats {
        self.says_of(None, stage, needs)
    }

    fn says_of(&self, instance: Option<String>, stage: SeatStage, needs: u64) -> Seats {
        let mut seats = self.seats();
        let Meeting::Held(held, _) = seats.meet() else {
            panic!("no program decides")
        };
        let needs = [("gpu".to_owned(), needs)];
        let seat = Seat {
            pid: 1,
            name: "suspended".to_owned(),
            fresh_until: Duration::ZERO,
            is_pinned: false,
            stage,
            instance,
            needs: needs.into(),
            capacities: BTreeMap::new(),
        };
        seats.write(1, seat);
        drop(held);
        seats
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&*self.0));
    }
}

impl Service {
    fn has_room(&self) -> bool {
        self.place.said().has_room
    }

    fn tries(&self) -> bool {
        self.place.try_again(Duration::ZERO);
        self.has_room()
    }

    fn is_used(&self, is_used: bool) {
        self.server.is_in_use.store(is_used, Relaxed);
    }
}

/// On Windows all processes of a server end with its program.
#[cfg(unix)]
#[test]
fn what_a_dead_program_had_is_taken_until_nothing_is_left_of_its_server() {
    let folder = Folder::new();
    let dead = folder.owner();
    let watchdog = dead.instance_lock().unwrap().try_clone().unwrap();
    let stages = [
        SeatStage::Waits {
            since: 0,
            is_polite: false,
            impatient_at: None,
        },
        SeatStage::Starts { is_wanted: true },
    ];
    let seats = stages.map(|stage| folder.says_of(dead.instance_name(), stage, 18));
    drop((dead, seats));

    let coder = Service::serves(&folder.program(24), "coder", 2, 18);
    assert!(!coder.tries());
    let shortage = coder.place.shortage().unwrap();
    let holders = [("suspended (process 1)".to_owned(), false)];
    assert_eq!(shortage.holders, holders, "what only waited counts no more");
    drop(watchdog);
    assert!(coder.tries());
}

#[test]
fn what_a_service_had_is_free_once_it_has_left_though_its_program_has_the_address() {
    let folder = Folder::new();
    let owner = folder.owner();
    let mut seats = folder.says_of(owner.instance_name(), SeatStage::Leaves, 18);
    let coder = Service::serves(&folder.program(24), "coder", 2, 18);
    assert!(!coder.tries());
    seats.leave(1);
    assert!(coder.tries());
}

#[test]
fn a_program_waits_until_another_one_has_made_way() {
    let folder = Folder::new();
    let (here, there) = (folder.program(24), folder.program(24));
    let chat = Service::serves(&here, "chat", 1, 18);
    chat.is_used(true);
    let coder = Service::serves(&there, "coder", 2, 18);
    assert!(chat.has_room() && !coder.has_room());
    assert_eq!(chat.asked(), Asked::Nothing, "it does not know yet");
    assert_eq!(coder.place.contacts().ring.len(), 1);

    chat.place.contend(true, Duration::ZERO);
    assert_eq!(chat.asked(), Asked::Close);
    assert!(!coder.tries());
    let shortage = coder.place.shortage().unwrap();
    let name = format!("chat (process {})", std::process::id());
    assert_eq!(shortage.holders, [(name.clone(), true)]);
    assert_eq!(
        shortage.to_string(),
        format!("18 of gpu, which `{name}` has and uses")
    );

    chat.is_used(false);
    chat.place.offer();
    assert_eq!(chat.asked(), Asked::Leave);
    assert!(!coder.tries(), "something of it is left");
    drop(chat);
    assert!(coder.tries());
}

#[test]
fn the_turn_of_a_service_of_another_program_says_when_to_try_again() {
    let folder = Folder::new();
    let (here, there) = (folder.program(24), folder.program(24));
    let minute = Duration::from_secs(60);
    let chat = Service::serves(&here, "chat", 1, 18);
    chat.place.report(SERVES, false, Turn::new(Some(minute)));
    chat.is_used(true);
    let coder = Service::serves(&there, "coder", 2, 18);
    let ends_in = || coder.place.shortage().unwrap().turn_ends_in;
    for (is_used, is_known) in [(true, true), (false, false)] {
        chat.is_used(is_used);
        chat.place.contend(true, Duration::ZERO);
        assert!(!coder.tries());
        let ends_in = ends_in();
        assert_eq!(ends_in.is_some(), is_known, "{ends_in:?}");
        assert!(ends_in.is_none_or(|it| it <= minute && it > minute / 2));
    }
}

#[test]
fn of_many_services_that_wait_one_tries_for_all() {
    let folder = Folder::new();
    let (here, there) = (folder.program(24), folder.program(24));
    let chat = Service::serves(&here, "chat", 1, 18);
    let waiting = [2, 3].map(|port| Service::serves(&there, "waiting", port, 18));
    assert!(!waiting[0].tries());
    drop(chat);
    waiting[1].place.try_again(Duration::from_secs(60));
    assert!(!waiting[0].has_room(), "the programs have just met");
    waiting[1].place.try_again(Duration::ZERO);
    assert!(waiting[0].has_room() && !waiting[1].has_room());
}

#[test]
fn a_waiting_program_that_goes_is_waited_for_no_longer() {
    let folder = Folder::new();
    let (here, there) = (folder.program(24), folder.program(24));
    let chat = Service::serves(&here, "chat", 1, 18);
    chat.is_used(true);
    let coder = Service::serves(&there, "coder", 2, 18);
    chat.place.contend(true, Duration::ZERO);
    assert_eq!(chat.asked(), Asked::Close);
    drop(coder);
    chat.place.contend(false, Duration::ZERO);
    assert_eq!(chat.asked(), Asked::Nothing);
}

#[test]
fn programs_are_served_in_the_order_in_which_they_asked() {
    let folder = Folder::new();
    let programs = [(); 4].map(|()| folder.program(1));
    let first = Service::serves(&programs[0], "first", 1, 1);
    first.is_used(true);
    let waiting = [1, 2, 3, 0].map(|at| Service::serves(&programs[at], "waiting", 2, 1));
    // The later ones try first.
    for later in waiting.iter().rev() {
        assert!(!later.tries());
    }
    let mut waiting = waiting.into_iter().collect::<VecDeque<_>>();
    let mut holder = first;
    while let Some(next) = waiting.pop_front() {
        drop(holder);
        assert!(!waiting.iter().rev().any(Service::tries));
        assert!(next.tries());
        next.is_used(true);
        next.is(SERVES);
        holder = next;
    }
}

#[test]
fn room_that_none_before_it_needs_is_had_at_once() {
    let folder = Folder::new();
    let programs = [(); 3].map(|()| folder.program(24));
    let holder = Service::serves(&programs[0], "holder", 1, 10);
    holder.is_used(true);
    let big = Service::serves(&programs[1], "big", 2, 20);
    holder.place.contend(true, Duration::ZERO);
    assert!(!big.tries());
    // The big one waits for the holder to leave, and four are left then.
    let small = Service::serves(&programs[2], "small", 3, 4);
    let too_big = Service::serves(&programs[0], "too big", 4, 5);
    assert!(!big.has_room() && small.has_room() && !too_big.has_room());
}

#[test]
fn the_idle_one_serves_until_all_that_make_way_are_idle() {
    let folder = Folder::new();
    let programs = [(); 3].map(|()| folder.program(2));
    let idle = Service::serves(&programs[0], "idle", 1, 1);
    let used = Service::serves(&programs[1], "used", 2, 1);
    used.is_used(true);
    let big = Service::serves(&programs[2], "big", 3, 2);
    for _ in 0..3 {
        idle.place.contend(true, Duration::ZERO);
        used.place.contend(true, Duration::ZERO);
        assert!(!big.tries());
    }
    assert_eq!((idle.asked(), used.asked()), (Asked::Wanted, Asked::Close));
    assert!(!idle.is_closed());
    used.is_used(false);
    used.place.offer();
    idle.place.contend(true, Duration::ZERO);
    assert_eq!((idle.asked(), used.asked()), (Asked::Leave, Asked::Leave));
    drop((idle, used));
    assert!(big.tries());
}

#[test]
fn what_a_pinned_service_of_another_program_has_is_refused_at_once() {
    let folder = Folder::new();
    let (here, there) = (folder.program(24), folder.program(24));
    let pinned = Service::serves(&here, "pinned", 1, 18);
    pinned
        .place
        .report(SERVES, true, Turn::new(Some(Duration::ZERO)));
    let other = Service::serves(&there, "other", 2, 18);
    pinned.place.contend(true, Duration::ZERO);
    assert!(!other.tries() && other.place.said().no_room);
    drop(pinned);
    assert!(other.tries());
}

#[test]
fn what_no_request_waits_for_asks_no_program_and_is_asked_first() {
    let folder = Folder::new();
    let programs = [(); 3].map(|()| folder.program(24));
    let chat = Service::serves(&programs[0], "chat", 1, 18);
    let kept = Service::joins(&programs[1], "kept ready", &[2]);
    let polite = Standing::Waits {
        is_polite: true,
        impatient_at: None,
    };
    kept.is(polite);
    kept.place
        .want([("gpu".to_owned(), Amount::new(18))].into());
    kept.is(polite);
    assert!(!kept.tries() && kept.place.contacts().ring.is_empty());
    let coder = Service::serves(&programs[2], "coder", 3, 18);
    drop(chat);
    assert!(!kept.tries(), "a request waits for it");
    assert!(coder.tries());
    drop(coder);
    assert!(kept.tries());
    kept.is(polite);

    // Its start makes way.
    let coder = Service::serves(&programs[2], "coder", 3, 18);
    assert!(!coder.has_room());
    kept.place.contend(true, Duration::ZERO);
    assert_eq!(kept.asked(), Asked::Leave);
}

#[test]
fn the_smallest_capacity_that_any_program_knows_of_counts() {
    let folder = Folder::new();
    let (here, there) = (folder.program(24), folder.program(48));
    let one = Service::serves(&here, "one", 1, 18);
    let other = Service::serves(&there, "other", 2, 18);
    assert!(one.has_room() && !other.has_room());
    drop(one);
    assert!(other.tries());
    let third = Service::serves(&there, "third", 3, 18);
    assert!(third.has_room(), "no program with the smaller one is left");
}

#[test]
fn a_service_that_waits_in_a_suspended_program_keeps_no_other_waiting() {
    let folder = Folder::new();
    let asked_first = SeatStage::Waits {
        since: 0,
        is_polite: false,
        impatient_at: None,
    };
    let _suspended = folder.says(asked_first, 24);
    assert!(Service::serves(&folder.program(24), "other", 1, 24).has_room());
}

#[test]
fn what_a_suspended_program_has_stays_its_own() {
    let folder = Folder::new();
    let serves = SeatStage::Serves {
        is_in_use: false,
        is_closed: false,
        worth: Duration::ZERO,
        turn_ends: Duration::ZERO,
        linger_ends: Duration::ZERO,
    };
    let suspended = folder.says(serves, 12);
    let table = folder.program(24);
    let own = Service::serves(&table, "own", 1, 12);
    own.is_used(true);
    let waits = Service::serves(&table, "waits", 2, 12);
    // It may be in use, so it is not counted on: the own one is to make way.
    assert_eq!(own.asked(), Asked::Close);
    let holders = waits.place.shortage().unwrap().holders;
    let holders: Vec<_> = holders.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(holders, ["own", "suspended (process 1)"]);
    // It is killed.
    drop(suspended);
    assert!(waits.tries());
    own.place.offer();
    assert_eq!(own.asked(), Asked::Nothing);
}

#[test]
fn while_a_suspended_program_decides_nothing_is_had_and_nothing_lost() {
    let folder = Folder::new();
    let table = folder.program(24);
    let deciding = File::create(folder.0.join("table")).unwrap();
    deciding.lock().unwrap();
    let waits = Service::serves(&table, "waits", 1, 18);
    assert!(!waits.tries() && waits.place.contacts().tries.is_some());
    assert_eq!(
        waits.place.shortage().unwrap().to_string(),
        "18 of gpu, about which another program decides"
    );
    let other = Service::joins(&table, "other", &[2]);
    assert!(other.has_address(), "addresses are not among it");
    drop(deciding);
    assert!(waits.tries());
    assert_eq!(waits.place.shortage(), None);
}

#[test]
fn a_seat_that_is_not_whole_is_taken_for_empty() {
    let folder = Folder::new();
    let serves = SeatStage::Starts { is_wanted: true };
    let _torn = folder.says(serves, 24);
    let path = folder.0.join("seat-000");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..40]).unwrap();
    assert!(Service::serves(&folder.program(24), "other", 1, 24).has_room());
}

#[test]
fn where_the_files_cannot_be_used_a_program_is_alone() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("table")).unwrap();
    let services = [(); 2].map(|()| Service::serves(&folder.program(24), "alone", 1, 18));
    assert!(services.iter().all(Service::has_room));
    assert_eq!(services[0].place.shortage(), None);
}

#[test]
fn without_a_seat_left_a_program_is_alone() {
    let folder = Folder::new();
    let taken = (0..256).map(|number| {
        let file = File::create(folder.0.join(format!("seat-{number:03}"))).unwrap();
        file.lock().unwrap();
        file
    });
    let taken: Vec<_> = taken.collect();
    assert!(Service::serves(&folder.program(24), "one too many", 1, 18).has_room());
    drop(taken);
}

#[test]
fn what_peers_have_and_wait_for_is_shown() {
    let folder = Folder::new();
    let (here, there) = (folder.program(24), folder.program(24));
    let _chat = Service::serves(&here, "chat", 1, 18);
    let _coder = Service::serves(&there, "coder", 2, 12);
    let pid = std::process::id();
    let peer = |name: &str| format!("{name} (process {pid})");
    let usage = here.usage().remove("gpu").unwrap();
    assert_eq!(usage.holders, [("chat".to_owned(), Amount::new(18))]);
    assert_eq!(usage.waiting, [(peer("coder"), Amount::new(12))]);
    let usage = there.usage().remove("gpu").unwrap();
    assert_eq!(usage.holders, [(peer("chat"), Amount::new(18))]);
}

/// Programs that do what comes to their minds, as threads: at no moment is more in use than there is, and each wait
/// ends.
#[test]
fn programs_at_random_never_have_more_than_there_is() {
    const CAPACITY: u64 = 5;
    let folder = Folder::new();
    let used = Arc::new(Mutex::new(0));
    let programs: Vec<_> = (0..4_u64)
        .map(|program| {
            let (table, used) = (folder.program(CAPACITY), Arc::clone(&used));
            thread::spawn(move || plays(program, &table, &used, CAPACITY))
        })
        .collect();
    let served: Vec<_> = programs.into_iter().map(|it| it.join().unwrap()).collect();
    assert!(served.iter().all(|it| *it == 40), "{served:?}");
}

fn plays(program: u64, table: &Arc<Table>, used: &Mutex<u64>, capacity: u64) -> u32 {
    let mut random = program + 1;
    let mut serving: Option<(Service, u64)> = None;
    let mut served = 0;
    while served < 40 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let needs = 1 + (random >> 33) % capacity;
        let port = u16::try_from(served + 1).unwrap();
        let waits = Service::joins(table, "waits", &[port]);
        waits.wants(needs);
        let begun = Instant::now();
        while !waits.tries() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "it waits for ever"
            );
            if let Some((service, has)) = serving.take() {
                service.place.contend(true, Duration::ZERO);
                if service.asked() == Asked::Leave {
                    *used.lock().unwrap() -= has;
                } else {
                    serving = Some((service, has));
                }
            }
            thread::yield_now();
        }
        let now = {
            let mut used = used.lock().unwrap();
            *used += needs;
            *used
        };
        assert!(now <= capacity, "{now}");
        waits.is(SERVES);
        served += 1;
        if let Some((service, has)) = serving.replace((waits, needs)) {
            *used.lock().unwrap() -= has;
            drop(service);
        }
    }
    if let Some((service, has)) = serving {
        *used.lock().unwrap() -= has;
        drop(service);
    }
    served
}
