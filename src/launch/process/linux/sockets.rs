//! The listening sockets of a port, from `sock_diag(7)`.
//!
//! Some systems do not have it: a kernel without `CONFIG_INET_DIAG` or without a way to load that module,
//! gVisor, Android, or a sandbox that allows no netlink sockets (systemd's `RestrictAddressFamilies=`).
//! There no listener is seen. `/proc/net/tcp` would tell it too, but it lists every connection of the
//! machine, which takes the kernel many milliseconds.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustix::{
    io,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG, recv,
        send, socket_with,
    },
};

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
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    send(&kernel, &question(family), SendFlags::empty())?;
    let mut all = Vec::new();
    let mut answer = vec![0; 32 * 1024];
    loop {
        let (length, _) = recv(&kernel, &mut answer[..], RecvFlags::DONTWAIT)?;
        if !read_answer(&answer[..length], family, &mut all)? {
            return Ok(all);
        }
    }
}

/// `nlmsghdr` and `inet_diag_req_v2`: a request to list the listening TCP sockets.
fn question(family: AddressFamily) -> Vec<u8> {
    const LENGTH: usize = 16 + 56;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const REQUEST_AND_DUMP: u16 = 0x301;
    const TCP: u8 = 6;

    let mut question = Vec::with_capacity(LENGTH);
    question.extend(u32::try_from(LENGTH).unwrap_or_default().to_ne_bytes());
    question.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    question.extend(REQUEST_AND_DUMP.to_ne_bytes());
    question.extend([0; 8]);
    question.extend([family.as_raw().to_le_bytes()[0], TCP, 0, 0]);
    question.extend((1u32 << LISTENING).to_ne_bytes());
    question.resize(LENGTH, 0);
    question
}

/// Reads some messages. Returns whether more follow.
fn read_answer(
    mut answer: &[u8],
    family: AddressFamily,
    all: &mut Vec<(u16, Socket)>,
) -> io::Result<bool> {
    const ERROR: u16 = 2;
    const DONE: u16 = 3;

    while let Some(length) = array(answer, 0).map(u32::from_ne_bytes) {
        match array(answer, 4).map(u16::from_ne_bytes) {
            Some(DONE) => return Ok(false),
            Some(ERROR) | None => return Err(io::Errno::NOTSUP),
            Some(_) => all.extend(read_socket(answer, family)),
        }
        let length = usize::try_from(length).map_or(0, |length| length.next_multiple_of(4));
        match answer.get(length..) {
            Some(rest) if length > 0 => answer = rest,
            _ => break,
        }
    }
    Ok(true)
}

/// `inet_diag_msg` after its header.
fn read_socket(message: &[u8], family: AddressFamily) -> Option<(u16, Socket)> {
    let port = u16::from_be_bytes(array(message, 16 + 4)?);
    let address = if family == AddressFamily::INET {
        Ipv4Addr::from(array::<4>(message, 16 + 8)?).to_ipv6_mapped()
    } else {
        Ipv6Addr::from(array::<16>(message, 16 + 8)?)
    };
    let inode = u32::from_ne_bytes(array(message, 16 + 68)?).into();
    Some((port, Socket { address, inode }))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
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

    #[test]
    fn a_broken_answer_is_an_error_or_empty() {
        let mut all = Vec::new();
        assert_eq!(read_answer(&[], AddressFamily::INET, &mut all), Ok(true));
        assert!(read_answer(&[0; 6], AddressFamily::INET, &mut all).is_ok());
        assert!(read_answer(&[20, 0, 0, 0, 2, 0], AddressFamily::INET, &mut all).is_err());
        assert!(all.is_empty());
    }
}
