//! Whatever a process writes, and however it is read: no secret is shown, nor anything that moves a cursor.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_local_service::fuzzing::{MOST, tail};

const SECRET: &str = "sk-0123456789";

fuzz_target!(|input: &[u8]| {
    // Each piece: which stream, how often, how long, and what; 255 stands for the secret.
    let mut chunks = Vec::new();
    let mut rest = input;
    while let [first, length, more @ ..] = rest {
        let (piece, next) = more.split_at(more.len().min((*length).into()));
        let mut bytes = Vec::new();
        for &byte in piece {
            match byte {
                255 => bytes.extend_from_slice(SECRET.as_bytes()),
                byte => bytes.push(byte),
            }
        }
        chunks.push((first & 1 == 1, bytes.repeat(1 + usize::from(first >> 1))));
        rest = next;
    }
    let text = tail(&chunks, SECRET);
    assert!(!text.contains(SECRET));
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    assert!(text.len() <= MOST, "{}", text.len());
});
