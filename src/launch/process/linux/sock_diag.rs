//! The TCP sockets of this machine, from `sock_diag(7)`.
//!
//! Some systems do not have it: a kernel without `CONFIG_INET_DIAG` or without a way to load that module,
//! gVisor, Android, or a sandbox that allows no netlink sockets (systemd's `RestrictAddressFamilies=`).
//! `/proc/net/tcp` would tell of listeners, too, but it lists every connection of the machine, which takes the kernel
//! many milliseconds.

use rustix::{
    io,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG, recv,
        send, socket_with,
    },
};

/// What each message begins with: `nlmsghdr`.
pub(super) const HEADER: usize = 16;

/// Which sockets are listed, and how much of each.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    /// A bit for each state.
    pub(super) states: u32,
    /// With `tcp_info`.
    pub(super) info: bool,
    /// Only those with this port on this side.
    pub(super) port: Option<u16>,
}

/// The messages of the sockets of a family, each with its header.
///
/// # Errors
///
/// The system does not tell.
pub(super) fn list(family: AddressFamily, wanted: Wanted) -> io::Result<Vec<Vec<u8>>> {
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    send(&kernel, &question(family, wanted), SendFlags::empty())?;
    let mut all = Vec::new();
    let mut answer = vec![0; 32 * 1024];
    loop {
        let (length, _) = recv(&kernel, &mut answer[..], RecvFlags::DONTWAIT)?;
        if !read_answer(&answer[..length], &mut all)? {
            return Ok(all);
        }
    }
}

/// `nlmsghdr` and `inet_diag_req_v2`, and the filter.
fn question(family: AddressFamily, wanted: Wanted) -> Vec<u8> {
    const LENGTH: usize = HEADER + 56;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const REQUEST_AND_DUMP: u16 = 0x301;
    const TCP: u8 = 6;
    // Bit `INET_DIAG_INFO - 1`.
    const INFO: u8 = 1 << 1;

    let filter = wanted.port.map(only).unwrap_or_default();
    let length = LENGTH + filter.len();
    let mut question = Vec::with_capacity(length);
    question.extend(u32::try_from(length).unwrap_or_default().to_ne_bytes());
    question.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    question.extend(REQUEST_AND_DUMP.to_ne_bytes());
    question.extend([0; 8]);
    let extra = if wanted.info { INFO } else { 0 };
    question.extend([family.as_raw().to_le_bytes()[0], TCP, extra, 0]);
    question.extend(wanted.states.to_ne_bytes());
    question.resize(LENGTH, 0);
    question.extend(filter);
    question
}

/// `INET_DIAG_REQ_BYTECODE`: at least and at most this port. A comparison takes two words; where one fails, the
/// program ends beyond its end, which is a no.
fn only(port: u16) -> Vec<u8> {
    const BYTECODE: u16 = 1;
    const AT_LEAST: u8 = 2;
    const AT_MOST: u8 = 3;
    const BEYOND: u16 = 4;

    let mut filter = Vec::new();
    filter.extend(20u16.to_ne_bytes());
    filter.extend(BYTECODE.to_ne_bytes());
    for (code, left) in [(AT_LEAST, 16), (AT_MOST, 8)] {
        filter.extend([code, 8]);
        filter.extend((left + BEYOND).to_ne_bytes());
        filter.extend([0, 0]);
        filter.extend(port.to_ne_bytes());
    }
    filter
}

/// Reads some messages. Returns whether more follow.
fn read_answer(mut answer: &[u8], all: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    const ERROR: u16 = 2;
    const DONE: u16 = 3;

    while let Some(length) = array(answer, 0).map(u32::from_ne_bytes) {
        let length = usize::try_from(length).unwrap_or_default();
        match array(answer, 4).map(u16::from_ne_bytes) {
            Some(DONE) => return Ok(false),
            Some(ERROR) | None => return Err(io::Errno::NOTSUP),
            Some(_) => all.extend(answer.get(..length).map(<[u8]>::to_vec)),
        }
        match answer.get(length.next_multiple_of(4)..) {
            Some(rest) if length > 0 => answer = rest,
            _ => break,
        }
    }
    Ok(true)
}

/// These bytes of a message; `None` if it is shorter.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_answer_is_an_error_or_empty() {
        let mut all = Vec::new();
        assert_eq!(read_answer(&[], &mut all), Ok(true));
        assert!(read_answer(&[0; 6], &mut all).is_ok());
        assert!(read_answer(&[20, 0, 0, 0, 2, 0], &mut all).is_err());
        assert!(all.concat().iter().all(|byte| *byte == 0));
    }
}
