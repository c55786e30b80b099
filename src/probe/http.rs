//! One GET of the health URL.
//!
//! Each probe opens a new connection, directly to the server: no pool (which could hold a dead
//! connection), no proxy, no redirect, and nothing from the environment. The answer is the status of
//! the final response head.

use std::pin::pin;

use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, HOST, USER_AGENT},
    uri::PathAndQuery,
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{self, AsyncRead, AsyncReadExt, AsyncWrite},
    time::timeout,
};

use super::{Answer, ask_first::AskFirst, dial::dial};
use crate::config::Target;

const USER_AGENT_VALUE: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The longest response head, in bytes. hyper limits the number of headers.
const HEAD_LIMIT: usize = 64 * 1024;

/// How many bytes are read in all, interim (1xx) responses included: a server that sends those without
/// end must not keep the thread busy past the deadline.
const ANSWER_LIMIT: u64 = 4 * HEAD_LIMIT as u64;

/// Sends one GET to the health URL.
///
/// Resolves within `target.timeout`, whatever the server does: one deadline covers the lookup of a
/// name, the connect and the response head. The body is not read.
///
/// # Cancel safety
///
/// Dropping the future closes the connection at once. Nothing continues in the background but the
/// lookup of a name.
pub(crate) async fn get(target: &Target) -> Answer {
    timeout(target.timeout, connect_and_ask(target))
        .await
        .unwrap_or(Answer::Silent)
}

async fn connect_and_ask(target: &Target) -> Answer {
    match dial(&target.host, target.port).await {
        Ok(stream) => ask(stream, target).await,
        Err(answer) => answer,
    }
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, target: &Target) -> Answer {
    // A target that passed validation always makes a request.
    let Ok(request) = request(target) else {
        return Answer::Silent;
    };
    match send(stream, request).await {
        Ok(status) if is_ready(target, status) => Answer::Ready,
        Ok(status) => Answer::Status(status.as_u16()),
        Err(error) if error.is_parse() => Answer::NotHttp,
        Err(_) => Answer::Closed,
    }
}

/// The request has no `Connection: close`: with it the server would close first, and the server's port
/// would be the one that stays in `TIME_WAIT`.
fn request(target: &Target) -> http::Result<Request<String>> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(&target.authority)?);
    headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    // Configured headers replace those above; several of one name are kept.
    headers.extend(target.headers.clone());

    let mut request = Request::new(String::new());
    *request.uri_mut() = Uri::from(PathAndQuery::try_from(target.path_and_query.as_str())?);
    *request.headers_mut() = headers;
    Ok(request)
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<String>,
) -> hyper::Result<StatusCode> {
    let (read, write) = io::split(AskFirst::new(stream));
    let stream = io::join(read.take(ANSWER_LIMIT), write);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_LIMIT)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut response = pin!(sender.send_request(request));

    // The connection is driven here and not in a task of its own, so that it ends with the probe.
    let response = tokio::select! {
        biased;
        response = &mut response => response,
        // The connection's error is reported through the response.
        _ = connection => response.await,
    };
    response.map(|response| response.status())
}

fn is_ready(target: &Target, status: StatusCode) -> bool {
    match &target.ready_statuses {
        Some(statuses) => statuses.contains(&status.as_u16()),
        None => status.is_success(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;
    use crate::config::UrlHost;

    fn target(path_and_query: &str) -> Target {
        Target {
            sends_key: false,
            host: UrlHost::Localhost,
            port: 1,
            authority: "localhost:1".into(),
            path_and_query: path_and_query.into(),
            headers: HeaderMap::new(),
            ready_statuses: None,
            timeout: Duration::from_secs(1),
        }
    }

    /// The answer of a server that sends `bytes` before it has received a request.
    async fn answer_of_early(bytes: &[u8]) -> Answer {
        let (near, mut far) = duplex(4096);
        far.write_all(bytes).await.unwrap();
        ask(near, &target("/")).await
    }

    #[tokio::test]
    async fn a_banner_before_the_request_is_not_http() {
        assert_eq!(
            answer_of_early(b"SSH-2.0-OpenSSH_9.6\r\n").await,
            Answer::NotHttp
        );
    }

    #[tokio::test]
    async fn a_response_before_the_request_counts() {
        assert_eq!(
            answer_of_early(b"HTTP/1.1 503 Busy\r\n\r\n").await,
            Answer::Status(503)
        );
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_before_the_request_is_closed() {
        let (near, far) = duplex(4096);
        drop(far);
        assert_eq!(ask(near, &target("/")).await, Answer::Closed);
    }

    #[test]
    fn the_path_is_requested_as_written() {
        for (written, requested) in [
            ("/v1/models", "/v1/models"),
            ("/health?deep=1&x=%20", "/health?deep=1&x=%20"),
            ("?x=1", "/?x=1"),
        ] {
            assert_eq!(
                request(&target(written)).unwrap().uri().to_string(),
                requested
            );
        }
    }
}
