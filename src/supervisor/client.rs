//! What all handles of one identity share: through it they send commands to their supervisor.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};
use tracing::{dispatcher, instrument::WithSubscriber};

use super::{
    Backend,
    board::{Attached, Board},
    callers::Command,
    events::Teller,
    inbox::{Inbox, Reader},
    runtime,
    task::Supervisor,
};
use crate::{
    error::{Error, ErrorKind},
    leases::{Grant, Instances},
    machine::{Ask, Want},
    resources::{Claims, Shortage},
};

type Start = dyn Fn(Reader<Command>, Attached, &Handle) + Send + Sync;

pub(crate) struct Client {
    /// It tells the events of this service from those of others.
    pub(crate) number: u64,
    pub(crate) instances: Arc<Instances>,
    pub(crate) board: Arc<Board>,
    inbox: Arc<Inbox<Command>>,
    next_waiter: AtomicU64,
    next_handle: AtomicU64,
    /// Where the first task runs, if not on the crate's own thread.
    runtime: Option<Handle>,
    was_started: AtomicBool,
    /// Starts a task that reads the inbox.
    start: Box<Start>,
    claims: Arc<Claims>,
}

impl Client {
    pub(crate) fn new<B: Backend>(
        backend: B,
        claims: Arc<Claims>,
        runtime: Option<Handle>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let (instances, board) = (Arc::new(Instances::new()), Arc::new(Board::new()));
        let parts = (instances.clone(), board.clone());
        let all_claims = claims.clone();
        let start = move |inbox, first, runtime: &Handle| {
            let (instances, board) = parts.clone();
            let (backend, claims) = (backend.clone(), claims.clone());
            let events = Teller::of(number);
            let task =
                Supervisor::new(instances, board, backend, claims, first, inbox, events).run();
            // The subscriber of the caller gets the events of the service, too. Without one, a global subscriber may
            // still come.
            drop(if dispatcher::has_been_set() {
                runtime.spawn(task.with_current_subscriber())
            } else {
                runtime.spawn(task)
            });
        };
        Self {
            number,
            instances,
            board,
            inbox: Arc::new(Inbox::new()),
            next_waiter: AtomicU64::new(0),
            next_handle: AtomicU64::new(0),
            runtime,
            was_started: AtomicBool::new(false),
            start: Box::new(start),
            claims: all_claims,
        }
    }

    /// A handle came; its times count from now on.
    pub(crate) fn attach(&self, handle: Attached) -> u64 {
        let id = self.next_handle.fetch_add(1, Relaxed);
        self.board.handles().insert(id, handle);
        self.inbox.put_if_read(Command::Handles);
        id
    }

    pub(crate) fn detach(&self, handle: u64) {
        self.board.handles().remove(&handle);
        self.inbox.put_if_read(Command::Handles);
    }

    /// Waits for what is wanted.
    ///
    /// # Cancel safety
    ///
    /// The waiter leaves; what was granted to it meanwhile is given back.
    pub(crate) async fn ask(
        &self,
        handle: u64,
        from: &Attached,
        want: Want,
    ) -> Result<Option<Grant>, Error> {
        let settings = &from.settings;
        let panics = self.board.panics.load(Relaxed);
        // The task may have ended with its runtime: the next one runs on the crate's own thread.
        for _ in 0..2 {
            let ask = Ask {
                handle,
                shut_down: false,
                want,
                swap_timeout: match want {
                    // It has what is free now, or nothing.
                    Want::Preload => Duration::ZERO,
                    _ => settings.swap_timeout,
                },
                max_waiters: settings.max_waiters,
            };
            let (reply, answer) = oneshot::channel();
            let waiter = self.next_waiter.fetch_add(1, Relaxed);
            let mut waiting = Waiting {
                client: self,
                waiter: Some(waiter),
            };
            self.send(Command::Ask { waiter, ask, reply }, from)?;
            if let Ok(answer) = answer.await {
                waiting.waiter = None;
                return answer;
            }
            if self.board.panics.load(Relaxed) != panics {
                return Err(Error::new(&from.name, ErrorKind::Internal {}));
            }
        }
        Err(Error::new(&from.name, ErrorKind::ShutDown {}))
    }

    /// What it waits for that other services of this program have.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        self.claims.table.shortage_of(&self.board.gate)
    }

    /// Starts the task, if none runs.
    pub(crate) fn begin(&self, from: &Attached) {
        // Without a thread for it, the next request says so.
        drop(self.send(Command::Handles, from));
    }

    /// Stops what runs.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        let (reply, stopped) = oneshot::channel();
        self.inbox.put_if_read(Command::Stop { reply });
        // Without a task nothing runs.
        stopped.await.unwrap_or(Ok(()))
    }

    /// Lets what runs end, at most until the limit has passed. The answer comes when nothing of it is left.
    pub(crate) fn retire(&self, limit: Option<Duration>) -> oneshot::Receiver<Result<(), Error>> {
        let (reply, retired) = oneshot::channel();
        self.inbox.put_if_read(Command::Retire { limit, reply });
        retired
    }

    /// The same without waiting, unless there are handles other than those that are let go.
    pub(crate) fn retire_unless_needed(&self, is_let_go: impl Fn(u64) -> bool) {
        let mut handles = self.board.handles().keys().copied().collect::<Vec<_>>();
        handles.retain(|handle| !is_let_go(*handle));
        if handles.is_empty() {
            drop(self.retire(None));
        }
    }

    /// Whether any handle may still ask for leases.
    pub(crate) fn has_handles(&self) -> bool {
        !self.board.handles().is_empty()
    }

    /// Fails the callers that wait through the handle.
    pub(crate) fn dismiss(&self, handle: u64) {
        self.inbox.put_if_read(Command::Dismiss { handle });
    }

    /// Whether the instance lives; resolves when that is known.
    pub(crate) fn confirm(&self, instance: u64) -> oneshot::Receiver<bool> {
        let (reply, confirmed) = oneshot::channel();
        self.inbox.put_if_read(Command::Confirm { instance, reply });
        confirmed
    }

    /// The connection of a request to the instance, or of a body of it, broke. Resolves when the instance would be known
    /// to have died if that were the reason.
    pub(crate) fn broken_off(&self, instance: u64) -> oneshot::Receiver<()> {
        let (reply, known) = oneshot::channel();
        self.inbox
            .put_if_read(Command::BrokenOff { instance, reply });
        known
    }

    /// Puts the command into the inbox, and starts a task if none reads it.
    fn send(&self, command: Command, from: &Attached) -> Result<(), Error> {
        let Some(reader) = self.inbox.put(command) else {
            return Ok(());
        };
        let runtime = match &self.runtime {
            Some(runtime) if !self.was_started.swap(true, Relaxed) => runtime.clone(),
            _ => runtime::handle()
                .map_err(|error| Error::spawn(&from.name, "the supervisor's thread", &error))?,
        };
        (self.start)(reader, from.clone(), &runtime);
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("instances", &self.instances)
            .field("board", &self.board)
            .finish_non_exhaustive()
    }
}

/// Leaves the queue when dropped.
struct Waiting<'a> {
    client: &'a Client,
    waiter: Option<u64>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.client.inbox.put_if_read(Command::Leave { waiter });
        }
    }
}
