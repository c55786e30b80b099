//! How many rounds a test has.

/// The value of this environment variable, or `usual`. `.ci/long` sets all of them.
pub(crate) fn amount(variable: &str, usual: usize) -> usize {
    let asked = std::env::var(variable).ok();
    asked.map_or(usual, |amount| amount.parse().expect("a number"))
}
