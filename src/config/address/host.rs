//! Hosts, as URLs write them and as they are compared and connected to.

use std::{
    hash::Hasher,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Where a probe connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// `localhost`: 127.0.0.1, then `[::1]`; never the resolver's answer.
    Localhost,
    /// An address. The unspecified addresses have become loopback ones.
    Address(IpAddr),
    /// A name to resolve; only with `allowRemoteHealth`.
    Name(String),
}

impl Host {
    /// Reads the host of a URL; `None` if it is neither a name nor an address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match HostRef::parse(text)? {
            HostRef::Localhost => Self::Localhost,
            HostRef::Address(address) => Self::Address(address),
            HostRef::Name(name) => Self::Name(name.to_ascii_lowercase()),
        })
    }

    /// Whether it is this machine, whatever a resolver says.
    pub(crate) fn is_loopback(&self) -> bool {
        self.borrow().is_loopback()
    }

    /// The name that all spellings of one host share.
    pub(super) fn canonical(&self) -> String {
        match self {
            _ if self.is_loopback() => "localhost".to_owned(),
            Self::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Self::Address(IpAddr::V4(address)) => address.to_string(),
            Self::Name(name) => name.clone(),
            Self::Localhost => "localhost".to_owned(),
        }
    }

    fn borrow(&self) -> HostRef<'_> {
        match self {
            Self::Localhost => HostRef::Localhost,
            Self::Address(address) => HostRef::Address(*address),
            Self::Name(name) => HostRef::Name(name),
        }
    }
}

/// The same without an allocation: origins are compared on every request.
#[derive(Clone, Copy)]
pub(super) enum HostRef<'a> {
    Localhost,
    Address(IpAddr),
    Name(&'a str),
}

impl<'a> HostRef<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if let Some(text) = text.strip_prefix('[') {
            let address: Ipv6Addr = text.strip_suffix(']')?.parse().ok()?;
            // `[::ffff:10.0.0.1]` is 10.0.0.1, for whoever asks whether it is loopback.
            return Some(Self::Address(reachable(address.to_canonical())));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(reachable(address.into())));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.eq_ignore_ascii_case("localhost") {
            return Some(Self::Localhost);
        }
        (!name.is_empty() && !ends_in_number(name)).then_some(Self::Name(name))
    }

    pub(super) fn is_loopback(self) -> bool {
        match self {
            Self::Localhost => true,
            Self::Address(address) => address.is_loopback(),
            Self::Name(_) => false,
        }
    }

    /// Equal for all that is the same.
    pub(super) fn hash(self, hasher: &mut impl Hasher) {
        match self {
            _ if self.is_loopback() => hasher.write_u8(0),
            Self::Localhost => hasher.write_u8(0),
            Self::Address(IpAddr::V4(address)) => hasher.write(&address.octets()),
            Self::Address(IpAddr::V6(address)) => hasher.write(&address.octets()),
            Self::Name(name) => {
                for byte in name.bytes() {
                    hasher.write_u8(byte.to_ascii_lowercase());
                }
            }
        }
    }

    pub(super) fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            (Self::Address(a), Self::Address(b)) if a == b => true,
            _ => self.is_loopback() && other.is_loopback(),
        }
    }
}

/// The address at which a server that listens on this one is found.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(it) if it.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(it) if it.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => address,
    }
}

/// Whether some resolver would take the name for an address, such as `127.1` or `0x7f.1`.
fn ends_in_number(name: &str) -> bool {
    let label = name.rsplit('.').next().unwrap_or(name).as_bytes();
    match label {
        [b'0', b'x' | b'X', rest @ ..] => rest.iter().all(u8::is_ascii_hexdigit),
        _ => label.iter().all(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Host {
        Host::Address(text.parse().unwrap())
    }

    #[test]
    fn every_spelling_of_this_machine_is_loopback() {
        for text in [
            "localhost",
            "LocalHost",
            "localhost.",
            "127.0.0.1",
            "127.8.8.8",
            "[::1]",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:0.0.0.0]",
        ] {
            let host = Host::parse(text).unwrap();
            assert!(host.is_loopback(), "{text}");
            assert_eq!(host.canonical(), "localhost", "{text}");
        }
    }

    #[test]
    fn unspecified_addresses_are_reached_through_loopback() {
        assert_eq!(Host::parse("0.0.0.0"), Some(address("127.0.0.1")));
        assert_eq!(Host::parse("[::]"), Some(address("::1")));
    }

    #[test]
    fn a_mapped_address_is_what_it_maps() {
        assert_eq!(Host::parse("[::ffff:10.0.0.1]"), Some(address("10.0.0.1")));
    }

    #[test]
    fn what_a_resolver_might_take_for_an_address_is_no_host() {
        for text in [
            "127.1",
            "127.1.",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "a.1",
            "",
            ".",
            "[::1",
            "[fe80::1%25lo]",
            "[127.0.0.1]",
            "0127.0.0.1",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_and_far_addresses_are_remote() {
        for text in [
            "example.com",
            "localhost.example.com",
            "10.0.0.1",
            "169.254.169.254",
            "[fe80::1]",
        ] {
            assert!(!Host::parse(text).unwrap().is_loopback(), "{text}");
        }
        assert_eq!(
            Host::parse("GPU.lan."),
            Some(Host::Name("gpu.lan".to_owned()))
        );
    }
}
