//! Whatever happens to a service, its state machine breaks no promise.
//!
//! The machine, the lease word and the promises are included by path, as they are in the crate and in its tests.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/machine/bug.rs"]
#[allow(dead_code, reason = "bugs of the lease word are tried by the exhaustive check alone")]
mod bug;
#[path = "../../src/machine/mod.rs"]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "a part of the crate, for itself")]
mod machine;
#[path = "../../tests/machine/random/mod.rs"]
mod random;
#[path = "../../src/leases/word/mod.rs"]
#[allow(dead_code, unexpected_cfgs, reason = "a part of the crate, for itself")]
mod word;

// Two bytes for each thing that happens, and the last for how the world continues when nothing more does.
fuzz_target!(|input: &[u8]| {
    let (steps, rest) = input.as_chunks();
    let steps: Vec<_> = steps.iter().map(|&[kind, amount]| (kind, amount)).collect();
    let mood = rest.first().copied().unwrap_or_default();
    if let Err((violation, journal)) = random::play(&steps, mood, &bug::NONE) {
        // As a test that fails prints them: lines that replay.
        for record in journal {
            println!("{}", serde_json::to_string(&record).expect("plain data"));
        }
        panic!("{violation}");
    }
});
