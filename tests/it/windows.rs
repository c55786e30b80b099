//! What is different on Windows: commands, variables, handles, exit codes, stop commands, what ends with a stop, and what
//! the crate does not do there.

use std::{
    fs,
    io::Read as _,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
};

use tower_local_service::{
    ErrorKind, InheritEnv, LocalService, LocalServiceConfig, Ownership, Phase,
};

use crate::support::{Fixture, PATIENCE, PROGRAM, ask, blocking_until, is_alive, until, within};

/// A script of `cmd.exe` in the folder of the fixture, with a space in its path.
fn script(fixture: &Fixture, name: &str, lines: &[&str]) -> PathBuf {
    let path = fixture.folder().join(name);
    fs::write(&path, lines.join("\r\n")).expect("a script");
    path
}

/// The command that runs this by `cmd.exe`.
fn by_cmd(command: String) -> [String; 3] {
    let root = std::env::var("SystemRoot").expect("each Windows has it");
    [
        format!(r"{root}\system32\cmd.exe"),
        "/c".to_owned(),
        command,
    ]
}

/// Whether it writes this line.
async fn writes(service: &LocalService, line: &str) -> bool {
    let has_it = || {
        let mut output = service.output();
        std::iter::from_fn(|| output.try_next()).any(|it| it.text == line)
    };
    until(has_it).await
}

#[tokio::test]
async fn a_command_without_its_ending_is_refused_with_a_hint() {
    let fixture = Fixture::new();
    let command = PROGRAM.strip_suffix(".exe").expect("its ending");
    let service = fixture.configured("no-ending", LocalServiceConfig::new(command));
    let error = service.acquire().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidConfig { .. }));
    assert!(error.to_string().contains("`.exe`"), "{error}");
}

#[tokio::test]
async fn a_command_may_have_spaces_and_an_argument_all_that_would_be_quoted() {
    const ODD: &str = r#"a "quoted" word, C:\folder\, %PATH% and ^&|"#;
    let fixture = Fixture::new().with("--print-line", ODD);
    let folder = fixture.folder().join("Program Files");
    fs::create_dir(&folder).unwrap();
    let command = folder.join("a server.exe");
    fs::copy(PROGRAM, &command).unwrap();
    // What the fixture needs may be beside it, and is found there by PATH.
    let beside = Path::new(PROGRAM).parent().expect("its folder");
    let config = LocalServiceConfig::new(command)
        .args(fixture.args())
        .env("PATH", beside);
    let service = fixture.configured("spaces", config);
    assert_eq!(
        ask(&service, &fixture.url("/hello")).await.unwrap().1,
        "hello"
    );
    assert!(writes(&service, ODD).await);
    service.stop().await.unwrap();
    fixture.is_gone().await;
}

#[tokio::test]
async fn the_names_of_variables_have_no_case() {
    let fixture = Fixture::new()
        .with("--print-env", "SystemRoot")
        .with("--print-env", "Given");
    let names = ["SYSTEMROOT", "TEMP", "TMP"].map(String::from);
    let config = fixture.config().env("GIVEN", "by the configuration");
    let config = config.inherit_env(InheritEnv::Only(names.into()));
    let service = fixture.configured("variables", config);
    service.start().await.unwrap();
    let root = std::env::var("SystemRoot").expect("each Windows has it");
    for line in [
        format!("SystemRoot={root}"),
        "Given=by the configuration".to_owned(),
    ] {
        assert!(writes(&service, &line).await, "{line}");
    }
}

#[tokio::test]
async fn the_code_of_a_missing_library_is_said_in_words() {
    let fixture = Fixture::new()
        .with("--exit-code", 0xC000_0135_u32.cast_signed())
        .flag("--exit-at-start");
    let error = fixture.service("library").acquire().await.unwrap_err();
    let text = error.to_string();
    for part in ["code 0xC0000135", "a DLL is missing"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn what_a_server_has_started_ends_with_its_stop() {
    let fixture = Fixture::new().flag("--fork-grandchild");
    let service = fixture.service("family");
    service.start().await.unwrap();
    let grandchild = fixture.grandchildren()[0];
    assert!(blocking_until(|| is_alive(grandchild)));
    service.stop().await.unwrap();
    fixture.is_gone().await;
}

#[tokio::test]
async fn a_server_that_inherits_no_variable_can_use_the_network() {
    // Without it, no program there can make a socket.
    let fixture = Fixture::new()
        .with("--print-env", "SystemRoot")
        .with("--print-env", "PATH");
    // These are for the tests: they find the processes of fixtures there.
    let names = ["TEMP", "TMP"].map(String::from);
    let config = fixture.config().inherit_env(InheritEnv::Only(names.into()));
    let service = fixture.configured("no-variables", config);
    let answer = ask(&service, &fixture.url("/hello")).await.unwrap();
    assert_eq!(answer.1, "hello");
    let root = std::env::var("SystemRoot").expect("each Windows has it");
    for line in [format!("SystemRoot={root}"), "PATH=".to_owned()] {
        assert!(writes(&service, &line).await, "{line}");
    }
}

#[tokio::test]
async fn a_server_inherits_no_socket_that_your_program_listens_on_or_connected_by() {
    let fixture = Fixture::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    let service = fixture.service("sockets");
    let lease = service.acquire().await.unwrap();
    // Accepted now: what was accepted before, it does inherit.
    let (mut connection, _) = listener.accept().unwrap();
    drop((listener, client));
    // A server that had them would keep both open.
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(connection.read(&mut [0]).expect("its end"), 0);
    let is_refused = || TcpStream::connect(address).is_err();
    assert!(until(is_refused).await, "the port stays open");
    assert_eq!(service.status().phase, Phase::Ready);
    drop(lease);
}

#[tokio::test]
async fn a_stop_command_lets_a_server_end_in_order() {
    // Nothing else can ask it: the tests have no console.
    let fixture = Fixture::new().with("--exit-code", 5);
    let end = fixture.path("end");
    let fixture = fixture.with("--end-file", &end);
    let config = fixture
        .config()
        .stop_command(by_cmd(format!("echo asked>{end}")));
    let service = fixture.configured("stop-command", config);
    service.start().await.unwrap();
    within("the stop", service.stop()).await.unwrap();
    let journal = service.journal();
    let exits = journal.iter().map(ToString::to_string);
    let exits: Vec<_> = exits.filter(|it| it.contains("Exited")).collect();
    assert!(
        exits.len() == 1 && exits[0].contains("code: Some(5)"),
        "the job has ended it: {exits:?}"
    );
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn a_server_that_its_command_leaves_to_a_daemon_is_ended_by_a_script() {
    let fixture = Fixture::new().with("--wrapper", "exit");
    let pid = fixture.path("pid");
    let fixture = fixture.with("--pid-file", &pid);
    let stop = script(
        &fixture,
        "stop it.cmd",
        &[
            "@echo off",
            "set /p pid=<%1",
            "taskkill /F /PID %pid%",
            r#"echo %2>"%~dp0stopped""#,
        ],
    );
    let stop = [
        stop.display().to_string(),
        pid.clone(),
        "two words".to_owned(),
    ];
    let config = fixture.config().launcher(true).stop_command(stop);
    let service = fixture.configured("daemon", config);
    for _ in 0..2 {
        let (_, answer) = ask(&service, &fixture.url("/pid")).await.unwrap();
        assert_eq!(answer, fs::read_to_string(&pid).unwrap());
    }
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
    assert_eq!(service.status().starts, 1);
    within("the stop", service.stop()).await.unwrap();
    assert!(fixture.alive().is_empty());
    let stopped = fs::read_to_string(fixture.path("stopped")).expect("the script ran");
    assert_eq!(stopped.trim_end(), "\"two words\"");
}

#[tokio::test]
async fn a_script_of_cmd_may_be_the_command_and_what_it_starts_ends_with_a_stop() {
    const ODD: &str = "two words";
    let fixture = Fixture::new().with("--print-line", ODD);
    for ending in ["cmd", "bat"] {
        let lines = ["@echo off", &format!("\"{PROGRAM}\" %*")];
        let command = script(&fixture, &format!("a server.{ending}"), &lines);
        let config = LocalServiceConfig::new(command)
            .args(fixture.args())
            .ready_timeout(PATIENCE);
        let service = fixture.configured(ending, config);
        let answer = ask(&service, &fixture.url("/hello")).await.unwrap();
        assert_eq!(answer.1, "hello");
        assert!(writes(&service, ODD).await);
        within("the stop", service.stop()).await.unwrap();
        fixture.is_gone().await;
    }
}

#[cfg(feature = "docker")]
#[tokio::test]
async fn a_container_is_not_started_whatever_is_configured() {
    use tower_local_service::docker::Container;

    let fixture = Fixture::new();
    let named = "unix:///run/docker.sock";
    for container in [
        Container::new("llama"),
        Container::new("llama").engine(named),
    ] {
        let config = LocalServiceConfig::launched_by(container);
        let service = fixture.configured("container", config);
        let error = service.acquire().await.unwrap_err();
        let is_unsupported = matches!(error.kind(), ErrorKind::Unsupported { .. });
        assert!(is_unsupported && error.status_code() == 501, "{error}");
        assert!(
            error.hint().contains("start the container yourself"),
            "{error}"
        );
    }
    // One that was started by hand is used.
    let outside = fixture.run_outside();
    let config = LocalServiceConfig::launched_by(Container::new("llama"));
    let service = fixture.configured("container", config);
    let answer = ask(&service, &fixture.url("/hello")).await.unwrap();
    assert_eq!(answer.1, "hello");
    drop(outside);
}
