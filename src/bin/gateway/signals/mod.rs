//! What ends this program, or makes it read its files again.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

use std::io;

#[cfg(not(unix))]
use self::other::{End, HangUp};
#[cfg(unix)]
use self::unix::{End, HangUp};
use crate::terminal::Terminal;

pub(crate) struct Signals {
    /// Asks the program to end; resolves to the code with which it exits if it is asked again.
    pub(crate) end: End,
    /// The files are to be read again, or the terminal has been closed.
    pub(crate) hang_up: HangUp,
    pub(crate) terminal: Terminal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, String> {
        let terminal = Terminal::of_this_program();
        let listen = || -> io::Result<Self> {
            Ok(Self {
                end: End::listen()?,
                hang_up: HangUp::listen()?,
                terminal,
            })
        };
        listen().map_err(|error| format!("signals cannot be listened to: {error}"))
    }
}
