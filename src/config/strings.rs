//! The strings of a configuration, in which a file may name variables.

use std::mem;

use super::{LocalServiceConfig, container::Container, kubernetes::Workload};
use crate::launch::InheritEnv;

impl LocalServiceConfig {
    /// Sets a variable as if your program had it: `env` wins over it, and `inheritEnv` may leave it out.
    pub(crate) fn env_to_inherit(mut self, name: &str, value: &str) -> Self {
        let is_inherited = match &self.launch.inherit_env {
            InheritEnv::All => true,
            InheritEnv::Only(names) => names.iter().any(|it| it == name),
        };
        if is_inherited {
            let variable = self.launch.env.entry(name.into());
            variable.or_insert_with(|| value.into());
        }
        self
    }

    /// Replaces each string that a file may have, given the name of its field there. The names of
    /// variables and headers stay as they are.
    pub(crate) fn change_strings(
        mut self,
        mut change: impl FnMut(&'static str, String) -> String,
    ) -> Self {
        let launch = &mut self.launch;
        let paths = [
            ("command", Some(&mut launch.command)),
            ("cwd", launch.cwd.as_mut()),
        ];
        let paths = paths
            .into_iter()
            .filter_map(|(field, path)| Some((field, path?)));
        let paths = paths.map(|(field, path)| (field, path.as_mut_os_string()));
        let args = launch.args.iter_mut().map(|arg| ("args", arg));
        let env = launch.env.values_mut().map(|value| ("env", value));
        let stop = self.stop_command.iter_mut().flatten();
        let stop = stop.map(|word| ("stopCommand", word));
        for (field, text) in paths.chain(args).chain(env).chain(stop) {
            // What is no UTF-8 cannot have come from a file.
            *text = match mem::take(text).into_string() {
                Ok(text) => change(field, text).into(),
                Err(text) => text,
            };
        }
        let container = self.container.iter_mut().flat_map(Container::strings);
        let workload = self.kubernetes.iter_mut().flat_map(Workload::strings);
        for (field, text) in container.chain(workload) {
            *text = change(field, mem::take(text));
        }
        let url = self.health_url.iter_mut().map(|url| ("healthUrl", url));
        let headers = self.health_headers.iter_mut();
        let headers = headers.map(|(_, value)| ("healthHeaders", value));
        for (field, text) in url.chain(headers) {
            *text = change(field, mem::take(text));
        }
        self
    }
}
