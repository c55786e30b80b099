//! Long sequences of events, at random.
//!
//! A failure shrinks, and prints the journal that replays it. `PROPTEST_CASES` tries more.

use proptest::{collection::vec, prelude::*};

use super::play;
use crate::bug::NONE;

proptest! {
    #![proptest_config(ProptestConfig {
        // The journal that is printed is what is kept.
        failure_persistence: None,
        // A thousand of them take a second.
        ..ProptestConfig::with_cases(2048)
    })]

    #[test]
    fn no_sequence_of_events_breaks_a_promise(
        steps in vec(any::<(u8, u8)>(), 0..1000),
        mood: u8,
    ) {
        if let Err((violation, journal)) = play(&steps, mood, &NONE) {
            let line = |record| serde_json::to_string(record).unwrap() + "\n";
            let lines: String = journal.iter().map(line).collect();
            prop_assert!(false, "{violation}, after\n{lines}");
        }
    }
}

/// Found by the test above: its second death in a row was followed by a start at once.
#[test]
fn a_death_counts_although_something_of_the_process_survives_kill() {
    let steps = [
        (64, 0),
        (146, 0),
        (210, 41),
        (82, 0),
        (82, 0),
        (179, 0),
        (138, 20),
        (18, 0),
        (64, 1),
        (146, 0),
        (146, 17),
        (146, 0),
        (18, 0),
        (179, 116),
        (18, 0),
        (192, 1),
        (0, 1),
        (18, 1),
        (18, 0),
        (0, 1),
        (82, 1),
    ];
    let played = play(&steps, 0, &NONE);
    assert!(played.is_ok(), "{played:?}");
}

/// Found by the test above: its process had lost the port and its callers had left, and it was started once more.
#[test]
fn a_retired_service_does_not_start_again_without_a_caller() {
    let steps = [
        (0, 0),
        (146, 0),
        (146, 1),
        (18, 0),
        (202, 230),
        (18, 0),
        (82, 0),
        (192, 192),
        (61, 0),
        (192, 0),
        (202, 109),
        (146, 0),
        (82, 69),
        (146, 0),
        (243, 212),
        (18, 0),
        (123, 96),
        (10, 120),
        (146, 5),
        (192, 0),
        (0, 0),
        (121, 16),
    ];
    let played = play(&steps, 0, &NONE);
    assert!(played.is_ok(), "{played:?}");
}

/// Found by the test above: the callers of a retired service got an error while its process ended, and it was started
/// once more.
#[test]
fn a_retired_service_that_made_way_does_not_start_again() {
    let steps = [
        (192, 0),
        (82, 0),
        (82, 1),
        (253, 0),
        (82, 0),
        (179, 32),
        (249, 216),
        (18, 0),
        (210, 17),
        (64, 0),
        (55, 0),
        (0, 0),
    ];
    let played = play(&steps, 0, &NONE);
    assert!(played.is_ok(), "{played:?}");
}

/// Found by the first test: the idle time became endless at the moment in which the stop command ended.
#[test]
fn a_stop_that_has_begun_continues_whatever_the_idle_time_is_then() {
    let steps = [
        (64, 0),
        (146, 0),
        (146, 9),
        (18, 0),
        (146, 0),
        (248, 152),
        (10, 0),
        (74, 5),
        (210, 33),
        (120, 114),
        (18, 0),
    ];
    let played = play(&steps, 0, &NONE);
    assert!(played.is_ok(), "{played:?}");
}
