//! Which process the kernel ends first when memory runs out.

/// The `/proc/<pid>/oom_score_adj` of the process. It is not part of the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OomScoreAdj {
    /// 500, or the score of your program if that is higher: a container or a systemd unit may have a
    /// score that only its manager can lower.
    #[default]
    AboveProgram,
    /// This score.
    Exactly(i32),
    /// The score of your program.
    Inherited,
}

impl OomScoreAdj {
    /// The score for a process that has inherited this one; `None` if that stays.
    #[cfg_attr(
        any(
            not(target_os = "linux"),
            tower_local_service_portable,
            tower_local_service_unsupported
        ),
        allow(dead_code, reason = "only Linux has such scores")
    )]
    pub(crate) fn instead_of(self, inherited: i32) -> Option<i32> {
        const ABOVE_PROGRAM: i32 = 500;

        match self {
            Self::AboveProgram => (inherited < ABOVE_PROGRAM).then_some(ABOVE_PROGRAM),
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
    use super::OomScoreAdj::{AboveProgram, Exactly, Inherited};

    #[test]
    fn only_what_is_asked_for_lowers_the_score() {
        assert_eq!(AboveProgram.instead_of(0), Some(500));
        assert_eq!(AboveProgram.instead_of(999), None);
        assert_eq!(Exactly(-100).instead_of(0), Some(-100));
        assert_eq!(Exactly(300).instead_of(300), None);
        assert_eq!(Inherited.instead_of(0), None);
    }
}
