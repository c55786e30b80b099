//! Whatever happens to a service, its state machine breaks no promise.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_local_service::fuzzing::state_machine;

fuzz_target!(|input: &[u8]| {
    if let Err((violation, journal)) = state_machine(input) {
        // As a test that fails prints them: lines that replay.
        for record in journal {
            println!("{}", serde_json::to_string(&record).expect("plain data"));
        }
        panic!("{violation}");
    }
});
