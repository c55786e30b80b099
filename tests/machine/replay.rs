//! Journals of real instances: the machine takes the same way again, and breaks no promise on it.
//!
//! A test that fails prints the journals of its services, one record a line. What it printed is tried by
//! `JOURNAL=file cargo test --test machine the_journal_of_a_failure -- --ignored`; a journal that is worth keeping goes
//! into the folder `journals`.

use std::{env, fs, path::Path};

use crate::{
    machine::{Event, Machine, Record},
    random::{Promises, Violation},
};

/// Says after which line the promise was broken.
fn replay(lines: &str) -> Result<usize, Violation> {
    let mut machine: Option<(Machine, Promises)> = None;
    let mut replayed = 0;
    for line in lines.lines() {
        // Another service of the same test.
        if line.starts_with("journal of ") {
            machine = None;
        }
        if !line.starts_with('{') {
            continue;
        }
        let record: Record = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let Record {
            at, event, phase, ..
        } = record;
        let (it, promises) = match (&mut machine, &event) {
            (Some(machine), _) => machine,
            (none, &Event::PolicyChanged(policy)) => {
                none.insert((Machine::new(policy), Promises::new(policy)))
            }
            (None, _) => {
                return Err("its beginning is lost, which was more than 256 events ago".into());
            }
        };
        let actions = it.on(event.clone(), at);
        let judged = promises.judge(&event, &actions, at, it);
        judged.map_err(|violation| format!("{violation}, after\n{line}"))?;
        if it.phase() != phase {
            return Err(format!(
                "{:?}, and not {phase:?}, after\n{line}",
                it.phase()
            ));
        }
        replayed += 1;
    }
    Ok(replayed)
}

#[test]
fn the_journals_that_were_kept_take_the_same_way_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machine/journals");
    let mut kept = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let replayed = replay(&fs::read_to_string(&path).unwrap());
        match replayed {
            Ok(records) => assert!(records > 5, "{} has nothing in it", path.display()),
            Err(violation) => panic!("{}: {violation}", path.display()),
        }
        kept += 1;
    }
    assert!(kept > 0);
}

#[test]
#[ignore = "replays the file that JOURNAL names"]
fn the_journal_of_a_failure_breaks_no_promise() {
    let path = env::var("JOURNAL").expect("JOURNAL names a file");
    let replayed = replay(&fs::read_to_string(path).unwrap());
    assert!(
        replayed.as_ref().is_ok_and(|&records| records > 0),
        "{replayed:?}"
    );
}

#[test]
fn a_journal_that_tells_of_another_phase_is_not_believed() {
    let kept = include_str!("journals/a_stop_in_a_stream.jsonl");
    assert!(replay(kept).is_ok());
    let changed = kept.replacen("\"phase\":\"Ready\"", "\"phase\":\"Starting\"", 1);
    assert!(
        replay(&changed)
            .unwrap_err()
            .starts_with("Ready, and not Starting")
    );
    let without_a_claim = kept.replacen("{\"Claim\":\"Owner\"}", "\"Tick\"", 1);
    assert!(replay(&without_a_claim).is_err());
    let from_the_middle = kept.split_once('\n').unwrap().1;
    assert!(
        replay(from_the_middle)
            .unwrap_err()
            .starts_with("its beginning is lost")
    );
}
