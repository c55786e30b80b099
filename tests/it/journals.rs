//! A failing test prints what happened to its services, in lines that can be replayed.

use std::process::Command;

use tower_local_service::Record;

use crate::support::{Fixture, block_on};

#[test]
#[ignore = "fails, for the test below to see it"]
fn plays_a_test_that_fails() {
    let fixture = Fixture::new();
    let service = fixture.service("told");
    drop(block_on(service.acquire()).unwrap());
    block_on(service.stop()).unwrap();
    panic!("as it is meant to");
}

#[test]
fn a_test_that_fails_prints_what_happened_to_its_services() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "journals::plays_a_test_that_fails"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines = stdout.lines().filter(|line| line.starts_with('{'));
    let records: Vec<Record> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let texts: Vec<_> = records.iter().map(Record::to_string).collect();
    // From the first event of the service, so that it can be replayed, to the last.
    assert!(texts[0].contains("PolicyChanged"), "{stdout}");
    for part in ["Owner", "Spawned", "Ready", "StopAsked", "Gone"] {
        let told = texts.iter().any(|text| text.contains(part));
        assert!(told, "{part}: {stdout}");
    }
}
