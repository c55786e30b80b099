//! The configuration as files have it: the keys of `OpenClaw`'s `localService`, and more.

mod container;
mod kubernetes;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, Unexpected, Visitor},
};

use self::{container::WrittenContainer, kubernetes::WrittenWorkload};
use super::{LocalServiceConfig, Unique, ready_request::WrittenReadyRequest};
use crate::{amount::Amount, launch::InheritEnv};

/// Keys are in camel case, times in milliseconds. Unknown keys are refused by name, and so is `null`,
/// except for `abandonGraceMs`, `turnMs` and `oomScoreAdj`.
///
/// `args`, `cwd`, `env` and `inheritEnv` are taken as they are. `inheritEnv` is `true` or a list of
/// names; `false` is refused: write an empty list.
impl<'de> Deserialize<'de> for LocalServiceConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer)?.into_config()
    }
}

// Editors show these comments, by the schema.
#[derive(Deserialize, Default)]
#[serde(
    default,
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a local service"
)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(extend("oneOf" = [
        { "required": ["command"] }, { "required": ["container"] }, { "required": ["kubernetes"] }
    ]))
)]
struct Wire {
    /// The program to start: an absolute path. No shell is used, and `PATH` is not searched. `~/` at its
    /// beginning is the home folder, as in `args` and `cwd`, which `OpenClaw` does not know.
    command: Given<String>,
    /// A container in the place of the command, of Docker or Podman. Refused by `OpenClaw`, and by programs without the
    /// feature `docker`; the gateway has it.
    container: Given<WrittenContainer>,
    /// A workload of a Kubernetes cluster in the place of the command, which is scaled from zero and back. Refused by
    /// `OpenClaw`, and by programs without the feature `kubernetes`; the gateway has it.
    kubernetes: Given<WrittenWorkload>,
    /// Arguments of the command, passed on as they are, but for `~/` at the beginning of one.
    args: Given<Discreet<Vec<Discreet<String>>>>,
    /// The directory to start the command in. That of your program if left out.
    cwd: Given<String>,
    /// Variables for the process. They win over those that it inherits.
    env: Given<Discreet<Unique<Discreet<String>>>>,
    /// Which variables of your program the process inherits: `true` for all, or a list of names.
    /// Refused by `OpenClaw`.
    inherit_env: Given<Inherit>,
    /// The URL at which the server says whether it is ready: an `http` URL of this machine. `baseUrl`
    /// followed by `/models` if left out.
    health_url: Given<String>,
    /// Headers of the requests to `healthUrl`. Refused by `OpenClaw`.
    health_headers: Given<Discreet<Unique<Discreet<String>>>>,
    /// Statuses of `healthUrl` that mean ready. Any 2xx if left out. Refused by `OpenClaw`.
    #[cfg_attr(test, schemars(inner(range(min = 100, max = 999))))]
    health_status: Given<Vec<u16>>,
    /// Whether `healthUrl` may be on another machine. Refused by `OpenClaw`.
    allow_remote_health: Given<bool>,
    /// How long a start may take, from the start of the process to ready, in milliseconds.
    #[cfg_attr(test, schemars(range(min = 1)))]
    ready_timeout_ms: Given<Millis>,
    /// How long one request to `healthUrl` may take, in milliseconds. Refused by `OpenClaw`.
    #[cfg_attr(test, schemars(range(min = 1)))]
    probe_timeout_ms: Given<Millis>,
    /// Starts the server again if, within so many milliseconds, at least three requests ended without an
    /// answer, none was answered, and it used almost no CPU; null: never. Refused by `OpenClaw`.
    #[cfg_attr(test, schemars(range(min = 1)))]
    unresponsive_ms: Given<Option<Millis>>,
    /// Stops the process when it has not been used for so long, in milliseconds; 0: never.
    idle_stop_ms: Given<Millis>,
    /// How long the process may take to end after SIGTERM, before SIGKILL, in milliseconds. Refused by
    /// `OpenClaw`.
    stop_timeout_ms: Given<Millis>,
    /// How long a request waits for other services, until the port and what the service `needs` are free, in
    /// milliseconds; 0: not at all. As long as `readyTimeoutMs` if left out. Refused by `OpenClaw`.
    swap_timeout_ms: Given<Millis>,
    /// Stops a start so long after the last request that waited for it was dropped, in milliseconds;
    /// null: the start continues. Refused by `OpenClaw`.
    abandon_grace_ms: Option<Millis>,
    /// How many requests may wait for the service; more fail immediately. No limit if left out. Refused
    /// by `OpenClaw`.
    #[cfg_attr(test, schemars(range(min = 1)))]
    max_waiters: Given<usize>,
    /// Whether a stop also ends descendants that left the process group (Linux). Refused by
    /// `OpenClaw`.
    stop_detached: Given<bool>,
    /// The signal with which a stop begins: `TERM` (if left out), `INT`, `QUIT` or `HUP`. SIGTERM follows at half of
    /// `stopTimeoutMs`. Refused by `OpenClaw`.
    stop_signal: Given<String>,
    /// The command with which a stop begins: the absolute path of a program, then its arguments; no shell is used. When it
    /// has ended, or after `stopTimeoutMs`, the stop continues with signals to what is left. Refused by `OpenClaw`.
    stop_command: Given<Discreet<Vec<Discreet<String>>>>,
    /// Whether the command starts a server in the background, and ends (`docker compose up -d`): an exit with code 0
    /// is no failure, and `stopCommand` ends the server. Refused by `OpenClaw`.
    launcher: Given<bool>,
    /// A request that the server has to answer before it counts as ready, once for each start: the warm-up. Refused by
    /// `OpenClaw`.
    ready_request: Given<WrittenReadyRequest>,
    /// How readily the kernel ends the process when memory runs out (Linux), from -1000 (never) to 1000
    /// (first): 500 if left out, or that of your program if it is higher; null: that of your program.
    /// Refused by `OpenClaw`.
    #[cfg_attr(test, schemars(range(min = -1000, max = 1000)))]
    oom_score_adj: Given<Option<i32>>,
    /// How much of each resource in `models.resources` it needs while its process runs. A service that has
    /// not what it needs waits, and stops services that are not in use. Refused by `OpenClaw`.
    needs: Given<Unique<Amount>>,
    /// Whether it is never stopped for another service. Refused by `OpenClaw`.
    pinned: Given<bool>,
    /// How long it is not stopped for another service while it is in use, from when it was ready, in
    /// milliseconds; null: as long as its start took; 0: not at all. Over in any case when a request for
    /// the other service has waited half of its `swapTimeoutMs`. Refused by `OpenClaw`.
    turn_ms: Option<Millis>,
    /// Whether it is started without a request, and again whenever it has ended, as far as no other service
    /// has to be stopped for it. It is not stopped for idleness. Refused by `OpenClaw`.
    keep_ready: Given<bool>,
}

impl Wire {
    fn into_config<E: de::Error>(self) -> Result<LocalServiceConfig, E> {
        let (command, container, kubernetes) =
            (self.command.0, self.container.0, self.kubernetes.0);
        let given = [command.is_some(), container.is_some(), kubernetes.is_some()];
        match given.into_iter().filter(|it| *it).count() {
            0 => return Err(E::missing_field("command")),
            1 => {}
            _ => {
                return Err(E::custom(
                    "`container` and `kubernetes` are in the place of `command`: write one of the three",
                ));
            }
        }
        let container = container.map(WrittenContainer::into_container);
        let mut config = LocalServiceConfig::new(command.unwrap_or_default())
            .args(strings("args", self.args)?.unwrap_or_default())
            .envs(map("env", self.env)?)
            .health_headers(map("healthHeaders", self.health_headers)?);
        config.container = container.transpose()?;
        config.kubernetes = kubernetes.map(Into::into);
        config.launch.cwd = self.cwd.0.map(Into::into);
        config.launch.inherit_env = self.inherit_env.0.map_or(InheritEnv::All, |it| it.0);
        config.health_url = self.health_url.0;
        config.health_status = self.health_status.0;
        config.max_waiters = self.max_waiters.0;
        config.swap_timeout = self.swap_timeout_ms.0.map(|it| it.0);
        config.abandon_grace = self.abandon_grace_ms.map(|it| it.0);
        put(&mut config.allow_remote_health, self.allow_remote_health.0);
        config.turn = self.turn_ms.map(|it| it.0);
        config.needs = self.needs.0.unwrap_or_default().0;
        put(&mut config.pinned, self.pinned.0);
        put(&mut config.keep_ready, self.keep_ready.0);
        config.stop_signal = self.stop_signal.0;
        let stop_command = strings("stopCommand", self.stop_command)?;
        config.stop_command = stop_command.map(|it| it.into_iter().map(Into::into).collect());
        put(&mut config.launch.is_launcher, self.launcher.0);
        config.ready_request = self.ready_request.0.map(WrittenReadyRequest::into_request);
        put(&mut config.stop_detached, self.stop_detached.0);
        put(
            &mut config.unresponsive_after,
            self.unresponsive_ms.0.map(|it| it.map(|it| it.0)),
        );
        put(
            &mut config.oom_score_adj,
            self.oom_score_adj.0.map(Into::into),
        );
        for (field, given) in [
            (&mut config.ready_timeout, self.ready_timeout_ms),
            (&mut config.probe_timeout, self.probe_timeout_ms),
            (&mut config.idle_stop, self.idle_stop_ms),
            (&mut config.stop_timeout, self.stop_timeout_ms),
        ] {
            put(field, given.0.map(|it| it.0));
        }
        Ok(config)
    }
}

fn put<T>(field: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *field = given;
    }
}

fn strings<E: de::Error>(
    field: &str,
    list: Given<Discreet<Vec<Discreet<String>>>>,
) -> Result<Option<Vec<String>>, E> {
    let args = match list.0 {
        None => return Ok(None),
        Some(Discreet::Fits(args)) => args,
        Some(Discreet::Other(_)) => {
            return Err(E::custom(format_args!(
                "`{field}` is no list: write one of strings"
            )));
        }
    };
    let strings = args.into_iter().enumerate().map(|(index, arg)| match arg {
        Discreet::Fits(arg) => Ok(arg),
        Discreet::Other(_) => Err(E::custom(format_args!(
            "`{field}` has something other than a string at place {}: put it in quotes",
            index + 1
        ))),
    });
    strings.collect::<Result<_, E>>().map(Some)
}

fn map<E: de::Error>(
    field: &str,
    map: Given<Discreet<Unique<Discreet<String>>>>,
) -> Result<BTreeMap<String, String>, E> {
    let map = match map.0 {
        None => BTreeMap::new(),
        Some(Discreet::Fits(Unique(map))) => map,
        Some(Discreet::Other(_)) => {
            return Err(E::custom(format_args!(
                "`{field}` is no object, or has a name twice: write one with a string for each name"
            )));
        }
    };
    let pairs = map.into_iter().map(|(name, value)| match value {
        Discreet::Fits(value) => Ok((name, value)),
        Discreet::Other(_) => Err(E::custom(format_args!(
            "`{field}` has something other than a string for {name:?}: put it in quotes"
        ))),
    });
    pairs.collect()
}

/// A field that may be left out, but is not `null`.
struct Given<T>(Option<T>);

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

/// A value that may be a secret: if it has a wrong type, serde must not quote it in an error.
#[derive(Deserialize)]
#[serde(untagged)]
enum Discreet<T> {
    Fits(T),
    Other(IgnoredAny),
}

struct Inherit(InheritEnv);

impl<'de> Deserialize<'de> for Inherit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "`inheritEnv` is neither `true` nor a list of names"
        )]
        enum Either {
            All(bool),
            Only(Vec<String>),
        }
        match Either::deserialize(deserializer)? {
            Either::All(true) => Ok(Self(InheritEnv::All)),
            Either::All(false) => Err(de::Error::custom(
                "`inheritEnv` is false: write a list of the names to inherit, [] for none",
            )),
            Either::Only(names) => Ok(Self(InheritEnv::Only(names))),
        }
    }
}

struct Millis(Duration);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(MillisVisitor)
    }
}

struct MillisVisitor;

impl Visitor<'_> for MillisVisitor {
    type Value = Millis;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of milliseconds, 0 or more")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Millis, E> {
        Ok(Millis(Duration::from_millis(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Millis, E> {
        let value =
            u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))?;
        self.visit_u64(value)
    }

    // `60e3`, and every number of formats that have no integers.
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Millis, E> {
        match Duration::try_from_secs_f64(value / 1000.0) {
            Ok(duration) if value.fract() == 0.0 => Ok(Millis(duration)),
            _ => Err(E::invalid_value(Unexpected::Float(value), &self)),
        }
    }
}
