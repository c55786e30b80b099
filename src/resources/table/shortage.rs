//! What a service waits for, and how resources are used.

use std::{fmt, time::Duration};

use crate::amount::Amount;

/// The resource of which there is too little for a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shortage {
    pub(crate) resource: String,
    pub(crate) is_address: bool,
    pub(crate) needs: Amount,
    pub(crate) capacity: Amount,
    /// Who has it, and whether it is in use.
    pub(crate) holders: Vec<(String, bool)>,
    /// For whom the rest is kept: these have asked before it.
    pub(crate) before: Vec<String>,
    /// What is left of the turns of those that use it; of several turns, the one that ends first.
    pub(crate) turn_ends_in: Option<Duration>,
    /// There may be enough of it, but another program decides about it and does not come to an end.
    pub(crate) is_undecided: bool,
}

/// How a named resource is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) capacity: Amount,
    pub(crate) holders: Vec<(String, Amount)>,
    pub(crate) waiting: Vec<(String, Amount)>,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_address {
            write!(f, "the address {}", self.resource)?;
        } else {
            write!(f, "{} of {}", self.needs, self.resource)?;
        }
        for (index, (name, is_in_use)) in self.holders.iter().enumerate() {
            let which = if index == 0 { ", which" } else { " and" };
            let uses = if *is_in_use { " and uses" } else { "" };
            write!(f, "{which} `{name}` has{uses}")?;
        }
        for (index, name) in self.before.iter().enumerate() {
            let which = match (index, self.holders.is_empty()) {
                (0, true) => ", which is kept for",
                (0, false) => "; the rest is kept for",
                _ => " and",
            };
            write!(f, "{which} `{name}`")?;
        }
        if self.is_undecided {
            f.write_str(", about which another program decides")?;
        }
        Ok(())
    }
}
