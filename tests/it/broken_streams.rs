//! A stream whose server dies ends with an error in every framing; one that is whole ends cleanly.

use tower_local_service::BoxError;

use crate::{
    clients::{Setup, chunk, kind, text},
    support::{is_abort, is_kill, kill},
};

/// Whether a process that is being torn down is known to have ended. Elsewhere its connections may end a moment before that
/// is seen, and with them a body that only its connection delimits.
const SEES_TEARDOWN: bool = cfg!(all(target_os = "linux", not(tower_local_service_portable)));

/// Streams that would last for a minute after the first chunk.
const ENDLESS: [(&str, &str); 3] = [
    ("chunked", "/stream?chunks=2&gap_ms=60000"),
    ("content length", "/length-stream?chunks=2&gap_ms=60000"),
    (
        "end of connection",
        "/close-delimited?chunks=2&gap_ms=60000",
    ),
];

fn endless() -> impl Iterator<Item = (&'static str, &'static str)> {
    ENDLESS.into_iter().take(if SEES_TEARDOWN { 3 } else { 2 })
}

/// Kills the server, as the out-of-memory killer does.
fn kill_server(it: &Setup) {
    kill(it.service.status().pid.expect("a server that runs"));
}

fn assert_tells_of_the_kill(error: &BoxError) {
    assert!(kind(&**error).is_some_and(|it| is_kill(&it)), "{error:?}");
}

#[tokio::test]
async fn a_killed_server_breaks_a_stream_of_hyper_in_every_framing() {
    for (framing, path) in endless() {
        let it = Setup::new(&format!("killed, hyper, {framing}"));
        let mut body = it.get(path).await.into_body();
        assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "chunk 0\n");
        kill_server(&it);
        let end = chunk(&mut body).await;
        let error = end
            .unwrap_or_else(|| panic!("{framing}: a clean end"))
            .unwrap_err();
        assert_tells_of_the_kill(&error);
        assert!(
            chunk(&mut body).await.is_none(),
            "{framing}: after the error"
        );
        assert_eq!(it.leases(), 0, "{framing}");
    }
}

#[tokio::test]
async fn a_server_that_dies_in_its_answer_breaks_it_in_every_framing() {
    let framings = ["chunked", "length", "close"];
    for framing in framings.into_iter().take(if SEES_TEARDOWN { 3 } else { 2 }) {
        let it = Setup::new(&format!("dies, {framing}"));
        let path = format!("/die-mid-stream?framing={framing}");
        let mut body = it.get(&path).await.into_body();
        assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "first");
        let end = chunk(&mut body).await;
        let error = end
            .unwrap_or_else(|| panic!("{framing}: a clean end"))
            .unwrap_err();
        let aborted = kind(&*error).is_some_and(|it| is_abort(&it));
        assert!(aborted, "{framing}: {error:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_breaks_the_stream_although_the_server_lives() {
    let it = Setup::new("a broken connection");
    for framing in ["chunked", "length"] {
        let path = format!("/break-mid-stream?framing={framing}");
        let broken = text(it.get(&path).await.into_body()).await;
        let error = broken.expect_err(framing);
        assert_eq!(kind(&*error), None, "it is the client's error: {error:?}");
    }
    assert_eq!(it.text("/hello").await, "hello");
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_body_that_its_connection_delimits_ends_cleanly_while_its_server_lives() {
    let it = Setup::new("delimited by the connection");
    let whole = text(
        it.get("/close-delimited?chunks=3&gap_ms=10")
            .await
            .into_body(),
    );
    assert_eq!(whole.await.unwrap(), "chunk 0\nchunk 1\nchunk 2\n");
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn a_body_that_its_connection_delimits_ends_cleanly_behind_an_external_server() {
    let fixture = crate::support::Fixture::new();
    let mut outside = fixture.run_outside();
    let it = Setup::with("external, delimited by the connection", fixture);
    let whole = text(
        it.get("/close-delimited?chunks=3&gap_ms=10")
            .await
            .into_body(),
    );
    assert_eq!(whole.await.unwrap(), "chunk 0\nchunk 1\nchunk 2\n");

    let mut body = it
        .get("/close-delimited?chunks=2&gap_ms=60000")
        .await
        .into_body();
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "chunk 0\n");
    outside.end();
    let end = chunk(&mut body).await.expect("no clean end");
    assert!(
        kind(&*end.unwrap_err()).is_some(),
        "only we know that it is not whole"
    );
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn a_killed_server_breaks_a_stream_of_reqwest_in_every_framing() {
    use crate::{clients::send, reqwest_client::get};

    for (framing, path) in endless() {
        let it = Setup::new(&format!("killed, reqwest, {framing}"));
        let client = crate::clients::ensured(&it.service, reqwest::Client::new());
        let mut response = send(&client, get(&it.fixture.url(path))).await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "chunk 0\n");
        kill_server(&it);
        let end = crate::support::within("the end", response.chunk()).await;
        let error = BoxError::from(end.expect_err(framing));
        assert_tells_of_the_kill(&error);
        assert_eq!(it.leases(), 0, "{framing}");
    }
}

#[tokio::test]
async fn the_request_right_after_a_broken_stream_is_served_by_a_new_server() {
    let it = Setup::new("right after a broken stream");
    for round in 0..20 {
        let mut body = it.get("/stream?chunks=2&gap_ms=60000").await.into_body();
        assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "chunk 0\n");
        kill_server(&it);
        chunk(&mut body).await.expect("no clean end").unwrap_err();
        assert_eq!(it.text("/hello").await, "hello", "round {round}");
    }
}
