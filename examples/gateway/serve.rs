//! Serves connections, and ends on a signal.

use std::{future::IntoFuture as _, io, pin::pin, process, time::Duration};

use axum::{Router, serve::ListenerExt as _};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time,
};
use tower_local_service::Registry;
use tracing::info;

/// For the ends of answers whose time is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(crate) struct Signals {
    end: End,
    hang_up: Signal,
}

/// Signals that end the program.
struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, String> {
        let listen = || -> io::Result<Self> {
            let end = End {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            };
            let hang_up = signal(SignalKind::hangup())?;
            Ok(Self { end, hang_up })
        };
        listen().map_err(|error| format!("signals cannot be listened to: {error}"))
    }
}

impl End {
    async fn recv(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }
}

/// Serves until a signal, then gives answers so long to end, and stops the servers that were started.
/// SIGHUP calls `reload`.
pub(crate) async fn run(
    listener: TcpListener,
    app: Router,
    mut signals: Signals,
    limit: Duration,
    reload: impl Fn(),
) {
    // Tokens are small, and none should wait for the next.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async { drop(stopped.await) });
    let mut server = pin!(server.into_future());
    loop {
        tokio::select! {
            _ = &mut server => return,
            _ = signals.hang_up.recv() => reload(),
            _ = signals.end.recv() => break,
        }
    }
    info!("no more requests; answers have {limit:?} to end");
    drop(stop);
    // Servers are stopped while connections end: those that are idle do not wait for the others.
    let registry = Registry::global();
    let drained = async {
        tokio::join!(
            time::timeout(limit + LAST_WORDS, server),
            registry.drain(limit),
        )
    };
    tokio::select! {
        _ = drained => info!("nothing is left of the servers that were started"),
        signal = signals.end.recv() => {
            // A second signal does not wait: the servers end with this process.
            process::exit(128 + signal.as_raw_value());
        }
    }
}
