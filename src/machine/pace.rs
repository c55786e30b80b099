//! How often to ask.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// Most small servers are up within it, and it is over before the cost adds up.
const EAGER: Duration = Duration::from_secs(1);

/// How long to wait before the next probe, when the last one took `took`.
///
/// Fifty times that keeps probing at about 2 % of a core, on a slow machine as on a fast one; ten
/// times in the first second. Bounded, so that neither is a server stormed nor readiness missed
/// for long.
pub(crate) fn pause(took: Duration, since_spawn: Duration) -> Duration {
    let times = if since_spawn < EAGER { 10 } else { 50 };
    took.saturating_mul(times).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_follows_the_cost_of_the_last_probe() {
        let us = Duration::from_micros;
        let young = Duration::from_millis(999);
        let old = Duration::from_secs(1);
        for (took, since_spawn, expected) in [
            (us(0), young, us(1_000)),
            (us(0), old, us(1_000)),
            (us(20), young, us(1_000)),
            (us(20), old, us(1_000)),
            (us(100), Duration::ZERO, us(1_000)),
            (us(100), old, us(5_000)),
            (us(400), young, us(4_000)),
            (us(400), old, us(20_000)),
            (us(1_000), young, us(10_000)),
            (us(1_000), old, us(50_000)),
            (us(4_999), young, us(49_990)),
            (us(5_001), young, us(50_000)),
            (us(2_000_000), young, us(50_000)),
            (us(2_000_000), Duration::MAX, us(50_000)),
            (Duration::MAX, young, us(50_000)),
            (Duration::MAX, old, us(50_000)),
        ] {
            assert_eq!(
                pause(took, since_spawn),
                expected,
                "after {took:?} at {since_spawn:?}"
            );
        }
    }
}
