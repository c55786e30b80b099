//! What makes two configurations one instance.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::{Address, Settings};
use crate::launch::LaunchIdentity;

/// Two services with the same identity have the same instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    launch: LaunchIdentity,
    pub(crate) addresses: Vec<Address>,
}

impl Identity {
    pub(crate) fn new(launch: LaunchIdentity, addresses: Vec<Address>) -> Self {
        Self { launch, addresses }
    }

    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            launch: settings.launcher.identity(),
            addresses: settings.addresses.clone(),
        }
    }

    /// A number that is the same for the same identity, in every program and version, and another one
    /// with another key.
    ///
    /// Nothing can be read from it, but one who knows all the rest could guess a short secret.
    pub(crate) fn digest(&self, key: [u8; 16]) -> u128 {
        let mut digest = SipHasher24::new_with_key(&key);
        // The lengths of its texts are in it.
        digest.write(self.launch.bytes());
        digest.write(&(self.addresses.len() as u64).to_le_bytes());
        for Address { host, port } in &self.addresses {
            // The length of each text comes before it, so that no two different lists look the same.
            digest.write(&(host.len() as u64).to_le_bytes());
            digest.write(host.as_bytes());
            digest.write(&u64::from(*port).to_le_bytes());
        }
        digest.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::LocalServiceConfig, launch::InheritEnv};

    #[cfg(unix)]
    fn not_utf_8(bytes: Vec<u8>) -> std::ffi::OsString {
        std::os::unix::ffi::OsStringExt::from_vec(bytes)
    }

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
            #[cfg(unix)]
            digest(&config().arg(not_utf_8(vec![0xff])), URL),
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
