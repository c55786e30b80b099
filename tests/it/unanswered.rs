//! A request whose server has died is not left waiting, even if its client never answers: hyper's client
//! sometimes forgets a request (<https://github.com/hyperium/hyper/issues/4122>).

use std::{convert::Infallible, future, io};

use http::Response;
use tower::service_fn;
use tower_local_service::{BoxError, ErrorKind};

use crate::{
    clients::{Request, Setup, ensured, get, kind, send, text},
    support::{eventually, kill, ms},
};

/// Kills the server when the request holds its lease.
async fn kill_under_a_lease(it: &Setup) {
    eventually("the request is under way", || it.leases() == 1).await;
    kill(it.fixture.starts()[0]);
}

#[tokio::test]
async fn a_request_that_a_client_never_answers_ends_with_the_exit_of_its_server() {
    let it = Setup::new("forgotten");
    let client = service_fn(|_: Request| future::pending::<Result<Response<String>, Infallible>>());
    let client = ensured(&it.service, client);
    let (sent, ()) = tokio::join!(
        send(&client, get(&it.fixture.url("/hello"))),
        kill_under_a_lease(&it)
    );
    let error = sent.unwrap_err();
    assert!(
        matches!(
            kind(&*error),
            Some(ErrorKind::Exited {
                signal: Some(9),
                ..
            })
        ),
        "{error:?}"
    );
    let told = error.to_string();
    assert!(told.contains("while a request waited"), "{told}");
}

#[tokio::test]
async fn an_answer_that_is_read_after_its_server_died_is_delivered() {
    let it = Setup::new("read late");
    let client = service_fn(|_: Request| async {
        tokio::time::sleep(ms(500)).await;
        Ok::<_, Infallible>(Response::new(String::from("late")))
    });
    let client = ensured(&it.service, client);
    let (sent, ()) = tokio::join!(
        send(&client, get(&it.fixture.url("/hello"))),
        kill_under_a_lease(&it)
    );
    assert_eq!(text(sent.unwrap().into_body()).await.unwrap(), "late");
}

#[tokio::test]
async fn an_error_of_the_client_is_the_source_of_what_the_server_died_of() {
    let it = Setup::new("its own error");
    let client = service_fn(|_: Request| async {
        tokio::time::sleep(ms(300)).await;
        Err::<Response<String>, BoxError>(io::Error::other("connection lost").into())
    });
    let client = ensured(&it.service, client);
    let (sent, ()) = tokio::join!(
        send(&client, get(&it.fixture.url("/hello"))),
        kill_under_a_lease(&it)
    );
    let error = sent.unwrap_err();
    assert!(matches!(
        kind(&*error),
        Some(ErrorKind::Exited {
            signal: Some(9),
            ..
        })
    ));
    let client = error.source().expect("what the client said");
    assert_eq!(client.to_string(), "connection lost");
}

#[tokio::test]
async fn the_clients_own_error_is_returned_if_the_server_lives() {
    let it = Setup::new("its own error");
    let client = service_fn(|_: Request| async {
        Err::<Response<String>, BoxError>(io::Error::other("connection lost").into())
    });
    let client = ensured(&it.service, client);
    let sent = send(&client, get(&it.fixture.url("/hello"))).await;
    assert_eq!(sent.unwrap_err().to_string(), "connection lost");
    assert_eq!(it.fixture.starts().len(), 1);
}
