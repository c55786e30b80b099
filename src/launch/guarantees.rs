//! What is guaranteed of the servers that are started.

use serde::Serialize;

/// What is guaranteed of servers: of those that are started now ([`Registry::guarantees`]), of the one that runs
/// ([`Status::guarantees`]), or of those of a launcher ([`Launcher::guarantees`]).
///
/// A server is started also where one of them is missing. It serializes to an object with keys in camel case.
///
/// # Example
///
/// ```
/// use tower_local_service::Registry;
///
/// let guarantees = Registry::global().guarantees();
/// if !guarantees.finds_descendants {
///     eprintln!("a server behind `setsid` may outlive its stop");
/// }
/// ```
///
/// A launcher of your own begins with none of them:
///
/// ```
/// use tower_local_service::Guarantees;
///
/// let mut guarantees = Guarantees::default();
/// guarantees.dies_with_program = true;
/// ```
///
/// [`Registry::guarantees`]: crate::Registry::guarantees
/// [`Status::guarantees`]: crate::Status::guarantees
/// [`Launcher::guarantees`]: crate::Launcher::guarantees
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Guarantees {
    /// A server ends when your program ends, also by SIGKILL. Of processes: there is `/bin/sh` for the watchdog, or the
    /// server is in a job (Windows). Of containers: there is also `curl`, `docker` or `podman`, by which the watchdog asks
    /// the engine; and the container is not one that was taken over.
    pub dies_with_program: bool,
    /// It then has up to two seconds to end by itself, before it is killed. Of processes: there is `sleep` for the
    /// watchdog; never on Windows. Of containers: it has them wherever it ends with your program.
    pub has_grace: bool,
    /// Descendants that have left the process group of the server are found and end with it: the system
    /// shows parents and environments (Linux), or none can leave the job of the server (Windows). If your program is
    /// killed, those end that a living parent ties to the server; on Windows, all of them.
    pub finds_descendants: bool,
    /// Also a descendant that no living parent ties to the server ends when your program is killed: a control group
    /// (version 2) may be made for each server (Linux; as root, or in a session of systemd), or it is in the job of the
    /// server (Windows).
    pub keeps_descendants: bool,
    /// Programs of this user that use this crate share their servers: there is a folder for them.
    pub shares_servers: bool,
    /// A server that another program uses directly is not stopped for idleness: the system shows the connections to its
    /// port (Linux).
    pub sees_use: bool,
}
