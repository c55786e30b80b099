//! A system that is not known.

pub(in crate::error) fn signal_hint(_: i32) -> Option<&'static str> {
    None
}

pub(in crate::error) fn signal_name(_: i32) -> Option<&'static str> {
    None
}

pub(in crate::error) fn code_hint(_: i32) -> Option<&'static str> {
    None
}

pub(in crate::error) fn spawn_hint(_: Option<i32>) -> &'static str {
    "run `command` by hand, with the same `args` and `cwd`, to see why"
}
