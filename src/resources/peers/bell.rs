//! How the owner of an address hears that a peer needs it: the peer is connected to a socket for as long as it waits,
//! so that it need not say when it is gone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    task::{Context, Poll},
};

use super::{
    line::{Line, Listener, connect, listen},
    warn_once,
};

/// The owner's side; it costs nothing while no program rings.
#[derive(Debug)]
pub(crate) struct Bell {
    paths: Vec<PathBuf>,
    listeners: Vec<Listener>,
    callers: Vec<Line>,
}

impl Bell {
    /// One bell with a socket at each path. Only the owner of the address may hang it: a file that exists is left
    /// of an owner that died.
    pub(crate) fn hang(paths: Vec<PathBuf>) -> Self {
        let listeners: io::Result<_> = paths.iter().map(|path| listen(path)).collect();
        let listeners = listeners.unwrap_or_else(|error| {
            warn_once(&error);
            Vec::new()
        });
        Self {
            paths,
            listeners,
            callers: Vec::new(),
        }
    }

    /// Whether a peer needs the address.
    pub(crate) fn is_rung(&self) -> bool {
        !self.callers.is_empty()
    }

    /// Resolves when a peer has come or gone. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        std::future::poll_fn(|cx| self.poll_changed(cx)).await;
    }

    fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.callers.len();
        self.callers.retain(|caller| stays(caller, cx));
        let mut changed = self.callers.len() != before;
        for listener in &self.listeners {
            while let Poll::Ready(accepted) = listener.poll_accept(cx) {
                let Ok((caller, _)) = accepted else {
                    // Out of descriptors: it is tried again with the next event.
                    break;
                };
                if stays(&caller, cx) {
                    self.callers.push(caller);
                    changed = true;
                }
            }
        }
        if changed {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        for path in &self.paths {
            drop(fs::remove_file(path));
        }
    }
}

/// Resolves when a peer has come to this bell, or gone; without one, never. Cancel safe.
pub(crate) async fn rung(bell: Option<&mut Bell>) {
    match bell {
        Some(bell) => bell.changed().await,
        None => std::future::pending().await,
    }
}

/// Whether the other side is connected; wakes the task when it is not any more.
fn stays(caller: &Line, cx: &mut Context<'_>) -> bool {
    while let Poll::Ready(ready) = caller.poll_read_ready(cx) {
        match ready.and_then(|()| caller.try_read(&mut [0; 16])) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return false,
        }
    }
    true
}

/// The side of the peer that waits; dropping it ends the wait.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    line: Option<Line>,
}

impl Ring {
    /// Rings, unless the owner hears it already.
    pub(crate) async fn at(&mut self, bell: &Path) {
        let is_open = |line: &Line| {
            let read = line.try_read(&mut [0]);
            read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        if !self.line.as_ref().is_some_and(is_open) {
            // An owner without a bell is asked again: it may be about to hang one.
            self.line = connect(bell).await.ok();
        }
    }

    pub(crate) fn stop(&mut self) {
        self.line = None;
    }
}
