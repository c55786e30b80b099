//! Who goes first when memory runs out.

/// What the process's `/proc/<pid>/oom_score_adj` is to be.
///
/// It is how the process runs and not which process it is, so it is no part of the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OomScoreAdj {
    /// 500, or what the process inherits of the host if that is higher: a container or a systemd unit
    /// may have a score that only its manager can lower.
    #[default]
    AboveHost,
    /// This one, as it is.
    Exactly(i32),
    /// What the process inherits of the host.
    Inherited,
}

impl OomScoreAdj {
    /// The score for a process that has inherited this one; `None` if it is to keep it.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "only Linux has such scores")
    )]
    pub(crate) fn instead_of(self, inherited: i32) -> Option<i32> {
        const ABOVE_HOST: i32 = 500;

        match self {
            Self::AboveHost => (inherited < ABOVE_HOST).then_some(ABOVE_HOST),
            Self::Exactly(wanted) => (inherited != wanted).then_some(wanted),
            Self::Inherited => None,
        }
    }
}

impl From<Option<i32>> for OomScoreAdj {
    fn from(wanted: Option<i32>) -> Self {
        wanted.map_or(Self::Inherited, Self::Exactly)
    }
}

#[cfg(test)]
mod tests {
    use super::OomScoreAdj::{AboveHost, Exactly, Inherited};

    #[test]
    fn only_what_is_asked_for_lowers_the_score() {
        assert_eq!(AboveHost.instead_of(0), Some(500));
        assert_eq!(AboveHost.instead_of(999), None);
        assert_eq!(Exactly(-100).instead_of(0), Some(-100));
        assert_eq!(Exactly(300).instead_of(300), None);
        assert_eq!(Inherited.instead_of(0), None);
    }
}
