//! The mark in the environment of a service, by which its descendants are found wherever they went.

use crate::random;

/// The variable that carries the cookie.
const VARIABLE: &str = "TOWER_LOCAL_SERVICE_INSTANCE";

/// A random value in the environment of one instance, and so in that of every process it starts.
pub(super) struct Cookie {
    value: String,
}

impl Cookie {
    pub(super) fn new() -> Self {
        Self {
            value: format!("{:032x}", random::bits()),
        }
    }

    pub(super) fn variable(&self) -> (&str, &str) {
        (VARIABLE, &self.value)
    }

    /// Whether an environment has this cookie. The variables are separated by NUL, as in `/proc`.
    #[cfg_attr(
        not(all(target_os = "linux", not(tower_local_service_portable))),
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
