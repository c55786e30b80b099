//! Serves connections, and ends on a signal.

use std::{process, time::Duration};

use axum::{Router, serve::Listener};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::{net::TcpListener, time};
use tower_local_service::Registry;
use tracing::info;

use crate::{connection, ending::Ending, log::Log, signals::Signals, watch::Watch};

/// For the ends of answers whose time is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// For the rest of the log, when this program is to end immediately.
const LAST_LINES: Duration = Duration::from_millis(100);

/// The services that are waited for, and what for.
fn in_use() -> impl Iterator<Item = (String, usize)> {
    let services = Registry::global().services().into_iter();
    let leases = services.map(|it| (it.name().to_owned(), it.status().leases));
    leases.filter(|(_, leases)| *leases > 0)
}

/// All that is needed to serve.
pub(crate) struct Serve<'a> {
    pub(crate) listener: TcpListener,
    pub(crate) app: Router,
    pub(crate) signals: Signals,
    /// How long answers may take to end.
    pub(crate) drain: Duration,
    /// Says when the files are to be read again.
    pub(crate) watch: Watch,
    pub(crate) log: &'a Log,
    pub(crate) ending: Ending,
}

impl Serve<'_> {
    /// Serves until a signal or the end of the terminal, then gives answers time to end, and stops the servers that
    /// were started. SIGHUP calls `reload`.
    pub(crate) async fn run(mut self, reload: impl Fn()) {
        let connections = GracefulShutdown::new();
        self.accept(&connections, reload).await;
        drop(self.listener);
        self.ending.begin();
        let limit = self.drain;
        info!("no more requests; answers have {limit:?} to end");
        for (service, leases) in in_use() {
            info!(provider = service, leases, "answers are in progress");
        }
        // Servers are stopped while connections end: those that are idle do not wait for the others.
        let registry = Registry::global();
        let drained = async {
            tokio::join!(
                time::timeout(limit + LAST_WORDS, connections.shutdown()),
                registry.drain(limit),
            )
        };
        tokio::select! {
            _ = drained => info!("nothing is left of the servers that were started"),
            code = self.signals.end.recv() => {
                // A second signal does not wait: the servers end with this process.
                self.log.flush(LAST_LINES);
                process::exit(code);
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is a program: each connection has a task"
    )]
    async fn accept(&mut self, connections: &GracefulShutdown, reload: impl Fn()) {
        loop {
            tokio::select! {
                // It does not fail: what cannot be accepted is tried again.
                (stream, _) = Listener::accept(&mut self.listener) => {
                    tokio::spawn(connection::serve(stream, self.app.clone(), connections.watcher()));
                }
                () = self.signals.hang_up.recv() => {
                    if self.signals.terminal.is_closed().await {
                        return;
                    }
                    reload();
                }
                () = self.watch.changed() => reload(),
                () = self.log.terminal_gone() => {
                    if self.signals.terminal.is_closed().await {
                        return;
                    }
                }
                _ = self.signals.end.recv() => return,
            }
        }
    }
}
