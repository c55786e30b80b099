//! The listening sockets of a port: asked of the kernel, or else read from its tables.
//!
//! The tables list every connection of the machine too; the kernel takes milliseconds to walk them.

use std::{fs, net::Ipv6Addr};

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
    /// The IPv4 ones mapped.
    pub(super) address: Ipv6Addr,
    pub(super) inode: u64,
}

impl Socket {
    /// Whether a request to the loopback could reach it.
    pub(super) fn is_near(&self) -> bool {
        let address = self.address.to_canonical();
        address.is_loopback() || address.is_unspecified()
    }

    /// Whether a request of another machine could reach it.
    pub(super) fn is_far(&self) -> bool {
        !self.address.to_canonical().is_loopback()
    }
}

/// Who listens on this port, of whatever address.
pub(super) fn listening_on(port: u16) -> Vec<Socket> {
    let all = asked().unwrap_or_else(|_| tables());
    let on_port = all.into_iter().filter(|(local, _)| *local == port);
    on_port.map(|(_, socket)| socket).collect()
}

/// All listening sockets, from `sock_diag(7)`.
fn asked() -> io::Result<Vec<(u16, Socket)>> {
    let mut all = ask(AddressFamily::INET)?;
    // A machine without IPv6 refuses this.
    all.extend(ask(AddressFamily::INET6).unwrap_or_default());
    Ok(all)
}

fn ask(family: AddressFamily) -> io::Result<Vec<(u16, Socket)>> {
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

/// `nlmsghdr` and `inet_diag_req_v2`: list what listens for TCP.
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

/// Reads some messages, and says whether more follow.
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
        std::net::Ipv4Addr::from(array::<4>(message, 16 + 8)?).to_ipv6_mapped()
    } else {
        Ipv6Addr::from(array::<16>(message, 16 + 8)?)
    };
    let inode = u32::from_ne_bytes(array(message, 16 + 68)?).into();
    Some((port, Socket { address, inode }))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// All listening sockets, from `/proc/net`.
fn tables() -> Vec<(u16, Socket)> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().filter_map(read_line).collect::<Vec<_>>())
        .collect()
}

fn read_line(line: &str) -> Option<(u16, Socket)> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let state = u8::from_str_radix(fields.get(3)?, 16).ok()?;
    let socket = Socket {
        address: read_address(address)?,
        inode: fields.get(9)?.parse().ok()?,
    };
    (state == LISTENING).then_some((port, socket))
}

/// An address as words of memory.
fn read_address(text: &str) -> Option<Ipv6Addr> {
    let words = (0..text.len() / 8)
        .map(|word| u32::from_str_radix(text.get(word * 8..word * 8 + 8)?, 16).ok());
    let bytes: Vec<u8> = words
        .map(|word| word.map(u32::to_ne_bytes))
        .collect::<Option<Vec<_>>>()?
        .concat();
    match bytes.len() {
        4 => Some(std::net::Ipv4Addr::from(array::<4>(&bytes, 0)?).to_ipv6_mapped()),
        16 => Some(Ipv6Addr::from(array::<16>(&bytes, 0)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn both_ways_know_the_listener_and_not_its_connections() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let _connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let on_port = |all: Vec<(u16, Socket)>| -> Vec<Socket> {
            let ours = all.into_iter().filter(|(local, _)| *local == port);
            ours.map(|(_, socket)| socket).collect()
        };
        let listed = on_port(tables());
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].address, Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        assert_eq!(listening_on(port), listed);
        // A kernel without `sock_diag` has only the tables.
        if let Ok(all) = asked() {
            assert_eq!(on_port(all), listed);
        }
    }

    #[test]
    fn an_ipv6_listener_is_known_both_ways() {
        // A machine without IPv6 has none.
        if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            let port = listener.local_addr().unwrap().port();
            let socket = listening_on(port).remove(0);
            assert_eq!(socket.address, Ipv6Addr::LOCALHOST);
            assert!(tables().contains(&(port, socket)));
        }
    }

    #[test]
    fn who_can_reach_a_socket_depends_on_its_address() {
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
    fn a_broken_answer_is_an_error_or_nothing() {
        let mut all = Vec::new();
        assert_eq!(read_answer(&[], AddressFamily::INET, &mut all), Ok(true));
        assert!(read_answer(&[0; 6], AddressFamily::INET, &mut all).is_ok());
        assert!(read_answer(&[20, 0, 0, 0, 2, 0], AddressFamily::INET, &mut all).is_err());
        assert!(all.is_empty());
    }
}
