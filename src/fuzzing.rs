//! For the targets in `fuzz/`, which see what is public only: what else they try.
//!
//! Only `cargo fuzz` builds it.

use crate::{launch::process, machine::Record, supervisor};

/// The longest text that is shown of what a process wrote: each byte of it can become an escape.
pub const MOST: usize = 64 * 1024 * "\\u{200b}".len();

/// What is shown of what a process wrote: to its second stream or its first, piece by piece.
#[must_use]
pub fn tail(chunks: &[(bool, Vec<u8>)], secret: &str) -> String {
    process::tail_of(chunks, secret)
}

/// Takes two bytes for each thing that happens, and the last for how it goes on when nothing more does.
///
/// # Errors
///
/// The promise that was broken, and the journal of how.
pub fn state_machine(input: &[u8]) -> Result<(), (String, Vec<Record>)> {
    let (steps, rest) = input.as_chunks();
    let steps: Vec<_> = steps.iter().map(|&[kind, amount]| (kind, amount)).collect();
    let mood = rest.first().copied().unwrap_or_default();
    supervisor::play(&steps, mood)
}
