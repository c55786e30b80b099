//! The machine against promises that can be judged from its events and actions, with none of its stages, in a
//! world that does one thing after another at its own pace.
//!
//! What `exhaustive` does with every order of few events, this does with some orders of very many. The [`Promises`]
//! need nothing but a journal, so that those of real instances are judged by them as well.

mod actions;
mod driver;
mod failures;
mod leases;
mod promises;
mod reasons;
#[cfg(test)]
mod sequences;
mod world;

use self::{failures::Failures, leases::Leases};
pub(crate) use self::{promises::Promises, world::play};

/// A promise that was broken.
pub(crate) type Violation = String;

fn ensure(holds: bool, violation: &str) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(violation.to_owned())
    }
}
