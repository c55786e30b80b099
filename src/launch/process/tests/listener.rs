//! Which process listens on a port.

use std::{
    io::Write,
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use super::*;

const OWN: Listener = Listener::Own { exposed: None };

/// A program that listens, and writes its port.
#[test]
#[ignore = "a fixture of the tests beside it"]
fn server() {
    if is_fixture() {
        let address = env::var("TEST_ADDRESS").unwrap_or("127.0.0.1".into());
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(std::io::stdout().write_all(format!("port {port}.\n").as_bytes()));
        thread::sleep(LIMIT * 3);
        drop(listener);
    }
}

pub(super) async fn port_of(process: &Started) -> u16 {
    said(process, ".\n").await;
    let text = text(process);
    let number = text
        .split_once("port ")
        .unwrap()
        .1
        .split_once('.')
        .unwrap()
        .0;
    number.parse().unwrap()
}

fn server_launch() -> Launch {
    fixture("launch::process::tests::listener::server")
}

/// The server, started by a script that gets the server's command line as `"$@"`.
fn wrapped(script: &str) -> Launch {
    let server = server_launch();
    let mut launch = sh(script);
    launch.args.push("wrapper".into());
    launch.args.push(server.command.to_str().unwrap().into());
    launch.args.extend(server.args);
    launch.env = server.env;
    launch
}

#[tokio::test]
async fn the_service_itself_is_the_listener() {
    let process = start(server_launch()).await;
    let port = port_of(&process).await;
    assert_eq!(process.listener(port).await, OWN);
    finish(process).await;
}

#[tokio::test]
async fn a_listener_that_other_machines_can_reach_is_exposed() {
    let mut launch = server_launch();
    launch.env.insert("TEST_ADDRESS".into(), "0.0.0.0".into());
    let process = start(launch).await;
    let port = port_of(&process).await;
    let exposed = Some((Ipv4Addr::UNSPECIFIED, port).into());
    assert_eq!(process.listener(port).await, Listener::Own { exposed });
    finish(process).await;
}

#[tokio::test]
async fn a_server_behind_a_wrapper_is_the_listener() {
    let process = start(wrapped("\"$@\" & wait")).await;
    let port = port_of(&process).await;
    assert_eq!(process.listener(port).await, OWN);
    finish(process).await;
}

#[tokio::test]
async fn a_server_that_left_the_group_is_the_listener() {
    let process = start(wrapped(
        "if command -v setsid >/dev/null; then setsid \"$@\"; else \"$@\"; fi & wait",
    ))
    .await;
    let port = port_of(&process).await;
    assert_eq!(process.listener(port).await, OWN);
    finish(process).await;
}

#[tokio::test]
async fn another_program_is_named() {
    let process = up("echo up; sleep 1000").await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let pid = std::process::id();
    assert_eq!(process.listener(port).await, Listener::Other { pid });
    let server = start(server_launch()).await;
    let port = port_of(&server).await;
    let pid = server.pid();
    assert_eq!(process.listener(port).await, Listener::Other { pid });
    finish(process).await;
    finish(server).await;
}

#[tokio::test]
async fn on_a_port_without_a_listener_none_is_seen() {
    let process = up("echo up; sleep 1000").await;
    // No process listens on the port of an outgoing connection.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = connection.local_addr().unwrap().port();
    assert_eq!(process.listener(port).await, Listener::Unseen);
    finish(process).await;
}

#[tokio::test]
async fn a_look_tells_where_an_instance_listens_and_that_it_is_suspended() {
    let process = start(wrapped(
        "if command -v setsid >/dev/null; then setsid \"$@\"; else \"$@\"; fi & wait",
    ))
    .await;
    let port = port_of(&process).await;
    let look = process.look().await;
    assert_eq!(look.listens_on, [(Ipv4Addr::LOCALHOST, port).into()]);
    assert_eq!((look.suspended, look.beyond_reach), (None, None));
    finish(process).await;

    // As the kernel does to a background process that reads the terminal.
    let process = up("echo up; kill -TTIN 0; sleep 1000").await;
    let suspended = async {
        while process.look().await.suspended != Some(process.pid()) {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    within_limit(suspended).await;
    finish(process).await;
}

#[tokio::test]
async fn the_program_that_has_a_port_is_named() {
    let server = start(server_launch()).await;
    let port = port_of(&server).await;
    let found = holder(port).await.expect("it is seen");
    assert_eq!(found.pid, server.pid());
    let exe = env::current_exe().unwrap();
    let name = exe.file_name().unwrap().to_str().unwrap();
    // The system keeps 15 characters of a name.
    assert_eq!(found.program.as_deref(), name.get(..15));
    assert!(found.to_string().contains(&format!("(pid {})", found.pid)));
    finish(server).await;
    assert_eq!(holder(port).await, None);
}

#[test]
fn a_machine_that_shows_processes_and_has_a_shell_guarantees_all() {
    let guarantees = guarantees();
    assert_eq!(guarantees.dies_with_program, Path::new(SHELL).exists());
    assert!(guarantees.finds_descendants && shows_use());
    let may_be_made = os::Cgroup::new().is_some();
    assert_eq!(guarantees.keeps_descendants, may_be_made);
}
