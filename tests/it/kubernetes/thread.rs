//! What runs beside a test, whatever its test waits for.

use std::thread::JoinHandle;

use tokio::{runtime::Builder, sync::oneshot};

/// A thread with a runtime of its own, for one future. When this is dropped, so is the future.
pub(super) struct OwnThread {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OwnThread {
    pub(super) fn run<F: Future>(make: impl FnOnce() -> F + Send + 'static) -> Self {
        let (end, ended) = oneshot::channel();
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                tokio::select! {
                    _ = ended => {}
                    _ = make() => {}
                }
            });
        };
        Self {
            end: Some(end),
            thread: Some(std::thread::spawn(run)),
        }
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
