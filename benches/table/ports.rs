//! Two programs with the same services, whose ports each one chooses by itself.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use tower_local_service::{LocalServiceConfig, Registry};

use crate::{
    row::{Row, time},
    support::{Fixture, PROGRAM, ask, block_on, two_workers},
};

const COUNT: usize = 50;
/// Makes this program one of the two. It has the arguments of each server, in JSON.
const SERVERS: &str = "CHOSEN_PORTS";

/// What a program has seen of each service: its port, and the process that answers there.
type Seen = Vec<(u16, String)>;

pub(crate) fn measure() -> Vec<Row> {
    let fixtures: Vec<_> = (0..COUNT)
        .map(|_| Fixture::new().with("--max-life", 1_000_000))
        .collect();
    let mut programs = [program(&fixtures), program(&fixtures)];
    let begun = Instant::now();
    for program in &mut programs {
        program.begin();
    }
    let [one, other] = programs.each_mut().map(Program::seen);
    let took = begun.elapsed();
    let seen = fixtures.iter().zip(one.iter().zip(&other));
    // Something else may have had a port when one of the two looked.
    let agreed: Vec<_> = seen.filter(|(_, (one, other))| one.0 == other.0).collect();
    let processes: usize = agreed
        .iter()
        .map(|(fixture, _)| fixture.starts().len())
        .sum();
    let is_one = agreed.iter().all(|(fixture, (one, other))| {
        let starts = fixture.starts();
        starts.len() == 1 && one.1 == starts[0].to_string() && one == other
    });
    vec![Row::new(
        format!(
            "{COUNT} services with `${{port}}` in two programs, all asked at once by both: processes of those with one port in \
             both / until the last of {} answers",
            2 * COUNT
        ),
        format!("{processes} of {} / {}", agreed.len(), time(took)),
        "one each",
        is_one && agreed.len() >= COUNT * 9 / 10,
    )]
}

/// One of the two, which ends when this is dropped.
struct Program {
    child: Child,
    says: BufReader<ChildStdout>,
}

fn program(fixtures: &[Fixture]) -> Program {
    let servers = fixtures.iter().map(|fixture| {
        let port = fixture.port().to_string();
        let args = fixture.args().iter();
        let args = args.map(|it| if *it == port { "${port}" } else { it });
        args.collect::<Vec<_>>()
    });
    let servers: Vec<_> = servers.collect();
    let mut child = Command::new(env::current_exe().expect("this program"))
        .env(
            SERVERS,
            serde_json::to_string(&servers).expect("it is text"),
        )
        .env("XDG_RUNTIME_DIR", fixtures[0].folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a program");
    let says = BufReader::new(child.stdout.take().expect("a pipe"));
    Program { child, says }
}

impl Program {
    fn begin(&mut self) {
        let orders = self.child.stdin.as_mut().expect("it runs");
        writeln!(orders, "ask").expect("it reads");
    }

    fn seen(&mut self) -> Seen {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).expect("what it has seen")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends");
    }
}

/// Asks each server once and returns `true` if this process was started for that. It ends with its input.
pub(crate) fn only_asks() -> bool {
    let Ok(servers) = env::var(SERVERS) else {
        return false;
    };
    let servers: Vec<Vec<String>> = serde_json::from_str(&servers).expect("arguments");
    let registry = Registry::new();
    let services = servers.into_iter().map(|args| {
        let config = LocalServiceConfig::new(PROGRAM)
            .args(args)
            .ready_timeout(Duration::from_secs(100));
        let url = "http://127.0.0.1:${port}/v1";
        registry
            .service("one of many", url, config)
            .expect("it is right")
    });
    let services: Vec<_> = services.collect();
    let runtime = two_workers();
    drop(std::io::stdin().lines().next());
    let mut requests = JoinSet::new();
    for (nth, service) in services.iter().cloned().enumerate() {
        let port = service.base_url().port_u16().expect("one was chosen");
        let request = async move {
            let answer = ask(&service, &format!("http://127.0.0.1:{port}/pid")).await;
            let pid = answer.map_or_else(|error| error.to_string(), |(_, pid)| pid);
            (nth, (port, pid))
        };
        requests.spawn_on(request, runtime.handle());
    }
    let mut seen = block_on(requests.join_all());
    seen.sort_unstable();
    let seen: Seen = seen.into_iter().map(|(_, seen)| seen).collect();
    println!("{}", serde_json::to_string(&seen).expect("it is text"));
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .expect("its input");
    drop(services);
    true
}
