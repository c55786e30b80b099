//! How often a service that is not ready is probed.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// The pause before the next probe, after so long a wait: 1 % of it, at least 1 ms and at most 50 ms.
///
/// So readiness is noticed at most 1 % of the start late, and probing costs little of a core, however long a
/// probe takes.
pub(crate) fn pause(waited: Duration) -> Duration {
    (waited / 100).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_one_percent_of_the_wait_within_bounds() {
        for (waited_ms, expected_us) in [
            (0, 1_000),
            (99, 1_000),
            (100, 1_000),
            (150, 1_500),
            (300, 3_000),
            (1_000, 10_000),
            (5_000, 50_000),
            (5_001, 50_000),
            (3_600_000, 50_000),
        ] {
            let waited = Duration::from_millis(waited_ms);
            let expected = Duration::from_micros(expected_us);
            assert_eq!(pause(waited), expected, "after {waited:?}");
        }
        assert_eq!(pause(Duration::MAX), LONGEST);
    }
}
