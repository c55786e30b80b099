//! How much memory of GPUs processes have, where `nvidia-smi` tells.

use std::{collections::HashMap, io, process::Stdio, sync::Arc, time::Duration};

use tokio::{
    process::Command,
    sync::Mutex,
    time::{self, Instant},
};

/// It takes up to a second of a core, and pages ask every two.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// A driver that hangs is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What it said last. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gpu(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    bytes: HashMap<u32, u64>,
    asked: Option<Instant>,
    is_missing: bool,
}

impl Gpu {
    /// The bytes of each process that has some.
    pub(crate) async fn look(&self) -> HashMap<u32, u64> {
        let mut known = self.0.lock().await;
        let is_old = known.asked.is_none_or(|it| it.elapsed() > ASKED_EVERY);
        if is_old && !known.is_missing {
            let said = time::timeout(PATIENCE, ask()).await;
            known.asked = Some(Instant::now());
            known.bytes.clear();
            match said {
                // A process has a line for each GPU.
                Ok(Ok(text)) => text.lines().filter_map(read).for_each(|(pid, bytes)| {
                    *known.bytes.entry(pid).or_default() += bytes;
                }),
                Ok(Err(error)) => known.is_missing = error.kind() == io::ErrorKind::NotFound,
                Err(_) => {}
            }
        }
        known.bytes.clone()
    }
}

async fn ask() -> io::Result<String> {
    let output = Command::new("nvidia-smi")
        .args([
            "--query-compute-apps=pid,used_gpu_memory",
            "--format=csv,noheader,nounits",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A process, and its MiB.
fn read(line: &str) -> Option<(u32, u64)> {
    let (pid, mib) = line.split_once(',')?;
    let mib = mib.trim().parse::<u64>().ok()?;
    Some((pid.trim().parse().ok()?, mib << 20))
}
