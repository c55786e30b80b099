//! `${VAR}` in a string.

use std::{env, sync::Arc};

/// Finds the value of a variable by its name.
/// # Example
///
/// ```
/// use tower_local_service::provider::{ProvidersConfig, VariableLookup};
///
/// fn with_keychain(config: ProvidersConfig, keychain: Box<VariableLookup>) -> ProvidersConfig {
///     config.with_variables(keychain)
/// }
/// ```
pub type VariableLookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A look-up that your program gives.
#[derive(Clone)]
pub(super) struct Variables(pub(super) Arc<VariableLookup>);

/// A variable of the process. One whose value is no UTF-8 counts as unset: it cannot be put into a string.
pub(super) fn of_process(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// Looks up a variable of the environment.
pub(super) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Replaces the variables by their values.
///
/// A variable is `${NAME}`, with a name of capitals, digits and `_`. Other uses of `$`, as in shells and
/// templates, stay as they are. `$${NAME}` is the text `${NAME}`.
///
/// # Errors
///
/// The names of the variables that are missing.
pub(super) fn expand(text: &str, lookup: &Lookup<'_>) -> Result<String, Vec<String>> {
    let mut expanded = String::with_capacity(text.len());
    let mut missing = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let Some(name) = name(from) else {
            // Only the `$`: a variable may follow immediately.
            expanded.push_str(before);
            expanded.push('$');
            rest = &from[1..];
            continue;
        };
        // `${`, the name, and `}`.
        let (variable, after) = from.split_at(name.len() + 3);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str(variable);
        } else {
            expanded.push_str(before);
            match look_up(name, lookup) {
                Some(value) => expanded.push_str(&value),
                None => missing.push(name.to_owned()),
            }
        }
        rest = after;
    }
    expanded.push_str(rest);
    if missing.is_empty() {
        Ok(expanded)
    } else {
        Err(missing)
    }
}

/// The value of a variable. An empty one counts as missing.
pub(super) fn look_up(name: &str, lookup: &Lookup<'_>) -> Option<String> {
    lookup(name).filter(|value| !value.is_empty())
}

/// The name in `$NAME`, if that is the whole text: `OpenClaw` reads a key or header like that, too.
pub(super) fn short(text: &str) -> Option<&str> {
    text.trim().strip_prefix('$').filter(|name| is_name(name))
}

/// The name in `${NAME}…`.
fn name(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix("${")?.split_once('}')?;
    is_name(name).then_some(name)
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_letter)
        && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("8080".to_owned()),
            "KEY_2" => Some("${PORT}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn expanded(text: &str) -> String {
        expand(text, &lookup).unwrap()
    }

    #[test]
    fn variables_become_their_values_once() {
        assert_eq!(expanded("http://h:${PORT}/v1"), "http://h:8080/v1");
        assert_eq!(expanded("${PORT}${PORT}"), "80808080");
        assert_eq!(expanded("${KEY_2}"), "${PORT}");
        assert_eq!(expanded("$${PORT} ${PORT}"), "${PORT} 8080");
        assert_eq!(expanded("${${PORT}"), "${8080");
    }

    #[test]
    fn what_is_no_variable_stays() {
        for text in [
            "", "$", "${", "${}", "$PORT", "${port}", "${2}", "${A B}", "é${é}", "a${PORT",
        ] {
            assert_eq!(expanded(text), text);
        }
    }

    #[test]
    fn a_whole_text_may_be_a_name_without_braces() {
        assert_eq!(short("$PORT"), Some("PORT"));
        assert_eq!(short(" $KEY_2 "), Some("KEY_2"));
        for text in [
            "", "$", "PORT", "$port", "$PORT/", "a$PORT", "$$PORT", "${PORT}",
        ] {
            assert_eq!(short(text), None, "{text}");
        }
    }

    #[test]
    fn missing_and_empty_variables_are_named() {
        let missing = expand("${NONE} ${PORT} ${EMPTY}", &lookup).unwrap_err();
        assert_eq!(missing, ["NONE", "EMPTY"]);
    }
}
