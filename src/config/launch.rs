//! How the process is started. Together with the addresses, this is a service's identity.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

use super::shown::{shown_args, shown_command};

/// Which variables of your program's environment the process inherits.
///
/// Those of [`env`](crate::LocalServiceConfig::env) win over them.
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
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Launch {
    pub(crate) command: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) env: BTreeMap<OsString, OsString>,
    pub(crate) inherit_env: InheritEnv,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("command", &format_args!("{}", shown_command(&self.command)))
            .field("args", &shown_args(&self.args))
            .field("cwd", &self.cwd)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("inherit_env", &self.inherit_env)
            .finish()
    }
}
