//! Whether a client on this machine still has its end of a connection.

use std::net::{IpAddr, SocketAddr};

use rustix::{
    io,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG, recv,
        send, socket_with,
    },
};

/// `nlmsghdr`
const HEADER: usize = 16;
/// `inet_diag_req_v2`
const REQUEST: usize = 56;
/// Where `inet_diag_msg` has the inode, of which it is the last field.
const INODE: usize = HEADER + 68;

/// Whether a process of this machine has the socket from there to there. One that nobody has any more has no
/// inode.
///
/// `sock_diag(7)` looks for that socket alone. Where a sandbox or a kernel does not have it, all sockets of the
/// machine are read.
pub(crate) fn is_open(from: SocketAddr, to: SocketAddr) -> bool {
    let (from, to) = (plain(from), plain(to));
    inode(from, to).map_or_else(|_| is_listed(from, to), |inode| inode != 0)
}

/// An address of IPv4 may be written as one of IPv6 by either side.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn is_listed(from: SocketAddr, to: SocketAddr) -> bool {
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    tables.into_iter().flatten().flatten().any(|socket| {
        let ends = (plain(socket.local_address), plain(socket.remote_address));
        ends == (from, to) && socket.inode != 0
    })
}

/// The inode of that socket, 0 if there is none.
///
/// # Errors
///
/// The system does not tell.
fn inode(from: SocketAddr, to: SocketAddr) -> io::Result<u32> {
    const ERROR: u16 = 2;
    const LISTEN: u8 = 10;

    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    send(&kernel, &question(from, to), SendFlags::empty())?;
    let mut answer = [0; 1024];
    let (length, _) = recv(&kernel, &mut answer[..], RecvFlags::DONTWAIT)?;
    let answer = &answer[..length];
    if array(answer, 4).map(u16::from_ne_bytes) == Some(ERROR) {
        // `nlmsgerr` begins with it.
        let error = array(answer, HEADER).map(i32::from_ne_bytes);
        let is_missing = error == Some(-io::Errno::NOENT.raw_os_error());
        return if is_missing {
            Ok(0)
        } else {
            Err(io::Errno::NOTSUP)
        };
    }
    // Where there is no such connection, one that listens on its port is meant.
    if answer.get(HEADER + 1) == Some(&LISTEN) {
        return Ok(0);
    }
    let inode = array(answer, INODE).map(u32::from_ne_bytes);
    inode.ok_or(io::Errno::NOTSUP)
}

/// `nlmsghdr` and `inet_diag_req_v2`
fn question(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const REQUEST_FLAG: u16 = 1;
    const TCP: u8 = 6;

    let family = if from.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let length = HEADER + REQUEST;
    let mut question = Vec::with_capacity(length);
    question.extend(u32::try_from(length).unwrap_or_default().to_ne_bytes());
    question.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    question.extend(REQUEST_FLAG.to_ne_bytes());
    question.extend([0; 8]);
    question.extend([family.as_raw().to_le_bytes()[0], TCP, 0, 0]);
    // In any state.
    question.extend([0xff; 4]);
    // `inet_diag_sockid`
    question.extend(from.port().to_be_bytes());
    question.extend(to.port().to_be_bytes());
    for address in [from.ip(), to.ip()] {
        question.extend(sixteen(address));
    }
    // On any interface, and with any cookie.
    question.extend([0; 4]);
    question.extend([0xff; 8]);
    question
}

/// The address, with zeros behind one of IPv4.
fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// These bytes of a message; `None` if it is shorter.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
