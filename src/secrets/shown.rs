//! Arguments and commands as they may be shown: without what looks secret.

use std::{borrow::Cow, ffi::OsStr, path::Path};

/// Stands in the place of a secret.
pub(super) const HIDDEN: &str = "[redacted]";

/// A name with one of these words, between `_` and `-`, is the name of a secret.
const WORDS: [&str; 10] = [
    "KEY",
    "APIKEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "AUTH",
    "CREDENTIAL",
    "CREDENTIALS",
];

/// The arguments, with `[redacted]` in the place of those that look secret.
pub(crate) fn shown_args<A: AsRef<OsStr>>(args: &[A]) -> Vec<String> {
    let mut behind_flag = false;
    let show = |arg: &A| {
        let arg = arg.as_ref().to_string_lossy();
        let hidden = behind_flag && !is_flag(&arg);
        let assigned = assigned_secret(&arg);
        behind_flag = assigned.is_none() && arg.starts_with('-') && is_secret_name(&arg);
        match assigned {
            _ if hidden => HIDDEN.to_owned(),
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None => arg.into_owned(),
        }
    };
    args.iter().map(show).collect()
}

/// The command. Where it contains arguments by mistake, their secrets are hidden, too.
pub(crate) fn shown_path(command: &Path) -> String {
    let command = command.to_string_lossy();
    let words: Vec<_> = command.split(' ').collect();
    shown_args(&words).join(" ")
}

/// The same in quotes.
pub(crate) fn shown_command(command: &Path) -> String {
    format!("{:?}", shown_path(command))
}

/// The values behind `--api-key x`, `--api-key=x` and `HF_TOKEN=x`.
pub(crate) fn secret_args<A: AsRef<OsStr>>(args: &[A]) -> Vec<String> {
    let args: Vec<Cow<'_, str>> = args
        .iter()
        .map(|arg| arg.as_ref().to_string_lossy())
        .collect();
    let assigned = args.iter().filter_map(|arg| Some(assigned_secret(arg)?.1));
    let flagged = args.windows(2).filter_map(|pair| {
        let secret = pair[0].starts_with('-') && !pair[0].contains('=');
        (secret && is_secret_name(&pair[0]) && !is_flag(&pair[1])).then_some(&*pair[1])
    });
    assigned.chain(flagged).map(str::to_owned).collect()
}

fn assigned_secret(arg: &str) -> Option<(&str, &str)> {
    arg.split_once('=').filter(|(name, _)| is_secret_name(name))
}

/// Whether it is a flag and not the value of one: a key may begin with one dash.
fn is_flag(arg: &str) -> bool {
    arg.starts_with("--") || (arg.len() == 2 && arg.starts_with('-'))
}

/// Whether a variable, header or flag of this name has a secret as its value.
pub(crate) fn is_secret_name(name: &str) -> bool {
    name.split(['_', '-'])
        .any(|word| WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_behind_secret_flags_are_secret() {
        let args = [
            "--port",
            "8080",
            "--api-key",
            "k-one-1234",
            "--auth-token=k-two-1234",
            "-key",
            "-k-three",
            "HF_TOKEN=k-four-123",
            "--no-auth",
            "--model",
            "m-five-1234",
            "--password",
        ];
        let mut found = secret_args(&args);
        found.sort();
        assert_eq!(
            found,
            ["-k-three", "k-four-123", "k-one-1234", "k-two-1234"]
        );
        assert_eq!(
            shown_args(&args),
            [
                "--port",
                "8080",
                "--api-key",
                HIDDEN,
                "--auth-token=[redacted]",
                "-key",
                HIDDEN,
                "HF_TOKEN=[redacted]",
                "--no-auth",
                "--model",
                "m-five-1234",
                "--password",
            ]
        );
    }

    #[test]
    fn short_secret_arguments_are_not_shown_either() {
        let args = ["--api-key", "abc", "--key=7"];
        assert_eq!(shown_args(&args), ["--api-key", HIDDEN, "--key=[redacted]"]);
    }
}
