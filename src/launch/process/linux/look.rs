//! What the processes of an instance do, and what the system shows of processes.

use std::{
    collections::{BTreeSet, HashSet},
    net::SocketAddr,
};

use rustix::{
    io::Errno,
    process::{PidfdFlags, getpid, pidfd_open, test_kill_process},
};

use super::{cpu_time, listener::open_sockets, members, sockets::all_listening, stat::Stat};
use crate::launch::{
    Look,
    process::{family::Family, pid},
};

/// Looks at the processes of an instance. Blocks for milliseconds.
pub(crate) fn look(family: &Family) -> Look {
    let mut pids: BTreeSet<u32> = members(family.group()).into_iter().flatten().collect();
    pids.extend(family.living(false).iter().map(|one| one.pid));
    let inodes: HashSet<u64> = pids.iter().copied().flat_map(open_sockets).collect();
    let mut listens_on: Vec<_> = all_listening()
        .filter(|(_, socket)| inodes.contains(&socket.inode))
        .map(|(port, socket)| SocketAddr::new(socket.address.to_canonical(), port))
        .collect();
    listens_on.sort_unstable();
    listens_on.dedup();
    Look {
        suspended: pids.iter().copied().find(|pid| is_suspended(*pid)),
        listens_on,
        obstacle: None,
        beyond_reach: pids.iter().copied().find(|pid| is_beyond_reach(*pid)),
        cpu: cpu_time(pids),
    }
}

fn is_suspended(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.suspended)
}

fn is_beyond_reach(number: u32) -> bool {
    pid::from_number(number).is_some_and(|pid| test_kill_process(pid) == Err(Errno::PERM))
}

/// Whether descendants can be found and signalled safely.
pub(crate) fn shows_descendants() -> bool {
    Stat::of(pid::number(getpid())).is_some() && pidfd_open(getpid(), PidfdFlags::empty()).is_ok()
}
