//! Who listens on a port.

use std::{
    io::Write,
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use super::*;

/// A program that listens, and says where.
#[test]
#[ignore = "a fixture of the tests beside it"]
fn server() {
    if is_fixture() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(std::io::stdout().write_all(format!("port {port}.\n").as_bytes()));
        thread::sleep(LIMIT * 3);
        drop(listener);
    }
}

async fn port_of(process: &Process) -> u16 {
    said(process, ".\n").await;
    let text = process.output().text(&Secrets::default());
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

/// The server, started by a script that has it as `"$@"`.
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
async fn the_service_itself_is_ours() {
    let process = start(server_launch()).await;
    let port = port_of(&process).await;
    assert_eq!(process.listener(port), Listener::Ours);
    finish(process).await;
}

#[tokio::test]
async fn a_server_behind_a_wrapper_is_ours() {
    let process = start(wrapped("\"$@\" & wait")).await;
    let port = port_of(&process).await;
    assert_eq!(process.listener(port), Listener::Ours);
    finish(process).await;
}

#[tokio::test]
async fn a_server_that_left_the_group_is_ours() {
    let process = start(wrapped(
        "if command -v setsid >/dev/null; then setsid \"$@\"; else \"$@\"; fi & wait",
    ))
    .await;
    let port = port_of(&process).await;
    assert_eq!(process.listener(port), Listener::Ours);
    finish(process).await;
}

#[tokio::test]
async fn another_program_is_named() {
    let process = up("echo up; sleep 1000").await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let pid = std::process::id();
    assert_eq!(process.listener(port), Listener::Other { pid });
    let server = start(server_launch()).await;
    let port = port_of(&server).await;
    let pid = server.pid();
    assert_eq!(process.listener(port), Listener::Other { pid });
    finish(process).await;
    finish(server).await;
}

#[tokio::test]
async fn a_port_without_a_listener_has_nobody() {
    let process = up("echo up; sleep 1000").await;
    // Nobody listens on the port of an outgoing connection.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = connection.local_addr().unwrap().port();
    assert_eq!(process.listener(port), Listener::Unseen);
    finish(process).await;
}
