//! How much of something a test does.

/// What the variable of that name says, or else `usual`. `.ci/long` sets them all.
pub(crate) fn amount(variable: &str, usual: usize) -> usize {
    let asked = std::env::var(variable).ok();
    asked.map_or(usual, |amount| amount.parse().expect("a number"))
}
