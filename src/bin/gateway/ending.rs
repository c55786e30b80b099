//! That the gateway is about to end, for answers that would last as long as it does.

use tokio::sync::watch;

/// Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Ending(watch::Sender<bool>);

impl Ending {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when it has begun.
    pub(crate) fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ending = self.0.subscribe();
        // It cannot be dropped before that: the program has it to the end.
        async move { drop(ending.wait_for(|has_begun| *has_begun).await) }
    }
}
