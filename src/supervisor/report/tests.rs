use std::sync::Arc;

use super::*;
use crate::{config::LocalServiceConfig, machine::Exited};

const MS: Duration = Duration::from_millis(1);

/// How the failure of a run is told: after `begin`, and after its start if there was one.
fn told(failure: &Failure, started: bool) -> String {
    let config = LocalServiceConfig::new("/bin/server")
        .health_url("http://localhost:8080/health?key=sk-very-secret");
    let settings = config
        .validate("llama", "http://localhost:8080/v1")
        .unwrap();
    let asked = Attached {
        name: "llama".to_owned(),
        settings: Arc::new(settings),
    };
    let mut facts = Facts::default();
    facts.begin(100 * MS);
    if started {
        facts.spawned(77);
    }
    let holder = || Some("local service `vllm`".to_owned());
    let text = facts
        .error(&asked, failure, 112 * MS, holder, String::new)
        .to_string();
    assert!(text.starts_with("local service `llama` "), "{text}");
    assert!(!text.contains("sk-very-secret"), "{text}");
    text
}

fn assert_told(failure: &Failure, started: bool, fact: &str, remedy: &str) {
    let text = told(failure, started);
    let rest = text.split_once(fact).map(|(_, rest)| rest);
    assert!(
        rest.is_some_and(|rest| rest.contains(remedy)),
        "{text}\n  has no `{fact}` followed by `{remedy}`"
    );
}

#[test]
fn a_start_that_took_too_long_tells_what_was_asked_and_seen_and_what_that_means() {
    for (last, saw, remedy) in [
        (
            Sight::Refused,
            "connection refused",
            "the same host and port",
        ),
        (Sight::Status(503), "status 503", "still loading"),
        (Sight::Status(404), "status 404", "`healthUrl`"),
        (Sight::Silent, "no answer in time", "`probeTimeoutMs`"),
        (Sight::Broken, "closed before an answer", "without TLS"),
        (Sight::Garbled, "not HTTP", "without TLS"),
        (
            Sight::Stranger(5),
            "another program (pid 5)",
            "end that program",
        ),
    ] {
        let limit = 3000 * MS;
        let failure = Failure::ReadyTimeout { limit, last };
        let asked = "within 3 s, its last probe of http://localhost:8080/health saw: ";
        assert_told(&failure, true, asked, remedy);
        assert_told(&failure, true, saw, remedy);
    }
}

#[test]
fn a_server_that_was_there_before_is_not_told_as_a_slow_start() {
    for last in [Sight::Silent, Sight::Broken, Sight::Status(503)] {
        let limit = 3000 * MS;
        let failure = Failure::ReadyTimeout { limit, last };
        assert_told(&failure, false, &last.to_string(), "nothing was started");
    }
}

#[test]
fn a_wrong_key_is_told_with_the_url_that_wants_another() {
    assert_told(
        &Failure::Rejected { status: 401 },
        true,
        "answers its health URL (http://localhost:8080/health) with status 401",
        "set `healthHeaders`",
    );
}

#[test]
fn who_has_the_port_decides_what_to_do() {
    let url = "(http://localhost:8080/health)";
    for (status, remedy) in [(401, "`healthHeaders`"), (404, "`healthStatus`")] {
        let sight = Sight::Status(status);
        let fact =
            format!("taken by a server that answers the health URL with status {status} {url}");
        assert_told(&Failure::AddressInUse { sight }, false, &fact, remedy);
    }
    let sight = Sight::Garbled;
    let text = told(&Failure::AddressInUse { sight }, false);
    assert!(text.contains("an answer that is not HTTP (http"), "{text}");
    assert!(!text.contains("swapTimeoutMs"), "{text}");
    assert_told(
        &Failure::Held,
        false,
        "taken by local service `vllm`",
        "`swapTimeoutMs`",
    );
}

#[test]
fn a_child_that_found_its_port_taken_is_told_so() {
    let exited = |port_taken| {
        Failure::Exited(Exited {
            code: Some(1),
            signal: None,
            served: false,
            port_taken,
        })
    };
    assert_told(
        &exited(true),
        true,
        "code 1, 12 ms after",
        "write another port",
    );
    assert_told(
        &exited(false),
        true,
        "code 1, 12 ms after",
        "run the command by hand",
    );
}
