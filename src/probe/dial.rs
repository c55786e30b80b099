//! Opens the connection of a probe, never from the port that it connects to.
//!
//! Where no process listens on a port of the ephemeral range, the kernel may give a connecting socket
//! that same port as its own. The socket then connects to itself, and the server cannot bind its port
//! any more. So each socket is bound first, its port is checked, and only then does it connect.
//!
//! The sockets have no `SO_LINGER`: the probe closes first and in the regular way, so the port that
//! stays in `TIME_WAIT` is the probe's and not the server's.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpStream, lookup_host};

use super::Answer;
#[cfg(feature = "retry")]
use crate::config::Target;
use crate::config::UrlHost;

/// Connects to the server.
///
/// # Errors
///
/// What the failed connection says of the server.
///
/// # Cancel safety
///
/// Dropping the future closes the socket. The lookup of a name continues on a thread of its own until
/// the resolver gives up.
pub(super) async fn dial(host: &UrlHost, port: u16) -> Result<TcpStream, Answer> {
    match host {
        UrlHost::Localhost => {
            let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            first_of(both.map(|ip: IpAddr| (ip, port).into())).await
        }
        UrlHost::Address(ip) => first_of([(*ip, port).into()]).await,
        UrlHost::Name(name) => match lookup_host((name.as_str(), port)).await {
            Ok(addresses) => first_of(addresses).await,
            // The name server may be down, which says nothing of the server.
            Err(_) => Err(Answer::Silent),
        },
    }
}

/// Whether the kernel refuses a connection to the address of the health URL at once. `false` for an
/// address that is not on the loopback. Does not block.
#[cfg(feature = "retry")]
pub(crate) fn refuses(target: &Target) -> bool {
    let addresses: &[IpAddr] = match &target.host {
        UrlHost::Localhost => &[
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ],
        UrlHost::Address(ip) if ip.is_loopback() => &[*ip],
        UrlHost::Address(_) | UrlHost::Name(_) => return false,
    };
    addresses.iter().all(|&ip| {
        let peer = SocketAddr::new(ip, target.port);
        begin_to_connect(peer).is_err_and(|error| Miss::of(&error, peer) == Miss::Refused)
    })
}

/// Tries the next address only if no process can be listening at the one before.
async fn first_of(addresses: impl IntoIterator<Item = SocketAddr>) -> Result<TcpStream, Answer> {
    let mut answer = Answer::Silent;
    for address in addresses {
        match connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => match Miss::of(&error, address) {
                Miss::Refused => answer = Answer::Refused,
                Miss::Unreachable => {}
                Miss::Reset => return Err(Answer::Closed),
                Miss::Unknown => return Err(Answer::Silent),
            },
        }
    }
    Err(answer)
}

/// What a failed connection says about the server.
#[derive(Debug, PartialEq, Eq)]
enum Miss {
    /// No process listens at this address.
    Refused,
    /// This machine has no route to the address; another address may work.
    Unreachable,
    /// The server accepted the connection, and reset it before it could be used.
    Reset,
    /// Nothing: the error is local (no descriptor, no port), or on the way.
    Unknown,
}

impl Miss {
    fn of(error: &io::Error, address: SocketAddr) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Reset,
            // 127.0.0.1 always exists; BSDs report this error when all ports are taken.
            _ if address.is_ipv4() && address.ip().is_loopback() => Self::Unknown,
            _ if !has_no_route(error) => Self::Unknown,
            // A machine without IPv6: no server can listen at `::1` either.
            _ if address.ip().is_loopback() => Self::Refused,
            _ => Self::Unreachable,
        }
    }
}

/// Whether this machine lacks the family, the address or a route.
fn has_no_route(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    ) || Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

async fn connect(peer: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(begin_to_connect(peer)?.into())?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

/// Starts to connect. Over the loopback the kernel knows of a refusal as soon as `connect` returns, but
/// may report it only as the socket's error: so both are checked, and no event loop is needed.
fn begin_to_connect(peer: SocketAddr) -> io::Result<Socket> {
    let local = SocketAddr::new(local_ip(peer.ip()), 0);
    let socket = bound_elsewhere(peer.port(), || bound_to(local))?;
    match socket.connect(&peer.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => socket.take_error()?.map_or(Ok(socket), Err),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    [Errno::INPROGRESS, Errno::WOULDBLOCK]
        .map(Some)
        .contains(&errno)
}

fn local_ip(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(peer) if peer.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(peer) if peer.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// A socket from `bind` whose port is not `avoid`.
fn bound_elsewhere(avoid: u16, mut bind: impl FnMut() -> io::Result<Socket>) -> io::Result<Socket> {
    let first = bind()?;
    if port(&first)? != avoid {
        return Ok(first);
    }
    // `first` holds the port until this function returns, so the second socket gets another.
    bind()
}

fn port(socket: &Socket) -> io::Result<u16> {
    let local = socket.local_addr()?.as_socket();
    Ok(local.map_or(0, |local| local.port()))
}

// No `SO_REUSEADDR` or `SO_REUSEPORT`: the port must not be shared with another socket, not even with
// one that is closing.
fn bound_to(local: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[cfg(feature = "retry")]
    #[test]
    fn a_port_refuses_once_no_process_listens_on_it() {
        let listener = std::net::TcpListener::bind(ANY_PORT).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let target = Target::new(&url.parse().unwrap(), std::time::Duration::ZERO).unwrap();
        assert!(!refuses(&target));
        drop(listener);
        assert!(refuses(&target));
    }

    #[test]
    fn a_socket_on_the_avoided_port_is_replaced() {
        let first = bound_to(ANY_PORT).unwrap();
        let avoid = port(&first).unwrap();
        let mut first = Some(first);
        let mut binds = 0;

        let socket = bound_elsewhere(avoid, || {
            binds += 1;
            first.take().map_or_else(|| bound_to(ANY_PORT), Ok)
        })
        .unwrap();

        assert_ne!(port(&socket).unwrap(), avoid);
        assert_eq!(binds, 2);
    }

    #[test]
    fn if_no_other_port_is_free_it_fails() {
        let first = bound_to(ANY_PORT).unwrap();
        let avoid = port(&first).unwrap();
        let mut first = Some(first);

        let error =
            bound_elsewhere(avoid, || first.take().ok_or(Errno::ADDRINUSE.into())).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn no_socket_is_on_the_avoided_port() {
        let mut avoid = port(&bound_to(ANY_PORT).unwrap()).unwrap();
        for _ in 0..500 {
            let socket = bound_elsewhere(avoid, || bound_to(ANY_PORT)).unwrap();
            assert_ne!(port(&socket).unwrap(), avoid);
            // This port is free again, and so the kernel is likely to choose it next.
            avoid = port(&socket).unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_to_the_loopback_leaves_from_the_loopback() {
        let listener = tokio::net::TcpListener::bind(ANY_PORT).await.unwrap();
        let stream = connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), ANY_PORT.ip());
        assert_ne!(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_refusal_over_loopback_needs_no_event_loop() {
        let listener = std::net::TcpListener::bind(ANY_PORT).unwrap();
        let peer = listener.local_addr().unwrap();
        drop(listener);
        // A kernel under load may refuse later.
        let refused = (0..100).any(|_| {
            begin_to_connect(peer)
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        });
        assert!(refused);
    }

    #[test]
    fn only_a_refusal_or_a_missing_loopback_address_counts_as_refused() {
        let (v4, v6, far) = ("127.0.0.1:1", "[::1]:1", "192.0.2.1:1");
        for (errno, address, expected) in [
            (Errno::CONNREFUSED, v4, Miss::Refused),
            (Errno::CONNREFUSED, v6, Miss::Refused),
            (Errno::CONNREFUSED, far, Miss::Refused),
            (Errno::ADDRNOTAVAIL, v6, Miss::Refused),
            (Errno::AFNOSUPPORT, v6, Miss::Refused),
            (Errno::NETUNREACH, v6, Miss::Refused),
            (Errno::ADDRNOTAVAIL, v4, Miss::Unknown),
            (Errno::NETUNREACH, far, Miss::Unreachable),
            (Errno::HOSTUNREACH, far, Miss::Unreachable),
            (Errno::TIMEDOUT, far, Miss::Unknown),
            (Errno::ADDRINUSE, v4, Miss::Unknown),
            (Errno::ADDRINUSE, v6, Miss::Unknown),
            (Errno::MFILE, v4, Miss::Unknown),
            #[cfg(unix)]
            (Errno::NFILE, v6, Miss::Unknown),
            (Errno::NOBUFS, v4, Miss::Unknown),
            #[cfg(unix)]
            (Errno::PERM, v4, Miss::Unknown),
            (Errno::CONNRESET, v4, Miss::Reset),
        ] {
            let miss = Miss::of(&errno.into(), address.parse().unwrap());
            assert_eq!(miss, expected, "{errno:?} at {address}");
        }
    }
}
