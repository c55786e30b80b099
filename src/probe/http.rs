//! One request to a server: a GET of the health URL, or the ready request.
//!
//! Each probe opens a new connection, directly to the server: no pool (which could hold a dead
//! connection), no proxy, no redirect, and nothing from the environment. The answer is the status of
//! the final response head.
//!
//! A probe is gentle: it reads the body to its end before it closes the connection, within bounds. A
//! server that writes to a connection which its client has closed gets SIGPIPE, and some die of it.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT},
    response::Parts,
    uri::PathAndQuery,
};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{self, AsyncRead, AsyncReadExt, AsyncWrite},
    runtime::Handle,
    time::{Instant, timeout_at},
};

use super::{Answer, ask_first::AskFirst, dial::dial};
use crate::config::Target;

const USER_AGENT_VALUE: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The longest response head, in bytes. hyper limits the number of headers.
const HEAD_LIMIT: usize = 64 * 1024;

/// So much of a body is read, in bytes, before the connection is closed.
const BODY_LIMIT: usize = 64 * 1024;

/// How many bytes are read in all, interim (1xx) responses included: a server that sends those without
/// end must not keep the thread busy past the deadline.
const ANSWER_LIMIT: u64 = 4 * HEAD_LIMIT as u64;

/// An answer is not delayed any longer by a body that comes slowly: the rest is read in the background.
const AT_ONCE: Duration = Duration::from_millis(20);

/// A page may say what it is only at its beginning, within so many bytes.
const BEGINNING: usize = 64;
const PAGES: [&str; 2] = ["<!doctype html", "<html"];

/// Sends one request.
///
/// Resolves within `target.timeout`, whatever the server does: one deadline covers the lookup of a
/// name, the connect and the response head. A body that comes slowly is read in the background, at most
/// until the same deadline.
///
/// # Cancel safety
///
/// Dropping the future closes the connection at once. Nothing continues in the background but the
/// lookup of a name, and the rest of a body whose head has been answered.
pub(crate) async fn ask(target: &Target) -> Answer {
    let deadline = Instant::now() + target.timeout;
    let answer = match timeout_at(deadline, dial(&target.host, target.port)).await {
        Ok(Ok(stream)) => ask_over(stream, target, deadline).await,
        Ok(Err(answer)) => answer,
        Err(_) => Answer::Silent,
    };
    match &target.base {
        Some((host, port)) if answer == Answer::Ready => {
            match timeout_at(deadline, dial(host, *port)).await {
                Ok(Ok(_)) => Answer::Ready,
                _ => Answer::NotAccepting(*port),
            }
        }
        _ => answer,
    }
}

/// Whether the address that requests go to refuses a connection.
///
/// # Cancel safety
///
/// Dropping the future closes the connection at once.
pub(crate) async fn refuses_requests(target: &Target) -> bool {
    let deadline = Instant::now() + target.timeout;
    let (host, port) = match &target.base {
        Some((host, port)) => (host, *port),
        None => (&target.host, target.port),
    };
    let dialed = timeout_at(deadline, dial(host, port)).await;
    matches!(dialed, Ok(Err(Answer::Refused)))
}

async fn ask_over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
    deadline: Instant,
) -> Answer {
    // A target that passed validation always makes a request.
    let Ok(request) = request(target) else {
        return Answer::Silent;
    };
    let body_limit = if target.wants_body {
        target.timeout
    } else {
        AT_ONCE
    };
    match send(stream, request, deadline, body_limit).await {
        None => Answer::Silent,
        Some(Ok((head, beginning))) if is_ready(target, head.status) => {
            // With its default health URL, a service expects a list of models.
            if target.is_default && is_page(&head, &beginning) {
                Answer::Page
            } else {
                Answer::Ready
            }
        }
        Some(Ok((head, _))) => Answer::Status(head.status.as_u16()),
        Some(Err(error)) if error.is_parse() => Answer::NotHttp,
        Some(Err(_)) => Answer::Closed,
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

    let mut request = Request::new(target.body.clone());
    *request.method_mut() = target.method.clone();
    *request.uri_mut() = Uri::from(PathAndQuery::try_from(target.path_and_query.as_str())?);
    *request.headers_mut() = headers;
    Ok(request)
}

/// The head of the response, and the beginning of its body; `None` if there is no head in time.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<String>,
    deadline: Instant,
    body_limit: Duration,
) -> Option<hyper::Result<(Parts, Vec<u8>)>> {
    let (read, write) = io::split(AskFirst::new(stream));
    let stream = io::join(read.take(ANSWER_LIMIT), write);
    let mut http = http1::Builder::new();
    let handshake = http
        .max_buf_size(HEAD_LIMIT)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = match timeout_at(deadline, handshake).await.ok()? {
        Ok(connected) => connected,
        Err(error) => return Some(Err(error)),
    };
    // The connection is driven here and not in a task of its own, so that it ends with the probe. Its error is
    // reported through the response.
    let mut connection = Driven(Some(Box::pin(connection)));
    let head = connection.during(sender.send_request(request));
    let (head, body) = match timeout_at(deadline, head).await.ok()? {
        Ok(response) => response.into_parts(),
        Err(error) => return Some(Err(error)),
    };
    let mut reading = Reading {
        body,
        read: 0,
        beginning: Vec::new(),
    };
    let at_once = deadline.min(Instant::now() + body_limit);
    let rest = timeout_at(at_once, connection.during(reading.read_to_end())).await;
    let beginning = std::mem::take(&mut reading.beginning);
    if rest.is_err() {
        // What follows the head slowly changes nothing, and does not delay the answer. It is read on the
        // crate's own runtime, where probes run.
        drop(Handle::current().spawn(async move {
            let _open = sender;
            drop(timeout_at(deadline, connection.during(reading.read_to_end())).await);
        }));
    }
    Some(Ok((head, beginning)))
}

/// A connection that has to be polled while its request is under way; `None` once it has ended.
struct Driven<C>(Option<Pin<Box<C>>>);

impl<C: Future> Driven<C> {
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Some(connection) = &mut self.0 {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = connection => {}
            }
            self.0 = None;
        }
        work.await
    }
}

/// The body of an answer, as far as a probe reads it.
struct Reading {
    body: Incoming,
    read: usize,
    beginning: Vec<u8>,
}

impl Reading {
    /// Cancel safe.
    async fn read_to_end(&mut self) {
        while self.read < BODY_LIMIT {
            let body = &mut self.body;
            let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
            let Some(Ok(frame)) = frame else { return };
            if let Some(data) = frame.data_ref() {
                self.read += data.len();
                let more = BEGINNING.saturating_sub(self.beginning.len());
                self.beginning.extend(data.iter().take(more));
            }
        }
    }
}

/// Whether the answer is a page for people.
fn is_page(head: &Parts, beginning: &[u8]) -> bool {
    let says_so = head.headers.get(CONTENT_TYPE).is_some_and(|it| {
        let it = it.as_bytes().to_ascii_lowercase();
        it.starts_with(b"text/html") || it.starts_with(b"application/xhtml")
    });
    let beginning = String::from_utf8_lossy(beginning).to_ascii_lowercase();
    let beginning = beginning.trim_start_matches('\u{feff}').trim_start();
    says_so || PAGES.iter().any(|page| beginning.starts_with(page))
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
    use http::Method;

    use crate::config::UrlHost;

    fn target(path_and_query: &str) -> Target {
        Target {
            sends_key: false,
            host: UrlHost::Localhost,
            port: 1,
            authority: "localhost:1".into(),
            path_and_query: path_and_query.into(),
            method: Method::GET,
            headers: HeaderMap::new(),
            body: String::new(),
            ready_statuses: None,
            is_default: false,
            wants_body: false,
            base: None,
            timeout: Duration::from_secs(1),
        }
    }

    /// The answer of a server that sends `bytes` before it has received a request.
    async fn answer_of_early(bytes: &[u8]) -> Answer {
        let (near, mut far) = duplex(4096);
        far.write_all(bytes).await.unwrap();
        ask_over(near, &target("/"), Instant::now() + Duration::from_secs(1)).await
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
        let deadline = Instant::now() + Duration::from_secs(1);
        assert_eq!(ask_over(near, &target("/"), deadline).await, Answer::Closed);
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
