//! The machine against a reference: promises that whoever reads its events and actions can judge, with
//! none of its stages, and a world that does one thing after another at its own pace.
//!
//! What `check` does with every order of few events, this does with some orders of very many. The
//! [`Promises`] need nothing but a journal, so that those of real runs are judged by them as well.

mod actions;
mod driver;
mod failures;
mod leases;
mod promises;
mod reasons;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod tests;
mod world;

#[cfg(fuzzing)]
pub(crate) use self::world::play;
use self::{failures::Failures, leases::Leases, promises::Promises};

/// A promise that was broken.
type Violation = String;

fn ensure(holds: bool, violation: &str) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(violation.to_owned())
    }
}
