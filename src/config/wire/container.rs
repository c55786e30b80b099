//! A container, as files have it.

use serde::{Deserialize, de};

use super::{Discreet, Given, map, put, strings};
use crate::config::{
    Unique,
    container::{Container, Memory},
};

#[derive(Deserialize, Default)]
#[serde(
    default,
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a container"
)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(rename = "Container", extend("required" = ["image"]))
)]
pub(super) struct WrittenContainer {
    /// The image, which has to be there: nothing is pulled.
    image: Given<String>,
    /// Arguments of its command. Those of the image if left out.
    args: Given<Discreet<Vec<Discreet<String>>>>,
    /// Variables in it. It inherits none.
    env: Given<Discreet<Unique<Discreet<String>>>>,
    /// Folders of this machine, such as `/models:/models:ro`.
    mounts: Given<Discreet<Vec<Discreet<String>>>>,
    /// The port on which its server listens inside. That of `baseUrl` if left out, at which it is published on the
    /// loopback.
    #[cfg_attr(test, schemars(range(min = 1)))]
    port: Given<u16>,
    /// `all`, or left out for none.
    gpus: Given<String>,
    /// The most memory that it may use: a number of bytes, or a text such as `8g` or `8GiB`. No limit if left out.
    memory: Given<Memory>,
    /// Whether an init runs in it.
    init: Given<bool>,
    /// `bridge` (if left out), or `host` for the network of this machine.
    network: Given<String>,
    /// The socket of the engine. `DOCKER_HOST`, or the first usual one of Docker and Podman, if left out.
    engine: Given<String>,
}

impl WrittenContainer {
    pub(super) fn into_container<E: de::Error>(self) -> Result<Container, E> {
        let Given(Some(image)) = self.image else {
            return Err(E::missing_field("container.image"));
        };
        let mut container = Container {
            image,
            args: strings("container.args", self.args)?.unwrap_or_default(),
            env: map("container.env", self.env)?,
            mounts: strings("container.mounts", self.mounts)?.unwrap_or_default(),
            port: self.port.0,
            gpus: self.gpus.0,
            memory: self.memory.0,
            init: false,
            network: self.network.0,
            engine: self.engine.0,
        };
        put(&mut container.init, self.init.0);
        Ok(container)
    }
}
