//! The examples, as their users run them.

use std::{env, path::PathBuf};

/// `cargo test` builds it beside the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("the folder of the profile");
    let example = profile
        .join("examples")
        .join(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(
        example.exists(),
        "build it with `cargo build --examples --all-features`: {}",
        example.display()
    );
    example
}
