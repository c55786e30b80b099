//! Runs services as child processes on Windows.
//!
//! # Theory of operation
//!
//! **The job.** Each instance has a job object of its own. The service is created suspended, assigned to the job, and only
//! then runs, so that whatever it starts is in the job as well: nothing can leave it. The only handle of the job is in
//! your program. However your program ends, the system closes the handle, and with it ends every process of the job. A
//! program that is killed between the creation and the assignment leaves a process behind that never runs.
//!
//! **Stop.** The service leads a process group of its console. Where your program has a console, the service shares it
//! and is sent Ctrl-Break, which ends a program that does not handle it (`SIGBREAK`). Elsewhere nothing can ask the
//! service to end, so a stop ends the job at once.
//!
//! **Handles.** The service inherits its standard streams, and what is inheritable in your program: connections that it has
//! accepted are, as the standard library leaves them so.
//!
//! **End.** The system does not tell this crate which processes are in the job. What still runs when the service has ended
//! most likely holds its pipes, as on a Unix that is not Linux; what does not is ended with the job, and may live for a moment
//! after the instance counts as gone.

#[cfg(test)]
mod tests;

use std::{fmt, fs::File, io, time::Duration};

use process_wrap::tokio::{ChildWrapper, CommandWrap, JobObject, KillOnDrop};
use send_ctrlc::Interruptible;
use tokio::{runtime::Handle, time};

#[cfg(feature = "retry")]
pub(crate) use super::unseen::is_running;
pub(crate) use super::unseen::{cpu_time_of, holder, last_use, shows_use};
use super::{
    BoxFuture, Exit, Guarantees, LaunchError, OutputSink, Processes, Running, blocking,
    pipes::{self, Pipes},
};

/// Of `CreateProcess`. Source: <https://learn.microsoft.com/windows/win32/procthread/process-creation-flags>.
const CREATE_SUSPENDED: u32 = 0x0000_0004;
const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
const CREATE_NO_WINDOW: u32 = 0x0800_0000;

/// How long the processes of a job that was ended are waited for.
const END_LIMIT: Duration = Duration::from_secs(1);

type Ask = fn(u32) -> io::Result<()>;

/// One instance: the service's process, and all that it starts.
///
/// It can be dropped on any thread and at any time.
pub(crate) struct Process {
    /// Dropping it ends the job.
    job: Box<dyn ChildWrapper>,
    pid: u32,
    exit: Option<Exit>,
    /// The process only starts the server: when it has ended well, the instance lives until it is stopped.
    is_launcher: bool,
    /// Asks the process group of that number to end; `None` where nothing can ask it.
    ask: Option<Ask>,
    is_stopped: bool,
    is_killed: bool,
    pipes: Pipes,
}

/// Starts the service. Nothing is left running if the future is dropped.
///
/// # Errors
///
/// The system refused. Nothing is left running.
pub(super) async fn spawn(
    processes: Processes,
    output: OutputSink,
) -> Result<Process, LaunchError> {
    let runtime = Handle::try_current().map_err(|error| failed(io::Error::other(error)))?;
    // Loading a program may block on a slow disk.
    let started = blocking::begin(move || {
        let _entered = runtime.enter();
        start(&processes, &output, &runtime)
    });
    let started = started.map_err(|error| LaunchError::new("thread", error))?;
    started
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(failed)
}

fn failed(error: io::Error) -> LaunchError {
    LaunchError::new("service", error)
}

fn start(processes: &Processes, output: &OutputSink, runtime: &Handle) -> io::Result<Process> {
    let has_console = has_console();
    let mut command = CommandWrap::from(processes.launch.to_command());
    command.wrap(KillOnDrop).wrap(JobObject);
    let mut job = command.spawn_with(|command| {
        // The wrapper of the job resumes the process when it is assigned.
        let flags = CREATE_SUSPENDED | CREATE_NEW_PROCESS_GROUP;
        // A program without a console would get a window for each server.
        let window = if has_console { 0 } else { CREATE_NO_WINDOW };
        command.creation_flags(flags | window).spawn()
    })?;
    let number = job.id();
    let pid = number.ok_or_else(|| io::Error::other("the process has no number"))?;
    let (stdout, stderr) = (job.stdout().take(), job.stderr().take());
    Ok(Process {
        job,
        pid,
        exit: None,
        is_launcher: processes.launch.is_launcher,
        ask: has_console.then_some(press_ctrl_break as Ask),
        is_stopped: false,
        is_killed: false,
        pipes: pipes::read(stdout, stderr, output, runtime),
    })
}

/// Whether this program has a console, which its children share.
fn has_console() -> bool {
    File::options().write(true).open("CONOUT$").is_ok()
}

/// In the console of this program, for one of its process groups.
fn press_ctrl_break(group: u32) -> io::Result<()> {
    Group(group).terminate()
}

struct Group(u32);

impl Interruptible for Group {
    fn pid(&mut self) -> io::Result<Option<u32>> {
        Ok(Some(self.0))
    }
}

impl Running for Process {
    fn id(&self) -> Option<u32> {
        Some(self.pid)
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(self.ended())
    }

    fn gone(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.nothing_left())
    }

    fn is_alive(&mut self) -> bool {
        let runs = self.exit.is_none() && matches!(self.process().try_wait(), Ok(None));
        if self.is_launcher {
            let has_failed = self.exit.is_some_and(|exit| !is_good(exit));
            return !self.is_stopped && !has_failed;
        }
        runs
    }

    fn stop(&mut self) {
        self.is_stopped = true;
        // As long as it is not waited for, no other process can have its number.
        let has_number = self.process().id().is_some();
        match self.ask {
            Some(ask) if has_number && ask(self.pid).is_ok() => {}
            _ => self.kill(),
        }
    }

    fn kill(&mut self) {
        self.is_stopped = true;
        self.is_killed = true;
        // An error needs no handling: a process that was not ended is found alive later.
        drop(self.job.start_kill());
    }
}

impl Process {
    /// Without the wrapper of the job, which does not wait for all of its processes, either, but may block a thread.
    fn process(&mut self) -> &mut dyn ChildWrapper {
        self.job.inner_mut()
    }

    /// Resolves when the service's process has ended. Cancel safe.
    async fn leader_ended(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        let status = self.process().wait().await;
        let exit = status.map_or_else(
            |_| Exit::default(),
            |status| Exit {
                code: status.code(),
                ..Exit::default()
            },
        );
        *self.exit.insert(exit)
    }

    /// Resolves when the service's process has ended and its output is complete. One that has started the server, and
    /// ended well, counts as ended when it is stopped and nothing of its job is left. Cancel safe.
    async fn ended(&mut self) -> Exit {
        let exit = self.leader_ended().await;
        if self.is_launcher && is_good(exit) {
            if !self.is_stopped {
                // Asked again when it is stopped.
                return std::future::pending().await;
            }
            self.others_ended().await;
        }
        self.pipes.flushed().await;
        exit
    }

    /// Resolves when no process of the instance is left. Cancel safe.
    async fn nothing_left(&mut self) {
        self.leader_ended().await;
        self.others_ended().await;
        self.kill();
    }

    /// Cancel safe.
    async fn others_ended(&mut self) {
        if self.is_killed {
            drop(time::timeout(END_LIMIT, self.pipes.ended()).await);
        } else {
            self.pipes.ended().await;
        }
    }
}

/// Whether a command has done what it should. Where its exit status is lost, it is not known to have failed.
fn is_good(exit: Exit) -> bool {
    matches!(exit.code, None | Some(0))
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// What a job object does. A job that ends with your program has no grace.
pub(crate) fn guarantees() -> Guarantees {
    Guarantees {
        dies_with_program: true,
        finds_descendants: true,
        keeps_descendants: true,
        ..Guarantees::default()
    }
}
