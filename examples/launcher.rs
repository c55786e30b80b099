//! A launcher of your own: the server is no process, but a thread of this program.
//!
//! The same would start a virtual machine, or a job of a cluster. The crate decides when it is started, whether it is
//! ready, and when it is stopped; the launcher does it.
//!
//! ```sh
//! cargo run --example launcher
//! ```
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tokio::sync::watch;
use tower_local_service::{
    BoxError, Guarantees, Launcher, LocalService, LocalServiceConfig, OutputStream, Running,
    launch::{BoxFuture, Exit, LaunchContext, LaunchError, LaunchIdentity},
};

/// A server that answers everything with the same text.
struct Greeter {
    greeting: String,
}

impl Launcher for Greeter {
    fn identity(&self) -> LaunchIdentity {
        LaunchIdentity::new("greeter").part(&self.greeting)
    }

    fn launch(
        &self,
        context: LaunchContext,
    ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>> {
        let greeting = self.greeting.clone();
        Box::pin(async move {
            let port = context.port();
            let failed = |error| LaunchError::new("the greeter", error);
            let listener = TcpListener::bind(("127.0.0.1", port)).map_err(failed)?;
            let line = format!("greeting on port {port}\n");
            let output = context.output();
            output.write(OutputStream::Stderr, line.as_bytes()).await;
            Ok(Box::new(Thread::start(port, listener, greeting)) as Box<dyn Running>)
        })
    }

    fn guarantees(&self) -> Guarantees {
        let mut guarantees = Guarantees::default();
        // A thread cannot do otherwise.
        guarantees.dies_with_program = true;
        guarantees
    }
}

struct Thread {
    port: u16,
    is_asked_to_end: Arc<AtomicBool>,
    has_ended: watch::Receiver<bool>,
}

impl Thread {
    fn start(port: u16, listener: TcpListener, greeting: String) -> Self {
        let is_asked_to_end = Arc::new(AtomicBool::new(false));
        let (ended, has_ended) = watch::channel(false);
        let asked = is_asked_to_end.clone();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if asked.load(Relaxed) {
                    break;
                }
                drop(answer(&stream, &greeting));
            }
            drop(listener);
            ended.send_replace(true);
        });
        Self {
            port,
            is_asked_to_end,
            has_ended,
        }
    }
}

fn answer(stream: &TcpStream, greeting: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut lines = BufReader::new(stream).lines();
    while lines.next().transpose()?.is_some_and(|it| !it.is_empty()) {}
    let length = greeting.len();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{greeting}"
    )
}

impl Running for Thread {
    fn id(&self) -> Option<u32> {
        None
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            // An error means that the thread has ended, too.
            drop(self.has_ended.wait_for(|ended| *ended).await);
            Exit::with_code(0)
        })
    }

    /// A thread leaves nothing behind.
    fn gone(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn is_alive(&mut self) -> bool {
        !*self.has_ended.borrow()
    }

    fn stop(&mut self) {
        self.is_asked_to_end.store(true, Relaxed);
        // The thread waits for a connection. To this machine that takes no time.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }

    /// A thread cannot be ended by force.
    fn kill(&mut self) {
        self.stop();
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if self.is_alive() {
            self.stop();
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let port: u16 = std::env::args()
        .nth(1)
        .as_deref()
        .unwrap_or("8095")
        .parse()?;
    let config = LocalServiceConfig::launched_by(Greeter {
        greeting: "Hello!".to_owned(),
    });
    let greeter = LocalService::new("greeter", format!("http://127.0.0.1:{port}/v1"), config)?;

    let lease = greeter.acquire().await?; // starts the thread
    let guarantees = greeter.status().guarantees.unwrap_or_default();
    println!("ready: instance {}", lease.instance());
    println!("ends with this program: {}", guarantees.dies_with_program);
    println!("it wrote: {}", greeter.output().next().await.text);
    drop(lease);

    greeter.stop().await?;
    println!("stopped: {:?}", greeter.status().phase);
    Ok(())
}
