//! What the system does not tell. [`linux`](super::os) has the same functions and answers.

use std::{net::SocketAddr, time::Duration};

use rustix::process::{Pid, Signal};
use tokio::time;

use super::{
    Listener,
    strays::{Carrier, Cookie},
};
use crate::config::OomScoreAdj;

pub(super) fn members(_group: u32) -> Option<Vec<u32>> {
    None
}

pub(super) fn is_member(_pid: u32, _group: u32) -> bool {
    false
}

pub(super) fn exiting(_pid: u32) -> bool {
    false
}

pub(super) fn deaf_to_term(_name: &str) -> bool {
    false
}

pub(super) async fn until_exit(_pid: Pid) {
    time::sleep(Duration::from_millis(20)).await;
}

pub(super) fn carriers(_cookie: &Cookie) -> Vec<Carrier> {
    Vec::new()
}

pub(super) fn lives(_carrier: Carrier) -> bool {
    false
}

pub(super) fn signal(_carrier: Carrier, _cookie: &Cookie, _signals: &[Signal]) {}

pub(super) fn adjust_oom_score(_pid: u32, _adjust: OomScoreAdj) -> bool {
    false
}

pub(super) fn adjust_oom_scores(_group: u32, _adjust: OomScoreAdj) {}

pub(super) fn beyond_loopback(
    _port: u16,
    _leader: u32,
    _group: u32,
    _cookie: &Cookie,
) -> Option<SocketAddr> {
    None
}

pub(super) fn listener(_port: u16, _leader: u32, _group: u32, _cookie: &Cookie) -> Listener {
    Listener::Unseen
}
