//! The machine against every order of events: breadth-first over its states and an environment that does its worst,
//! with the lease word and the loop of the driver as they are.

mod budgets;
mod clock;
mod driver;
mod environment;
mod peers;
mod promises;
mod rivals;
mod world;

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasherDefault, Hash, Hasher},
    time::Duration,
};

use self::{environment::Step, world::World};
use crate::bug::Bug;

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

/// A promise that was broken.
type Violation = &'static str;

/// How many clients ask how often, and how much of each evil there may be on one path.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Bounds {
    pub(crate) clients: usize,
    pub(crate) rounds: u8,
    /// A process that ends by itself, or a spawn that fails.
    pub(crate) crashes: u8,
    /// An answer, or the port, of another program.
    pub(crate) strangers: u8,
    /// Another service, of this program or of a peer, that wants the address, or has it.
    pub(crate) rivals: u8,
    /// A peer that uses our server, or has one of the same identity; or such a server that opens or closes.
    pub(crate) peers: u8,
    /// Of how many ports the address consists: others may have or want each of them.
    pub(crate) ports: u8,
    /// It needs something beside its address.
    pub(crate) room: bool,
    /// It is started without a request, and again.
    pub(crate) keep: bool,
    /// A stop begins with a command.
    pub(crate) command: bool,
    /// … and its process only starts the server.
    pub(crate) launcher: bool,
    /// It has to answer a request before it is ready.
    pub(crate) ready_request: bool,
    /// `stop()`.
    pub(crate) stops: u8,
    /// A retirement, with or without a limit.
    pub(crate) retirements: u8,
    /// A handle that is shut down while it waits.
    pub(crate) dismissals: u8,
    /// A body that ends with its connection.
    pub(crate) bodies: u8,
    /// A request without an answer, of which the machine hears.
    pub(crate) silences: u8,
    /// Another program that uses the server just before a stop for idleness.
    pub(crate) uses: u8,
    /// More states than that are too many for a test.
    pub(crate) states: usize,
}

/// Two clients that ask twice, and no evil but those of time, leaving and a deaf server.
pub(crate) const PEACE: Bounds = Bounds {
    clients: 2,
    rounds: 2,
    crashes: 0,
    strangers: 0,
    rivals: 0,
    peers: 0,
    ports: 1,
    room: false,
    keep: false,
    command: false,
    launcher: false,
    ready_request: false,
    stops: 0,
    retirements: 0,
    dismissals: 0,
    bodies: 0,
    silences: 0,
    uses: 0,
    states: 2_000_000,
};

/// The shortest way to a broken promise.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) violation: Violation,
    pub(crate) path: Vec<String>,
}

/// Visits every state of a machine with this bug within the bounds; says how many there are.
pub(crate) fn explore(bounds: &Bounds, bug: &'static Bug) -> Result<usize, Found> {
    let start = World::new(bounds, bug);
    let mut visited = Visited::default();
    visited.number(&start, 0, None);
    let mut queue = VecDeque::from([start]);
    let mut steps = Vec::new();
    for from in 0.. {
        let Some(world) = queue.pop_front() else {
            break;
        };
        world.steps(&mut steps);
        for &step in &steps {
            let mut next = world.clone();
            let taken = next.take(step).and_then(|()| next.promises());
            if let Err(violation) = taken {
                let mut path = visited.path_to(from);
                path.push(format!("{step:?}"));
                return Err(Found { violation, path });
            }
            let (to, is_new) = visited.number(&next, from, Some(step));
            // Where no caller waits, none has to be answered.
            if step.comes_by_itself() && visited.waits[from as usize] {
                visited.by_itself.push((from, to));
            }
            if is_new {
                queue.push_back(next);
            }
        }
        assert!(
            visited.from.len() <= bounds.states,
            "{bounds:?}: too many states"
        );
    }
    match visited.stranded() {
        None => Ok(visited.from.len()),
        Some(state) => Err(Found {
            violation: "nothing that comes by itself answers a waiter",
            path: visited.path_to(state),
        }),
    }
}

/// The states that were seen, each with a number.
#[derive(Default)]
struct Visited {
    numbers: HashMap<u64, u32, BuildHasherDefault<Mix>>,
    /// The state before, and the step that led here.
    from: Vec<(u32, Option<Step>)>,
    /// A caller waits for an answer.
    waits: Vec<bool>,
    /// Steps that are not up to a client, from state to state.
    by_itself: Vec<(u32, u32)>,
}

impl Visited {
    fn number(&mut self, world: &World, from: u32, step: Option<Step>) -> (u32, bool) {
        let mut mix = Mix::default();
        world.hash(&mut mix);
        let next = u32::try_from(self.from.len()).expect("fewer states than numbers");
        match self.numbers.entry(mix.finish()) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(new) => {
                new.insert(next);
                self.from.push((from, step));
                self.waits.push(world.is_waited_for());
                (next, true)
            }
        }
    }

    fn path_to(&self, mut state: u32) -> Vec<String> {
        let mut path = Vec::new();
        while let (from, Some(step)) = self.from[state as usize] {
            path.push(format!("{step:?}"));
            state = from;
        }
        path.reverse();
        path
    }

    /// A state in which a caller waits, and from which no way leads to one in which none does.
    fn stranded(&mut self) -> Option<u32> {
        self.by_itself.sort_unstable_by_key(|&(_, to)| to);
        let steps = &self.by_itself;
        let mut answered: Vec<_> = self.waits.iter().map(|waits| !waits).collect();
        let states = 0..u32::try_from(answered.len()).expect("as many as numbers");
        let mut queue: Vec<_> = states.clone().filter(|&it| answered[it as usize]).collect();
        while let Some(state) = queue.pop() {
            let first = steps.partition_point(|&(_, to)| to < state);
            for &(from, _) in steps[first..].iter().take_while(|&&(_, to)| to == state) {
                if !std::mem::replace(&mut answered[from as usize], true) {
                    queue.push(from);
                }
            }
        }
        states.into_iter().find(|&it| !answered[it as usize])
    }
}

/// Hashes numbers by folded multiplication: in a debug build, the standard one takes most of the
/// time.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, it: u8) {
        self.write_u64(it.into());
    }

    fn write_u16(&mut self, it: u16) {
        self.write_u64(it.into());
    }

    fn write_u32(&mut self, it: u32) {
        self.write_u64(it.into());
    }

    fn write_u64(&mut self, it: u64) {
        let product = u128::from(self.0 ^ it ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let folded = (product as u64) ^ (product >> 64) as u64;
        self.0 = folded.rotate_left(23) ^ it;
    }

    fn write_usize(&mut self, it: usize) {
        self.write_u64(it as u64);
    }

    fn write_isize(&mut self, it: isize) {
        self.write_u64(it.cast_unsigned() as u64);
    }
}

fn ensure(holds: bool, violation: Violation) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation) }
}
