//! Refuses what cannot work, as far as that can be known without the file system.

#[cfg(test)]
mod tests;

use std::{env, ffi::OsStr, path::Path, sync::Arc, time::Duration};

use http::{HeaderMap, Uri};

use super::{
    Address, ChoosePort, LocalServiceConfig, Needs, Refusals, Settings, Share, Target, Turn,
    UrlHost,
    address::{self, url},
    health, port, same_origin,
};
use crate::{
    amount::Amount,
    error::{Error, Problem},
    launch::{InheritEnv, Launch, Launcher, OomScoreAdj, StopSignal},
    machine::Policy,
    secrets::{Secrets, secret_args},
};

/// A year: no time may be longer, so that the sum of two never overflows.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl LocalServiceConfig {
    /// Checks everything that can be known without the file system. `capacity` is how much there is of a
    /// resource.
    ///
    /// A missing or unusable file is only a warning: a server that runs already needs no command.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] with all problems.
    pub(crate) fn validate_with(
        &self,
        service: &str,
        base_url: &str,
        capacity: &dyn Fn(&str) -> Option<Amount>,
        choose_port: ChoosePort<'_>,
    ) -> Result<Settings, Error> {
        if let Some((config, base_url)) = port::fill(self, base_url, choose_port) {
            let settings = config.validate_with(service, &base_url, capacity, choose_port)?;
            return Ok(Settings {
                port_is_chosen: true,
                ..settings
            });
        }
        let mut refusals = Refusals::of(service);
        check_name(service, &mut refusals);
        if let Some(container) = &self.container {
            container.check(&mut refusals);
        }
        if let Some(workload) = &self.kubernetes {
            workload.check(base_url, &mut refusals);
        }
        let is_process = self.container.is_none() && self.kubernetes.is_none();
        if self.own.is_some() || !is_process {
            self.check_no_process(&mut refusals);
        } else {
            check_launch(&self.launch, &mut refusals);
            self.check_stop_command(&mut refusals);
        }
        self.check_limits(&mut refusals);
        check_needs(&self.needs, capacity, &mut refusals);
        let urls = self.urls(base_url, &mut refusals);
        let target = self.target(urls.as_ref(), &mut refusals);
        let ready_request = self.ready_target(urls.as_ref(), target.as_ref(), &mut refusals);

        match (urls, target) {
            (Some((base, health)), Some(target)) if refusals.is_empty() => {
                let settings = Settings {
                    ready_request: ready_request.map(Arc::new),
                    ..self.settings(base, &health, target)
                };
                warn_of_problems(&*settings.launcher, service);
                Ok(settings)
            }
            _ => Err(refusals.into_error()),
        }
    }

    fn urls(&self, base_url: &str, refusals: &mut Refusals<'_>) -> Option<(Uri, Uri)> {
        let base = refusals.keep("baseUrl", url::base(base_url.trim()));
        let written = self.health_url.as_deref().map(str::trim);
        let health = match (written.filter(|text| !text.is_empty()), &base) {
            (Some(text), base) => {
                let is_of_base = || base.as_ref().is_none_or(|it| url::is_at_host(text, it));
                let remote = self.allow_remote_health || (self.serves_elsewhere() && is_of_base());
                refusals.keep("healthUrl", url::health(text, remote))
            }
            (None, Some(base)) => {
                let remote = self.allow_remote_health || self.serves_elsewhere();
                refusals.keep("healthUrl", url::default_health(base, remote))
            }
            (None, None) => None,
        };
        Some((base?, health?))
    }

    fn target(&self, urls: Option<&(Uri, Uri)>, refusals: &mut Refusals<'_>) -> Option<Target> {
        // Checked even without a URL: all problems are reported at once.
        let mut headers = health::headers(&self.health_headers, refusals);
        let ready_statuses =
            health::statuses("healthStatus", self.health_status.as_deref(), refusals);
        let (base, health) = urls?;
        let sends_key =
            same_origin(base, health) && self.credentials.add_to(&mut headers, refusals);
        let of_base = UrlHost::parse(base.host()?)?;
        let differs = Address::of(base) != Address::of(health);
        Some(Target {
            headers,
            sends_key,
            ready_statuses,
            is_default: self.health_url.is_none(),
            base: (differs && of_base.is_loopback()).then_some((of_base, address::port(base)?)),
            ..Target::new(health, self.probe_timeout)?
        })
    }

    fn ready_target(
        &self,
        urls: Option<&(Uri, Uri)>,
        health: Option<&Target>,
        refusals: &mut Refusals<'_>,
    ) -> Option<Target> {
        // Checked even without a URL.
        let checked = self.ready_request.as_ref()?.check(refusals)?;
        let (base, _) = urls?;
        let of_base = Target::new(base, self.ready_timeout)?;
        // Those of the probes as they are written: what is wrong with them was said of the health URL.
        let mut said = Refusals::of("");
        let mut headers = health::headers(&self.health_headers, &mut said);
        self.credentials.add_to(&mut headers, &mut said);
        for (name, value) in &checked.headers {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        let is_same = same_origin(base, &urls?.1);
        Some(Target {
            method: checked.method,
            path_and_query: checked.path.as_str().to_owned(),
            headers,
            sends_key: is_same && health.is_some_and(|it| it.sends_key),
            body: checked.body,
            ready_statuses: checked.statuses,
            wants_body: true,
            ..of_base
        })
    }

    fn check_limits(&self, refusals: &mut Refusals<'_>) {
        let swap_timeout = self.swap_timeout.unwrap_or_default();
        let abandon_grace = self.abandon_grace.unwrap_or_default();
        let unresponsive = self.unresponsive_after.unwrap_or(LONGEST);
        for (field, time, least) in [
            ("readyTimeoutMs", self.ready_timeout, "1"),
            ("probeTimeoutMs", self.probe_timeout, "1"),
            ("unresponsiveMs", unresponsive, "1"),
            ("idleStopMs", self.idle_stop, "0 (never)"),
            ("stopTimeoutMs", self.stop_timeout, "0"),
            ("swapTimeoutMs", swap_timeout, "0"),
            ("abandonGraceMs", abandon_grace, "0"),
            ("turnMs", self.turn.unwrap_or_default(), "0 (at once)"),
        ] {
            if time > LONGEST || (time.is_zero() && least == "1") {
                let most = LONGEST.as_millis();
                refusals.add(
                    field,
                    format!("is out of range: write {least} to {most} (a year)"),
                );
            }
        }
        if self.max_waiters == Some(0) {
            refusals.add(
                "maxWaiters",
                "is 0, so that no request could ever start the service: write 1 or more, or leave it \
                 out for no limit",
            );
        }
        if self.first_signal().is_none() {
            refusals.add(
                "stopSignal",
                "is no signal that asks a process to end: write TERM, INT, QUIT or HUP",
            );
        }
        if let OomScoreAdj::Exactly(score) = self.oom_score_adj
            && !(-1000..=1000).contains(&score)
        {
            refusals.add(
                "oomScoreAdj",
                "is out of range: write -1000 to 1000, or null for that of your program",
            );
        }
    }

    fn settings(&self, base: Uri, health: &Uri, target: Target) -> Settings {
        let mut addresses: Vec<_> = [&base, health]
            .into_iter()
            .filter_map(Address::of)
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let secrets = self.secrets(&target.headers);
        Settings {
            launcher: self.launches(),
            addresses,
            port_is_chosen: false,
            base,
            target: Arc::new(target),
            policy: Policy {
                ready_timeout: self.ready_timeout,
                idle_stop: (!self.idle_stop.is_zero()).then_some(self.idle_stop),
                stop_timeout: self.stop_timeout,
                abandon_grace: self.abandon_grace,
                unresponsive_after: self.unresponsive_after,
                needs_room: self.needs.values().any(|it| it.get() > 0),
                keep_ready: self.keep_ready,
                stop_command: self.stop_command.is_some(),
                launcher: self.launch.is_launcher,
                ready_request: self.ready_request.is_some(),
            },
            ready_request: None,
            stop_command: self.stop_launcher(),
            swap_timeout: self.swap_timeout.unwrap_or(self.ready_timeout),
            max_waiters: self.max_waiters,
            share: Share {
                needs: self.needs.clone(),
                pinned: self.pinned,
                turn: Turn::new(self.turn),
            },
            secrets: Arc::new(secrets),
            unavailable: None,
        }
    }

    /// `None` if there is no such signal.
    pub(super) fn first_signal(&self) -> Option<StopSignal> {
        match &self.stop_signal {
            Some(name) => StopSignal::parse(name),
            None => Some(StopSignal::default()),
        }
    }

    fn secrets(&self, headers: &HeaderMap) -> Secrets {
        let of_launch = if let Some(own) = self.in_place_of_process() {
            own.secrets()
        } else {
            let of_stop = secret_args(self.stop_command.as_deref().unwrap_or_default());
            let of_start = self.launch.secrets(env::vars_os());
            of_start.into_iter().chain(of_stop).collect()
        };
        Secrets::new(of_launch, headers, self.credentials.key.as_deref())
    }

    fn check_stop_command(&self, refusals: &mut Refusals<'_>) {
        const FIELD: &str = "stopCommand";
        let Some(words) = &self.stop_command else {
            if self.launch.is_launcher {
                refusals.add(
                    "launcher",
                    "is true, and nothing would end the server that it starts: write the command that does into \
                     `stopCommand`",
                );
            }
            return;
        };
        match words.first().map(Path::new) {
            None => refusals.add(
                FIELD,
                "is empty: write the absolute path of a program, and its arguments behind it",
            ),
            Some(program) if !program.is_absolute() => refusals.add(
                FIELD,
                format!(
                    "does not begin with an absolute path: write that of the program in full, {ABSOLUTE}, since \
                     neither a shell nor PATH is used"
                ),
            ),
            Some(_) => {}
        }
        for word in words {
            check_nul(FIELD, word.as_encoded_bytes(), refusals);
        }
        if self.stop_timeout.is_zero() {
            refusals.add(
                FIELD,
                "would have no time, since `stopTimeoutMs` is 0: write how long it may take",
            );
        }
    }

    /// What says how a process is started or ended means nothing to a launcher.
    fn check_no_process(&self, refusals: &mut Refusals<'_>) {
        let default = Self::new("");
        let Launch {
            command: _,
            args,
            cwd,
            env,
            inherit_env,
            is_launcher,
        } = &self.launch;
        for (field, is_set) in [
            ("args", !args.is_empty()),
            ("cwd", cwd.is_some()),
            ("env", !env.is_empty()),
            ("inheritEnv", *inherit_env != InheritEnv::All),
            ("stopDetached", self.stop_detached != default.stop_detached),
            ("launcher", *is_launcher),
            ("stopCommand", self.stop_command.is_some()),
            ("stopSignal", self.stop_signal.is_some()),
            ("oomScoreAdj", self.oom_score_adj != default.oom_score_adj),
        ] {
            if is_set {
                refusals.add(
                    field,
                    "is for a process, and a container, a workload or a launcher is in its place here: leave it out, or tell that",
                );
            }
        }
    }
}

impl Settings {
    /// Of a service that nobody can use, for that reason.
    pub(crate) fn unavailable(base: &Uri, error: Error) -> Self {
        let config = LocalServiceConfig::new("");
        let nowhere = Uri::from_static("http://unavailable.invalid/");
        let target = Target::new(&nowhere, config.probe_timeout).expect("it has a host");
        Self {
            base: base.clone(),
            unavailable: Some(error),
            ..config.settings(nowhere.clone(), &nowhere, target)
        }
    }
}

fn check_name(service: &str, refusals: &mut Refusals<'_>) {
    if service.trim().is_empty() {
        refusals.add(
            "name",
            "is empty: give the service a name, which errors and logs show",
        );
    } else if service.contains(char::is_control) {
        refusals.add(
            "name",
            "has a control character: write a name that fits into one line of a log",
        );
    }
}

/// How an absolute path looks, and what shows that of a program.
const ABSOLUTE: &str = if cfg!(windows) {
    "beginning with its disk (`where` shows it), with its ending"
} else {
    "beginning with `/` (`command -v` shows it)"
};

fn check_launch(launch: &Launch, refusals: &mut Refusals<'_>) {
    let command = launch.command.as_os_str().as_encoded_bytes();
    if command.trim_ascii().is_empty() {
        refusals.add(
            "command",
            "is empty: write the absolute path of the program",
        );
    } else if launch.command.starts_with("~") {
        refusals.add(
            "command",
            "is not an absolute path: write it in full, beginning with `/`, since no shell is there to \
             expand `~`",
        );
    } else if !launch.command.is_absolute() {
        refusals.add(
            "command",
            format!(
                "is not an absolute path: write it in full, {ABSOLUTE}, since neither a shell nor PATH is used"
            ),
        );
    }
    check_nul("command", command, refusals);
    for arg in &launch.args {
        check_nul("args", arg.as_encoded_bytes(), refusals);
    }
    if let Some(cwd) = &launch.cwd {
        if cwd.as_os_str().is_empty() {
            refusals.add(
                "cwd",
                "is empty: write a directory, or leave it out for that of your program",
            );
        }
        check_nul("cwd", cwd.as_os_str().as_encoded_bytes(), refusals);
    }
    for (name, value) in &launch.env {
        check_variable("env", name, refusals);
        check_nul("env", value.as_encoded_bytes(), refusals);
    }
    if let InheritEnv::Only(names) = &launch.inherit_env {
        for name in names {
            check_variable("inheritEnv", name.as_ref(), refusals);
        }
    }
}

fn check_needs(
    needs: &Needs,
    capacity: &dyn Fn(&str) -> Option<Amount>,
    refusals: &mut Refusals<'_>,
) {
    for (name, amount) in needs {
        let field = format!("needs.{name}");
        if name.trim().is_empty() {
            refusals.add("needs", "has a resource without a name: give it one");
            continue;
        }
        match capacity(name) {
            None => refusals.add(
                &field,
                format!(
                    "is a resource of which nothing says how much there is: write it into \
                     `models.resources`, or call `Registry::capacity({name:?}, …)` first"
                ),
            ),
            Some(capacity) if *amount > capacity => refusals.add(
                &field,
                format!(
                    "is {amount}, and there is only {capacity}: write less, or a larger capacity"
                ),
            ),
            Some(_) => {}
        }
    }
}

fn check_variable(field: &str, name: &OsStr, refusals: &mut Refusals<'_>) {
    if name.is_empty() {
        refusals.add(
            field,
            "has a variable without a name: give it one or leave it out",
        );
    } else if name.as_encoded_bytes().contains(&b'=') {
        // The name is not shown: a secret may have been written into it.
        refusals.add(
            field,
            "has a variable with `=` in its name: write the name and the value separately",
        );
    }
    check_nul(field, name.as_encoded_bytes(), refusals);
}

fn check_nul(field: &str, text: &[u8], refusals: &mut Refusals<'_>) {
    if text.contains(&0) {
        refusals.add(
            field,
            "has a NUL character, which cannot be passed to a program: leave it out",
        );
    }
}

fn warn_of_problems(launcher: &dyn Launcher, service: &str) {
    for Problem { field, message, .. } in launcher.problems(service) {
        tracing::warn!(
            target: "tower_local_service",
            service,
            field,
            "the local service could not be started now: `{field}` {message}"
        );
    }
    for Problem { field, message, .. } in launcher.warnings(service) {
        tracing::warn!(
            target: "tower_local_service",
            service,
            field,
            "the local service is started nevertheless: `{field}` {message}"
        );
    }
}
