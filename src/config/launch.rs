//! How the process is started. With the endpoints, this is a service's identity.

use std::{collections::BTreeMap, path::PathBuf};

/// Which variables of the host's environment the process gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InheritEnv {
    /// All of them.
    #[default]
    All,
    /// Only those with these names.
    Only(Vec<String>),
}

/// How the process is started.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Launch {
    pub(crate) command: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) inherit_env: InheritEnv,
}
