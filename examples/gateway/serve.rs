//! From the first connection to the last, and what signals have to do with it.

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

/// For the last words of answers whose time to end is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(crate) struct Signals {
    end: End,
    hang_up: Signal,
}

/// Somebody wants an end of it.
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

/// Serves until a signal, then lets answers come to their end for as long as that, and stops what was
/// started. SIGHUP is for `reload`.
pub(crate) async fn run(
    listener: TcpListener,
    app: Router,
    mut signals: Signals,
    limit: Duration,
    reload: impl Fn(),
) {
    // Tokens are small, and none is to wait for the next.
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
    info!("no more requests; answers have {limit:?} to come to their end");
    drop(stop);
    // Servers are stopped while connections end: those that nobody uses do not wait for the others.
    let registry = Registry::global();
    let drained = async {
        tokio::join!(
            time::timeout(limit + LAST_WORDS, server),
            registry.drain(limit),
        )
    };
    tokio::select! {
        _ = drained => info!("nothing is left of what was started"),
        signal = signals.end.recv() => {
            // Who asks twice does not want to wait: the end of this process is the end of its servers.
            process::exit(128 + signal.as_raw_value());
        }
    }
}
