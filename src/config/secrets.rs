//! Values that must never be shown.

use std::{
    cmp::Reverse,
    ffi::{OsStr, OsString},
    fmt,
};

use http::{HeaderMap, header::AUTHORIZATION};

use super::{
    InheritEnv, Launch,
    shown::{HIDDEN, is_secret_name, secret_args},
};

/// Values that must never be shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secrets {
    // Longest first, so that a value that contains another is replaced as a whole.
    pub(crate) values: Vec<String>,
}

impl Secrets {
    /// What a server's output could repeat: the variables, arguments and headers that it knows.
    ///
    /// What is no UTF-8 is kept as output shows it, with replacement characters.
    pub(crate) fn new(
        launch: &Launch,
        headers: &HeaderMap,
        api_key: Option<&str>,
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let inherited = inherited.into_iter();
        let variables = inherited
            .filter(|(name, _)| is_inherited(&launch.inherit_env, name))
            .chain(launch.env.clone())
            .filter(|(name, _)| is_secret_name(&name.to_string_lossy()))
            .map(|(_, value)| value.to_string_lossy().into_owned());
        let mut values: Vec<_> = variables.collect();
        values.extend(secret_args(&launch.args));
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

fn is_inherited(inherit: &InheritEnv, name: &OsStr) -> bool {
    match inherit {
        InheritEnv::All => true,
        InheritEnv::Only(names) => names.iter().any(|it| name == it.as_str()),
    }
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
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn launch(args: &[&str], env: &[(&str, &str)]) -> Launch {
        Launch {
            command: "/bin/server".into(),
            args: args.iter().map(OsString::from).collect(),
            cwd: None,
            env: env.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
            inherit_env: InheritEnv::All,
        }
    }

    fn values(launch: &Launch, inherited: &[(&str, &str)]) -> Vec<String> {
        let inherited = inherited.iter().map(|&(k, v)| (k.into(), v.into()));
        Secrets::new(launch, &HeaderMap::new(), None, inherited).values
    }

    #[test]
    fn variables_with_a_secret_word_in_their_name_are_secret() {
        for name in [
            "KEY",
            "API_KEY",
            "apikey",
            "HF_TOKEN",
            "my-secret",
            "DB_PASSWORD",
            "PASSWD_FILE",
            "SSH_PASSPHRASE",
            "Auth_X",
            "AWS_CREDENTIAL",
            "AWS_CREDENTIALS",
        ] {
            assert_eq!(
                values(&launch(&[], &[(name, "longvalue")]), &[]),
                ["longvalue"],
                "{name}"
            );
        }
        for name in ["MONKEY", "KEYBOARD", "TOKENS", "AUTHOR", "PATH", "MODEL"] {
            assert!(
                values(&launch(&[], &[(name, "longvalue")]), &[]).is_empty(),
                "{name}"
            );
        }
    }

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
                values(&launch(&[], &[("API_KEY", value)]), &[]).is_empty(),
                "{value}"
            );
        }
    }

    #[test]
    fn inherited_variables_count_if_the_process_gets_them() {
        let inherited = [
            ("HF_TOKEN", "hf_12345678"),
            ("OTHER_TOKEN", "ot_12345678"),
            ("HOME", "/root"),
        ];
        let mut launch = launch(&[], &[]);
        assert_eq!(values(&launch, &inherited), ["hf_12345678", "ot_12345678"]);
        launch.inherit_env = InheritEnv::Only(vec!["HF_TOKEN".to_owned()]);
        assert_eq!(values(&launch, &inherited), ["hf_12345678"]);
    }

    #[test]
    fn arguments_behind_secret_flags_are_secret() {
        let launch = launch(&["--api-key", "k-one-1234", "--model", "m-two-1234"], &[]);
        assert_eq!(values(&launch, &[]), ["k-one-1234"]);
    }

    #[test]
    fn what_is_no_utf_8_is_hidden_as_output_shows_it() {
        let value = OsString::from_vec(b"sk-\xff-12345".to_vec());
        let mut launch = launch(&[], &[]);
        launch.env.insert("API_KEY".into(), value.clone());
        launch.args = vec!["--api-key".into(), value];
        let secrets = Secrets::new(&launch, &HeaderMap::new(), None, []);
        assert_eq!(secrets.redact("key sk-\u{fffd}-12345"), "key [redacted]");
        let shown = format!("{launch:?}");
        assert!(!shown.contains("12345"), "{shown}");
    }

    #[test]
    fn header_values_and_the_api_key_are_secret() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer sk-1234567ü".parse().unwrap());
        headers.insert("x-tenant", "tenant 12345".parse().unwrap());
        let secrets = Secrets::new(&launch(&[], &[]), &headers, Some("sk-other-key"), []);
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
            let secrets = Secrets::new(&launch(&[], &[]), &HeaderMap::new(), Some(value), []);
            let text = format!("cannot read /models/my-{value}/weights.gguf");
            assert_eq!(secrets.redact(&text), text);
        }
    }

    #[test]
    fn a_secret_that_looks_like_a_word_is_replaced_as_a_whole_word_only() {
        let secrets = Secrets::new(&launch(&[], &[]), &HeaderMap::new(), Some("swordfish"), []);
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
        let env = [("A_KEY", "abcdefgh"), ("B_KEY", "abcdefgh-ijkl")];
        let secrets = Secrets::new(&launch(&[], &env), &HeaderMap::new(), None, []);
        assert_eq!(
            secrets.redact("abcdefgh-ijkl abcdefgh abcdefg"),
            "[redacted] [redacted] abcdefg"
        );
    }

    #[test]
    fn a_secret_of_many_lines_is_hidden_line_by_line() {
        let env = [("TLS_KEY", "-----BEGIN KEY-----\nMIIEpAIBAAKC\n")];
        let secrets = Secrets::new(&launch(&[], &env), &HeaderMap::new(), None, []);
        assert_eq!(secrets.redact("read MIIEpAIBAAKC"), "read [redacted]");
    }
}
