//! The API server, as far as programs ask it for one workload.

use std::{collections::BTreeMap, time::Duration};

use super::protocol::{Call, Lease, Reply, Workload};

pub(super) struct Api {
    changes: u64,
    version: u64,
    replicas: u32,
    leases: BTreeMap<usize, u64>,
    deadline: Duration,
    /// How often it was scaled up, and down.
    pub(super) scaled: (u32, u32),
    /// How many Leases were in the answers to all lists.
    pub(super) listed: u64,
}

impl Api {
    /// With a workload at zero.
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            changes: 0,
            version: 0,
            replicas: 0,
            leases: BTreeMap::new(),
            deadline,
            scaled: (0, 0),
            listed: 0,
        }
    }

    pub(super) fn is_at_zero(&self) -> bool {
        self.replicas == 0
    }

    pub(super) fn answer(&mut self, program: usize, call: &Call) -> Reply {
        match call {
            Call::Read => self.workload(),
            Call::Touch => self.change(self.replicas),
            Call::ScaleUp(version) | Call::ScaleDown(version)
                if *version != self.version.to_string() =>
            {
                Reply::Conflict
            }
            Call::ScaleUp(_) => {
                self.scaled.0 += 1;
                self.change(1)
            }
            Call::ScaleDown(_) => {
                self.scaled.1 += 1;
                self.change(0)
            }
            Call::Say => {
                self.changes += 1;
                let before = self.leases.insert(program, self.changes);
                Reply::Said {
                    is_new: before.is_none(),
                }
            }
            Call::Unsay => {
                self.leases.remove(&program);
                Reply::Done
            }
            Call::List => self.list(program),
            Call::Forget(name, version) => self.forget(name, version),
        }
    }

    fn workload(&self) -> Reply {
        Reply::Workload(Workload {
            version: self.version.to_string(),
            replicas: self.replicas,
            is_ours: self.replicas > 0,
        })
    }

    fn change(&mut self, replicas: u32) -> Reply {
        self.changes += 1;
        (self.version, self.replicas) = (self.changes, replicas);
        self.workload()
    }

    fn list(&mut self, program: usize) -> Reply {
        let others = self.leases.iter().filter(|it| *it.0 != program);
        let leases = others.map(|(other, version)| Lease {
            name: other.to_string(),
            version: version.to_string(),
            deadline: self.deadline,
        });
        let leases: Vec<_> = leases.collect();
        self.listed += leases.len() as u64;
        Reply::Leases(leases)
    }

    fn forget(&mut self, name: &str, version: &str) -> Reply {
        let dead = name.parse().expect("a name of this API server");
        let found = self.leases.get(&dead);
        if found.is_some_and(|it| it.to_string() != version) {
            return Reply::Conflict;
        }
        self.leases.remove(&dead);
        Reply::Done
    }
}
