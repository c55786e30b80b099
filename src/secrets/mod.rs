//! Values that must never be shown: in output, logs, errors and `Debug`.

mod shown;

use std::{cmp::Reverse, fmt};

use http::{HeaderMap, header::AUTHORIZATION};

use self::shown::HIDDEN;
pub(crate) use self::shown::{is_secret_name, secret_args, shown_args, shown_command, shown_path};

/// Values that must never be shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secrets {
    // Longest first, so that a value that contains another is replaced as a whole.
    pub(crate) values: Vec<String>,
}

impl Secrets {
    /// What a server's output could repeat: what it was launched with, and the headers that it is sent.
    pub(crate) fn new(
        of_launch: impl IntoIterator<Item = String>,
        headers: &HeaderMap,
        api_key: Option<&str>,
    ) -> Self {
        let mut values: Vec<_> = of_launch.into_iter().collect();
        values.extend(header_values(headers));
        values.extend(api_key.map(str::to_owned));
        Self::of(&values)
    }

    fn of(values: &[String]) -> Self {
        // Output is redacted line by line, so a secret of many lines is hidden by its lines.
        let lines = values
            .iter()
            .flat_map(|value| value.lines().map(str::to_owned));
        let mut values: Vec<_> = lines
            .map(|line| line.trim().to_owned())
            .filter(|value| is_worth_hiding(value))
            .collect();
        values.sort_by(|a, b| {
            Reverse(a.len())
                .cmp(&Reverse(b.len()))
                .then_with(|| a.cmp(b))
        });
        values.dedup();
        Self { values }
    }

    /// The text with every secret replaced by `[redacted]`. A secret that looks like a word is replaced
    /// only where it is a whole word: it may be a part of a name that the text is about.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, value| {
            if !text.contains(value) {
                text
            } else if looks_random(value) {
                text.replace(value, HIDDEN)
            } else {
                replace_words(&text, value)
            }
        })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

/// Whether the value is hardly a part of any other text by chance.
fn looks_random(value: &str) -> bool {
    value.bytes().filter(u8::is_ascii_digit).count() >= 4
}

fn replace_words(text: &str, value: &str) -> String {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let mut replaced = String::with_capacity(text.len());
    let mut copied = 0;
    for (at, _) in text.match_indices(value) {
        let end = at + value.len();
        if !text[..at].ends_with(is_of_word) && !text[end..].starts_with(is_of_word) {
            replaced.push_str(&text[copied..at]);
            replaced.push_str(HIDDEN);
            copied = end;
        }
    }
    replaced.push_str(&text[copied..]);
    replaced
}

/// Every value; of `Bearer x` also `x` alone, since that is what a server knows.
fn header_values(headers: &HeaderMap) -> Vec<String> {
    let texts = headers
        .iter()
        .filter_map(|(name, value)| Some((name, str::from_utf8(value.as_bytes()).ok()?)));
    let both = texts.flat_map(|(name, value)| {
        let credentials = value.split_once(' ').filter(|_| name == AUTHORIZATION);
        [Some(value), credentials.map(|(_, it)| it)]
    });
    both.flatten().map(str::to_owned).collect()
}

/// Values that people write where a program insists on a key and the server wants none.
const DUMMIES: [&str; 16] = [
    "lm-studio",
    "local-key",
    "local-model",
    "no-api-key",
    "no-key-needed",
    "no-key-required",
    "not-needed",
    "not-required",
    "ollama-local",
    "placeholder",
    "changeme",
    "sk-dummy",
    "sk-local",
    "sk-no-key-required",
    "vllm-local",
    "your-api-key",
];

/// Short values (`none`, `dummy`), numbers, booleans and paths stand in every log; hiding them makes it unreadable.
fn is_worth_hiding(value: &str) -> bool {
    let is_number = value
        .bytes()
        .all(|it| it.is_ascii_digit() || b"+-._,".contains(&it));
    let is_path = ["/", "./", "../", "~"]
        .iter()
        .any(|it| value.starts_with(it));
    let is_dummy = DUMMIES.iter().any(|it| value.eq_ignore_ascii_case(it));
    // No boolean has eight letters. What the replacement contains would be replaced in it.
    value.chars().count() >= 8 && !is_number && !is_path && !is_dummy && !HIDDEN.contains(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_numbers_booleans_and_paths_stay_readable() {
        for value in [
            "seven77",
            "true",
            "false",
            "12345678",
            "-1234.5678",
            "/run/secrets/key",
            "./key.pem",
            "../key.pem",
            "~/key.pem",
            "redacted",
            "",
        ] {
            assert!(
                Secrets::of(&[value.to_owned()]).values.is_empty(),
                "{value}"
            );
        }
    }

    #[test]
    fn header_values_and_the_api_key_are_secret() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer sk-1234567ü".parse().unwrap());
        headers.insert("x-tenant", "tenant 12345".parse().unwrap());
        let secrets = Secrets::new([], &headers, Some("sk-other-key"));
        assert_eq!(
            secrets
                .redact("got 'Bearer sk-1234567ü', want sk-1234567ü; tenant 12345; sk-other-key"),
            "got '[redacted]', want [redacted]; [redacted]; [redacted]"
        );
    }

    #[test]
    fn what_people_write_in_the_place_of_a_key_is_no_secret() {
        for value in [
            "local-model",
            "none",
            "dummy",
            "sk-no-key-required",
            "Ollama-Local",
        ] {
            let secrets = Secrets::new([], &HeaderMap::new(), Some(value));
            let text = format!("cannot read /models/my-{value}/weights.gguf");
            assert_eq!(secrets.redact(&text), text);
        }
    }

    #[test]
    fn a_secret_that_looks_like_a_word_is_replaced_as_a_whole_word_only() {
        let secrets = Secrets::new([], &HeaderMap::new(), Some("swordfish"));
        assert_eq!(
            secrets.redact("swordfish, key=swordfish 'swordfish' /swordfish/ swordfish"),
            "[redacted], key=[redacted] '[redacted]' /[redacted]/ [redacted]"
        );
        for text in ["my-swordfish-7b", "swordfishes", "a_swordfish"] {
            assert_eq!(secrets.redact(text), text);
        }
    }

    #[test]
    fn the_longest_secret_is_replaced_first() {
        let secrets = Secrets::of(&["abcdefgh", "abcdefgh-ijkl"].map(str::to_owned));
        assert_eq!(
            secrets.redact("abcdefgh-ijkl abcdefgh abcdefg"),
            "[redacted] [redacted] abcdefg"
        );
    }

    #[test]
    fn a_secret_of_many_lines_is_hidden_line_by_line() {
        let secrets = Secrets::of(&["-----BEGIN KEY-----\nMIIEpAIBAAKC\n".to_owned()]);
        assert_eq!(secrets.redact("read MIIEpAIBAAKC"), "read [redacted]");
    }
}
