//! A machine without processes and sockets: what happens on it is written down by the test.

use std::{
    future::{Future, ready},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep},
};

use crate::{
    config::{Settings, Target},
    error::Problem,
    launch::{
        BoxFuture, Exit, Holder, LaunchContext, LaunchError, LaunchIdentity, Launcher, Listener,
        Look, OutputStream, Running,
    },
    probe::Answer,
    supervisor::Backend,
};

/// The backend of a service under test; all clones are one machine.
#[derive(Clone)]
pub(super) struct Fake {
    machine: Arc<Machine>,
}

struct Machine {
    script: Mutex<Script>,
    /// Something of a process has changed.
    changed: Notify,
}

/// What is on the machine, and how it behaves.
pub(super) struct Script {
    /// What a probe sees while no owned process runs.
    pub(super) elsewhere: Answer,
    /// What a probe sees until the owned process has run for `load_time`.
    pub(super) loading: Answer,
    pub(super) load_time: Duration,
    /// What a probe sees then.
    pub(super) running: Answer,
    pub(super) probe_takes: Duration,
    pub(super) spawn_takes: Duration,
    pub(super) spawn_error: Option<&'static str>,
    pub(super) problems: Vec<Problem>,
    /// Which TERM ends the process, and how long after it; `None`: no TERM does.
    pub(super) heeds_term: Option<(usize, Duration)>,
    pub(super) heeds_kill: bool,
    /// Something of its group is left when the process has ended, until KILL.
    pub(super) leaves_others: bool,
    pub(super) listener: Listener,
    pub(super) output: String,
    /// What the process has used of the CPU.
    pub(super) cpu: Option<Duration>,
    /// The process of a server that another program started.
    pub(super) holder: Option<u32>,
    /// Whether the next start panics.
    pub(super) panics: bool,
    /// When another program last used the port.
    pub(super) used: Option<Instant>,
    pub(super) use_takes: Duration,
    pub(super) stop_command: StopScript,
    /// What comes of the ready request, and how long that takes.
    pub(super) asked: (Answer, Duration),
    /// What the processes of the service do.
    pub(super) look: Look,
    /// The process that runs, or whose group is not gone.
    process: Option<FakeState>,
    log: Vec<(Instant, What)>,
    next_pid: u32,
}

/// What the stop command does.
pub(super) struct StopScript {
    pub(super) takes: Duration,
    pub(super) code: i32,
    pub(super) ends_server: bool,
}

struct FakeState {
    pid: u32,
    since: Instant,
    terms: usize,
    killed: bool,
    /// It serves no request any more, but the system does not report its exit yet.
    dying: bool,
    exit: Option<Exit>,
    gone: bool,
}

/// Something that was done to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Probed,
    Knocked,
    AskedForUse,
    Spawned,
    /// The ready request was sent.
    Asked,
    StopCommand,
    /// … and was dropped before it had ended.
    StopCommandKilled,
    Term,
    Kill,
    /// The handle of the process was dropped, which kills what is left.
    Dropped,
}

impl Fake {
    /// A machine on which nothing listens and every start works at once.
    pub(super) fn new() -> Self {
        let script = Script {
            elsewhere: Answer::Refused,
            loading: Answer::Refused,
            load_time: Duration::ZERO,
            running: Answer::Ready,
            probe_takes: Duration::from_millis(1),
            spawn_takes: Duration::ZERO,
            spawn_error: None,
            problems: Vec::new(),
            heeds_term: Some((1, Duration::ZERO)),
            heeds_kill: true,
            leaves_others: false,
            listener: Listener::Own { exposed: None },
            output: String::new(),
            cpu: Some(Duration::ZERO),
            holder: None,
            panics: false,
            used: None,
            use_takes: Duration::ZERO,
            stop_command: StopScript {
                takes: Duration::ZERO,
                code: 0,
                ends_server: true,
            },
            asked: (Answer::Ready, Duration::ZERO),
            look: Look::default(),
            process: None,
            log: Vec::new(),
            next_pid: 1000,
        };
        let machine = Machine {
            script: Mutex::new(script),
            changed: Notify::new(),
        };
        Self {
            machine: Arc::new(machine),
        }
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        let script = &self.machine.script;
        script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process ends by itself.
    pub(super) fn exit(&self, code: i32) {
        self.end(None, with_code(code));
    }

    /// The process is being torn down: the system says so if asked, and reports no exit yet.
    pub(super) fn begin_exit(&self) {
        if let Some(process) = &mut self.script().process {
            process.dying = true;
        }
    }

    /// What survived KILL goes after all.
    pub(super) fn vanish(&self) {
        self.script().leaves_others = false;
        self.end(None, with_signal(9));
    }

    fn end(&self, pid: Option<u32>, exit: Exit) {
        let mut script = self.script();
        let lingers = script.leaves_others;
        if let Some(process) = &mut script.process
            && pid.is_none_or(|pid| pid == process.pid)
        {
            process.exit.get_or_insert(exit);
            process.gone |= process.killed || !lingers;
        }
        drop(script);
        self.machine.changed.notify_waiters();
    }

    /// When it was done, each time.
    pub(super) fn times(&self, what: What) -> Vec<Instant> {
        let script = self.script();
        let done = script.log.iter().filter(|(_, done)| *done == what);
        done.map(|(at, _)| *at).collect()
    }

    pub(super) fn count(&self, what: What) -> usize {
        self.times(what).len()
    }

    /// Whether a process runs, or anything of its group.
    pub(super) fn is_running(&self) -> bool {
        let script = self.script();
        script.process.as_ref().is_some_and(|it| !it.gone)
    }

    /// Whether the service and its task are gone, and with them all that they had of the machine.
    pub(super) fn is_forgotten(&self) -> bool {
        Arc::strong_count(&self.machine) == 1
    }

    fn note(&self, what: What) {
        self.script().log.push((Instant::now(), what));
    }

    fn sight(&self) -> Answer {
        let script = self.script();
        match &script.process {
            Some(process) if process.gone => script.elsewhere,
            Some(process) if process.exit.is_some() => Answer::Refused,
            Some(process) if process.since.elapsed() < script.load_time => script.loading,
            Some(_) => script.running,
            None => script.elsewhere,
        }
    }
}

impl Launcher for Fake {
    fn identity(&self) -> LaunchIdentity {
        LaunchIdentity::new("fake")
    }

    fn problems(&self, _: &str) -> Vec<Problem> {
        let panics = self.script().panics;
        assert!(!panics, "on purpose");
        self.script().problems.clone()
    }

    fn launch(
        &self,
        context: LaunchContext,
    ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>> {
        let fake = self.clone();
        Box::pin(async move {
            let (takes, error) = {
                let script = fake.script();
                (script.spawn_takes, script.spawn_error)
            };
            sleep(takes).await;
            if let Some(error) = error {
                return Err(LaunchError::new("service", io::Error::other(error)));
            }
            fake.note(What::Spawned);
            let output = fake.script().output.clone();
            let sink = context.output();
            sink.write(OutputStream::Stderr, output.as_bytes()).await;
            let mut script = fake.script();
            let free = script.process.as_ref().is_none_or(|it| it.gone);
            assert!(free, "two processes at once");
            let pid = script.next_pid;
            script.next_pid += 1;
            script.process = Some(FakeState {
                pid,
                since: Instant::now(),
                terms: 0,
                killed: false,
                dying: false,
                exit: None,
                gone: false,
            });
            drop(script);
            Ok(Box::new(FakeProcess { fake, pid }) as Box<dyn Running>)
        })
    }
}

impl Backend for Fake {
    fn stop_command(&self, settings: &Settings) -> Option<Arc<dyn Launcher>> {
        settings.stop_command.as_ref()?;
        Some(Arc::new(FakeCommand(self.clone())))
    }

    fn launcher(&self, _: &Settings) -> Arc<dyn Launcher> {
        Arc::new(self.clone())
    }

    fn holder(&self, _: u16) -> impl Future<Output = Option<Holder>> + Send + use<> {
        ready(
            self.script()
                .holder
                .map(|pid| Holder { pid, program: None }),
        )
    }

    fn last_use(&self, _: u16) -> impl Future<Output = Option<Duration>> + Send + use<> {
        let fake = self.clone();
        async move {
            fake.note(What::AskedForUse);
            let takes = fake.script().use_takes;
            sleep(takes).await;
            fake.script().used.map(|at| at.elapsed())
        }
    }

    fn cpu_time_of(&self, _: u32) -> Option<Duration> {
        self.script().cpu
    }

    fn probe(&self, target: Arc<Target>) -> impl Future<Output = Answer> + Send + use<> {
        let fake = self.clone();
        async move {
            if target.wants_body {
                fake.note(What::Asked);
                let (answer, takes) = fake.script().asked;
                sleep(takes).await;
                return answer;
            }
            fake.note(What::Probed);
            let takes = fake.script().probe_takes;
            sleep(takes).await;
            match fake.sight() {
                Answer::Silent => {
                    sleep(target.timeout.saturating_sub(takes)).await;
                    Answer::Silent
                }
                sight => sight,
            }
        }
    }

    fn refuses(&self, _: Arc<Target>) -> impl Future<Output = bool> + Send + use<> {
        let fake = self.clone();
        async move {
            fake.note(What::Knocked);
            let takes = fake.script().probe_takes;
            sleep(takes).await;
            fake.sight() == Answer::Refused
        }
    }
}

/// The stop command of the service.
struct FakeCommand(Fake);

impl Launcher for FakeCommand {
    fn identity(&self) -> LaunchIdentity {
        LaunchIdentity::new("fake stop command")
    }

    fn launch(
        &self,
        _: LaunchContext,
    ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>> {
        let fake = self.0.clone();
        Box::pin(async move {
            fake.note(What::StopCommand);
            Ok(Box::new(FakeCommandRun { fake, ended: false }) as Box<dyn Running>)
        })
    }
}

struct FakeCommandRun {
    fake: Fake,
    ended: bool,
}

impl Running for FakeCommandRun {
    fn id(&self) -> Option<u32> {
        None
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            let (takes, code, ends) = {
                let script = self.fake.script();
                let command = &script.stop_command;
                (command.takes, command.code, command.ends_server)
            };
            sleep(takes).await;
            if ends {
                self.fake.end(None, with_code(0));
            }
            // It waits for the end of what it has stopped.
            sleep(Duration::from_millis(2)).await;
            self.ended = true;
            with_code(code)
        })
    }

    fn gone(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn is_alive(&mut self) -> bool {
        !self.ended
    }

    fn stop(&mut self) {}

    fn kill(&mut self) {}
}

impl Drop for FakeCommandRun {
    fn drop(&mut self) {
        if !self.ended {
            self.fake.note(What::StopCommandKilled);
        }
    }
}

pub(super) struct FakeProcess {
    fake: Fake,
    pid: u32,
}

impl FakeProcess {
    /// Waits for something of the process.
    async fn until<T>(&self, holds: impl Fn(&FakeState) -> Option<T>) -> T {
        loop {
            // Made before the look, so that no change between the two is missed.
            let changed = self.fake.machine.changed.notified();
            let held = self.fake.script().process.as_ref().and_then(&holds);
            if let Some(held) = held {
                return held;
            }
            changed.await;
        }
    }
}

fn with_code(code: i32) -> Exit {
    Exit {
        code: Some(code),
        ..Exit::default()
    }
}

fn with_signal(signal: i32) -> Exit {
    Exit {
        signal: Some(signal),
        ..Exit::default()
    }
}

impl Running for FakeProcess {
    fn id(&self) -> Option<u32> {
        Some(self.pid)
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(self.until(|it| it.exit))
    }

    fn gone(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.until(|it| it.gone.then_some(())))
    }

    fn cpu_time(&self) -> Option<Duration> {
        self.fake.script().cpu
    }

    fn is_alive(&mut self) -> bool {
        let script = self.fake.script();
        let process = script.process.as_ref();
        process.is_some_and(|it| it.exit.is_none() && !it.dying)
    }

    fn stop(&mut self) {
        self.fake.note(What::Term);
        let mut script = self.fake.script();
        let heeds = script.heeds_term;
        let Some(process) = &mut script.process else {
            return;
        };
        process.terms += 1;
        let ends = heeds.filter(|(which, _)| *which == process.terms);
        drop(script);
        if let Some((_, after)) = ends {
            let (fake, pid) = (self.fake.clone(), self.pid);
            drop(Handle::current().spawn(async move {
                sleep(after).await;
                fake.end(Some(pid), with_signal(15));
            }));
        }
    }

    fn kill(&mut self) {
        self.fake.note(What::Kill);
        let mut script = self.fake.script();
        if !script.heeds_kill {
            return;
        }
        if let Some(process) = &mut script.process {
            process.killed = true;
        }
        drop(script);
        self.fake.end(Some(self.pid), with_signal(9));
    }

    fn owns_port(&self, _: u16) -> BoxFuture<'static, Listener> {
        let fake = self.fake.clone();
        Box::pin(async move { fake.script().listener })
    }

    fn look(&self) -> BoxFuture<'static, Look> {
        Box::pin(ready(self.fake.script().look.clone()))
    }
}

impl Drop for FakeProcess {
    fn drop(&mut self) {
        self.fake.note(What::Dropped);
        if let Some(process) = &mut self.fake.script().process {
            process.gone |= process.pid == self.pid;
        }
    }
}
