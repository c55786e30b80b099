//! What a process is started with. Nothing here depends on the system but the check of files.

mod files;
mod oom;
mod stop_signal;

#[cfg(all(any(unix, windows), not(tower_local_service_unsupported)))]
use std::process::Stdio;
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
};

#[cfg(all(any(unix, windows), not(tower_local_service_unsupported)))]
use tokio::process::Command;

pub(crate) use self::{
    files::{file_problems, file_warnings, program_problem},
    oom::OomScoreAdj,
    stop_signal::StopSignal,
};
use super::LaunchIdentity;
use crate::secrets::{is_secret_name, secret_args, shown_args, shown_command, shown_path};

/// The variable by which Windows finds the library of its sockets.
#[cfg(all(any(unix, windows), not(tower_local_service_unsupported)))]
const NEEDED: Option<&str> = if cfg!(windows) {
    Some("SystemRoot")
} else {
    None
};

/// Which variables of your program's environment the process inherits.
///
/// Those of [`env`](crate::LocalServiceConfig::env) win over them. On Windows `SystemRoot` is always among them: without it
/// no program can use the network.
///
/// # Example
///
/// A server that gets no keys of your program:
///
/// ```
/// use tower_local_service::{InheritEnv, LocalServiceConfig};
///
/// let names = ["PATH", "HOME", "CUDA_VISIBLE_DEVICES"].map(String::from);
/// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
///     .inherit_env(InheritEnv::Only(names.into()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InheritEnv {
    /// All of them.
    #[default]
    All,
    /// Only the variables with these names.
    Only(Vec<String>),
}

/// How the process is started.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    pub(crate) command: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) env: BTreeMap<OsString, OsString>,
    pub(crate) inherit_env: InheritEnv,
    /// It starts the server and ends.
    pub(crate) is_launcher: bool,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("command", &format_args!("{}", shown_command(&self.command)))
            .field("args", &shown_args(&self.args))
            .field("cwd", &self.cwd)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("inherit_env", &self.inherit_env)
            .field("is_launcher", &self.is_launcher)
            .finish()
    }
}

impl Launch {
    /// Without arguments, in the directory and the environment of your program.
    pub(crate) fn new(command: PathBuf) -> Self {
        Self {
            command,
            args: Vec::new(),
            cwd: None,
            env: BTreeMap::new(),
            inherit_env: InheritEnv::All,
            is_launcher: false,
        }
    }

    /// The same names of inherited variables in another order are the same identity.
    pub(crate) fn normal(&self) -> Self {
        let mut launch = self.clone();
        if let InheritEnv::Only(names) = &mut launch.inherit_env {
            names.sort_unstable();
            names.dedup();
        }
        launch
    }

    /// Without standard input, and with pipes for what it writes.
    #[cfg(all(any(unix, windows), not(tower_local_service_unsupported)))]
    pub(super) fn to_command(&self) -> Command {
        let mut command = Command::new(&self.command);
        command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        if let InheritEnv::Only(names) = &self.inherit_env {
            let inherited = |name: &str| Some((name.to_owned(), std::env::var_os(name)?));
            let names = names.iter().map(String::as_str).chain(NEEDED);
            command.env_clear().envs(names.filter_map(inherited));
        }
        command.envs(&self.env);
        command
    }

    pub(crate) fn identity(&self) -> LaunchIdentity {
        let Self {
            command,
            args,
            cwd,
            env,
            inherit_env,
            is_launcher,
        } = self;
        let mut identity = LaunchIdentity::of_command(&shown_path(command), &shown_args(args));
        identity.text(command.as_os_str().as_encoded_bytes());
        identity.texts(args.iter().map(|it| it.as_encoded_bytes()));
        identity.texts(cwd.iter().map(|cwd| cwd.as_os_str().as_encoded_bytes()));
        let env = env.iter().flat_map(|(name, value)| [name, value]);
        identity.texts(env.map(|it| it.as_encoded_bytes()));
        match inherit_env {
            InheritEnv::All => identity.number(0),
            InheritEnv::Only(names) => {
                identity.number(1);
                identity.texts(names);
            }
        }
        if *is_launcher {
            identity.text(b"launcher");
        }
        identity
    }

    /// What the server's output could repeat: the variables and arguments that it knows.
    ///
    /// What is no UTF-8 is kept as output shows it, with replacement characters.
    pub(crate) fn secrets(
        &self,
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Vec<String> {
        let inherited = inherited.into_iter();
        let variables = inherited
            .filter(|(name, _)| self.inherit_env.has(name))
            .chain(self.env.clone())
            .filter(|(name, _)| is_secret_name(&name.to_string_lossy()))
            .map(|(_, value)| value.to_string_lossy().into_owned());
        let mut values: Vec<_> = variables.collect();
        values.extend(secret_args(&self.args));
        values
    }
}

impl InheritEnv {
    fn has(&self, name: &OsStr) -> bool {
        match self {
            Self::All => true,
            // Windows takes no account of case in these names.
            Self::Only(names) if cfg!(windows) => {
                names.iter().any(|it| name.eq_ignore_ascii_case(it))
            }
            Self::Only(names) => names.iter().any(|it| name == it.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(args: &[&str], env: &[(&str, &str)]) -> Launch {
        Launch {
            args: args.iter().map(OsString::from).collect(),
            env: env.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
            ..Launch::new("/bin/server".into())
        }
    }

    fn values(launch: &Launch, inherited: &[(&str, &str)]) -> Vec<String> {
        launch.secrets(inherited.iter().map(|&(k, v)| (k.into(), v.into())))
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

    #[cfg(unix)]
    #[test]
    fn what_is_no_utf_8_is_hidden_as_output_shows_it() {
        use std::os::unix::ffi::OsStringExt as _;

        use http::HeaderMap;

        use crate::secrets::Secrets;

        let value = OsString::from_vec(b"sk-\xff-12345".to_vec());
        let mut launch = launch(&[], &[]);
        launch.env.insert("API_KEY".into(), value.clone());
        launch.args = vec!["--api-key".into(), value];
        let secrets = Secrets::new(launch.secrets([]), &HeaderMap::new(), None);
        assert_eq!(secrets.redact("key sk-\u{fffd}-12345"), "key [redacted]");
        let shown = format!("{launch:?}");
        assert!(!shown.contains("12345"), "{shown}");
    }
}
