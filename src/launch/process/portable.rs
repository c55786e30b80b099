//! For systems that do not tell what `linux` asks: the same functions, with answers that are safe.

use std::{collections::HashMap, path::Path, time::Duration};

use rustix::process::{Pid, Signal};
use tokio::time;

use super::{
    cookie::Cookie,
    family::{Descendant, Family},
};
use crate::launch::{Holder, Listener, Look, OomScoreAdj};

pub(super) fn members(_group: u32) -> Option<Vec<u32>> {
    None
}

pub(super) fn is_member(_pid: u32, _group: u32) -> bool {
    false
}

pub(super) fn exiting(_pid: u32) -> bool {
    false
}

pub(super) fn ignores_term(_name: &str) -> bool {
    false
}

pub(super) async fn until_exit(_pid: Pid) {
    time::sleep(Duration::from_millis(20)).await;
}

pub(super) fn with_cookie(_cookie: &Cookie) -> Vec<Descendant> {
    Vec::new()
}

pub(super) fn descendant(_pid: u32) -> Option<Descendant> {
    None
}

pub(super) fn add_descendants(_known: &mut HashMap<u32, Descendant>, _group: Option<u32>) {}

pub(super) fn lives(_descendant: Descendant) -> bool {
    false
}

pub(super) fn signal(_descendant: Descendant, _signals: &[Signal]) {}

pub(super) fn adjust_oom_score(_pid: u32, _adjust: OomScoreAdj) -> bool {
    false
}

pub(super) fn adjust_oom_scores(_group: u32, _adjust: OomScoreAdj) {}

pub(super) fn listener(_port: u16, _family: &Family) -> Listener {
    Listener::Unseen
}

/// There are no control groups.
#[derive(Debug)]
pub(super) enum Cgroup {}

impl Cgroup {
    pub(super) fn new() -> Option<Self> {
        None
    }

    pub(super) fn folder(&self) -> &Path {
        match *self {}
    }

    pub(super) fn add(&self, _pid: u32) -> bool {
        match *self {}
    }

    pub(super) fn members(&self) -> Vec<u32> {
        match *self {}
    }
}

pub(super) fn last_use(_port: u16) -> Option<Duration> {
    None
}

pub(super) fn shows_use() -> bool {
    false
}

pub(super) fn holder(_port: u16) -> Option<Holder> {
    None
}

pub(super) fn cpu_time(_pids: impl IntoIterator<Item = u32>) -> Option<Duration> {
    None
}

pub(super) fn look(_family: &Family) -> Look {
    Look::default()
}

pub(super) fn shows_descendants() -> bool {
    false
}
