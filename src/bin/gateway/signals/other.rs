//! Ctrl-C; there is no SIGHUP.

use std::{future, io};

use tokio::signal;

pub(crate) struct End;

impl End {
    #[expect(clippy::unnecessary_wraps, reason = "as where it may fail")]
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn recv(&mut self) -> i32 {
        if signal::ctrl_c().await.is_err() {
            future::pending::<()>().await;
        }
        // As after SIGINT.
        130
    }
}

pub(crate) struct HangUp;

impl HangUp {
    #[expect(clippy::unnecessary_wraps, reason = "as where it may fail")]
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn recv(&mut self) {
        future::pending().await
    }
}
