//! Hosts of URLs: as they are connected to, and as they are compared.

use std::{
    cmp::Ordering,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Where a probe connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UrlHost {
    /// `localhost`: 127.0.0.1, then `[::1]`; never the resolver's answer.
    Localhost,
    /// An address. The unspecified addresses have become loopback ones.
    Address(IpAddr),
    /// A name to resolve, in lower case; only with `allowRemoteHealth`.
    Name(String),
}

impl UrlHost {
    /// Reads the host of a URL; `None` if it is neither a name nor an address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match HostRef::parse(text)? {
            HostRef::Localhost => Self::Localhost,
            HostRef::Address(address) => Self::Address(address),
            HostRef::Name(Uncased(name)) => Self::Name(name.to_ascii_lowercase()),
        })
    }

    /// Without an allocation.
    /// Whether it is this machine, in whatever spelling.
    pub(crate) fn is_loopback(&self) -> bool {
        self.by_ref().is_loopback()
    }

    pub(super) fn by_ref(&self) -> HostRef<'_> {
        match self {
            Self::Localhost => HostRef::Localhost,
            Self::Address(address) => HostRef::Address(*address),
            Self::Name(name) => HostRef::Name(Uncased(name)),
        }
    }
}

/// The same, borrowed from a URL: hosts are compared on every request, which must not allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostRef<'a> {
    Localhost,
    Address(IpAddr),
    Name(Uncased<'a>),
}

impl<'a> HostRef<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if let Some(text) = text.strip_prefix('[') {
            let address: Ipv6Addr = text.strip_suffix(']')?.parse().ok()?;
            // `[::ffff:10.0.0.1]` is 10.0.0.1, also where loopback addresses alone are allowed.
            return Some(Self::Address(reachable(address.to_canonical())));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(reachable(address.into())));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.eq_ignore_ascii_case("localhost") {
            return Some(Self::Localhost);
        }
        (!name.is_empty() && !ends_in_number(name)).then_some(Self::Name(Uncased(name)))
    }

    /// One form for all spellings of one host: each loopback address is `localhost`.
    pub(super) fn canonical(self) -> Self {
        match self {
            Self::Address(address) if address.is_loopback() => Self::Localhost,
            other => other,
        }
    }

    /// Whether it is this machine, whatever a resolver says.
    pub(super) fn is_loopback(self) -> bool {
        self.canonical() == Self::Localhost
    }
}

impl fmt::Display for HostRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost => f.write_str("localhost"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Name(Uncased(name)) => f.write_str(&name.to_ascii_lowercase()),
        }
    }
}

/// Text in which upper and lower case are the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uncased<'a>(pub(super) &'a str);

impl PartialEq for Uncased<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for Uncased<'_> {}

impl Ord for Uncased<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let [one, other] = [self, other].map(|it| it.0.bytes().map(|it| it.to_ascii_lowercase()));
        one.cmp(other)
    }
}

impl PartialOrd for Uncased<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
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

/// Whether some resolvers would take the name for an address, such as `127.1` or `0x7f.1`.
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

    fn address(text: &str) -> UrlHost {
        UrlHost::Address(text.parse().unwrap())
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
            let host = HostRef::parse(text).unwrap();
            assert!(host.is_loopback(), "{text}");
            assert_eq!(host.canonical().to_string(), "localhost", "{text}");
        }
    }

    #[test]
    fn unspecified_addresses_are_reached_through_loopback() {
        assert_eq!(UrlHost::parse("0.0.0.0"), Some(address("127.0.0.1")));
        assert_eq!(UrlHost::parse("[::]"), Some(address("::1")));
    }

    #[test]
    fn a_mapped_address_is_what_it_maps() {
        assert_eq!(
            UrlHost::parse("[::ffff:10.0.0.1]"),
            Some(address("10.0.0.1"))
        );
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
            assert_eq!(UrlHost::parse(text), None, "{text}");
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
            assert!(!HostRef::parse(text).unwrap().is_loopback(), "{text}");
        }
        assert_eq!(
            UrlHost::parse("GPU.lan."),
            Some(UrlHost::Name("gpu.lan".to_owned()))
        );
    }
}
