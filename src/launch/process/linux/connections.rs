//! The connections to a port, and when they were last used.

use std::time::Duration;

use rustix::net::AddressFamily;

use super::sock_diag::{HEADER, Wanted, array, list};

/// The state of an open connection.
const ESTABLISHED: u32 = 1;

/// The length of `inet_diag_msg`.
const MESSAGE: usize = 72;

/// How long ago bytes last went over an open connection to this port, from any program; `None` where the system does
/// not tell, and if no connection is open that a request came over. Blocks for milliseconds.
pub(crate) fn last_use(port: u16) -> Option<Duration> {
    let wanted = Wanted {
        states: 1 << ESTABLISHED,
        info: true,
        port: Some(port),
    };
    // Each family by itself: a machine may lack IPv6.
    [AddressFamily::INET, AddressFamily::INET6]
        .into_iter()
        .flat_map(|family| list(family, wanted).unwrap_or_default())
        .filter_map(|message| last_data(message.get(HEADER + MESSAGE..)?))
        .min()
}

/// Whether the system tells.
pub(crate) fn shows_use() -> bool {
    list(AddressFamily::INET, Wanted::default()).is_ok()
}

/// When data last went over the connection, by its attributes.
fn last_data(mut attributes: &[u8]) -> Option<Duration> {
    const INFO: u16 = 2;
    loop {
        let length = usize::from(array(attributes, 0).map(u16::from_ne_bytes)?);
        if array(attributes, 2).map(u16::from_ne_bytes)? == INFO {
            return of_info(attributes.get(4..length)?);
        }
        attributes = attributes.get(length.next_multiple_of(4).max(4)..)?;
    }
}

/// The fields of `tcp_info` for it, in milliseconds.
fn of_info(info: &[u8]) -> Option<Duration> {
    const LAST_DATA_SENT: usize = 44;
    const LAST_DATA_RECEIVED: usize = 52;
    const BYTES_RECEIVED: usize = 128;

    // A client may open a connection ahead of its requests, or leave one open that it does not use.
    if array(info, BYTES_RECEIVED).map(u64::from_ne_bytes) == Some(0) {
        return None;
    }
    let field = |at| array(info, at).map(u32::from_ne_bytes);
    let last = field(LAST_DATA_SENT)?.min(field(LAST_DATA_RECEIVED)?);
    Some(Duration::from_millis(last.into()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream},
        thread,
    };

    use tokio::time::Instant;

    use super::*;

    fn a_used_connection_is_seen_and_one_without_bytes_is_not(listener: &TcpListener) {
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(last_use(address.port()), None, "no byte was sent");

        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();
        let sent = Instant::now();
        thread::sleep(Duration::from_millis(300));
        let before = last_use(address.port()).expect("a connection");
        // The kernel counts in ticks.
        let tick = Duration::from_millis(20);
        assert!(before <= sent.elapsed() + tick, "{before:?}");
        assert!(before + tick >= Duration::from_millis(300), "{before:?}");

        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_eq!(last_use(other.local_addr().unwrap().port()), None);
        drop((client, server));
        assert_eq!(last_use(address.port()), None, "it is closed");
    }

    #[test]
    fn a_connection_over_ipv4_is_seen() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        a_used_connection_is_seen_and_one_without_bytes_is_not(&listener);
        assert!(shows_use());
    }

    #[test]
    fn a_connection_over_ipv6_is_seen() {
        // A machine without IPv6 has none.
        if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            a_used_connection_is_seen_and_one_without_bytes_is_not(&listener);
        }
    }
}
