//! One workload and its programs, on a clock of their own.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher as _},
    ops::Range,
    time::Duration,
};

use super::{
    api::Api,
    protocol::{Call, Program, Reply, Step, Time},
};

/// How long a call takes to the API server, and as long back.
const LATENCY: Range<Duration> = Duration::from_millis(2)..Duration::from_millis(20);
/// How much shorter than they might be the pauses of a program are.
const SPREAD: Range<u32> = 700..1000;

/// Random, and the same in each run.
struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(self.drawn);
        self.drawn += 1;
        hasher.finish() % end.max(1)
    }

    fn time(&mut self, range: Range<Duration>) -> Duration {
        let [start, end] = [range.start, range.end].map(|it| it.as_micros());
        let width = u64::try_from(end - start).expect("a time of the simulation");
        range.start + Duration::from_micros(self.below(width))
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    Join,
    Leave,
    /// It is killed: its Lease is left behind.
    Die,
}

enum Event {
    Wish(Wish),
    /// Its pause is over, unless something else came first.
    Wake {
        pause: u64,
    },
    /// The call is at the API server.
    Arrive(Call),
    Return(Reply),
}

struct Client {
    program: Program,
    is_calling: bool,
    /// Counts its pauses.
    pause: u64,
}

pub(super) struct Simulation {
    now: Time,
    random: Random,
    pub(super) api: Api,
    clients: Vec<Option<Client>>,
    /// What happens when to which program. What is scheduled first for a time happens first.
    due: BTreeMap<(Time, u64), (usize, Event)>,
    scheduled: u64,
    /// How many requests were made in each second.
    pub(super) calls: Vec<u64>,
}

impl Simulation {
    pub(super) fn new(programs: usize, deadline: Duration, seed: u64) -> Self {
        let mut random = Random { seed, drawn: 0 };
        let clients = (0..programs).map(|_| {
            let width = u64::from(SPREAD.end - SPREAD.start);
            let spread = SPREAD.start + u32::try_from(random.below(width)).expect("below 1000");
            Some(Client {
                program: Program::new(deadline, spread),
                is_calling: false,
                pause: 0,
            })
        });
        let clients = clients.collect();
        Self {
            now: Time::ZERO,
            random,
            api: Api::new(deadline),
            clients,
            due: BTreeMap::new(),
            scheduled: 0,
            calls: Vec::new(),
        }
    }

    /// Each of these programs has that wish at some time in this range.
    pub(super) fn wish(&mut self, programs: Range<usize>, wish: Wish, when: Range<Time>) {
        for program in programs {
            let at = self.random.time(when.clone());
            self.schedule(at, program, Event::Wish(wish));
        }
    }

    /// Until that time, or until that holds.
    pub(super) fn run(&mut self, until: Time, ended: impl Fn(&Api) -> bool) -> Time {
        while let Some(next) = self.due.first_entry() {
            if next.key().0 > until || ended(&self.api) {
                break;
            }
            self.now = next.key().0;
            let (program, event) = next.remove();
            self.happen(program, event);
        }
        self.now
    }

    fn schedule(&mut self, at: Time, program: usize, event: Event) {
        self.scheduled += 1;
        self.due.insert((at, self.scheduled), (program, event));
    }

    fn happen(&mut self, which: usize, event: Event) {
        if let Event::Arrive(call) = &event {
            // Also that of a program that has died meanwhile.
            let reply = self.api.answer(which, call);
            if reply == (Reply::Said { is_new: true }) {
                // A Lease that cannot be renewed is created, by a second request.
                self.count();
            }
            let back = self.now + self.random.time(LATENCY);
            self.schedule(back, which, Event::Return(reply));
            return;
        }
        let Some(client) = &mut self.clients[which] else {
            return;
        };
        match event {
            Event::Wish(Wish::Join) => client.program.join(),
            Event::Wish(Wish::Leave) => client.program.leave(),
            Event::Wish(Wish::Die) => self.clients[which] = None,
            Event::Wake { pause } if pause != client.pause => return,
            Event::Return(reply) => {
                client.is_calling = false;
                client.program.replied(reply, self.now);
            }
            Event::Wake { .. } | Event::Arrive(_) => {}
        }
        self.drive(which);
    }

    fn drive(&mut self, which: usize) {
        let Some(client) = &mut self.clients[which] else {
            return;
        };
        if client.is_calling {
            return;
        }
        match client.program.step(self.now) {
            Step::Call(call) => {
                client.is_calling = true;
                self.count();
                let there = self.now + self.random.time(LATENCY);
                self.schedule(there, which, Event::Arrive(call));
            }
            Step::Wait { until } if until < Time::MAX => {
                client.pause += 1;
                let pause = client.pause;
                self.schedule(until, which, Event::Wake { pause });
            }
            Step::Wait { .. } => {}
        }
    }

    fn count(&mut self) {
        let second = usize::try_from(self.now.as_secs()).expect("not for ever");
        if self.calls.len() <= second {
            self.calls.resize(second + 1, 0);
        }
        self.calls[second] += 1;
    }
}
