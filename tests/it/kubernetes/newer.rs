//! `discovery.k8s.io/v1` in front of an API server that is too old for it: the one that Debian can build has `v1beta1`, which
//! differs in nothing that the program reads. All else goes through as it is.

use futures_util::{Stream, StreamExt as _, stream};
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kube::{Client, Error, client::Body};
use tokio::{net::TcpListener, task::JoinSet};

use super::thread::OwnThread;
use crate::support::free_port;

pub(super) const OLD: &str = "discovery.k8s.io/v1beta1";
pub(super) const NEW: &str = "discovery.k8s.io/v1";

/// It listens on loopback, without TLS, and ends when this is dropped.
pub(super) struct Newer {
    port: u16,
    _thread: OwnThread,
}

impl Newer {
    /// `client` makes the client by which it asks, on its own runtime.
    pub(super) fn new<F: Future<Output = Client>>(
        client: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        let port = free_port();
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("its port");
        let serve = async move || {
            listener.set_nonblocking(true).expect("a listener");
            let listener = TcpListener::from_std(listener).expect("a listener");
            serve(listener, client().await).await;
        };
        Self {
            port,
            _thread: OwnThread::run(serve),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn serve(listener: TcpListener, client: Client) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        if let Ok((stream, _)) = accepted {
            let client = client.clone();
            connections.spawn(async move {
                let service = service_fn(|request| pass(&client, request));
                let connection = http1::Builder::new();
                drop(
                    connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            });
        }
    }
}

async fn pass(
    client: &Client,
    request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, Error>>, Error> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(Error::HyperError)?.to_bytes();
    let path = parts.uri.to_string();
    let is_old = path.contains(NEW);
    parts.uri = Uri::try_from(path.replace(NEW, OLD)).expect("a path");
    // Those are the client's own.
    for name in [header::HOST, header::AUTHORIZATION, header::ACCEPT_ENCODING] {
        parts.headers.remove(name);
    }
    let request = Request::from_parts(parts, Body::from(body.to_vec()));
    let (mut parts, body) = client.send(request).await?.into_parts();
    if !is_old {
        let body = body.map_err(|error| Error::Service(error.into()));
        return Ok(Response::from_parts(parts, body.boxed_unsync()));
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    let lines = lines(body.into_data_stream());
    let renamed = lines.map(|line| line.map(|line| Frame::data(line.replace(OLD, NEW).into())));
    Ok(Response::from_parts(
        parts,
        StreamBody::new(renamed).boxed_unsync(),
    ))
}

/// Whole lines, and at the end what is left. A name may be cut by the end of a piece, but by no end of a line.
fn lines<E: Into<tower::BoxError>>(
    pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> impl Stream<Item = Result<String, Error>> {
    stream::unfold((pieces, Vec::new()), async |(mut pieces, mut kept)| {
        loop {
            match pieces.next().await {
                Some(Ok(piece)) => kept.extend_from_slice(&piece),
                Some(Err(error)) => {
                    return Some((Err(Error::Service(error.into())), (pieces, kept)));
                }
                None if kept.is_empty() => return None,
                None => return Some((text(&std::mem::take(&mut kept)), (pieces, kept))),
            }
            if let Some(end) = kept.iter().rposition(|byte| *byte == b'\n') {
                let rest = kept.split_off(end + 1);
                return Some((text(&kept), (pieces, rest)));
            }
        }
    })
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(Error::FromUtf8)
}
