//! A system without the shell that ends a container when your program has ended.

use std::{convert::Infallible, fs::File, path::Path, sync::Arc};

/// There is none.
pub(super) struct Lifeline(Infallible);

impl Lifeline {
    pub(super) fn is_possible() -> bool {
        false
    }

    #[expect(clippy::unused_async, reason = "others wait for its start")]
    pub(super) async fn start(_: &Path, _: Option<Arc<File>>) -> Option<Self> {
        None
    }

    pub(super) fn label(&self) -> &str {
        match self.0 {}
    }

    pub(super) fn tell(&mut self, _: &str) {
        match self.0 {}
    }

    pub(super) fn end(self) {
        match self.0 {}
    }
}

pub(super) fn lives(_: &str) -> bool {
    false
}
