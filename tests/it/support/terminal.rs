//! A terminal in which a test runs a program.

use std::{fs::File, os::fd::OwnedFd};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The side of the window, and the side of the programs in it.
pub(crate) fn terminal() -> (OwnedFd, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    #[cfg(target_os = "linux")]
    let flags = flags | OpenptFlags::CLOEXEC;
    let window = openpt(flags).expect("a terminal");
    grantpt(&window).expect("its other side");
    unlockpt(&window).expect("its other side");
    let name = ptsname(&window, Vec::new()).expect("its name");
    let name = name.to_str().expect("a name in UTF-8");
    let inside = File::options().read(true).write(true).open(name);
    (window, inside.expect("its other side"))
}
