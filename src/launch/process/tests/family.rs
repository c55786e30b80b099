//! Launchers that give the server a group, a session, a user or an environment of its own.

use std::net::{Ipv4Addr, TcpStream};

use super::{listener::port_of, *};

const OWN: Listener = Listener::Own { exposed: None };

fn has(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join(program).exists())
}

fn sleeps(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ")
        .is_some_and(|(_, fields)| fields.starts_with('S'))
}

/// The server as a command line, from a copy that every user may run.
fn server(dir: &Dir) -> String {
    let copy = dir.join("server");
    // A hard link would keep the folder of the original out of reach, too, but not on another file system.
    std::fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    format!(
        "/usr/bin/env TEST_FIXTURE=1 {} --ignored --exact --nocapture {}",
        copy.display(),
        "launch::process::tests::listener::server"
    )
}

fn connects(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether the kernel shows the descriptors of other users' processes. It does not show them to root in a
/// container, which usually lacks `CAP_SYS_PTRACE`.
fn sees_other_users() -> bool {
    const SYS_PTRACE: u64 = 1 << 19;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().find_map(|it| it.strip_prefix("CapEff:"));
    let capabilities = u64::from_str_radix(capabilities.unwrap().trim(), 16).unwrap();
    capabilities & SYS_PTRACE != 0
}

/// Each launcher that this machine has, with what it needs; `{}` is the server.
fn launchers(server: &str) -> Vec<String> {
    let is_root = rustix::process::geteuid().is_root();
    let all = [
        ("timeout", true, "exec timeout 1000 {}"),
        ("timeout", true, "timeout 1000 {} & wait"),
        ("setsid", true, "exec setsid -w {}"),
        (
            "setsid",
            true,
            "exec env -i PATH=/usr/bin:/bin setsid -w {}",
        ),
        ("setsid", true, "env -i PATH=/usr/bin:/bin setsid {} & wait"),
        ("bash", true, "exec bash -c 'set -m; {} & wait'"),
        // Perl writes its new name over the arguments and the environment, as `setproctitle` does.
        (
            "perl",
            has("setsid"),
            "exec setsid -w perl -e '$0 = q(x) x 9999; $SIG{TERM} = sub { exit };\
             system(q(env -i {})) if fork == 0; wait'",
        ),
        ("su", is_root, "su -s /bin/sh -c '{}' nobody"),
        ("su", is_root, "su -s /bin/sh -c '{}' - nobody"),
    ];
    let possible = all.iter().filter(|(program, may, _)| *may && has(program));
    possible
        .map(|(_, _, script)| script.replace("{}", server))
        .collect()
}

#[tokio::test]
async fn behind_each_launcher_the_server_is_the_listener_and_ends_with_a_stop() {
    let dir = Dir::new("launchers");
    for script in launchers(&server(&dir)) {
        let mut process = start(sh(&script)).await;
        let trace = Trace::of(&process);
        let port = port_of(&process).await;
        let is_hidden = script.starts_with("su ") && !sees_other_users();
        let seen = if is_hidden { Listener::Unseen } else { OWN };
        assert_eq!(process.listener(port).await, seen, "{script}");
        process.stop();
        within_limit(process.gone()).await;
        assert!(!connects(port), "{script}");
        trace.assert_gone();
    }
}

#[tokio::test]
async fn behind_each_launcher_the_server_ends_when_its_instance_is_dropped() {
    let dir = Dir::new("dropped-launchers");
    for script in launchers(&server(&dir)) {
        let process = start(sh(&script)).await;
        let trace = Trace::of(&process);
        let port = port_of(&process).await;
        drop(process);
        eventually(&script, || !connects(port)).await;
        trace.vanishes().await;
    }
}

#[tokio::test]
async fn a_server_that_was_seen_is_found_after_its_launcher_has_ended() {
    if !has("setsid") {
        return;
    }
    let dir = Dir::new("orphan");
    let script = format!("env -i PATH=/usr/bin:/bin setsid {} & wait", server(&dir));
    let mut process = start(sh(&script)).await;
    let trace = Trace::of(&process);
    let port = port_of(&process).await;
    assert_eq!(process.listener(port).await, OWN);
    send(process.pid(), Signal::KILL);
    within_limit(process.ended()).await;
    assert_eq!(process.listener(port).await, OWN);
    time::timeout(Duration::from_millis(200), process.gone())
        .await
        .expect_err("it is gone only when its server has ended");
    process.stop();
    within_limit(process.gone()).await;
    assert!(!connects(port));
    trace.assert_gone();
}

#[tokio::test]
async fn a_service_that_leaves_the_group_is_signalled_also_where_its_descendants_are_left_alone() {
    if !has("timeout") {
        return;
    }
    let launch = sh("exec timeout 1000 sh -c 'echo up; exec sleep 1000'");
    let process = spawn(SHELL, only_the_group(launch), sink()).await;
    let mut process = process.unwrap();
    let trace = Trace::of(&process);
    said(&process, "up\n").await;
    // A signal that comes before `timeout` knows its child ends only `timeout` (coreutils 9.1).
    eventually("timeout waits", || sleeps(process.pid())).await;
    process.stop();
    within_limit(process.gone()).await;
    trace.vanishes().await;
}

#[tokio::test]
async fn a_service_that_is_signalled_in_its_group_receives_each_signal_once() {
    let script = "trap 'echo told' TERM; echo up; while :; do sleep 0.05; done";
    let mut process = up(script).await;
    process.stop();
    said(&process, "told").await;
    time::sleep(Duration::from_millis(200)).await;
    assert_eq!(text(&process).matches("told").count(), 1);
    finish(process).await;
}

#[tokio::test]
async fn processes_of_other_programs_are_left_alone() {
    let mut stranger = tokio::process::Command::new("sleep")
        .arg("1000")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut process = up("sleep 1000 & echo up; wait").await;
    let found = process.sweep.family().living(true);
    let pids: Vec<_> = found.iter().map(|one| one.pid).collect();
    assert!(
        pids.contains(&process.pid()) && pids.len() == 2,
        "{found:?}"
    );
    for other in [
        std::process::id(),
        stranger.id().unwrap(),
        process.group.id(),
    ] {
        assert!(!pids.contains(&other), "{other}");
    }
    process.stop();
    within_limit(process.gone()).await;
    assert!(stranger.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn a_daemon_without_parent_and_cookie_ends_with_a_stop_where_a_control_group_may_be_made() {
    if os::Cgroup::new().is_none() || !has("setsid") {
        return;
    }
    // A process that starts others before it is moved into the control group is not wholly in it.
    let script = "until grep -q local-service- /proc/self/cgroup; do sleep 0.01; done
                  env -i setsid sh -c 'sleep 1000 >/dev/null 2>&1 & echo daemon $!'; echo up
                  exec sleep 1000";
    let mut process = up(script).await;
    let text = text(&process);
    let daemon = text.lines().find_map(|line| line.strip_prefix("daemon "));
    let daemon: u32 = daemon.unwrap().parse().unwrap();
    assert!(os::descendant(daemon).is_some());
    process.stop();
    within_limit(process.gone()).await;
    assert_eq!(os::descendant(daemon), None);
}
