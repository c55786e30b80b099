//! Processes of a run that left its group, found by a cookie in their environment.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

use rustix::process::Signal;

use super::os;

/// The variable that carries the cookie.
const VARIABLE: &str = "TOWER_LOCAL_SERVICE_RUN";

/// A random value in the environment of the service, and so in that of everything it starts.
pub(super) struct Cookie {
    value: String,
}

impl Cookie {
    pub(super) fn new() -> Self {
        // Each `RandomState` has keys that the system's source of randomness gave.
        let half = |salt: u64| RandomState::new().hash_one((std::process::id(), salt));
        Self {
            value: format!("{:016x}{:016x}", half(0), half(1)),
        }
    }

    pub(super) fn variable(&self) -> (&str, &str) {
        (VARIABLE, &self.value)
    }

    /// Whether an environment, as the system shows it, has this cookie.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "only Linux shows the environment of a process")
    )]
    pub(super) fn is_in(&self, environ: &[u8]) -> bool {
        environ.split(|byte| *byte == 0).any(|entry| {
            entry
                .strip_prefix(VARIABLE.as_bytes())
                .and_then(|entry| entry.strip_prefix(b"="))
                == Some(self.value.as_bytes())
        })
    }
}

/// A process that has the cookie. The time of its start tells it from a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Carrier {
    pub(super) pid: u32,
    pub(super) started: u64,
    pub(super) group: u32,
}

/// What to tell every stray, once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) signals: &'static [Signal],
    /// A higher one is told to those who were told a lower one.
    pub(super) round: u32,
}

/// Who of the carriers is a stray.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    /// The number of the group.
    pub(super) group: u32,
    /// Who is in the group; only where a signal to the group cannot reach them.
    pub(super) inside: bool,
    /// Who has left it.
    pub(super) outside: bool,
}

impl Scope {
    fn has(self, carrier: &Carrier) -> bool {
        if carrier.group == self.group {
            self.inside
        } else {
            self.outside
        }
    }
}

/// The strays of one run.
pub(super) struct Strays {
    cookie: Cookie,
    told: Mutex<HashMap<Carrier, u32>>,
}

impl Strays {
    pub(super) fn new(cookie: Cookie) -> Self {
        Self {
            cookie,
            told: Mutex::default(),
        }
    }

    pub(super) fn cookie(&self) -> &Cookie {
        &self.cookie
    }

    /// Finds the strays and tells each of them what it has not been told yet. Reads the environment
    /// of every process of this user: not on a thread that must not block.
    pub(super) fn sweep(&self, scope: Scope, order: Option<Order>) -> Vec<Carrier> {
        let mut found = os::carriers(&self.cookie);
        found.retain(|carrier| scope.has(carrier));
        if let Some(order) = order {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            for carrier in &found {
                let before = told.insert(*carrier, order.round);
                if before.is_none_or(|round| round < order.round) {
                    os::signal(*carrier, &self.cookie, order.signals);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_value() {
        let cookie = Cookie::new();
        let (name, value) = cookie.variable();
        assert_eq!(value.len(), 32);
        assert!(cookie.is_in(format!("A=1\0{name}={value}\0B=2\0").as_bytes()));
        assert!(!cookie.is_in(format!("A=1\0{name}={value}0\0").as_bytes()));
        assert!(!cookie.is_in(format!("X{name}={value}\0").as_bytes()));
        assert!(!cookie.is_in(b""));
    }

    #[test]
    fn cookies_differ() {
        assert_ne!(Cookie::new().variable(), Cookie::new().variable());
    }
}
