//! What is different on Windows: commands, variables, exit codes, and what ends with a stop.

use std::{fs, path::Path};

use tower_local_service::{ErrorKind, InheritEnv, LocalService, LocalServiceConfig};

use crate::support::{Fixture, PROGRAM, ask, blocking_until, is_alive, until};

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
