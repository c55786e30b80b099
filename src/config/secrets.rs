//! Values that must never be shown.

use std::{cmp::Reverse, fmt, path::Path};

use http::{HeaderMap, header::AUTHORIZATION};

use super::{InheritEnv, Launch};

const HIDDEN: &str = "[redacted]";

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

/// Values that must never be shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secrets {
    // Longest first, so that a value that contains another is replaced as a whole.
    pub(crate) values: Vec<String>,
}

impl Secrets {
    /// What a server's output could repeat: variables, arguments and headers that it knows.
    pub(crate) fn new(
        launch: &Launch,
        headers: &HeaderMap,
        api_key: Option<&str>,
        host_env: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut values = Vec::new();
        let configured = launch
            .env
            .iter()
            .map(|(name, value)| (name, value.as_str()));
        let named = configured.filter(|(name, _)| is_secret_name(name));
        values.extend(named.map(|(_, value)| value.to_owned()));
        let inherited = host_env
            .into_iter()
            .filter(|(name, _)| is_secret_name(name) && is_inherited(&launch.inherit_env, name));
        values.extend(inherited.map(|(_, value)| value));
        values.extend(secret_args(&launch.args).map(str::to_owned));
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

    /// The text with every secret replaced by `[redacted]`.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, value| {
            if text.contains(value) {
                text.replace(value, HIDDEN)
            } else {
                text
            }
        })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

/// The arguments, with `[redacted]` in the place of those that look secret.
pub(super) fn shown_args(args: &[String]) -> Vec<String> {
    let mut behind_flag = false;
    let show = |arg: &String| {
        let hidden = behind_flag && !is_flag(arg);
        let assigned = assigned_secret(arg);
        behind_flag = assigned.is_none() && arg.starts_with('-') && is_secret_name(arg);
        match assigned {
            _ if hidden => HIDDEN.to_owned(),
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None => arg.clone(),
        }
    };
    args.iter().map(show).collect()
}

/// The command in quotes; where somebody wrote arguments into it, with secrets hidden alike.
pub(super) fn shown_command(command: &Path) -> String {
    let words: Vec<_> = command
        .to_string_lossy()
        .split(' ')
        .map(str::to_owned)
        .collect();
    format!("{:?}", shown_args(&words).join(" "))
}

/// The values behind `--api-key x`, `--api-key=x` and `HF_TOKEN=x`.
fn secret_args(args: &[String]) -> impl Iterator<Item = &str> {
    let assigned = args.iter().filter_map(|arg| Some(assigned_secret(arg)?.1));
    let flagged = args.windows(2).filter_map(|pair| {
        let secret = pair[0].starts_with('-') && !pair[0].contains('=');
        (secret && is_secret_name(&pair[0]) && !is_flag(&pair[1])).then_some(&*pair[1])
    });
    assigned.chain(flagged)
}

fn assigned_secret(arg: &str) -> Option<(&str, &str)> {
    arg.split_once('=').filter(|(name, _)| is_secret_name(name))
}

/// Whether it is a flag and not the value of one: a key may begin with one dash.
fn is_flag(arg: &str) -> bool {
    arg.starts_with("--") || (arg.len() == 2 && arg.starts_with('-'))
}

fn is_secret_name(name: &str) -> bool {
    name.split(['_', '-'])
        .any(|word| WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret)))
}

fn is_inherited(inherit: &InheritEnv, name: &str) -> bool {
    match inherit {
        InheritEnv::All => true,
        InheritEnv::Only(names) => names.iter().any(|it| it == name),
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

/// Short values, numbers, booleans and paths stand in every log; hiding them makes it unreadable.
fn is_worth_hiding(value: &str) -> bool {
    let is_number = value
        .bytes()
        .all(|it| it.is_ascii_digit() || b"+-._,".contains(&it));
    let is_path = ["/", "./", "../", "~"]
        .iter()
        .any(|it| value.starts_with(it));
    // No boolean has eight letters. What the replacement contains would be replaced in it.
    value.chars().count() >= 8 && !is_number && !is_path && !HIDDEN.contains(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(args: &[&str], env: &[(&str, &str)]) -> Launch {
        Launch {
            command: "/bin/server".into(),
            args: args.iter().map(|&it| it.to_owned()).collect(),
            cwd: None,
            env: env
                .iter()
                .map(|&(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
            inherit_env: InheritEnv::All,
        }
    }

    fn values(launch: &Launch, host_env: &[(&str, &str)]) -> Vec<String> {
        let host_env = host_env.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
        Secrets::new(launch, &HeaderMap::new(), None, host_env).values
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
        let host_env = [
            ("HF_TOKEN", "hf_12345678"),
            ("OTHER_TOKEN", "ot_12345678"),
            ("HOME", "/root"),
        ];
        let mut launch = launch(&[], &[]);
        assert_eq!(values(&launch, &host_env), ["hf_12345678", "ot_12345678"]);
        launch.inherit_env = InheritEnv::Only(vec!["HF_TOKEN".to_owned()]);
        assert_eq!(values(&launch, &host_env), ["hf_12345678"]);
    }

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
        let mut found = values(&launch(&args, &[]), &[]);
        found.sort();
        assert_eq!(
            found,
            ["-k-three", "k-four-123", "k-one-1234", "k-two-1234"]
        );
        assert_eq!(
            shown_args(&launch(&args, &[]).args),
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
        let args = [
            "--api-key".to_owned(),
            "abc".to_owned(),
            "--key=7".to_owned(),
        ];
        assert_eq!(shown_args(&args), ["--api-key", HIDDEN, "--key=[redacted]"]);
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
