//! `--check`: reads the file, says what is in it, and serves nothing.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use crate::{config, overview};

/// What is configured and each warning are on stdout; a mistake with which the gateway would not start is on
/// stderr, and the code is 1.
pub(crate) fn run(path: &Path) -> ExitCode {
    let providers = match config::load(path) {
        Ok(providers) => providers,
        Err(mistake) => {
            drop(writeln!(io::stderr(), "gateway: {mistake}"));
            return ExitCode::FAILURE;
        }
    };
    let mut lines = overview::lines(&providers);
    let warnings = config::warnings(&providers);
    lines.extend(warnings.iter().map(|it| format!("warning: {it}")));
    lines.push(format!("{} can be used", path.display()));
    // A reader that is gone does not make the file wrong.
    drop(writeln!(io::stdout(), "{}", lines.join("\n")));
    ExitCode::SUCCESS
}
