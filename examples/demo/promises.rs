//! The promises, in the order in which they are shown.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use http_body_util::BodyExt;
use tokio::{task::JoinSet, time::Instant};
use tower_local_service::{BoxError, Error, ErrorKind, Phase};

use super::{
    seen::{kill, listens, runs, until},
    server,
    setup::{Setup, service},
};

/// With this argument the program owns a server on the port that follows, and waits to be killed.
pub(crate) const OWN: &str = "--own";

pub(crate) async fn all(setup: &Setup) -> Result<(), BoxError> {
    let first = a_hundred_requests(setup).await?;
    a_warm_request(setup).await?;
    a_kill_in_a_stream(setup, first).await?;
    let second = the_next_request(setup, first).await?;
    let third = another_model(setup, second).await?;
    idle(setup, third).await?;
    a_kill_of_the_program().await
}

fn line(number: u8, what: &str, seen: &str) {
    println!("  {number}. {what:<34} {seen}");
}

fn keep(is_kept: bool, what: &str) -> Result<(), BoxError> {
    if is_kept { Ok(()) } else { Err(what.into()) }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Returns the pid of the one process.
async fn a_hundred_requests(setup: &Setup) -> Result<u64, BoxError> {
    let begun = Instant::now();
    let mut answers = JoinSet::new();
    for _ in 0..100 {
        let (client, setup) = (setup.layered(&setup.one), setup.clone());
        answers.spawn(async move { setup.facts(client).await });
    }
    let answers = answers.join_all().await.into_iter();
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    let took = begun.elapsed();
    let pid = answers[0]["pid"].as_u64().ok_or("no pid")?;
    let waits = answers.iter().filter_map(|it| it["readyForMs"].as_f64());
    let first = waits.fold(f64::MAX, f64::min);
    let starts = setup.one.status().starts;
    line(
        1,
        "100 requests at once",
        &format!(
            "{} answers in {:.2} s from {starts} process (pid {pid});\n{:40}the first was sent {first:.1} ms \
             after the server was ready",
            answers.len(),
            took.as_secs_f64(),
            ""
        ),
    );
    keep(
        answers.iter().all(|it| it["pid"] == pid),
        "one process answers all",
    )?;
    keep(starts == 1, "one start for all")?;
    keep(
        first < 300.0,
        "a request does not wait for a server that is ready",
    )?;
    Ok(pid)
}

async fn a_warm_request(setup: &Setup) -> Result<(), BoxError> {
    const ROUNDS: usize = 200;
    let layered = setup.layered(&setup.one);
    let before = setup.facts(layered.clone()).await?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        setup.facts(layered.clone()).await?;
        with.push(begun.elapsed());
        let begun = Instant::now();
        setup.facts(setup.bare.clone()).await?;
        without.push(begun.elapsed());
    }
    let after = setup.facts(layered).await?;
    let count = |facts: &serde_json::Value| facts["requests"].as_u64().unwrap_or_default();
    let sent = u64::try_from(2 * ROUNDS)? + 1;
    let probes = count(&after) - count(&before) - sent;
    line(
        2,
        "a warm request",
        &format!(
            "{:.3} ms with the layer, {:.3} ms without; {probes} probes in {ROUNDS} requests",
            ms(median(with)),
            ms(median(without))
        ),
    );
    keep(probes == 0, "no probe for a warm request")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

async fn a_kill_in_a_stream(setup: &Setup, pid: u64) -> Result<(), BoxError> {
    let mut body = setup.stream().await?.into_body();
    let mut tokens = 0;
    let error = loop {
        match body.frame().await {
            Some(Ok(_)) => tokens += 1,
            Some(Err(error)) => break error,
            None => return Err("a stream that was cut is an error, and not an end".into()),
        }
        if tokens == 5 {
            kill(pid.try_into()?);
        }
    };
    let error = Error::of(&error).ok_or("the error says what the server died of")?;
    let text = error.to_string();
    let fact = text.lines().next().unwrap_or_default();
    line(
        3,
        "kill -9 of the server in a stream",
        &format!("an error after {tokens} tokens:\n{:40}{fact}", ""),
    );
    let is_killed = matches!(
        error.kind(),
        ErrorKind::Exited {
            signal: Some(9),
            ..
        }
    );
    keep(is_killed, "the error says that the server was killed")
}

async fn the_next_request(setup: &Setup, killed: u64) -> Result<u64, BoxError> {
    let begun = Instant::now();
    let facts = setup.facts(setup.layered(&setup.one)).await?;
    let pid = facts["pid"].as_u64().ok_or("no pid")?;
    let took = begun.elapsed().as_secs_f64();
    line(
        4,
        "the next request",
        &format!("answered in {took:.2} s by a new process (pid {pid})"),
    );
    keep(pid != killed, "the next request starts the server again")?;
    Ok(pid)
}

async fn another_model(setup: &Setup, one: u64) -> Result<u64, BoxError> {
    let begun = Instant::now();
    let facts = setup.facts(setup.layered(&setup.other)).await?;
    let took = begun.elapsed().as_secs_f64();
    let pid = facts["pid"].as_u64().ok_or("no pid")?;
    let is_gone = !runs(one.try_into()?);
    line(
        5,
        "another model on the same port",
        &format!("answered in {took:.2} s by pid {pid}; pid {one} has ended"),
    );
    keep(facts["model"] == "other", "the other model answers")?;
    keep(is_gone, "the first model makes way")?;
    Ok(pid)
}

async fn idle(setup: &Setup, pid: u64) -> Result<(), BoxError> {
    let pid = pid.try_into()?;
    let stopped = until(|| setup.other.status().phase == Phase::Stopped).await;
    let took = stopped.ok_or("an idle server is stopped")?.as_secs_f64();
    line(
        6,
        "no request for 1 s",
        &format!("stopped after {took:.2} s: pid {pid} has ended, the port is free"),
    );
    keep(!runs(pid), "the process of an idle server ends")?;
    keep(!listens(setup.port), "its port is free")
}

async fn a_kill_of_the_program() -> Result<(), BoxError> {
    let port = server::free_port()?;
    let mut program = Command::new(env::current_exe()?)
        .args([OWN, &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    let stdout = program.stdout.take().ok_or("its output")?;
    BufReader::new(stdout).read_line(&mut said)?;
    let pid = said.trim().parse()?;
    keep(runs(pid) && listens(port), "the program has a server")?;
    program.kill()?;
    program.wait()?;
    let gone = until(|| !runs(pid) && !listens(port)).await;
    let took = gone.ok_or("a server ends with its program")?;
    line(
        7,
        "kill -9 of the program",
        &format!(
            "its server (pid {pid}) was gone {:.0} ms later, the port is free",
            ms(took)
        ),
    );
    keep(
        took < Duration::from_secs(6),
        "a server ends soon after its program",
    )
}

/// Owns a server until it is killed.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn own(port: &str) -> Result<(), BoxError> {
    let service = service(port.parse()?, "owned")?;
    let lease = service.acquire().await?;
    println!("{}", service.status().pid.ok_or("no pid")?);
    loop {
        thread::park();
        let _ = &lease;
    }
}
