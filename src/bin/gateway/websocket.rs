//! Connections that stop being HTTP, such as WebSockets: bytes go to and fro, and the server is in use as long as
//! they do.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header},
};
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io;
use tower_local_service::Lease;

use crate::{access::Facts, exchange::to_client, failure::Failure};

const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");

/// What a client has asked for.
pub(crate) struct Asked {
    protocol: HeaderValue,
    client: OnUpgrade,
}

/// `None` for a request that is to stay HTTP.
pub(crate) fn asked(request: &mut Request) -> Option<Asked> {
    if request.version() != Version::HTTP_11 {
        return None;
    }
    let protocol = request.headers().get(header::UPGRADE)?.clone();
    let client = request.extensions_mut().remove::<OnUpgrade>()?;
    Some(Asked { protocol, client })
}

impl Asked {
    /// These are headers of one connection, and this one asks for the same.
    pub(crate) fn put_into(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, self.protocol.clone());
    }

    /// The answer for the client. If the server agrees, their connections are one from now on.
    pub(crate) fn answered(
        self,
        answer: Result<Response<Body>, Failure>,
        facts: Facts,
    ) -> Result<Response<Body>, Failure> {
        let mut answer = answer;
        let agreed = answer.as_mut().ok();
        let agreed = agreed.filter(|it| it.status() == StatusCode::SWITCHING_PROTOCOLS);
        let Some(response) = agreed else {
            return to_client(answer, facts);
        };
        let protocol = response.headers().get(header::UPGRADE).cloned();
        let lease = response.extensions_mut().remove::<Lease>();
        connect(self.client, upgrade::on(response), lease);
        let mut response = to_client(answer, facts)?;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, UPGRADE);
        headers.extend(protocol.map(|it| (header::UPGRADE, it)));
        Ok(response)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is a program, and the request is over"
)]
fn connect(client: OnUpgrade, server: OnUpgrade, lease: Option<Lease>) {
    tokio::spawn(async move {
        // One that does not come has hung up.
        if let (Ok(client), Ok(server)) = tokio::join!(client, server) {
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            drop(io::copy_bidirectional(&mut client, &mut server).await);
        }
        drop(lease);
    });
}
