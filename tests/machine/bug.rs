//! Where a bug can be put into the machine, the lease word or the driver, so that the checks themselves are tried.
//!
//! A bug is behaviour put around the machine: its events, what it remembers or what it asks for is changed, as one
//! wrong line would. So the source stays as it is.

use std::fmt;

use crate::{
    machine::{Action, Event, Machine, Time},
    word::{Outcome, Word},
};

pub(crate) type Decide = fn(&mut Machine, Event, Time) -> Vec<Action>;

/// What is done otherwise.
pub(crate) struct Bug {
    /// In the place of [`Machine::on`].
    pub(crate) decide: Decide,
    pub(crate) close_if_idle: fn(Word) -> Option<Word>,
    pub(crate) close_if_free: fn(Word) -> Option<Word>,
    pub(crate) give_back: fn(Word, u64, Outcome) -> Option<Word>,
    /// The driver drops a grant without its lease.
    pub(crate) keeps_what_nobody_takes: bool,
    /// The driver closes although a peer uses the server.
    pub(crate) ignores_peers: bool,
}

impl Bug {
    pub(crate) const NONE: Self = Self {
        decide: Machine::on,
        close_if_idle: Word::close_if_idle,
        close_if_free: Word::close_if_free,
        give_back: Word::give_back,
        keeps_what_nobody_takes: false,
        ignores_peers: false,
    };
}

pub(crate) static NONE: Bug = Bug::NONE;

impl fmt::Debug for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bug").finish_non_exhaustive()
    }
}
