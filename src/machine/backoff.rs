//! How long to wait before the next start.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The pause after so many failed starts in a row: none, none, 1 s, 2 s, … 60 s.
pub(crate) fn delay(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        // Past 2^6 it is the longest anyway.
        n => LONGEST.min(FIRST * 2u32.pow((n - 2).min(6))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_one_second_to_a_minute() {
        let seconds: Vec<_> = (0..12).map(|n| delay(n).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(delay(u32::MAX), LONGEST);
    }
}
