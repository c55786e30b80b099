//! A small API server on loopback, without kubelet and controllers: it keeps objects as Kubernetes does, with versions,
//! conflicts and watches. It can fail in every way that a test needs, and counts what the program under test asks.
//!
//! Faults and counts are for the calls of the program, whose token is in the kubeconfig. What the test and the player of the
//! kubelet do with their own token always works, while the server runs.

mod call;
mod fault;
mod fields;
mod forward;
mod objects;
mod server;
mod status;
mod store;
mod stream;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::fault::Fault;
use self::{fault::Faults, server::Command, store::Store};
pub(in crate::kubernetes) use self::{forward::PORT, objects::LOG};
use super::{rights::Rights, thread::OwnThread};
use crate::support::free_port;

/// The token of the program under test.
pub(crate) const PROGRAM_TOKEN: &str = "token-of-the-program";
/// The token of the test, and of the player of the kubelet.
pub(crate) const ADMIN_TOKEN: &str = "token-of-the-tests";

/// What all calls share.
struct Shared {
    store: Mutex<Store>,
    /// Changes with the store, and with what watches have to know of the faults.
    changed: watch::Sender<()>,
    faults: Mutex<Faults>,
    calls: Mutex<Vec<String>>,
    /// Of the program; all if there are none.
    rights: Mutex<Option<Rights>>,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }
}

/// The server. It runs on a thread of its own, and ends when this is dropped.
pub(crate) struct Fake {
    port: u16,
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    _thread: OwnThread,
}

impl Fake {
    pub(crate) async fn new() -> Self {
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            changed: watch::Sender::new(()),
            faults: Mutex::default(),
            calls: Mutex::default(),
            rights: Mutex::default(),
        });
        let (commands, received) = mpsc::unbounded_channel();
        let (listens, wait) = oneshot::channel();
        let port = free_port();
        let of_thread = Arc::clone(&shared);
        let serve = async move || server::serve(port, &of_thread, received, listens).await;
        let thread = OwnThread::run(serve);
        wait.await.expect("the API server listens");
        Self {
            port,
            shared,
            commands,
            _thread: thread,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the program has asked since the start or the last `forget_calls`, oldest first: `patch deployments gemma`. A
    /// call counts from when it comes in, whatever becomes of it.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap().clone()
    }

    pub(crate) fn forget_calls(&self) {
        self.shared.calls.lock().unwrap().clear();
    }

    /// How many calls of a kind the program has made, such as `patch deployments` or `*`.
    pub(crate) fn count(&self, kind: &str) -> usize {
        let calls = self.calls();
        let kinds = calls.iter().map(|call| call::kind_of(call));
        kinds.filter(|it| fault::is_of(it, kind)).count()
    }

    /// What the program may do from now on: all, if there are no rights.
    pub(super) fn give(&self, rights: Option<Rights>) {
        *self.shared.rights.lock().unwrap() = rights;
    }

    /// What happens to the next calls of a kind: verb and resource as a role names them, such as `patch deployments`, `get
    /// pods/log` or `*` for all.
    pub(crate) fn next(&self, times: usize, kind: &str, fault: Fault) {
        self.shared.faults().add(times, kind, fault);
        self.shared.changed.send_replace(());
    }

    /// What happens to all calls of a kind from now on.
    pub(crate) fn always(&self, kind: &str, fault: Fault) {
        self.next(usize::MAX, kind, fault);
    }

    /// Ends all faults. Calls that are held are executed; those that hang stay so.
    pub(crate) fn heal(&self) {
        self.shared.faults().clear();
        self.shared.changed.send_replace(());
    }

    /// Forgets the history: a watch from an earlier version is answered by 410, and so are those that run.
    pub(crate) fn compact(&self) {
        self.shared.store().compact();
        self.shared.changed.send_replace(());
    }

    /// Watches say nothing any more, until this is called with `false`: then they say what they have missed.
    pub(crate) fn silence_watches(&self, silent: bool) {
        self.shared.faults().silent = silent;
        self.shared.changed.send_replace(());
    }

    /// The server answers 404 for a resource, as one that is too old for it.
    pub(crate) fn without(&self, resource: &str) {
        self.shared.faults().unknown.push(resource.to_owned());
    }

    /// Ends all connections, refuses new ones for that long, and is then as before.
    pub(crate) async fn restart(&self, pause: Duration) {
        let (done, wait) = oneshot::channel();
        self.tell(Command::Restart { pause, done });
        wait.await.expect("the server restarts");
    }

    /// Ends all connections at once: watches, port-forwards, calls without an answer.
    pub(crate) async fn cut(&self) {
        let (done, wait) = oneshot::channel();
        self.tell(Command::Cut { done });
        wait.await.expect("the connections are cut");
    }

    fn tell(&self, command: Command) {
        self.commands.send(command).expect("the server runs");
    }
}
