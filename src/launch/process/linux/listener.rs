//! Who holds a listening socket: the kernel tells its inode, `/proc/<pid>/fd` who has it open.

use std::{collections::HashSet, fs, net::SocketAddr, path::Path};

use super::{
    carriers, members, processes,
    sockets::{Socket, listening_on},
};
use crate::launch::process::{Listener, strays::Cookie};

/// Who listens on a port.
pub(crate) fn listener(port: u16, leader: u32, group: u32, cookie: &Cookie) -> Listener {
    let mut sockets = listening_on(port);
    sockets.retain(Socket::is_near);
    if sockets.is_empty() {
        return Listener::Unseen;
    }
    let mut ours = Known::default();
    if ours.look_for(&sockets, leader, group, cookie) {
        return Listener::Ours;
    }
    match stranger(&sockets, &ours) {
        Some(pid) => Listener::Other { pid },
        None if ours.inodes.is_empty() => Listener::Unseen,
        None => Listener::Ours,
    }
}

/// Where a run listens on this port for other machines, too; `None` if nowhere, or if this user may
/// not see it.
pub(crate) fn beyond_loopback(
    port: u16,
    leader: u32,
    group: u32,
    cookie: &Cookie,
) -> Option<SocketAddr> {
    let mut sockets = listening_on(port);
    sockets.retain(Socket::is_far);
    if sockets.is_empty() {
        return None;
    }
    let mut ours = Known::default();
    ours.look_for(&sockets, leader, group, cookie);
    let far = sockets
        .iter()
        .find(|socket| ours.inodes.contains(&socket.inode))?;
    Some(SocketAddr::new(far.address.to_canonical(), port))
}

/// The processes of a run that were looked at, and the sockets that they hold.
#[derive(Default)]
struct Known {
    pids: HashSet<u32>,
    inodes: HashSet<u64>,
}

impl Known {
    /// Looks first where the answer most likely is, and says whether all of the sockets are
    /// accounted for.
    fn look_for(&mut self, sockets: &[Socket], leader: u32, group: u32, cookie: &Cookie) -> bool {
        self.look_at([leader], sockets)
            || self.look_at(members(group).into_iter().flatten(), sockets)
            || self.look_at(carriers(cookie).into_iter().map(|one| one.pid), sockets)
    }

    /// Says whether all of the sockets are accounted for.
    fn look_at(&mut self, pids: impl IntoIterator<Item = u32>, sockets: &[Socket]) -> bool {
        for pid in pids {
            if self.pids.insert(pid) {
                self.inodes.extend(open_sockets(pid));
            }
        }
        sockets
            .iter()
            .all(|socket| self.inodes.contains(&socket.inode))
    }
}

/// A foreign process that gets connections which should be ours.
fn stranger(sockets: &[Socket], ours: &Known) -> Option<u32> {
    let is_ours = |socket: &&Socket| ours.inodes.contains(&socket.inode);
    let our_addresses: HashSet<_> = sockets
        .iter()
        .filter(is_ours)
        .map(|socket| socket.address)
        .collect();
    // Where we listen too, only the same address matters: two programs can share it, and then share
    // the connections.
    let theirs: HashSet<u64> = sockets
        .iter()
        .filter(|socket| !is_ours(socket))
        .filter(|socket| our_addresses.is_empty() || our_addresses.contains(&socket.address))
        .map(|socket| socket.inode)
        .collect();
    if theirs.is_empty() {
        return None;
    }
    processes()?
        .filter(|pid| !ours.pids.contains(pid))
        .find(|pid| open_sockets(*pid).any(|inode| theirs.contains(&inode)))
}

/// The inodes of the sockets that a process has open; none if this user may not see them.
fn open_sockets(pid: u32) -> impl Iterator<Item = u64> {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| socket_inode(&fs::read_link(entry.ok()?.path()).ok()?))
}

fn socket_inode(link: &Path) -> Option<u64> {
    let inode = link.to_str()?.strip_prefix("socket:[")?;
    inode.strip_suffix(']')?.parse().ok()
}
