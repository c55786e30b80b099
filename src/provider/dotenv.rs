//! Files of variables.

use std::{collections::BTreeMap, env, fs, path::Path};

use super::{FILE, variables::VariableLookup};
use crate::error::{Error, ErrorKind, Problem};

/// Looks up variables in your program's environment and, for those that it lacks, in a dotenv file, as
/// `OpenClaw` does with `~/.openclaw/.env`.
///
/// The file is read now, and the environment is not changed. A line is `NAME=value`, with or without
/// `export` before it; quotes around a value (`'`, `"` or a backtick) are left out, and so is a comment
/// behind it. A value in quotes may have several lines, and in double quotes `\n` is a new line. Nothing
/// is expanded in it. Lines of another shape are skipped.
///
/// # Errors
///
/// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if the file cannot be read, or is no UTF-8.
///
/// # Example
///
/// ```no_run
/// # #[cfg(feature = "json5")] {
/// use tower_local_service::{Registry, provider::{ProvidersConfig, dotenv}};
///
/// let config = ProvidersConfig::from_file("/home/me/.openclaw/openclaw.json")?
///     .with_variables(dotenv("/home/me/.openclaw/.env")?);
/// let providers = config.register(&Registry::global())?;
/// # drop(providers);
/// # }
/// # Ok::<(), tower_local_service::Error>(())
/// ```
pub fn dotenv(file: impl AsRef<Path>) -> Result<Box<VariableLookup>, Error> {
    let file = file.as_ref();
    let text = fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot be read ({error}): correct its path or permissions");
        let problems = vec![Problem::new(FILE, Problem::TEXT, message)];
        let error = Error::new(FILE, ErrorKind::InvalidConfig { problems });
        error.of_configuration(Some(&file.display().to_string()))
    })?;
    let variables = parse(&text);
    Ok(Box::new(move |name| {
        let of_program = env::var(name).ok().filter(|value| !value.is_empty());
        of_program.or_else(|| variables.get(name).cloned())
    }))
}

// The crates for this expand `$NAME` in values, or stop at the first line that they do not understand:
// `OpenClaw` reads such files otherwise.
fn parse(text: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut rest = text.trim_start_matches('\u{feff}');
    while !rest.is_empty() {
        let (variable, after) = entry(rest);
        // Of two with one name, the last one counts.
        variables.extend(variable);
        rest = after;
    }
    variables
}

/// The variable in the first line, and all after it. A value in quotes may have several lines.
fn entry(text: &str) -> (Option<(String, String)>, &str) {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let Some((name, value)) = line.split_once('=') else {
        return (None, after);
    };
    let name = name.trim();
    let name = name
        .strip_prefix("export ")
        .map_or(name, str::trim_start)
        .to_owned();
    let is_name = |it: char| it.is_ascii_alphanumeric() || "_.-".contains(it);
    if name.is_empty() || !name.chars().all(is_name) {
        return (None, after);
    }
    let value = value.trim_start();
    if let Some(quote) = value.chars().next().filter(|it| "'\"`".contains(*it)) {
        // Behind the quote. The line is the beginning of the text.
        let start = line.len() - value.len() + 1;
        if let Some(length) = text[start..].find(quote) {
            let value = &text[start..start + length];
            let value = if quote == '"' {
                value.replace("\\n", "\n").replace("\\r", "\r")
            } else {
                value.to_owned()
            };
            let after = text[start + length..].split_once('\n');
            return (Some((name, value)), after.map_or("", |(_, after)| after));
        }
    }
    let value = value.split_once('#').map_or(value, |(value, _)| value);
    (Some((name, value.trim().to_owned())), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).into_iter().collect()
    }

    #[track_caller]
    fn assert_value(line: &str, value: &str) {
        assert_eq!(
            read(&format!("{line}\nLAST=1")),
            [
                ("A".to_owned(), value.to_owned()),
                ("LAST".to_owned(), "1".to_owned())
            ],
            "{line}"
        );
    }

    #[test]
    fn values_are_read_as_openclaw_reads_them() {
        assert_value("A=b", "b");
        assert_value("A = b \r", "b");
        assert_value("\u{feff}export A=b # comment", "b");
        assert_value("A=", "");
        assert_value("A=''", "");
        assert_value("A='b # c' # comment", "b # c");
        assert_value("A=\"b\\nc\"", "b\nc");
        assert_value("A='b\\nc'", "b\\nc");
        assert_value("A=`b\"c'`", "b\"c'");
        assert_value("A=\"b\nc=d\n\"", "b\nc=d\n");
        assert_value("A=$B ${C} d=e", "$B ${C} d=e");
        assert_value("A='open", "'open");
        assert_value("A=1\nA=2", "2");
    }

    #[test]
    fn what_is_no_variable_is_skipped() {
        assert_eq!(read("# A=b\n\nA\n A B=c\n=d\n"), []);
        assert_eq!(read(""), []);
    }
}
