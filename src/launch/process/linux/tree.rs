//! Finds processes by their parents.

use std::collections::HashMap;

use super::{environ::lives, processes, stat::Stat};
use crate::launch::process::family::Descendant;

/// Adds the living descendants of what is known, and the members of the group but its leader with their
/// descendants; forgets what has ended. Blocks for a millisecond or two.
pub(crate) fn add_descendants(known: &mut HashMap<u32, Descendant>, group: Option<u32>) {
    let all: HashMap<u32, Stat> = processes()
        .into_iter()
        .flatten()
        .filter_map(|pid| Some((pid, Stat::of(pid).filter(Stat::lives)?)))
        .collect();
    known.retain(|pid, one| all.get(pid).is_some_and(|now| now.started == one.started));
    for one in known.values_mut() {
        one.group = all[&one.pid].group;
    }
    let is_inside = |(pid, stat): &(&u32, &Stat)| Some(stat.group) == group && group != Some(**pid);
    let inside = all.iter().filter(is_inside);
    known.extend(inside.map(|(pid, stat)| (*pid, stat.of_process(*pid))));
    // A generation at a time.
    loop {
        let is_child = |(pid, stat): &(&u32, &Stat)| {
            let parent = known.get(&stat.parent);
            !known.contains_key(*pid)
                // If the parent lives now, it was the parent when its child was looked at: another process
                // that had the number by then would have been started later.
                && parent.is_some_and(|parent| parent.started <= stat.started && lives(*parent))
        };
        let children: Vec<_> = all
            .iter()
            .filter(is_child)
            .map(|(pid, stat)| (*pid, stat.of_process(*pid)))
            .collect();
        if children.is_empty() {
            return;
        }
        known.extend(children);
    }
}

impl Stat {
    fn of_process(&self, pid: u32) -> Descendant {
        Descendant {
            pid,
            started: self.started,
            group: self.group,
        }
    }
}
