use std::error::Error as _;

use rustix::io::Errno;

use super::{BoxError, *};
use crate::amount::Amount;

fn error(kind: ErrorKind) -> Error {
    Error::new("llama", kind)
}

fn exited(code: Option<i32>, signal: Option<i32>) -> Error {
    error(ErrorKind::Exited { code, signal })
}

fn spawn(code: Errno) -> Error {
    Error::spawn("llama", "service", &io::Error::from(code))
}

fn invalid() -> Error {
    let problems = vec![
        Problem::new("llama", "command", "is empty: write one"),
        Problem::new("vllm", "cwd", "is missing: make it"),
    ];
    error(ErrorKind::InvalidConfig { problems })
}

fn ready_timeout() -> Error {
    let last_probe = "connection refused".to_owned();
    error(ErrorKind::ReadyTimeout { last_probe }).after(Duration::from_secs(120))
}

fn occupied() -> Error {
    let by = "local service `vllm`".to_owned();
    error(ErrorKind::AddressInUse { by })
}

fn no_room() -> Error {
    error(ErrorKind::NoRoom {
        resource: "gpu0".to_owned(),
        needs: Amount::gib(18),
        capacity: Amount::gib(24),
        holders: vec!["vllm".to_owned(), "comfy".to_owned()],
    })
}

fn crash_loop() -> Error {
    let cause = exited(Some(1), None)
        .after(Duration::from_millis(12))
        .output("no such model".to_owned());
    error(ErrorKind::CrashLoop { failures: 4 })
        .retry_in(Duration::from_millis(3500))
        .cause(cause)
}

/// Every kind, its status, and what its message says: what happened, and the hint.
fn kinds() -> Vec<(Error, u16, &'static str, &'static str)> {
    [kinds_of_a_start(), kinds_after_the_start()].concat()
}

fn kinds_of_a_start() -> Vec<(Error, u16, &'static str, &'static str)> {
    vec![
        (
            invalid(),
            500,
            "`command` is empty",
            "write one; `vllm` `cwd` is missing: make it",
        ),
        (
            Error::spawn(
                "llama",
                "service",
                &io::Error::new(io::ErrorKind::Unsupported, "no"),
            ),
            501,
            "could not be started: service: no",
            "start the server yourself",
        ),
        (
            spawn(Errno::NOENT),
            502,
            "could not be started: service: No such",
            "exists",
        ),
        (
            exited(Some(1), None).after(Duration::from_millis(12)),
            502,
            "exited with code 1, 12 ms after its start",
            "run the command by hand",
        ),
        (
            ready_timeout(),
            504,
            "within 120 s, its last probe saw: connection refused",
            "raise `readyTimeoutMs`",
        ),
        (
            error(ErrorKind::StillAnswers {}),
            503,
            "still answers, although its stop command has ended",
            "correct `stopCommand`",
        ),
        (
            no_room(),
            503,
            "needs 18 GiB of `gpu0`, of which there is 24 GiB and `vllm`, `comfy` have parts",
            "`swapTimeoutMs`",
        ),
    ]
}

fn kinds_after_the_start() -> Vec<(Error, u16, &'static str, &'static str)> {
    vec![
        (
            error(ErrorKind::HealthRejected { status: 401 }),
            502,
            "status 401",
            "set `healthHeaders`",
        ),
        (
            occupied(),
            503,
            "taken by local service `vllm`",
            "`swapTimeoutMs`",
        ),
        (
            crash_loop(),
            503,
            "failed 4 times in a row (the last time it exited with code 1, 12 ms after its start) \
             and is not started again for 3500 ms",
            "`start()`",
        ),
        (
            error(ErrorKind::Overloaded { waiters: 16 }),
            503,
            "16 requests waiting",
            "raise `maxWaiters`",
        ),
        (
            error(ErrorKind::Stopped {}),
            503,
            "was stopped",
            "send the request again",
        ),
        (
            error(ErrorKind::Unkillable { pid: Some(77) }),
            503,
            "(pid 77) that survived SIGKILL",
            "end it by hand",
        ),
        (
            error(ErrorKind::ShutDown {}),
            503,
            "registry is shut down",
            "create the service again",
        ),
        (
            error(ErrorKind::External { pid: Some(77) }),
            409,
            "did not start (pid 77)",
            "stop it in the program that started it",
        ),
        (
            error(ErrorKind::Internal {}),
            500,
            "failed by a bug",
            "report the panic",
        ),
    ]
}

#[test]
fn every_message_names_the_service_what_happened_and_the_hint() {
    for (error, _, fact, hint) in kinds() {
        let text = error.to_string();
        assert!(text.starts_with("local service `llama` "), "{text}");
        let (_, rest) = text
            .split_once(fact)
            .unwrap_or_else(|| panic!("{fact} not in {text}"));
        assert!(rest.contains(hint), "{hint} not in {rest}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn every_kind_has_its_status() {
    for (error, status, ..) in kinds() {
        assert_eq!(error.status_code().as_u16(), status, "{error}");
    }
}

#[test]
fn the_table_in_the_documentation_has_every_kind_with_its_status() {
    let table = include_str!("kind.rs").lines();
    let rows: Vec<_> = table.filter(|line| line.starts_with("/// | [`")).collect();
    for (error, status, ..) in kinds() {
        let kind = format!("{:?}", error.kind());
        let name: String = kind.chars().take_while(char::is_ascii_alphabetic).collect();
        let row = format!("/// | [`{name}`](Self::{name}) | {status} | ");
        assert!(rows.iter().any(|it| it.starts_with(&row)), "{row}");
    }
    assert_eq!(rows.len(), kinds().len());
}

#[test]
fn what_the_system_says_decides_the_hint_of_a_failed_spawn() {
    for (code, hint) in [
        (Errno::NOENT, "interpreter"),
        (Errno::ACCESS, "chmod +x"),
        (Errno::NOEXEC, "#!/bin/sh"),
        (Errno::TOOBIG, "shorten"),
        (Errno::MFILE, "ulimit -n"),
        (Errno::AGAIN, "ulimit -u"),
        (Errno::NOMEM, "memory"),
        (Errno::IO, "by hand"),
    ] {
        let error = io::Error::from(code);
        let reason = error.to_string();
        let text = Error::spawn("llama", "/bin/x", &error).to_string();
        assert!(text.contains(hint), "{text}");
        assert!(text.contains(&reason), "{text}");
    }
    let unnamed = io::Error::other("no runtime");
    let text = Error::spawn("llama", "/bin/x", &unnamed).to_string();
    assert!(text.contains("by hand"), "{text}");
}

#[test]
fn a_failed_spawn_says_what_could_not_be_started_and_why() {
    let error = io::Error::from(Errno::NOMEM);
    let error = Error::spawn("llama", "the watchdog", &error);
    let said = "`llama` could not be started: the watchdog: Cannot allocate memory (os error 12)";
    assert!(error.to_string().contains(said), "{error}");
    assert_eq!(error.hint(), "free memory");
    let error = Error::spawn("llama", "the watchdog", &io::Error::other("no runtime"));
    assert!(error.hint().contains("by hand"), "{error}");
}

#[test]
fn a_person_reads_up_to_three_lines() {
    let error = exited(Some(1), None)
        .after(Duration::from_millis(12))
        .output("one\ntwo\n".to_owned());
    assert_eq!(
        format!("{error:#}"),
        "local service `llama` exited with code 1, 12 ms after its start\n\
         last output: one | two\n\
         hint: run the command by hand, with the same `args`, `cwd` and `env`, to see why"
    );
    for (error, _, fact, _) in kinds() {
        let text = format!("{error:#}");
        let lines: Vec<_> = text.lines().collect();
        let output = usize::from(error.output_tail().is_some());
        assert_eq!(lines.len(), 2 + output, "{text}");
        assert!(lines[0].starts_with("local service `llama` "), "{text}");
        assert!(lines[0].contains(fact), "{text}");
        assert_eq!(lines[lines.len() - 1], format!("hint: {}", error.hint()));
    }
}

#[test]
fn the_hint_is_the_end_of_the_sentence() {
    for (error, ..) in kinds() {
        assert!(!error.hint().is_empty());
        let is_of_each_field = matches!(error.kind(), ErrorKind::InvalidConfig { .. });
        let text = error.to_string();
        let ends = text.ends_with(&format!("; {}", error.hint()));
        assert!(ends != is_of_each_field, "{text}");
    }
    let error = occupied().with_hint("wait");
    assert_eq!(error.hint(), "wait");
}

#[test]
fn how_a_process_ended_decides_the_hint_of_an_exit() {
    for (error, fact, hint) in [
        (exited(Some(0), None), "code 0", "background"),
        (exited(Some(127), None), "code 127", "absolute paths"),
        (exited(None, Some(9)), "signal 9 (SIGKILL)", "memory"),
        (exited(None, Some(11)), "signal 11 (SIGSEGV)", "by hand"),
        (exited(None, Some(11)), "signal 11 (SIGSEGV)", "driver"),
        (exited(None, Some(6)), "signal 6 (SIGABRT)", "driver"),
        (exited(None, Some(4)), "signal 4 (SIGILL)", "another CPU"),
        (exited(Some(132), None), "code 132", "another CPU"),
        (exited(Some(137), None), "code 137", "memory"),
        (exited(None, Some(64)), "signal 64;", "by hand"),
        (exited(None, None), "not known", "by hand"),
    ] {
        let text = error.to_string();
        assert!(text.contains(fact) && text.contains(hint), "{text}");
    }
}

#[test]
fn a_message_shows_the_end_of_the_output_and_the_tail_all_of_it() {
    let output = "one\ntwo\n\nthree\r\nfour\n";
    let error = exited(Some(1), None).output(output.to_owned());
    assert!(
        error
            .to_string()
            .contains("; last output: one | two | three | four; run"),
        "{error}"
    );
    assert_eq!(error.output_tail(), Some(output));

    let long = format!("{}{}", "ä".repeat(1000), "ö".repeat(300));
    let error = exited(Some(1), None).output(long);
    let shown = format!("; last output: {}…{};", "ä".repeat(199), "ö".repeat(100));
    assert!(error.to_string().contains(&shown), "{error}");
    assert!(format!("{error:#?}").len() < 1000);
}

#[test]
fn blank_output_is_none() {
    let error = exited(Some(1), None).output(" \n".to_owned());
    assert_eq!(error.output_tail(), None);
    assert!(!error.to_string().contains("last output"), "{error}");
}

#[test]
fn a_crash_loop_knows_its_cause_and_its_end() {
    let error = crash_loop();
    assert_eq!(error.retry_after(), Some(Duration::from_millis(3500)));
    assert_eq!(error.output_tail(), Some("no such model"));
    let cause = Error::find_in(error.source().unwrap()).unwrap();
    assert_eq!(cause.kind(), exited(Some(1), None).kind());
}

#[test]
fn a_crash_loop_shows_the_output_and_the_hint_of_its_cause() {
    let words = crash_loop().to_string();
    let rest = words.split_once("for 3500 ms; last output: no such model; ");
    let (_, rest) = rest.unwrap_or_else(|| panic!("{words}"));
    assert!(rest.starts_with("run the command by hand"), "{words}");
    assert!(rest.ends_with("; `start()` tries again without the wait"));
    let unknown = error(ErrorKind::CrashLoop { failures: 1 }).to_string();
    assert!(unknown.contains("failed 1 time in a row"), "{unknown}");
    assert!(unknown.contains("repair what makes it fail"), "{unknown}");
}

#[test]
fn a_missing_model_is_reported_with_the_servers_own_words() {
    let output = "load_model: failed to load model, '/models/none.gguf'\ncleaning up before exit\n";
    let text = exited(Some(1), None)
        .after(Duration::from_secs(3))
        .output(output.to_owned())
        .to_string();
    let fact = "exited with code 1, 3 s after its start; last output: load_model: failed to load \
                model, '/models/none.gguf' | cleaning up before exit; run the command by hand";
    assert!(text.contains(fact), "{text}");
}

#[test]
fn what_unwrap_prints_is_the_message_and_the_alternate_form_has_the_parts() {
    for (error, ..) in kinds() {
        assert_eq!(format!("{error:?}"), error.to_string());
        let parts = format!("{error:#?}");
        assert!(parts.contains("service: \"llama\""), "{parts}");
        assert!(parts.contains("kind: "), "{parts}");
    }
}

#[test]
fn the_message_says_what_was_probed() {
    let url = || "http://127.0.0.1:8080/v1/models".to_owned();
    for (error, fact) in [
        (
            ready_timeout(),
            "last probe of http://127.0.0.1:8080/v1/models saw:",
        ),
        (occupied(), "(http://127.0.0.1:8080/v1/models); "),
        (
            error(ErrorKind::HealthRejected { status: 401 }),
            "its health URL (http://127.0.0.1:8080/v1/models) with status 401",
        ),
    ] {
        let text = error.health_url(url()).to_string();
        assert!(text.contains(fact), "{text}");
    }
}

#[test]
fn another_handle_tells_the_same_under_its_name() {
    let error = crash_loop().named("alias");
    assert_eq!(error.service(), "alias");
    assert_eq!(error.kind(), crash_loop().kind());
    assert_eq!(error.retry_after(), crash_loop().retry_after());
    assert!(!format!("{error:?} {error}").contains("llama"), "{error:?}");
    let error = invalid().named("alias").to_string();
    assert!(
        error.contains("`alias` cannot work as configured: `command` is empty"),
        "{error}"
    );
    assert!(error.contains("`vllm` `cwd`"), "{error}");
}

#[test]
fn it_is_found_wherever_it_is_wrapped() {
    #[derive(Debug)]
    struct Wrapper(BoxError);

    impl fmt::Display for Wrapper {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl error::Error for Wrapper {
        fn source(&self) -> Option<&(dyn error::Error + 'static)> {
            Some(&*self.0)
        }
    }

    let in_io = Wrapper(io::Error::other(Wrapper(occupied().into())).into());
    for wrapped in [
        BoxError::from(occupied()),
        Wrapper(occupied().into()).into(),
        io::Error::other(occupied()).into(),
        in_io.into(),
    ] {
        assert_eq!(Error::find_in(&*wrapped).unwrap().kind(), occupied().kind());
        assert_eq!(Error::of(&wrapped).unwrap().kind(), occupied().kind());
    }
    let other = BoxError::from(io::Error::other("other"));
    assert!(Error::find_in(&*other).is_none());
    assert!(Error::of(&other).is_none());
}

#[test]
fn it_is_cheap_to_share() {
    fn assert_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let error = crash_loop();
    assert_shared(&error);
    assert!(Arc::ptr_eq(&error.inner, &error.clone().inner));
    assert!(size_of::<Error>() == size_of::<usize>());
}
