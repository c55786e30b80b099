use std::sync::Arc;

use super::*;
use crate::{
    amount::Amount,
    config::{Credentials, LocalServiceConfig},
    launch::Holder,
    machine::Exited,
};

const MS: Duration = Duration::from_millis(1);

/// What the last probe saw.
fn saw(answer: Answer) -> Probe {
    Probe {
        answer,
        is_left: false,
        stranger: None,
        occupant: None,
    }
}

/// The text of a failure: after the claim, and after the spawn if there was one.
fn text_of(failure: &Failure, probe: impl Into<Option<Probe>>, started: bool) -> String {
    let config = LocalServiceConfig::new("/bin/server")
        .health_url("http://localhost:8080/health?key=sk-very-secret");
    text_with(&config, failure, probe, started)
}

fn text_with(
    config: &LocalServiceConfig,
    failure: &Failure,
    probe: impl Into<Option<Probe>>,
    started: bool,
) -> String {
    let settings = config
        .validate("llama", "http://localhost:8080/v1")
        .unwrap();
    let asked = Attached {
        name: "llama".to_owned(),
        settings: Arc::new(settings),
    };
    let mut report = Report::new(Teller::of(0));
    report.spawning(100 * MS);
    if started {
        // It need not be a process.
        report.spawned(None);
    }
    if let Some(probe) = probe.into() {
        report.probed(probe);
    }
    let holder = || Some("local service `vllm`".to_owned());
    let shortage = || {
        Some(Shortage {
            resource: "gpu0".to_owned(),
            is_address: false,
            needs: Amount::gib(18),
            capacity: Amount::gib(24),
            holders: vec![("vllm".to_owned(), true)],
            before: Vec::new(),
            turn_ends_in: None,
            is_undecided: false,
        })
    };
    let text = report
        .error(
            &asked,
            failure,
            112 * MS,
            &Others { holder, shortage },
            String::new,
        )
        .to_string();
    assert!(text.starts_with("local service `llama` "), "{text}");
    assert!(!text.contains("sk-very-secret"), "{text}");
    text
}

fn assert_says(
    failure: &Failure,
    probe: impl Into<Option<Probe>>,
    started: bool,
    fact: &str,
    hint: &str,
) {
    let text = text_of(failure, probe, started);
    let rest = text.split_once(fact).map(|(_, rest)| rest);
    assert!(
        rest.is_some_and(|rest| rest.contains(hint)),
        "{text}\n  has no `{fact}` followed by `{hint}`"
    );
}

#[test]
fn a_key_that_was_sent_and_refused_is_what_has_to_be_corrected() {
    let credentials = Credentials {
        key: Some("sk-very-secret".to_owned()),
        ..Credentials::default()
    };
    let sent = LocalServiceConfig::new("/bin/server").credentials(credentials);
    let another = sent.clone().health_headers([("authorization", "own")]);
    for failure in [&Failure::Denied, &Failure::AddressInUse] {
        for status in [401, 403] {
            let probe = || saw(Answer::Status(status));
            let text = text_with(&sent, failure, probe(), true);
            assert!(
                text.contains("`apiKey`") && text.contains("refused"),
                "{text}"
            );
            assert!(!text.contains("needs no credentials"), "{text}");
            let text = text_with(&another, failure, probe(), true);
            assert!(!text.contains("`apiKey`"), "{text}");
        }
    }
    let text = text_with(
        &sent,
        &Failure::AddressInUse,
        saw(Answer::Status(404)),
        false,
    );
    assert!(!text.contains("`apiKey`"), "{text}");
}

#[test]
fn a_start_that_took_too_long_says_what_was_probed_and_seen_and_what_to_do() {
    let stranger = Probe {
        is_left: false,
        stranger: Some(5),
        ..saw(Answer::Ready)
    };
    for (last, fact, hint) in [
        (
            saw(Answer::Refused),
            "connection refused",
            "the same host and port",
        ),
        (saw(Answer::Status(503)), "status 503", "still loading"),
        (saw(Answer::Status(404)), "status 404", "`healthUrl`"),
        (saw(Answer::Silent), "no answer in time", "`probeTimeoutMs`"),
        (
            saw(Answer::Closed),
            "closed before an answer",
            "without TLS",
        ),
        (saw(Answer::NotHttp), "not HTTP", "without TLS"),
        (stranger, "another program (pid 5)", "end that program"),
    ] {
        let limit = 3000 * MS;
        let failure = Failure::ReadyTimeout { limit };
        let asked = "within 3 s, its last probe of http://localhost:8080/health saw: ";
        assert_says(&failure, last.clone(), true, asked, hint);
        assert_says(&failure, last, true, fact, hint);
    }
}

#[test]
fn a_longer_wait_is_advised_only_where_it_could_help() {
    let advises_to_wait = |answers: &[Answer], cpu: Duration| {
        let settings =
            LocalServiceConfig::new("/bin/server").validate("llama", "http://[::1]:1/v1");
        let asked = Attached {
            name: "llama".to_owned(),
            settings: Arc::new(settings.unwrap()),
        };
        let mut report = Report::new(Teller::of(0));
        report.spawning(Duration::ZERO);
        report.spawned(Some(77));
        for answer in answers {
            report.probed(saw(*answer));
        }
        let look = Look {
            cpu: Some(cpu),
            ..Look::default()
        };
        report.looked(look, 9000 * MS);
        let limit = 10_000 * MS;
        let failure = Failure::ReadyTimeout { limit };
        let others = Others {
            holder: || None,
            shortage: || None,
        };
        let error = report.error(&asked, &failure, limit, &others, String::new);
        error.hint().contains("`readyTimeoutMs`")
    };
    for answer in [Answer::Refused, Answer::Status(503)] {
        assert!(!advises_to_wait(&[answer, answer], 90 * MS), "{answer}");
        // It works on something.
        assert!(advises_to_wait(&[answer, answer], 5000 * MS), "{answer}");
    }
    // It has come further.
    assert!(advises_to_wait(
        &[Answer::Refused, Answer::Status(503)],
        90 * MS
    ));
}

#[test]
fn a_start_whose_first_probe_has_not_ended_blames_no_other_program() {
    let limit = 3000 * MS;
    let failure = Failure::ReadyTimeout { limit };
    assert_says(
        &failure,
        None,
        true,
        "nothing yet",
        "raise `readyTimeoutMs`",
    );
    let another = "another program is starting this server";
    assert_says(&failure, None, false, another, "nothing was started");
}

#[test]
fn a_server_that_was_there_before_is_not_called_a_slow_start() {
    for last in [Answer::Silent, Answer::Closed, Answer::Status(503)] {
        let limit = 3000 * MS;
        let failure = Failure::ReadyTimeout { limit };
        let fact = last.to_string();
        assert_says(&failure, saw(last), false, &fact, "nothing was started");
    }
}

#[test]
fn the_error_of_a_wrong_key_names_the_url_that_needs_another() {
    assert_says(
        &Failure::Denied,
        saw(Answer::Status(401)),
        true,
        "answers its health URL (http://localhost:8080/health) with status 401",
        "set `healthHeaders`",
    );
}

#[test]
fn the_program_that_has_the_port_decides_what_to_do() {
    let url = "(http://localhost:8080/health)";
    for (status, hint) in [(401, "`healthHeaders`"), (404, "`healthStatus`")] {
        let probe = saw(Answer::Status(status));
        let fact =
            format!("taken by a server that answers the health URL with status {status} {url}");
        assert_says(&Failure::AddressInUse, probe, false, &fact, hint);
    }
    let program = Probe {
        occupant: Some(Holder {
            pid: 5,
            program: Some("nginx".to_owned()),
        }),
        ..saw(Answer::Status(404))
    };
    let fact =
        format!("taken by `nginx` (pid 5), which answers the health URL with status 404 {url}");
    assert_says(
        &Failure::AddressInUse,
        program,
        false,
        &fact,
        "`healthStatus`",
    );
    let text = text_of(&Failure::AddressInUse, saw(Answer::NotHttp), false);
    assert!(text.contains("an answer that is not HTTP (http"), "{text}");
    assert!(!text.contains("swapTimeoutMs"), "{text}");
    assert_says(
        &Failure::Held,
        None,
        false,
        "taken by local service `vllm`",
        "`swapTimeoutMs`",
    );
    assert_says(
        &Failure::NoRoom,
        None,
        false,
        "needs 18 GiB of `gpu0`, of which there is 24 GiB and `vllm` has a part",
        "`needs`",
    );
}

#[test]
fn the_error_of_a_child_that_found_its_port_taken_says_so() {
    let exited = |port_taken| {
        Failure::Exited(Exited {
            code: Some(1),
            signal: None,
            served: false,
            port_taken,
        })
    };
    assert_says(
        &exited(true),
        None,
        true,
        "code 1, 12 ms after",
        "write another port",
    );
    assert_says(
        &exited(false),
        None,
        true,
        "code 1, 12 ms after",
        "run the command by hand",
    );
}
