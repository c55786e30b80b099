//! The state machine in more orders of events than tests with servers can try.
//!
//! The machine and the lease word are included by path, as they are in the crate: what is checked is what ships.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

#[path = "../../src/machine/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    rustdoc::broken_intra_doc_links,
    reason = "a part of the crate, for itself"
)]
mod machine;
#[path = "../../src/leases/word/mod.rs"]
#[allow(dead_code, reason = "a part of the crate, for itself")]
mod word;

mod bug;
mod bugs;
mod exhaustive;
mod journal;
mod random;
mod replay;
