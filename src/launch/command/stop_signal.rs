//! The signal with which a stop begins.

/// It is not part of the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StopSignal {
    #[default]
    Term,
    Int,
    Quit,
    Hup,
}

impl StopSignal {
    /// By its name, with or without `SIG`; `None` if it is no signal that asks for an end.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_uppercase();
        Some(match name.strip_prefix("SIG").unwrap_or(&name) {
            "TERM" => Self::Term,
            "INT" => Self::Int,
            "QUIT" => Self::Quit,
            "HUP" => Self::Hup,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_known_by_its_name() {
        for name in ["INT", "SIGINT", " int "] {
            assert_eq!(StopSignal::parse(name), Some(StopSignal::Int), "{name}");
        }
        for name in ["", "KILL", "9", "SIG", "STOP"] {
            assert_eq!(StopSignal::parse(name), None, "{name}");
        }
    }
}
