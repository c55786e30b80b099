//! What makes two configurations one process.

use std::sync::Arc;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::{Address, InheritEnv, Launch, Settings};

/// Two services with the same identity have the same process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    launch: Arc<Launch>,
    pub(crate) addresses: Vec<Address>,
}

impl Identity {
    pub(crate) fn new(launch: Arc<Launch>, addresses: Vec<Address>) -> Self {
        Self { launch, addresses }
    }

    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            launch: settings.launch.clone(),
            addresses: settings.addresses.clone(),
        }
    }

    /// A number that is the same for the same identity, in every program and version, and another one
    /// with another key.
    ///
    /// Nothing can be read from it, but one who knows all the rest could guess a short secret.
    pub(crate) fn digest(&self, key: [u8; 16]) -> u128 {
        let Launch {
            command,
            args,
            cwd,
            env,
            inherit_env,
        } = &*self.launch;
        let mut digest = Digest(SipHasher24::new_with_key(&key));
        digest.bytes(command.as_os_str().as_encoded_bytes());
        digest.texts(args.iter().map(|it| it.as_encoded_bytes()));
        digest.texts(cwd.iter().map(|cwd| cwd.as_os_str().as_encoded_bytes()));
        let env = env.iter().flat_map(|(name, value)| [name, value]);
        digest.texts(env.map(|it| it.as_encoded_bytes()));
        match inherit_env {
            InheritEnv::All => digest.number(0),
            InheritEnv::Only(names) => {
                digest.number(1);
                digest.texts(names);
            }
        }
        digest.number(self.addresses.len() as u64);
        for Address { host, port } in &self.addresses {
            digest.bytes(host.as_bytes());
            digest.number(u64::from(*port));
        }
        digest.0.finish128().as_u128()
    }
}

/// Hashes the length of each list and text, too, so that no two different ones look the same.
struct Digest(SipHasher24);

impl Digest {
    fn texts<T: AsRef<[u8]>>(&mut self, texts: impl IntoIterator<Item = T, IntoIter: Clone>) {
        let texts = texts.into_iter();
        self.number(texts.clone().count() as u64);
        for text in texts {
            self.bytes(text.as_ref());
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        std::hash::Hasher::write(&mut self.0, bytes);
    }

    fn number(&mut self, number: u64) {
        std::hash::Hasher::write(&mut self.0, &number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

    use super::*;
    use crate::config::LocalServiceConfig;

    const URL: &str = "http://127.0.0.1:8080/v1";
    const KEY: [u8; 16] = [7; 16];

    fn config() -> LocalServiceConfig {
        LocalServiceConfig::new("/bin/server").args(["--port", "8080"])
    }

    fn digest(config: &LocalServiceConfig, url: &str) -> u128 {
        let settings = config.validate("server", url).unwrap();
        Identity::of(&settings).digest(KEY)
    }

    #[test]
    fn a_digest_is_the_same_in_every_program() {
        // With another number, programs with this version would fight with those of the last.
        assert_eq!(
            digest(&config(), URL),
            184_122_748_628_634_453_908_876_213_407_930_784_276
        );
    }

    #[test]
    fn what_is_no_part_of_the_identity_does_not_change_it() {
        let other = config()
            .idle_stop(std::time::Duration::from_secs(1))
            .health_status([204]);
        assert_eq!(digest(&config(), URL), digest(&other, "http://[::1]:8080/"));
    }

    #[test]
    fn each_part_of_the_identity_changes_it() {
        let all = [
            digest(&config(), URL),
            digest(&config(), "http://127.0.0.1:8081/v1"),
            digest(&config().args(["x"]), URL),
            digest(&LocalServiceConfig::new("/bin/server"), URL),
            digest(
                &LocalServiceConfig::new("/bin/server").args(["--port8080"]),
                URL,
            ),
            digest(&config().cwd("/"), URL),
            digest(&config().env("A", "b"), URL),
            digest(&config().env("A", "c"), URL),
            digest(&config().env("Ab", ""), URL),
            digest(&config().arg(OsString::from_vec(vec![0xff])), URL),
            digest(&config().arg("\u{fffd}"), URL),
            digest(&config().inherit_env(InheritEnv::Only(Vec::new())), URL),
            digest(
                &config().inherit_env(InheritEnv::Only(vec!["PATH".to_owned()])),
                URL,
            ),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
