//! A connection of its own for each probe, never from the port it goes to.
//!
//! Where nobody listens on a port of the ephemeral range, a socket that connects to it may be given
//! that very port to connect from. It then reaches itself, and the server whose port it is cannot
//! bind: the probe has taken what it asks for. So each socket is bound first, and looked at.
//!
//! For the same reason nothing here hurries a close along: as the probe closes first, the port that
//! stays in `TIME_WAIT` is the probe's and not the server's.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpStream, lookup_host};

#[cfg(feature = "retry")]
use crate::config::Target;
use crate::{config::Host, machine::Sight};

/// Connects, or says what was seen instead.
///
/// # Cancel safety
///
/// Dropping the future closes the socket. A name's lookup goes on until the resolver gives up, on a
/// thread of its own.
pub(super) async fn dial(host: &Host, port: u16) -> Result<TcpStream, Sight> {
    match host {
        Host::Localhost => {
            let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            first_of(both.map(|ip: IpAddr| (ip, port).into())).await
        }
        Host::Address(ip) => first_of([(*ip, port).into()]).await,
        Host::Name(name) => match lookup_host((name.as_str(), port)).await {
            Ok(addresses) => first_of(addresses).await,
            // It may be the name server that is down.
            Err(_) => Err(Sight::Silent),
        },
    }
}

/// Whether nobody listens on this machine at the address of the health URL, as far as the kernel says
/// so at once.
#[cfg(feature = "retry")]
pub(crate) fn refuses(target: &Target) -> bool {
    let addresses: &[IpAddr] = match &target.host {
        Host::Localhost => &[
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ],
        Host::Address(ip) if ip.is_loopback() => &[*ip],
        Host::Address(_) | Host::Name(_) => return false,
    };
    addresses.iter().all(|&ip| {
        let peer = SocketAddr::new(ip, target.port);
        begin_to_connect(peer).is_err_and(|error| Miss::of(&error, peer) == Miss::Nobody)
    })
}

/// Tries the next address only where nobody can be at the one before.
async fn first_of(addresses: impl IntoIterator<Item = SocketAddr>) -> Result<TcpStream, Sight> {
    let mut seen = Sight::Silent;
    for address in addresses {
        match connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => match Miss::of(&error, address) {
                Miss::Nobody => seen = Sight::Refused,
                Miss::NoWay => {}
                Miss::Reset => return Err(Sight::Broken),
                Miss::Unknown => return Err(Sight::Silent),
            },
        }
    }
    Err(seen)
}

/// What a failed connection says about the server.
#[derive(Debug, PartialEq, Eq)]
enum Miss {
    /// Nobody listens there.
    Nobody,
    /// Nothing at that address can be reached from here; another address may do.
    NoWay,
    /// Somebody accepted and reset the connection before we came to look at it.
    Reset,
    /// Nothing: the trouble is our own, or on the way.
    Unknown,
}

impl Miss {
    fn of(error: &io::Error, address: SocketAddr) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Nobody,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Reset,
            // 127.0.0.1 is always there; BSDs say so where all ports are taken.
            _ if address.is_ipv4() && address.ip().is_loopback() => Self::Unknown,
            _ if !leads_nowhere(error) => Self::Unknown,
            // A machine without IPv6: no server can listen there either.
            _ if address.ip().is_loopback() => Self::Nobody,
            _ => Self::NoWay,
        }
    }
}

/// Whether this machine lacks the family, the address or a route.
fn leads_nowhere(error: &io::Error) -> bool {
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

/// Fails at once where the kernel knows at once that it fails: over loopback it knows when `connect`
/// returns, if not always by what that returns.
fn begin_to_connect(peer: SocketAddr) -> io::Result<Socket> {
    let local = SocketAddr::new(near_side(peer.ip()), 0);
    let socket = steer_clear(peer.port(), || bound_to(local))?;
    match socket.connect(&peer.into()) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => Err(error),
        _ => socket.take_error()?.map_or(Ok(socket), Err),
    }
}

fn near_side(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(peer) if peer.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(peer) if peer.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// A socket that `bind` made on another port than `avoid`.
fn steer_clear(avoid: u16, mut bind: impl FnMut() -> io::Result<Socket>) -> io::Result<Socket> {
    let first = bind()?;
    if port(&first)? != avoid {
        return Ok(first);
    }
    // `first` holds the port until the end of this line, so the second cannot be given it too.
    bind()
}

fn port(socket: &Socket) -> io::Result<u16> {
    let local = socket.local_addr()?.as_socket();
    Ok(local.map_or(0, |local| local.port()))
}

// No `SO_REUSEADDR` or `SO_REUSEPORT`: another's port must not be shared, not even a closing one.
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
    fn a_port_refuses_once_nobody_listens_there() {
        let listener = std::net::TcpListener::bind(ANY_PORT).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let target = Target::new(&url.parse().unwrap(), std::time::Duration::ZERO).unwrap();
        assert!(!refuses(&target));
        drop(listener);
        assert!(refuses(&target));
    }

    #[test]
    fn a_socket_on_the_avoided_port_is_exchanged() {
        let first = bound_to(ANY_PORT).unwrap();
        let avoid = port(&first).unwrap();
        let mut first = Some(first);
        let mut binds = 0;

        let socket = steer_clear(avoid, || {
            binds += 1;
            first.take().map_or_else(|| bound_to(ANY_PORT), Ok)
        })
        .unwrap();

        assert_ne!(port(&socket).unwrap(), avoid);
        assert_eq!(binds, 2);
    }

    #[test]
    fn no_other_port_is_an_error_and_not_the_avoided_one() {
        let first = bound_to(ANY_PORT).unwrap();
        let avoid = port(&first).unwrap();
        let mut first = Some(first);

        let error = steer_clear(avoid, || first.take().ok_or(Errno::ADDRINUSE.into())).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn no_socket_is_on_the_port_it_avoids() {
        let mut avoid = port(&bound_to(ANY_PORT).unwrap()).unwrap();
        for _ in 0..500 {
            let socket = steer_clear(avoid, || bound_to(ANY_PORT)).unwrap();
            assert_ne!(port(&socket).unwrap(), avoid);
            // Free at once, and so a likely one to be handed out next.
            avoid = port(&socket).unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_leaves_from_the_loopback_it_goes_to() {
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
        // A kernel under load may put it off.
        let refused = (0..100).any(|_| {
            begin_to_connect(peer)
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        });
        assert!(refused);
    }

    #[test]
    fn only_a_refusal_or_a_missing_loopback_means_that_nobody_is_there() {
        let (v4, v6, far) = ("127.0.0.1:1", "[::1]:1", "192.0.2.1:1");
        for (errno, address, expected) in [
            (Errno::CONNREFUSED, v4, Miss::Nobody),
            (Errno::CONNREFUSED, v6, Miss::Nobody),
            (Errno::CONNREFUSED, far, Miss::Nobody),
            (Errno::ADDRNOTAVAIL, v6, Miss::Nobody),
            (Errno::AFNOSUPPORT, v6, Miss::Nobody),
            (Errno::NETUNREACH, v6, Miss::Nobody),
            (Errno::ADDRNOTAVAIL, v4, Miss::Unknown),
            (Errno::NETUNREACH, far, Miss::NoWay),
            (Errno::HOSTUNREACH, far, Miss::NoWay),
            (Errno::TIMEDOUT, far, Miss::Unknown),
            (Errno::ADDRINUSE, v4, Miss::Unknown),
            (Errno::ADDRINUSE, v6, Miss::Unknown),
            (Errno::MFILE, v4, Miss::Unknown),
            (Errno::NFILE, v6, Miss::Unknown),
            (Errno::NOBUFS, v4, Miss::Unknown),
            (Errno::PERM, v4, Miss::Unknown),
            (Errno::CONNRESET, v4, Miss::Reset),
        ] {
            let miss = Miss::of(&errno.into(), address.parse().unwrap());
            assert_eq!(miss, expected, "{errno:?} at {address}");
        }
    }
}
