//! The listening sockets of a port. Where the system does not tell, no listener is seen.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustix::{io, net::AddressFamily};

use super::sock_diag::{HEADER, Wanted, array, list};

/// The state of a listening socket.
const LISTENING: u8 = 10;

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// An IPv4 address is mapped to IPv6.
    pub(super) address: Ipv6Addr,
    pub(super) inode: u64,
}

impl Socket {
    /// Whether a connection to the loopback can reach it.
    pub(super) fn is_near(&self) -> bool {
        let address = self.address.to_canonical();
        address.is_loopback() || address.is_unspecified()
    }

    /// Whether a connection from another machine can reach it.
    pub(super) fn is_far(&self) -> bool {
        !self.address.to_canonical().is_loopback()
    }
}

/// The sockets that listen on this port, on any address; none where the system does not tell.
pub(super) fn listening_on(port: u16) -> Vec<Socket> {
    all_listening()
        .filter(|(local, _)| *local == port)
        .map(|(_, socket)| socket)
        .collect()
}

/// The sockets that listen on any port, with their ports; none where the system does not tell.
pub(super) fn all_listening() -> impl Iterator<Item = (u16, Socket)> {
    // Each family by itself: a machine may lack IPv6.
    [AddressFamily::INET, AddressFamily::INET6]
        .into_iter()
        .flat_map(|family| listening(family).unwrap_or_default())
}

/// The listening sockets of a family, with their ports.
fn listening(family: AddressFamily) -> io::Result<Vec<(u16, Socket)>> {
    let wanted = Wanted {
        states: 1 << LISTENING,
        ..Wanted::default()
    };
    let messages = list(family, wanted)?;
    let sockets = messages.iter().filter_map(|it| read_socket(it, family));
    Ok(sockets.collect())
}

/// `inet_diag_msg` after its header.
fn read_socket(message: &[u8], family: AddressFamily) -> Option<(u16, Socket)> {
    let port = u16::from_be_bytes(array(message, HEADER + 4)?);
    let address = if family == AddressFamily::INET {
        Ipv4Addr::from(array::<4>(message, HEADER + 8)?).to_ipv6_mapped()
    } else {
        Ipv6Addr::from(array::<16>(message, HEADER + 8)?)
    };
    let inode = u32::from_ne_bytes(array(message, HEADER + 68)?).into();
    Some((port, Socket { address, inode }))
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
    };

    use rustix::fs::fstat;

    use super::*;

    fn inode_of(socket: &impl AsFd) -> u64 {
        fstat(socket).unwrap().st_ino
    }

    #[test]
    fn a_listener_is_seen_and_its_connections_are_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let _connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let seen = listening_on(port);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].address, Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        assert_eq!(seen[0].inode, inode_of(&listener));
    }

    #[test]
    fn an_ipv6_listener_is_seen() {
        // A machine without IPv6 has none.
        if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            let port = listener.local_addr().unwrap().port();
            let seen = listening_on(port);
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].address, Ipv6Addr::LOCALHOST);
            assert_eq!(seen[0].inode, inode_of(&listener));
        }
    }

    #[test]
    fn a_socket_can_be_reached_according_to_its_address() {
        for (address, is_near, is_far) in [
            ("::1", true, false),
            ("::ffff:127.0.0.5", true, false),
            ("::", true, true),
            ("::ffff:0.0.0.0", true, true),
            ("::ffff:10.0.0.1", false, true),
            ("fe80::1", false, true),
            ("2001:db8::1", false, true),
        ] {
            let socket = Socket {
                address: address.parse().unwrap(),
                inode: 1,
            };
            let reach = (socket.is_near(), socket.is_far());
            assert_eq!(reach, (is_near, is_far), "{address}");
        }
    }
}
