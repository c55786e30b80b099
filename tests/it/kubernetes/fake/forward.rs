//! Port-forwards: a websocket in whose messages the first byte is a channel, 0 for data and 1 for errors.

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use super::{
    Shared,
    call::Call,
    objects,
    status::{self, Answer},
};

/// The annotation of a pod with the port of this machine on which its server is.
pub(in crate::kubernetes) const PORT: &str = "tests/port";

pub(super) struct Forward {
    /// As the client names it.
    port: u16,
    /// Of this machine.
    target: u16,
    pod: String,
}

/// The beginning of one, or why there is none.
pub(super) fn answer(
    shared: &Shared,
    call: &Call,
    parts: &Parts,
) -> Result<(Answer, Forward), Box<Answer>> {
    let store = shared.store();
    let pod = store
        .get(&objects::key(call))
        .ok_or_else(|| Box::new(status::not_found(call)))?;
    if pod["status"]["phase"] != "Running" {
        let why = format!(
            "unable to forward port because pod is not running. Current status={}",
            pod["status"]["phase"]
        );
        return Err(Box::new(status::bad_request(&why)));
    }
    let target = pod["metadata"]["annotations"][PORT]
        .as_str()
        .and_then(|it| it.parse().ok());
    let port = call.parameter("ports").and_then(|it| it.parse().ok());
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|it| it.to_str().ok())
            .unwrap_or_default()
    };
    let protocol = "v4.channel.k8s.io";
    let offered = header(header::SEC_WEBSOCKET_PROTOCOL)
        .split(',')
        .any(|it| it.trim() == protocol);
    let (Some(port), true) = (port, offered) else {
        return Err(Box::new(status::bad_request(
            "this server forwards one port, by v4.channel.k8s.io",
        )));
    };
    let key = derive_accept_key(header(header::SEC_WEBSOCKET_KEY).as_bytes());
    let mut answer = http::Response::new(status::whole(""));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = [
        (header::UPGRADE, "websocket"),
        (header::CONNECTION, "Upgrade"),
        (header::SEC_WEBSOCKET_PROTOCOL, protocol),
        (header::SEC_WEBSOCKET_ACCEPT, &key),
    ];
    for (name, value) in headers {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).expect("a value"));
    }
    let forward = Forward {
        port,
        target: target.unwrap_or(port),
        pod: call.name.clone(),
    };
    Ok((answer, forward))
}

impl Forward {
    /// Copies both ways until one side ends.
    pub(super) async fn run(self, upgrade: OnUpgrade) {
        let Ok(upgraded) = upgrade.await else {
            return;
        };
        let mut client =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let [low, high] = self.port.to_le_bytes();
        for channel in 0..2 {
            if client
                .send(Message::binary(vec![channel, low, high]))
                .await
                .is_err()
            {
                return;
            }
        }
        match TcpStream::connect(("127.0.0.1", self.target)).await {
            Ok(server) => copy(&mut client, server).await,
            Err(error) => {
                let why = format!(
                    "\u{1}error forwarding port {} to pod {}: {error}",
                    self.port, self.pod
                );
                drop(client.send(Message::binary(why.into_bytes())).await);
            }
        }
        drop(client.close(None).await);
    }
}

async fn copy(client: &mut WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, server: TcpStream) {
    let (mut from_server, mut to_server) = server.into_split();
    let mut bytes = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            message = client.next() => match message {
                Some(Ok(Message::Binary(message))) if message.first() == Some(&0) => {
                    if to_server.write_all(&message[1..]).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            read = from_server.read(&mut bytes[1..]) => {
                let Ok(length @ 1..) = read else {
                    return;
                };
                bytes[0] = 0;
                if client.send(Message::binary(bytes[..=length].to_vec())).await.is_err() {
                    return;
                }
            }
        }
    }
}
