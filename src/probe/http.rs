//! One GET of the health URL.
//!
//! The connection is new and goes straight there: no pool that could hold a dead one, no proxy, no
//! redirect, nothing of the environment. The answer is the status of the final response head.

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

use super::{ask_first::AskFirst, dial::dial};
use crate::{config::Target, machine::Sight};

const CLIENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// What a response head may take at most; its number of headers is bounded by hyper.
const HEAD_LIMIT: usize = 64 * 1024;

/// What is read of an answer at most, interim ones included: who sends them without end is not to keep
/// the thread busy past the deadline.
const ANSWER_LIMIT: u64 = 4 * HEAD_LIMIT as u64;

/// Asks once.
///
/// Ends within `target.timeout`, whatever the server does: one deadline spans the lookup of a name,
/// the connect and the response head. The body is never read. Never returns [`Sight::Stranger`].
///
/// # Cancel safety
///
/// Everything happens in this future; dropping it closes the connection at once.
pub(crate) async fn look(target: &Target) -> Sight {
    timeout(target.timeout, probe(target))
        .await
        .unwrap_or(Sight::Silent)
}

async fn probe(target: &Target) -> Sight {
    match dial(&target.host, target.port).await {
        Ok(stream) => ask(stream, target).await,
        Err(sight) => sight,
    }
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, target: &Target) -> Sight {
    // What the configuration accepts always makes a request.
    let Ok(request) = request(target) else {
        return Sight::Silent;
    };
    match send(stream, request).await {
        Ok(status) if is_wanted(target, status) => Sight::Wanted,
        Ok(status) => Sight::Status(status.as_u16()),
        Err(error) if error.is_parse() => Sight::Garbled,
        Err(_) => Sight::Broken,
    }
}

/// Without `Connection: close`, which would have the server close first and its port left in
/// `TIME_WAIT`.
fn request(target: &Target) -> http::Result<Request<String>> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(&target.authority)?);
    headers.insert(USER_AGENT, HeaderValue::from_static(CLIENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    // Replaces the ones above, and keeps several of one name.
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

    // Driven here and not in a task of its own, so that it ends with this probe.
    let response = tokio::select! {
        biased;
        response = &mut response => response,
        // The response knows what the connection ended with.
        _ = connection => response.await,
    };
    response.map(|response| response.status())
}

fn is_wanted(target: &Target, status: StatusCode) -> bool {
    match &target.wanted {
        Some(wanted) => wanted.contains(&status.as_u16()),
        None => status.is_success(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;
    use crate::config::Host;

    fn target(path_and_query: &str) -> Target {
        Target {
            host: Host::Localhost,
            port: 1,
            authority: "localhost:1".into(),
            path_and_query: path_and_query.into(),
            headers: HeaderMap::new(),
            wanted: None,
            timeout: Duration::from_secs(1),
        }
    }

    /// What a probe sees whose peer has sent `bytes` before it was asked.
    async fn sight_of_early(bytes: &[u8]) -> Sight {
        let (near, mut far) = duplex(4096);
        far.write_all(bytes).await.unwrap();
        ask(near, &target("/")).await
    }

    #[tokio::test]
    async fn a_banner_that_came_before_the_request_is_garbled() {
        assert_eq!(
            sight_of_early(b"SSH-2.0-OpenSSH_9.6\r\n").await,
            Sight::Garbled
        );
    }

    #[tokio::test]
    async fn an_answer_that_came_before_the_request_counts() {
        assert_eq!(
            sight_of_early(b"HTTP/1.1 503 Busy\r\n\r\n").await,
            Sight::Status(503)
        );
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_before_the_request_is_broken() {
        let (near, far) = duplex(4096);
        drop(far);
        assert_eq!(ask(near, &target("/")).await, Sight::Broken);
    }

    #[test]
    fn the_path_is_asked_for_as_written() {
        for (written, asked) in [
            ("/v1/models", "/v1/models"),
            ("/health?deep=1&x=%20", "/health?deep=1&x=%20"),
            ("?x=1", "/?x=1"),
        ] {
            assert_eq!(request(&target(written)).unwrap().uri().to_string(), asked);
        }
    }
}
