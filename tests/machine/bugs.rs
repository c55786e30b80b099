//! The bugs that the checks have to find.

use std::time::Duration;

use crate::{
    bug::{Bug, Decide},
    exhaustive::{Bounds, Found, PEACE, explore},
    machine::{Action, AfterGone, Claim, Event, Leases, Machine, Sight, Stage, Stopped, Time},
    random::play,
};

const fn machine(decide: Decide) -> Bug {
    Bug {
        decide,
        ..Bug::NONE
    }
}

// === What a wrong line does ===

/// For a caller that waits in a stop, the address is not claimed.
fn strands_waiters(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let stops = matches!(machine.stage, Stage::Stopping(_) | Stage::AwaitingPort(_));
    let mut actions = machine.on(event, now);
    if stops && matches!(machine.stage, Stage::Claiming(_)) {
        machine.stage = Stage::Stopped;
        actions.retain(|action| !matches!(action, Action::Claim { .. }));
    }
    actions
}

/// Leases that are out do not keep an instance from being idle.
fn ignores_leases(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let event = match event {
        Event::Leases(leases) if matches!(machine.stage, Stage::Serving(_)) => {
            Event::Leases(Leases { out: 0, ..leases })
        }
        event => event,
    };
    machine.on(event, now)
}

/// A waiter that leaves makes the start abandoned, although another one waits.
fn abandons_others(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let leaves = matches!(event, Event::Left { .. });
    let actions = machine.on(event, now);
    let grace = machine.common.policy.abandon_grace;
    if let Stage::Loading(loading) = &mut machine.stage
        && leaves
    {
        loading.alone_since = Some(now);
        loading.abandon_at = grace.map(|grace| now + grace);
    }
    actions
}

/// `stop()` forgets a spawn that is under way.
fn forgets_spawn(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    if event == Event::StopAsked && matches!(machine.stage, Stage::Spawning(_)) {
        machine.stage = Stage::Stopped;
        return vec![Action::Release, Action::StopsDone(Stopped::Gone)];
    }
    machine.on(event, now)
}

/// Another program's answer makes it ready.
fn takes_foreign_answers(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let event = match event {
        Event::Probed {
            foreign: true,
            detail,
            ..
        } => Event::Probed {
            sight: Sight::Ready,
            foreign: false,
            detail,
        },
        event => event,
    };
    machine.on(event, now)
}

/// The next start does not wait for the end of the process.
fn restarts_early(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let mut actions = machine.on(event, now);
    if actions.iter().any(|it| matches!(it, Action::Terminate(_))) {
        actions.push(Action::Claim { evict: false });
    }
    actions
}

/// Making way cuts off leases.
fn cuts_for_rivals(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let contested = event == Event::Claim(Claim::Contested);
    if contested && matches!(machine.stage, Stage::Serving(_)) {
        machine.common.wanted = true;
        return machine.on(Event::StopAsked, now);
    }
    machine.on(event, now)
}

/// Another service that waits is forgotten while leases are out.
fn forgets_rivals(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    if matches!(event, Event::Leases(Leases { out: 1.., .. })) {
        machine.common.wanted = false;
    }
    machine.on(event, now)
}

/// A server that is asked to close leaves as soon as it is idle, whether or not that suffices.
fn leaves_unasked(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let mut actions = machine.on(event, now);
    if actions.contains(&Action::Offer) {
        actions.extend(machine.on(Event::Claim(Claim::Leave), now));
    }
    actions
}

/// The process is started without what it needs beside the address.
fn takes_no_room(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    machine.common.policy.needs_room = false;
    machine.on(event, now)
}

/// Callers that wait for room are forgotten when a timer fires.
fn leaves_waiters(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    if matches!(machine.stage, Stage::Room(_)) && event == Event::Tick {
        machine.common.waiters.waiting.clear();
    }
    machine.on(event, now)
}

/// An idle instance sets no timer.
fn sets_no_timer(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let actions = machine.on(event, now);
    if let Stage::Serving(serving) = &mut machine.stage {
        serving.quiet_until = None;
    }
    actions
}

/// A waiter is answered, and waits on.
fn answers_twice(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let before = machine.common.waiters.clone();
    let mut actions = machine.on(event, now);
    let fails = actions.iter().find(|it| matches!(it, Action::Fail(..)));
    if let Some(again) = fails.cloned() {
        machine.common.waiters = before;
        actions.push(again);
    }
    actions
}

/// A body is complete although its process has ended, as long as it is not known how.
fn forgets_dying(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    if let Stage::Serving(serving) = &mut machine.stage
        && matches!(event, Event::BodyEnded { .. })
    {
        serving.dying = false;
    }
    machine.on(event, now)
}

/// The use of a peer's server ends with the trust in it, whatever leases are out.
fn ends_use_under_lease(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let event = match event {
        Event::Leases(leases) if matches!(machine.stage, Stage::Borrowing(_)) => {
            Event::Leases(Leases { out: 0, ..leases })
        }
        event => event,
    };
    machine.on(event, now)
}

/// The back-off is that of one failure less.
fn pauses_too_short(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let before = machine.common.backoff.failures;
    let actions = machine.on(event, now);
    let backoff = &mut machine.common.backoff;
    if backoff.failures > before && backoff.failures > 2 {
        backoff.not_before = now + (backoff.not_before.saturating_sub(now)) / 2;
    }
    actions
}

/// `stop()` does not forgive earlier failures.
fn never_forgives(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let before = machine.common.backoff.clone();
    let stops = event == Event::StopAsked;
    let actions = machine.on(event, now);
    if stops {
        machine.common.backoff = before;
    }
    actions
}

/// KILL comes at half of the stop timeout.
fn kills_early(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let actions = machine.on(event, now);
    if let Stage::Stopping(stopping) = &mut machine.stage
        && stopping.plan.len() > 1
    {
        stopping.plan.truncate(1);
    }
    actions
}

/// KILL never comes.
fn never_kills(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let mut actions = machine.on(event, now);
    actions.retain(|action| *action != Action::Kill);
    actions
}

/// One swap timeout ends all waits.
fn fails_all_at_once(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    if event == Event::Tick && matches!(machine.stage, Stage::Claiming(_)) {
        for waiter in machine.common.waiters.waiting.values_mut() {
            waiter.swap_timeout = Duration::ZERO;
        }
    }
    machine.on(event, now)
}

/// A start gets half of its ready timeout.
fn halves_ready_timeout(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let actions = machine.on(event, now);
    let half = machine.common.policy.ready_timeout / 2;
    match &mut machine.stage {
        Stage::Loading(it) => it.ready_by = it.since + half,
        Stage::Inspecting(it) => it.until = it.since + half,
        _ => {}
    }
    actions
}

/// An instance gets half of its idle time.
fn halves_idle_time(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let policy = machine.common.policy;
    if matches!(event, Event::Leases(_)) {
        machine.common.policy.idle_stop = policy.idle_stop.map(|it| it / 2);
    }
    let actions = machine.on(event, now);
    machine.common.policy.idle_stop = policy.idle_stop;
    actions
}

/// What other programs do with the server does not count.
fn ignores_other_programs(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let event = match event {
        Event::Used { .. } => Event::Used { last: None },
        other => other,
    };
    machine.on(event, now)
}

/// That a response came to its end does not count.
fn forgets_service(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let event = match event {
        Event::Exited(mut exited) => {
            exited.served = false;
            Event::Exited(exited)
        }
        event => event,
    };
    machine.on(event, now)
}

/// A process that loses its port is started again and again.
fn respawns_forever(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    if let Stage::AwaitingPort(it) = &mut machine.stage
        && let AfterGone::DiedLoading {
            respawned,
            port_taken,
            ..
        } = &mut it.after
    {
        (*respawned, *port_taken) = (false, true);
    }
    machine.on(event, now)
}

/// The shut-down of one handle sends all waiters away.
fn dismisses_all(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    if let Event::Dismissed { handle } = event {
        for waiter in machine.common.waiters.waiting.values_mut() {
            waiter.handle = handle;
        }
    }
    machine.on(event, now)
}

/// A start that no caller waits for is never abandoned.
fn never_abandons(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let actions = machine.on(event, now);
    if let Stage::Loading(loading) = &mut machine.stage {
        loading.abandon_at = None;
    }
    actions
}

/// The address is kept.
fn keeps_address(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let mut actions = machine.on(event, now);
    actions.retain(|action| *action != Action::Release);
    actions
}

/// It never ends after a failure.
fn never_finishes(machine: &mut Machine, event: Event, now: Time) -> Vec<Action> {
    let failed = machine.common.backoff.failed;
    let mut actions = machine.on(event, now);
    if failed {
        actions.retain(|action| *action != Action::Finish);
    }
    actions
}

// === That they are found ===

/// A bug, what there has to be for it to do harm, and the promise that it breaks.
struct Harm {
    name: &'static str,
    bug: Bug,
    evils: Bounds,
    breaks: &'static str,
}

const ONE: Bounds = Bounds { rounds: 1, ..PEACE };
const CRASH: Bounds = Bounds { crashes: 1, ..ONE };
const STOP: Bounds = Bounds { stops: 1, ..ONE };
const USE: Bounds = Bounds { uses: 1, ..ONE };
const RIVAL: Bounds = Bounds { rivals: 1, ..ONE };
const ROOM: Bounds = Bounds { room: true, ..ONE };
const STRANGER: Bounds = Bounds {
    strangers: 1,
    ..ONE
};
const PEER: Bounds = Bounds { peers: 1, ..ONE };
const BODY: Bounds = Bounds {
    crashes: 1,
    bodies: 1,
    ..ONE
};

static FOUND_IN_EVERY_ORDER: [Harm; 21] = [
    Harm {
        name: "a waiter is stranded in a stop",
        bug: machine(strands_waiters),
        evils: STOP,
        breaks: "a waiter is stranded",
    },
    Harm {
        name: "the idle timer ignores leases",
        bug: machine(ignores_leases),
        evils: CRASH,
        breaks: "looked for idleness with a lease out",
    },
    Harm {
        name: "an idle word is closed over a lease",
        bug: Bug {
            close_if_idle: |word| Some(word.close()),
            ..Bug::NONE
        },
        evils: CRASH,
        breaks: "idle with a lease out",
    },
    Harm {
        name: "a waiter that leaves aborts although another joined",
        bug: machine(abandons_others),
        evils: CRASH,
        breaks: "abandoned while a caller waits",
    },
    Harm {
        name: "a stop forgets a spawn under way",
        bug: machine(forgets_spawn),
        evils: STOP,
        breaks: "the address of a process was given away",
    },
    Harm {
        name: "a foreign answer makes it ready",
        bug: machine(takes_foreign_answers),
        evils: STRANGER,
        breaks: "ready on the answer of another program",
    },
    Harm {
        name: "a grant to a caller that has left leaks the lease",
        bug: Bug {
            keeps_what_nobody_takes: true,
            ..Bug::NONE
        },
        evils: CRASH,
        breaks: "leases counted are not leases out",
    },
    Harm {
        name: "a restart does not wait for the exit",
        bug: machine(restarts_early),
        evils: STOP,
        breaks: "claimed twice",
    },
    Harm {
        name: "a lease counts whatever its instance",
        bug: Bug {
            give_back: |word, _, outcome| word.give_back(word.instance(), outcome),
            ..Bug::NONE
        },
        evils: CRASH,
        breaks: "leases counted are not leases out",
    },
    Harm {
        name: "a rival cuts off leases",
        bug: machine(cuts_for_rivals),
        evils: RIVAL,
        breaks: "TERM under a lease",
    },
    Harm {
        name: "a use by a peer is no lease",
        bug: Bug {
            ignores_peers: true,
            ..Bug::NONE
        },
        evils: PEER,
        breaks: "TERM under a lease of a peer",
    },
    Harm {
        name: "a service that waits for the address is forgotten under leases",
        bug: machine(forgets_rivals),
        evils: RIVAL,
        breaks: "another waits for an idle instance that does not say so",
    },
    Harm {
        name: "a server is closed for another service under a lease",
        bug: Bug {
            close_if_free: |word| Some(word.close()),
            ..Bug::NONE
        },
        evils: RIVAL,
        breaks: "idle with a lease out",
    },
    Harm {
        name: "a server that offers its place leaves at once",
        bug: machine(leaves_unasked),
        evils: RIVAL,
        breaks: "left unasked",
    },
    Harm {
        name: "a start does not wait for room",
        bug: machine(takes_no_room),
        evils: ROOM,
        breaks: "spawned without room",
    },
    Harm {
        name: "callers that wait for room are forgotten",
        bug: machine(leaves_waiters),
        evils: ROOM,
        breaks: "a waiter was forgotten",
    },
    Harm {
        name: "what other programs do does not count",
        bug: machine(ignores_other_programs),
        evils: USE,
        breaks: "stopped for idleness while another program uses it",
    },
    Harm {
        name: "an idle instance sets no timer",
        bug: machine(sets_no_timer),
        evils: CRASH,
        breaks: "idle without a timer",
    },
    Harm {
        name: "a waiter is answered twice",
        bug: machine(answers_twice),
        evils: CRASH,
        breaks: "a caller was answered twice",
    },
    Harm {
        name: "a body is complete although its process has ended",
        bug: machine(forgets_dying),
        evils: BODY,
        breaks: "a body was said to be complete after the death of its process",
    },
    Harm {
        name: "the use of a peer's server ends under a lease",
        bug: machine(ends_use_under_lease),
        evils: PEER,
        breaks: "the use of a peer's server ended under a lease",
    },
];

#[test]
fn the_exhaustive_check_finds_each_harmful_bug() {
    for harm in &FOUND_IN_EVERY_ORDER {
        match explore(&harm.evils, &harm.bug) {
            Ok(_) => panic!("{}: not found", harm.name),
            Err(Found { violation, path }) => {
                assert_eq!(violation, harm.breaks, "{}: {path:?}", harm.name);
            }
        }
    }
}

static FOUND_AT_RANDOM: [(&str, Bug); 26] = [
    (
        "a waiter is not claimed for after a stop",
        machine(strands_waiters),
    ),
    ("idleness ignores leases", machine(ignores_leases)),
    (
        "a start is abandoned although another waits",
        machine(abandons_others),
    ),
    ("`stop()` forgets a spawn under way", machine(forgets_spawn)),
    (
        "a foreign answer makes ready",
        machine(takes_foreign_answers),
    ),
    (
        "a restart does not wait for the exit",
        machine(restarts_early),
    ),
    ("a rival cuts off leases", machine(cuts_for_rivals)),
    (
        "a server that offers its place leaves at once",
        machine(leaves_unasked),
    ),
    ("a start does not wait for room", machine(takes_no_room)),
    (
        "callers that wait for room are forgotten",
        machine(leaves_waiters),
    ),
    ("no idle timer", machine(sets_no_timer)),
    (
        "a waiter that is answered still waits",
        machine(answers_twice),
    ),
    (
        "the pause is that of one failure less",
        machine(pauses_too_short),
    ),
    ("`stop()` does not forgive", machine(never_forgives)),
    ("KILL at half of the time", machine(kills_early)),
    ("KILL never", machine(never_kills)),
    (
        "one swap timeout ends all waits",
        machine(fails_all_at_once),
    ),
    ("half of the ready timeout", machine(halves_ready_timeout)),
    ("half of the idle time", machine(halves_idle_time)),
    (
        "what other programs do does not count",
        machine(ignores_other_programs),
    ),
    ("that it served does not count", machine(forgets_service)),
    ("a lost port respawns forever", machine(respawns_forever)),
    ("a shutdown fails all waiters", machine(dismisses_all)),
    (
        "a start that no caller waits for is not abandoned",
        machine(never_abandons),
    ),
    ("the address is kept", machine(keeps_address)),
    ("no end after a failure", machine(never_finishes)),
];

#[test]
fn the_promises_find_each_harmful_bug_at_random() {
    let missed: Vec<_> = FOUND_AT_RANDOM
        .iter()
        .filter(|(_, bug)| !(0..20_000).any(|seed| is_found(seed, bug)))
        .map(|(name, _)| name)
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}

/// Whether a sequence breaks a promise; the same sequences each time.
fn is_found(seed: u64, bug: &'static Bug) -> bool {
    let mut state = seed;
    let mut next = || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31).to_le_bytes()
    };
    let steps: Vec<_> = (0..300).map(|_| next()).map(|it| (it[0], it[7])).collect();
    play(&steps, next()[3], bug).is_err()
}
