//! What all handles of one identity share: their way to the task.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};
use tracing::{dispatcher, instrument::WithSubscriber};

use crate::{
    error::{Error, ErrorKind},
    machine::{Ask, Want},
    resources::Claims,
    supervisor::{
        Backend, Command, Supervisor,
        mailbox::{self, Inbox, Mailbox},
        runtime,
        shared::{Attached, Grant, Shared},
    },
};

type Launch =
    dyn Fn(&Core, Attached, Inbox<Command>, Option<&Handle>) -> io::Result<()> + Send + Sync;

pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    claims: Arc<Claims>,
    /// `None` until the first need.
    mailbox: Mutex<Option<Mailbox<Command>>>,
    next_waiter: AtomicU64,
    next_handle: AtomicU64,
    /// Where the task runs, if not on the crate's own thread.
    runtime: Option<Handle>,
    launch: Box<Launch>,
}

impl Core {
    pub(crate) fn new<B: Backend>(
        backend: B,
        claims: Arc<Claims>,
        runtime: Option<Handle>,
    ) -> Self {
        let launch = move |core: &Self, first, inbox, runtime: Option<&Handle>| {
            let (shared, claims) = (core.shared.clone(), core.claims.clone());
            let supervisor = Supervisor::new(shared, backend.clone(), claims, first, inbox);
            let runtime = match runtime {
                Some(runtime) => runtime.clone(),
                None => runtime::handle()?,
            };
            // Whoever listens to the caller's events hears of the service too. Without anybody, a
            // listener for all may still come.
            let task = supervisor.run();
            drop(if dispatcher::has_been_set() {
                runtime.spawn(task.with_current_subscriber())
            } else {
                runtime.spawn(task)
            });
            Ok(())
        };
        Self {
            shared: Arc::new(Shared::new()),
            claims,
            mailbox: Mutex::default(),
            next_waiter: AtomicU64::new(0),
            next_handle: AtomicU64::new(0),
            runtime,
            launch: Box::new(launch),
        }
    }

    /// A handle came; its times count from now on.
    pub(crate) fn attach(&self, handle: Attached) -> u64 {
        let id = self.next_handle.fetch_add(1, Relaxed);
        self.shared.handles().insert(id, handle);
        self.tell(Command::Handles);
        id
    }

    pub(crate) fn detach(&self, handle: u64) {
        self.shared.handles().remove(&handle);
        self.tell(Command::Handles);
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
        // The task may have ended with its runtime, or by a panic: the next one runs on our thread.
        for _ in 0..2 {
            let ask = Ask {
                handle,
                want,
                swap_timeout: settings.swap_timeout,
                max_waiters: settings.max_waiters,
            };
            let (reply, answer) = oneshot::channel();
            let waiter = self.next_waiter.fetch_add(1, Relaxed);
            let mut waiting = Waiting {
                core: self,
                waiter: Some(waiter),
            };
            self.send(Command::Ask { waiter, ask, reply }, from)?;
            if let Ok(answer) = answer.await {
                waiting.waiter = None;
                return answer;
            }
        }
        Err(Error::new(&from.name, ErrorKind::ShutDown {}))
    }

    /// Stops what runs.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        let (reply, stopped) = oneshot::channel();
        self.tell(Command::Stop { reply });
        // Without a task nothing runs.
        stopped.await.unwrap_or(Ok(()))
    }

    /// Lets what runs end, at most until the limit has passed; told when nothing of it is left.
    pub(crate) fn retire(&self, limit: Option<Duration>) -> oneshot::Receiver<Result<(), Error>> {
        let (reply, retired) = oneshot::channel();
        self.tell(Command::Retire { limit, reply });
        retired
    }

    /// The same without waiting, unless there are handles other than those that are let go.
    pub(crate) fn retire_unless_wanted(&self, is_let_go: impl Fn(u64) -> bool) {
        if self
            .shared
            .handles()
            .keys()
            .all(|&handle| is_let_go(handle))
        {
            drop(self.retire(None));
        }
    }

    /// Whether any handle may still ask for leases.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.shared.handles().is_empty()
    }

    /// Sends away who waits through the handle.
    pub(crate) fn dismiss(&self, handle: u64) {
        self.tell(Command::Dismiss { handle });
    }

    /// Whether the run goes on; resolves when that is known.
    pub(crate) fn confirm(&self, run: u64) -> oneshot::Receiver<bool> {
        let (reply, confirmed) = oneshot::channel();
        self.tell(Command::Confirm { run, reply });
        confirmed
    }

    /// Tells the task, if there is one.
    fn tell(&self, command: Command) {
        let mailbox = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mailbox) = &*mailbox {
            // A task that has ended has nothing to be told.
            drop(mailbox.send(command));
        }
    }

    /// Tells the task, and starts it if there is none.
    fn send(&self, command: Command, from: &Attached) -> Result<(), Error> {
        let mut mailbox = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        let (command, runtime) = match &*mailbox {
            None => (command, self.runtime.as_ref()),
            Some(sender) => match sender.send(command) {
                Ok(()) => return Ok(()),
                Err(returned) => (returned, None),
            },
        };
        let (sender, inbox) = mailbox::mailbox();
        drop(sender.send(command));
        (self.launch)(self, from.clone(), inbox, runtime)
            .map_err(|error| Error::spawn(&from.name, "the thread for supervisors", &error))?;
        *mailbox = Some(sender);
        Ok(())
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// Leaves the queue when dropped.
struct Waiting<'a> {
    core: &'a Core,
    waiter: Option<u64>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.core.tell(Command::Leave { waiter });
        }
    }
}
