//! `--check`: reads the file, says what is in it, and serves nothing.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    args::Args,
    config,
    keys::{self, Keys},
    overview,
};

/// What is configured and each warning are on stdout; a mistake with which the gateway would not start is on
/// stderr, and the code is 1.
pub(crate) fn run(args: &Args) -> ExitCode {
    let lines = match lines(args) {
        Ok(lines) => lines,
        Err(mistake) => {
            drop(writeln!(io::stderr(), "gateway: {mistake}"));
            return ExitCode::FAILURE;
        }
    };
    // A reader that is gone does not make the file wrong.
    drop(writeln!(io::stdout(), "{}", lines.join("\n")));
    ExitCode::SUCCESS
}

fn lines(args: &Args) -> Result<Vec<String>, String> {
    let providers = config::load(&args.config)?;
    let mut lines = overview::lines(&providers);
    let mut warnings = config::warnings(&providers);
    if let Some(file) = &args.api_key_file {
        Keys::read(file.clone())?;
        warnings.extend(keys::warning(file));
    }
    lines.extend(warnings.iter().map(|it| format!("warning: {it}")));
    lines.push(format!("{} can be used", args.config.display()));
    Ok(lines)
}
