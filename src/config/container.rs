//! A container in the place of the command, as files have it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Deserialize;

use super::Refusals;
use crate::{amount::Amount, launch::Launcher};

/// It is read whether or not this crate is built with the feature that starts it, so that the error says so.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) image: String,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) mounts: Vec<String>,
    pub(super) port: Option<u16>,
    pub(super) gpus: Option<String>,
    pub(super) memory: Option<Memory>,
    pub(super) init: bool,
    pub(super) network: Option<String>,
    pub(super) engine: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "`memory` is neither a number of bytes nor a text"
)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
pub(super) enum Memory {
    Bytes(u64),
    Text(String),
}

impl Memory {
    /// In bytes; `None` if it is no amount.
    fn bytes(&self) -> Option<u64> {
        let text = match self {
            Self::Bytes(bytes) => return Some(*bytes),
            Self::Text(text) => text.trim(),
        };
        // As the engine's own command has it.
        let units = [("k", 10), ("m", 20), ("g", 30), ("t", 40)];
        let lower = text.to_ascii_lowercase();
        let found = units
            .iter()
            .find_map(|(unit, shift)| Some((lower.strip_suffix(unit)?, shift)));
        match found {
            Some((number, shift)) => number.trim().parse::<u64>().ok()?.checked_mul(1 << shift),
            None => Some(text.parse::<Amount>().ok()?.get()),
        }
    }
}

impl Container {
    pub(super) fn check(&self, refusals: &mut Refusals<'_>) {
        if !cfg!(feature = "docker") {
            refusals.add(
                "container",
                "needs the feature `docker` of tower-local-service: build with it, or write a `command`",
            );
        }
        if self.image.trim().is_empty() {
            refusals.add("container.image", "is empty: write the name of an image");
        }
        if self.gpus.as_deref().is_some_and(|it| it != "all") {
            refusals.add(
                "container.gpus",
                "is neither `all` nor left out: write one of them",
            );
        }
        if self.memory.as_ref().is_some_and(|it| it.bytes().is_none()) {
            refusals.add(
                "container.memory",
                "is no amount: write bytes, or a text such as `8g` or `8GiB`",
            );
        }
        if !matches!(self.network.as_deref(), None | Some("bridge" | "host")) {
            refusals.add("container.network", "is unknown: write `bridge` or `host`");
        }
        if self.port == Some(0) {
            refusals.add(
                "container.port",
                "is 0: write the port on which its server listens",
            );
        }
    }

    #[cfg(feature = "docker")]
    #[expect(
        clippy::unnecessary_wraps,
        reason = "without the feature there is none"
    )]
    pub(super) fn launcher(&self) -> Option<Arc<dyn Launcher>> {
        let Self {
            image,
            args,
            env,
            mounts,
            port,
            gpus,
            memory,
            init,
            network,
            engine,
        } = self;
        let mut container = crate::launch::docker::Container::new(image.as_str())
            .args(args.iter().map(String::as_str))
            .init(*init)
            .host_network(network.as_deref() == Some("host"));
        for (name, value) in env {
            container = container.env(name.as_str(), value.as_str());
        }
        for mount in mounts {
            container = container.mount(mount.as_str());
        }
        if let Some(port) = port {
            container = container.port(*port);
        }
        if let Some(memory) = memory.as_ref().and_then(Memory::bytes) {
            container = container.memory(memory);
        }
        if gpus.is_some() {
            container = container.gpus();
        }
        if let Some(engine) = engine {
            container = container.engine(engine.as_str());
        }
        Some(Arc::new(container))
    }

    /// The configuration is refused.
    #[cfg(not(feature = "docker"))]
    #[expect(clippy::unused_self, reason = "with the feature it is used")]
    pub(super) fn launcher(&self) -> Option<Arc<dyn Launcher>> {
        None
    }

    /// The strings in which a file may name variables and `${port}`, with their fields.
    pub(super) fn strings(&mut self) -> impl Iterator<Item = (&'static str, &mut String)> {
        let image = [("container.image", &mut self.image)];
        let args = self.args.iter_mut().map(|it| ("container.args", it));
        let env = self.env.values_mut().map(|it| ("container.env", it));
        let mounts = self.mounts.iter_mut().map(|it| ("container.mounts", it));
        let engine = self.engine.iter_mut().map(|it| ("container.engine", it));
        image
            .into_iter()
            .chain(args)
            .chain(env)
            .chain(mounts)
            .chain(engine)
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container")
            .field("image", &self.image)
            .field("args", &crate::secrets::shown_args(&self.args))
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("mounts", &self.mounts)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_memory_is_read_as_the_engine_reads_it() {
        let bytes = |text: &str| Memory::Text(text.to_owned()).bytes();
        assert_eq!(bytes("8g"), Some(8 << 30));
        assert_eq!(bytes("512M"), Some(512 << 20));
        assert_eq!(bytes("8GiB"), Some(8 << 30));
        assert_eq!(Memory::Bytes(5).bytes(), Some(5));
        for wrong in ["", "much", "-1g", "99999999999g"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
