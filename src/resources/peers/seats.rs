//! Where programs say which of their services have room beside an address, and which ones wait for it.
//!
//! Each such service has a seat: a file that its program keeps locked for as long, with one line ([`Seat`]). A seat that
//! is not locked is empty, whatever is in it, unless its program has died and something is left of its server. A program
//! reads and writes seats only while it has the lock of the file `table`, for some microseconds, so all that it reads is
//! true at that moment, but for what no program writes down: the use of a server. For that, a seat says how long it is
//! kept fresh.
//!
//! | file | exclusive lock |
//! |---|---|
//! | `table` | the program that reads the seats, decides, and writes its own |
//! | `seat-000` … `seat-255` | the program whose service has room, or waits for it |
//! | `seat-000.bell` … | a socket that the service listens on: a service that waits for its room stays connected |

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use super::{
    Folder, Seat,
    files::{Told, granted, open},
    instance::is_left,
    seat::Stage,
    text, warn_once,
};

/// So many services of a user's programs may have room, or wait for it, at the same time.
const SEATS: u16 = 256;

/// No line is longer.
const LONGEST: usize = 16 << 10;

/// A seat has so much of the disk from the beginning: a line can be changed when the disk is full.
const ROOM: usize = 4 << 10;

/// How often a lock is tried that another program has for some microseconds.
const TRIES: usize = 16;

/// The seats of this program, and a look at those of all others.
pub(crate) struct Seats {
    folder: Folder,
    table: Option<Arc<File>>,
    mine: BTreeMap<u64, Mine>,
    /// Open while they are looked at again and again.
    others: BTreeMap<u16, Told>,
    /// Those of programs that have died, of whose servers something is left.
    left: BTreeSet<u16>,
    /// No seat was empty when the programs last met. The others are not tried for each service.
    is_full: bool,
}

struct Mine {
    number: u16,
    file: Told,
    written: Option<Seat>,
}

/// Whether this program may decide now.
pub(crate) enum Meeting {
    /// There are no peers, or they cannot be met.
    Alone,
    /// Until this is dropped, no other program decides. The seats of the others that are taken.
    Held(
        #[allow(dead_code, reason = "kept for as long as the programs meet")] Held,
        Vec<(u16, Seat)>,
    ),
    /// Another program decides.
    Busy,
}

pub(crate) struct Held(Arc<File>);

impl Meeting {
    pub(crate) fn may_decide(&self) -> bool {
        !matches!(self, Self::Busy)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // What could not be unlocked is so when it is closed.
        drop(self.0.unlock());
    }
}

impl Seats {
    pub(crate) fn new(folder: Folder) -> Self {
        Self {
            folder,
            table: None,
            mine: BTreeMap::new(),
            others: BTreeMap::new(),
            left: BTreeSet::new(),
            is_full: false,
        }
    }

    pub(crate) fn has_peers(&self) -> bool {
        (self.folder)().is_some()
    }

    pub(crate) fn meet(&mut self) -> Meeting {
        let Some(folder) = (self.folder)() else {
            return Meeting::Alone;
        };
        self.try_meet(&folder).unwrap_or_else(|error| {
            warn_once(&error);
            Meeting::Alone
        })
    }

    fn try_meet(&mut self, folder: &Path) -> io::Result<Meeting> {
        let table = match &self.table {
            Some(table) => table.clone(),
            None => Arc::new(open(&folder.join("table"))?),
        };
        self.table = Some(table.clone());
        for _ in 0..TRIES {
            if granted(table.try_lock())? {
                let held = Held(table);
                self.is_full = false;
                let others = self.read(folder)?;
                return Ok(Meeting::Held(held, others));
            }
            thread::yield_now();
        }
        Ok(Meeting::Busy)
    }

    /// The seats of other programs.
    fn read(&mut self, folder: &Path) -> io::Result<Vec<(u16, Seat)>> {
        let mut seats = Vec::new();
        self.left.clear();
        for number in 0..SEATS {
            if self.is_mine(number) {
                continue;
            }
            let file = match self.others.entry(number) {
                Entry::Occupied(it) => it.into_mut(),
                // They are taken from the first on, and stay.
                Entry::Vacant(it) => match Told::open_existing(&path(folder, number))? {
                    Some(file) => it.insert(file),
                    None => break,
                },
            };
            if granted(file.try_lock_shared())? {
                drop(file.unlock());
                if let Some(seat) = left(folder, file.text())? {
                    self.left.insert(number);
                    seats.push((number, seat));
                }
                continue;
            }
            // One that is not whole was never written: its program could not, and has no peers then.
            if let Some(seat) = read(file.text())? {
                seats.push((number, seat));
            }
        }
        Ok(seats)
    }

    /// What other programs have and want, without a decision: some of it may be a moment old.
    pub(crate) fn look(&mut self) -> Vec<Seat> {
        let Some(folder) = (self.folder)() else {
            return Vec::new();
        };
        let seats = self.read(&folder).unwrap_or_default();
        self.others.clear();
        seats.into_iter().map(|(_, seat)| seat).collect()
    }

    /// Says this of a service. Only while the programs [meet](Self::meet).
    pub(crate) fn write(&mut self, id: u64, seat: Seat) {
        if let Err(error) = self.try_write(id, seat) {
            warn_once(&error);
        }
    }

    fn try_write(&mut self, id: u64, seat: Seat) -> io::Result<()> {
        let Some(folder) = (self.folder)() else {
            return Ok(());
        };
        if !self.mine.contains_key(&id) {
            if self.is_full {
                return Ok(());
            }
            let mine = self.sit(&folder)?;
            self.mine.insert(id, mine);
        }
        let Some(mine) = self.mine.get_mut(&id) else {
            return Ok(());
        };
        if mine.written.as_ref() != Some(&seat) {
            text::write(mine.file.text(), seat.line().as_bytes())?;
            mine.written = Some(seat);
        }
        Ok(())
    }

    /// The first seat that is empty.
    fn sit(&mut self, folder: &Path) -> io::Result<Mine> {
        for number in 0..SEATS {
            if self.is_mine(number) || self.left.contains(&number) {
                continue;
            }
            let file = match self.others.remove(&number) {
                Some(file) => file,
                None => Told::open(&path(folder, number))?,
            };
            if granted(file.try_lock())? {
                text::write(file.text(), &[b'\n'; ROOM])?;
                return Ok(Mine {
                    number,
                    file,
                    written: None,
                });
            }
            self.others.insert(number, file);
        }
        self.is_full = true;
        Err(io::Error::other(format!(
            "{}: all {SEATS} seats are taken by services that have resources or wait for them",
            folder.display()
        )))
    }

    fn is_mine(&self, number: u16) -> bool {
        self.mine.values().any(|mine| mine.number == number)
    }

    /// What was last written of a service.
    pub(crate) fn written(&self, id: u64) -> Option<&Seat> {
        self.mine.get(&id)?.written.as_ref()
    }

    /// The service has no room any more, and waits for none.
    pub(crate) fn leave(&mut self, id: u64) {
        if let Some(mine) = self.mine.remove(&id) {
            // Its program may have the address for longer, so the line would look like that of a program that has died.
            drop(text::write(mine.file.text(), b"\n"));
            drop(mine.file.unlock());
        }
    }

    /// The seats of others are not looked at for now.
    pub(crate) fn rest(&mut self) {
        self.others.clear();
    }

    /// Where a service that has room is asked for it.
    pub(crate) fn bell_of(&self, id: u64) -> Option<PathBuf> {
        let number = self.mine.get(&id)?.number;
        self.bell(number)
    }

    pub(crate) fn bell(&self, number: u16) -> Option<PathBuf> {
        let folder = (self.folder)()?;
        Some(path(&folder, number).with_extension("bell"))
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        for mine in self.mine.values() {
            drop(mine.file.unlock());
        }
    }
}

fn path(folder: &Path, number: u16) -> PathBuf {
    folder.join(format!("seat-{number:03}"))
}

/// What the server has of which something is left, though the program that had the seat has died.
fn left(folder: &Path, file: &File) -> io::Result<Option<Seat>> {
    let Some(seat) = read(file)? else {
        return Ok(None);
    };
    let has_room = !matches!(seat.stage, Stage::Waits { .. });
    let Some(instance) = seat.instance.as_deref().filter(|_| has_room) else {
        return Ok(None);
    };
    Ok(is_left(folder, instance)?.then_some(Seat {
        stage: Stage::Leaves,
        ..seat
    }))
}

fn read(file: &File) -> io::Result<Option<Seat>> {
    let mut bytes = vec![0; LONGEST];
    let length = text::read(file, &mut bytes)?;
    Ok(Seat::parse(&bytes[..length]))
}
