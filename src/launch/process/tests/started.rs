//! A process that a test has started, and what it writes.

use std::ops::{Deref, DerefMut};

use super::*;

#[derive(Debug)]
pub(super) struct Started {
    process: Process,
    pub(super) output: OutputSink,
}

impl Deref for Started {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

pub(super) async fn spawn(
    shell: &'static str,
    processes: Processes,
    output: OutputSink,
) -> Result<Started, LaunchError> {
    let process = spawn::spawn(shell, processes, output.clone()).await?;
    Ok(Started { process, output })
}
