//! Where programs share nothing, none is asked for anything.

use std::{
    convert::Infallible,
    io,
    path::Path,
    task::{Context, Poll},
};

#[derive(Debug)]
pub(in crate::resources::peers) struct Listener(Infallible);

#[derive(Debug)]
pub(in crate::resources::peers) struct Line(Infallible);

pub(in crate::resources::peers) fn listen(_: &Path) -> io::Result<Listener> {
    Err(io::ErrorKind::Unsupported.into())
}

#[expect(clippy::unused_async, reason = "others wait for the connection")]
pub(in crate::resources::peers) async fn connect(_: &Path) -> io::Result<Line> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Listener {
    pub(in crate::resources::peers) fn poll_accept(
        &self,
        _: &mut Context<'_>,
    ) -> Poll<io::Result<(Line, ())>> {
        match self.0 {}
    }
}

impl Line {
    pub(in crate::resources::peers) fn poll_read_ready(
        &self,
        _: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    pub(in crate::resources::peers) fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}
