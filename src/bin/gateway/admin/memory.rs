//! How much memory servers have. Only Linux tells.

use std::collections::HashMap;

use crate::gpu::Gpu;

/// The memory of all processes of this machine, by their groups.
#[derive(Debug, Default)]
pub(super) struct Memory {
    groups: HashMap<u32, u32>,
    bytes: HashMap<u32, u64>,
    /// By the processes.
    gpu: HashMap<u32, u64>,
}

impl Memory {
    /// Looks at all processes, which takes milliseconds.
    pub(super) async fn look(gpu: &Gpu) -> Self {
        let looked = tokio::task::spawn_blocking(look).await;
        Self {
            gpu: gpu.look().await,
            ..looked.unwrap_or_default()
        }
    }

    /// What the processes of the group of this one have in memory: each with all of its pages, also with those
    /// of files that it shares with others. `None` if there is no such process.
    pub(super) fn of_group_with(&self, pid: u32) -> Option<u64> {
        let group = self.groups.get(&pid)?;
        self.bytes.get(group).copied()
    }

    /// What the processes of that group have in the memory of GPUs. `None` if they have nothing there.
    pub(super) fn of_gpu(&self, pid: u32) -> Option<u64> {
        let group = self.groups.get(&pid)?;
        let has = self.gpu.iter();
        let has = has.filter(|(pid, _)| self.groups.get(pid) == Some(group));
        let bytes = has.map(|(_, bytes)| bytes).sum();
        (bytes > 0).then_some(bytes)
    }
}

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
fn look() -> Memory {
    let mut memory = Memory::default();
    let processes = procfs::process::all_processes().into_iter().flatten();
    // One that ends meanwhile has none.
    for stat in processes.filter_map(|it| it.ok()?.stat().ok()) {
        let (Ok(pid), Ok(group)) = (u32::try_from(stat.pid), u32::try_from(stat.pgrp)) else {
            continue;
        };
        memory.groups.insert(pid, group);
        *memory.bytes.entry(group).or_default() += stat.rss * procfs::page_size();
    }
    memory
}

#[cfg(not(all(target_os = "linux", not(tower_local_service_portable))))]
fn look() -> Memory {
    Memory::default()
}
