//! The strings of a configuration, for whoever puts something in their places.

use std::path::PathBuf;

use super::LocalServiceConfig;

impl LocalServiceConfig {
    /// Changes each string that a file may have, told with the name of its field there. Names of
    /// variables and headers stay as they are.
    pub(crate) fn change_strings(
        mut self,
        mut change: impl FnMut(&'static str, String) -> String,
    ) -> Self {
        fn take(path: &mut PathBuf) -> Option<String> {
            // What is no UTF-8 cannot have come from a file.
            std::mem::take(path).into_os_string().into_string().ok()
        }
        let launch = &mut self.launch;
        if let Some(command) = take(&mut launch.command) {
            launch.command = change("command", command).into();
        }
        if let Some(cwd) = launch.cwd.as_mut().and_then(take) {
            launch.cwd = Some(change("cwd", cwd).into());
        }
        let args = launch.args.iter_mut().map(|arg| ("args", arg));
        let env = launch.env.values_mut().map(|value| ("env", value));
        let url = self.health_url.iter_mut().map(|url| ("healthUrl", url));
        let headers = self.health_headers.iter_mut();
        let headers = headers.map(|(_, value)| ("healthHeaders", value));
        for (field, text) in args.chain(env).chain(url).chain(headers) {
            *text = change(field, std::mem::take(text));
        }
        self
    }
}
