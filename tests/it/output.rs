//! P16: output is always read, kept in bounded memory, logged, and shows no secret.

use tower_local_service::{ErrorKind, Line, Output, OutputStream};
use tracing::{Level, dispatcher};

use crate::support::{Events, Fixture, ask, block_on, blocking_until, ms, now, since, within};

const OUTPUT: &str = "tower_local_service::output";
const LIMIT: usize = 64 * 1024;

async fn tail_of(fixture: &Fixture) -> String {
    let error = fixture.service("prints").acquire().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Exited { .. }), "{error}");
    error.output_tail().expect("it wrote something").to_owned()
}

#[tokio::test]
async fn the_last_of_much_output_is_kept() {
    let fixture = Fixture::new()
        .with("--print", 1_000_000)
        .with("--exit-after", 300)
        .flag("--never-bind");
    let tail = tail_of(&fixture).await;
    assert!(tail.len() <= LIMIT, "{}", tail.len());
    assert!(tail.len() > LIMIT / 2, "{}", tail.len());
}

#[tokio::test]
async fn a_line_without_an_end_is_bounded() {
    let fixture = Fixture::new()
        .with("--print-no-newline", 5_000_000)
        .with("--exit-after", 300)
        .flag("--never-bind");
    let tail = tail_of(&fixture).await;
    assert!(!tail.is_empty() && tail.len() <= LIMIT, "{}", tail.len());
}

#[tokio::test]
async fn a_progress_bar_pushes_the_cause_out_of_neither_the_message_nor_the_tail() {
    let fixture = Fixture::new()
        .with(
            "--print-line",
            "OSError: [Errno 28] No space left on device",
        )
        .with("--print-progress", 20_000)
        .with("--exit-after", 300)
        .flag("--never-bind");
    let error = fixture.service("bar").acquire().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("No space left on device"), "{text}");
    assert_eq!(text.matches("Downloading").count(), 1, "{text}");
    let tail = error.output_tail().unwrap();
    assert!(tail.contains("No space left"), "{tail}");
    assert!(tail.contains("19999 of") && tail.len() < 1000, "{tail}");
}

#[tokio::test]
async fn what_a_server_writes_of_each_probe_pushes_nothing_out() {
    let fixture = Fixture::new()
        .with("--print-line", "ValueError: the model is of another kind")
        .flag("--traceback-per-request")
        .with("--health-status", 503);
    let config = fixture.config().ready_timeout(ms(2500));
    let error = fixture.configured("chatty", config).acquire().await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("the model is of another kind"), "{text}");
    assert_eq!(
        text.matches("Connection reset by peer").count(),
        1,
        "{text}"
    );
    assert!(text.chars().count() < 3000, "{text}");
}

#[tokio::test]
async fn an_answer_of_503_for_ever_by_a_server_that_lives_is_a_timeout_and_leaves_nothing() {
    let fixture = Fixture::new().with("--health-status", 503);
    let config = fixture.config().ready_timeout(ms(800));
    let error = fixture.configured("loads", config).acquire().await;
    let error = error.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::ReadyTimeout { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("503"), "{error}");
    assert!(blocking_until(|| fixture.alive().is_empty()));
}

#[tokio::test]
async fn a_health_answer_without_a_body_is_ready() {
    let fixture = Fixture::new().flag("--health-empty");
    let service = fixture.service("says nothing");
    let (_, body) = ask(&service, &fixture.url("/hello")).await.unwrap();
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn much_output_delays_neither_a_start_nor_a_request() {
    let fixture = Fixture::new().with("--print", 16_000_000);
    let service = fixture.service("loud");
    let begun = now();
    drop(within("ready", service.acquire()).await.unwrap());
    for _ in 0..5 {
        // More than a pipe holds: the server would block if its output were not read.
        within(
            "an answer",
            ask(&service, &fixture.url("/print?bytes=300000")),
        )
        .await
        .unwrap();
    }
    // A server whose output is not read never gets so far.
    assert!(since(begun) < ms(60_000));
    let (_, body) = ask(&service, &fixture.url("/hello")).await.unwrap();
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn a_server_that_closes_its_output_has_not_exited() {
    let fixture = Fixture::new().flag("--close-output");
    let service = fixture.service("silent");
    ask(&service, &fixture.url("/hello")).await.unwrap();
    tokio::time::sleep(ms(100)).await;
    ask(&service, &fixture.url("/hello")).await.unwrap();
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn control_characters_and_bad_utf8_are_escaped() {
    let fixture = Fixture::new()
        .flag("--print-controls")
        .flag("--print-invalid-utf8")
        .with("--print-line", "the last line")
        .with("--exit-after", 100)
        .flag("--never-bind");
    let error = fixture.service("strange").acquire().await.unwrap_err();
    let tail = error.output_tail().unwrap();
    assert!(tail.contains("the last line"));
    for text in [tail, &error.to_string(), &format!("{error:?}")] {
        let control = text
            .chars()
            .find(|it| (it.is_control() && !"\n\t".contains(*it)) || *it == '\u{202e}');
        assert_eq!(control, None, "{text:?}");
    }
}

#[tokio::test]
async fn secrets_of_the_configuration_are_not_shown() {
    let fixture = Fixture::new()
        .with("--print-env", "HF_TOKEN")
        .with("--print-env", "SOME_PORT")
        .with("--print-line", "header of-the-header-3141")
        .with("--exit-after", 100)
        .flag("--never-bind");
    let config = fixture
        .config()
        .env("HF_TOKEN", "hf-secret-2718")
        .env("SOME_PORT", "port-18080")
        .health_headers([("x-key", "of-the-header-3141")]);
    let service = fixture.configured("secrets", config);
    let error = service.acquire().await.unwrap_err();
    let tail = error.output_tail().unwrap();
    assert!(
        tail.contains("HF_TOKEN=") && tail.contains("header "),
        "{tail}"
    );
    assert!(
        tail.contains("port-18080"),
        "what is no secret stays: {tail}"
    );
    let shown = [
        tail.to_owned(),
        error.to_string(),
        format!("{error:?}"),
        format!("{:?}", service.status()),
        format!("{service:?}"),
        format!("{:?}", service.journal()),
    ];
    for text in shown {
        assert!(!text.contains("hf-secret-2718"), "{text}");
        assert!(!text.contains("of-the-header-3141"), "{text}");
    }
}

#[test]
fn each_line_is_an_event_at_debug_level_without_secrets() {
    let fixture = Fixture::new()
        .with("--print-line", "loading the model")
        .with("--print-env", "API_KEY");
    let config = fixture.config().env("API_KEY", "sk-1618-secret");
    let service = fixture.configured("traced", config);
    let events = Events::new();
    let lease = dispatcher::with_default(&events.dispatch(), || block_on(service.acquire()));
    drop(lease.unwrap());
    assert!(blocking_until(|| events.has(OUTPUT, "loading the model")));
    assert!(blocking_until(|| events.has(OUTPUT, "API_KEY=")));
    let seen = events.seen();
    assert!(
        seen.iter()
            .all(|event| !event.fields.contains("sk-1618-secret"))
    );
    let lines = seen.iter().filter(|event| event.target == OUTPUT);
    assert!(lines.clone().count() >= 2);
    assert!(lines.clone().all(|event| event.level == Level::DEBUG));
    assert!(
        lines.clone().all(|event| event.fields.contains("traced")),
        "{seen:?}"
    );
}

/// The lines up to the first that has this text.
async fn read_until(output: &mut Output, text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    while !lines.last().is_some_and(|line| line.text.contains(text)) {
        lines.push(within("a line", output.next()).await);
    }
    lines
}

#[tokio::test]
async fn the_output_is_read_from_what_is_kept_over_what_comes_to_the_next_instance() {
    let fixture = Fixture::new()
        .with("--print-line", "loading the model")
        .with("--print-env", "API_KEY");
    let config = fixture.config().env("API_KEY", "sk-1618-secret");
    let service = fixture.configured("read", config);
    // Before anything was started.
    let mut early = service.output();
    let lease = service.acquire().await.unwrap();
    let first = lease.instance();
    let seen = read_until(&mut early, "listening on").await;
    assert!(
        seen.iter().any(|it| it.text == "loading the model"),
        "{seen:?}"
    );
    assert!(seen.iter().all(|it| it.instance == first && it.missed == 0));

    let mut late = service.output();
    let kept = read_until(&mut late, "listening on").await;
    let unknown = |it: &Line| it.stream.is_none() && it.at.is_none();
    assert!(kept.iter().all(unknown), "{kept:?}");
    let texts = |lines: &[Line]| lines.iter().map(|it| it.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&kept), texts(&seen));

    drop(lease);
    service.stop().await.unwrap();
    let lease = service.acquire().await.unwrap();
    for output in [&mut early, &mut late] {
        let next = read_until(output, "listening on").await;
        let of_next: Vec<_> = next
            .iter()
            .filter(|it| it.instance == lease.instance())
            .collect();
        assert!(
            of_next.iter().any(|it| it.text == "loading the model"),
            "{next:?}"
        );
        assert!(
            next.iter().all(|it| !it.text.contains("sk-1618")),
            "{next:?}"
        );
        let is_known = |it: &Line| it.text.contains("API_KEY=[redacted]");
        assert!(next.iter().any(is_known), "{next:?}");
    }
}

#[tokio::test]
async fn a_slow_reader_of_the_output_finds_out_how_many_lines_it_has_missed() {
    let fixture = Fixture::new();
    let service = fixture.service("flooded");
    let lease = service.acquire().await.unwrap();
    let mut output = service.output();
    // It follows from its first line on.
    read_until(&mut output, "listening on").await;
    for _ in 0..8 {
        ask(&service, &fixture.url("/print?bytes=1000000"))
            .await
            .unwrap();
    }
    let line = within("a line", output.next()).await;
    assert!(line.missed > 0, "{line:?}");
    assert_eq!(line.stream, Some(OutputStream::Stdout));
    assert_eq!(within("a line", output.next()).await.missed, 0);
    drop(lease);
}
