//! Which process listens on a port: the kernel lists the inodes of the sockets, `/proc/<pid>/fd` the processes
//! that have them open.

use std::{collections::HashSet, fs, net::SocketAddr, path::Path};

use super::{
    members,
    name::name,
    processes,
    sockets::{Socket, listening_on},
};
use crate::launch::{Holder, Listener, process::family::Family};

/// Which process listens on a port. Blocks for milliseconds.
pub(crate) fn listener(port: u16, family: &Family) -> Listener {
    let sockets = listening_on(port);
    let own = Known::holders(&sockets, family);
    if let Some(pid) = own.rival(&sockets) {
        return Listener::Other { pid };
    }
    if !sockets.iter().any(|socket| own.has(socket)) {
        return Listener::Unseen;
    }
    let exposed = |socket: &&Socket| socket.is_far() && own.has(socket);
    let exposed = sockets.iter().find(exposed);
    Listener::Own {
        exposed: exposed.map(|socket| SocketAddr::new(socket.address.to_canonical(), port)),
    }
}

/// The process that listens on this port of the loopback, if this user may see it. Blocks for milliseconds.
pub(crate) fn holder(port: u16) -> Option<Holder> {
    let sockets = listening_on(port);
    let inodes: HashSet<_> = sockets
        .iter()
        .filter(|socket| socket.is_near())
        .map(|socket| socket.inode)
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let pid = processes()?.find(|pid| open_sockets(*pid).any(|inode| inodes.contains(&inode)))?;
    Some(Holder {
        pid,
        program: name(pid),
    })
}

/// The processes of an instance that were looked at, and the sockets that they hold.
#[derive(Default)]
struct Known {
    pids: HashSet<u32>,
    inodes: HashSet<u64>,
}

impl Known {
    /// Looks for the holders of the sockets among the processes of the instance, the likely ones first,
    /// until each socket has one.
    fn holders(sockets: &[Socket], family: &Family) -> Self {
        let mut known = Self::default();
        // The last of the three reads the environment of every process.
        let _ = known.look_at([family.leader()], sockets)
            || known.look_at(members(family.group()).into_iter().flatten(), sockets)
            || known.look_at(family.living(false).into_iter().map(|it| it.pid), sockets);
        known
    }

    /// Returns whether each socket has a holder by now.
    fn look_at(&mut self, pids: impl IntoIterator<Item = u32>, sockets: &[Socket]) -> bool {
        for pid in pids {
            if self.pids.insert(pid) {
                self.inodes.extend(open_sockets(pid));
            }
        }
        sockets.iter().all(|socket| self.has(socket))
    }

    fn has(&self, socket: &Socket) -> bool {
        self.inodes.contains(&socket.inode)
    }

    /// Another program that receives connections which are meant for the instance.
    fn rival(&self, sockets: &[Socket]) -> Option<u32> {
        let (own, others): (Vec<_>, Vec<_>) = sockets
            .iter()
            .filter(|socket| socket.is_near())
            .partition(|socket| self.has(socket));
        let addresses: HashSet<_> = own.iter().map(|socket| socket.address).collect();
        // If the instance listens too, another program takes its connections only where both share an
        // address.
        let rivals: HashSet<u64> = others
            .iter()
            .filter(|socket| addresses.is_empty() || addresses.contains(&socket.address))
            .map(|socket| socket.inode)
            .collect();
        if rivals.is_empty() {
            return None;
        }
        processes()?
            .filter(|pid| !self.pids.contains(pid))
            .find(|pid| open_sockets(*pid).any(|inode| rivals.contains(&inode)))
    }
}

/// The inodes of the sockets that a process has open; none if this user may not see them.
pub(super) fn open_sockets(pid: u32) -> impl Iterator<Item = u64> {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| socket_inode(&fs::read_link(entry.ok()?.path()).ok()?))
}

fn socket_inode(link: &Path) -> Option<u64> {
    let inode = link.to_str()?.strip_prefix("socket:[")?;
    inode.strip_suffix(']')?.parse().ok()
}
