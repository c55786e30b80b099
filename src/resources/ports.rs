//! Which port a service has whose configuration leaves that open.
//!
//! It is a function of what is launched, so that the same configuration has the same port in every program and every
//! run. Another one is taken only where another service of this program has it, or a program that is no peer with
//! the same server. Ports of 20000 to 29999 are below those from which the kernel takes the ports of clients.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::net::TcpSocket;

use super::peers::Peers;
use crate::config::Identity;

const FIRST: u16 = 20_000;
const NUMBER: u16 = 10_000;

/// The ports that were chosen in this program. They stay: a URL that a client has once seen does not change.
#[derive(Default)]
pub(crate) struct Ports {
    chosen: Mutex<HashMap<Identity, u16>>,
}

impl Ports {
    /// The port for what is written, where `at` says what a port would make of it.
    pub(crate) fn choose(
        &self,
        written: &Identity,
        at: &dyn Fn(u16) -> Identity,
        folder: Option<&Arc<PathBuf>>,
    ) -> u16 {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(port) = chosen.get(written) {
            return *port;
        }
        let first = first(written);
        let is_ours = |port: u16| chosen.values().any(|it| *it == port);
        let is_shared = |port| Peers::new(folder.cloned(), at(port), "").is_of_a_peer();
        let mut candidates = (0..NUMBER).map(|step| FIRST + (first - FIRST + step) % NUMBER);
        let port = candidates.find(|&port| !is_ours(port) && (is_free(port) || is_shared(port)));
        let port = port.unwrap_or(first);
        chosen.insert(written.clone(), port);
        port
    }
}

/// The port that it has unless something else has it.
fn first(written: &Identity) -> u16 {
    let place = written.digest([0; 16]) % u128::from(NUMBER);
    FIRST + u16::try_from(place).unwrap_or_default()
}

/// Nothing listens there. Two programs that look at the same time do not see each other.
fn is_free(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let bound = TcpSocket::new_v4().and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)
    });
    bound.is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::config::LocalServiceConfig;

    fn identity(command: &str, port: u16) -> Identity {
        let config = LocalServiceConfig::new(command);
        let url = format!("http://127.0.0.1:{port}/v1");
        Identity::of(&config.validate("server", &url).unwrap())
    }

    fn choose(ports: &Ports, command: &str) -> u16 {
        let at = |port| identity(command, port);
        ports.choose(&identity(command, 1), &at, None)
    }

    #[test]
    fn the_same_configuration_has_the_same_port_in_every_program() {
        let port = choose(&Ports::default(), "/bin/ports-a");
        assert_eq!(port, choose(&Ports::default(), "/bin/ports-a"));
        // With another number, programs with this version would not find the servers of the last.
        assert_eq!(first(&identity("/bin/server", 1)), 20_141);
    }

    #[test]
    fn a_port_that_another_program_has_is_passed_over_once_and_for_all() {
        let port = choose(&Ports::default(), "/bin/ports-b");
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let ports = Ports::default();
        let other = choose(&ports, "/bin/ports-b");
        assert_ne!(other, port);
        drop(listener);
        assert_eq!(
            choose(&ports, "/bin/ports-b"),
            other,
            "clients have its URL"
        );
    }

    #[test]
    fn no_two_services_of_a_program_have_one_port() {
        let ports = Ports::default();
        let all: std::collections::HashSet<_> = (0..300)
            .map(|number| choose(&ports, &format!("/bin/ports-{number}")))
            .collect();
        assert_eq!(all.len(), 300);
        assert!(all.iter().all(|port| (20_000..30_000).contains(port)));
    }
}
