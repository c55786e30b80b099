//! Providers on `https`.

use std::{fs, process::Command, sync::Arc};

use rcgen::CertifiedKey;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring::default_provider, pki_types::PrivateKeyDer},
};

use crate::support::gateway::{ConfigFile, Gateway, file, program};

/// What a server needs to be `localhost`, and what its clients have to trust.
fn certificate() -> (TlsAcceptor, String) {
    let names = ["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), cert.pem())
}

/// A server that answers each request with its head, as long as the set lives, and its provider.
async fn server(acceptor: TlsAcceptor) -> (JoinSet<()>, Value) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust it hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut read = vec![0; 16 * 1024];
            let length = stream.read(&mut read).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&read[..length]).into_owned();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{head}",
                head.len()
            );
            drop(stream.write_all(answer.as_bytes()).await);
            drop(stream.shutdown().await);
        }
    });
    let base = format!("https://localhost:{port}/v1");
    (
        serving,
        json!({ "baseUrl": base, "apiKey": "a-key-of-theirs" }),
    )
}

/// A gateway on a machine that trusts these certificates.
fn gateway(provider: &Value, trusted: &str) -> Gateway {
    let config = ConfigFile::new(file(&json!({ "far": provider })));
    let certificates = config.path().with_file_name("certificates.pem");
    fs::write(&certificates, trusted).unwrap();
    let mut command = Command::new(program());
    command.env("SSL_CERT_FILE", certificates);
    command.env_remove("SSL_CERT_DIR");
    Gateway::run_as(config, command, std::process::Stdio::null())
}

fn ask() -> Value {
    json!({ "model": "far/m" })
}

#[tokio::test]
async fn a_provider_on_https_is_asked_with_its_key() {
    let (acceptor, certificate) = certificate();
    let (_serving, provider) = server(acceptor).await;
    let gateway = gateway(&provider, &certificate);
    let reply = gateway.ask("/v1/chat/completions", &ask()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let head = reply.body.to_lowercase();
    for part in [
        "post /v1/chat/completions http/1.1",
        "bearer a-key-of-theirs",
        "host: localhost:",
    ] {
        assert!(head.contains(part), "{part} is not in {head}");
    }
}

#[tokio::test]
async fn a_provider_that_this_machine_does_not_trust_gets_no_key() {
    let (acceptor, _) = certificate();
    let (_serving, provider) = server(acceptor).await;
    let (_, another) = certificate();
    // Also where there is no certificate at all.
    for trusted in [&*another, ""] {
        let gateway = gateway(&provider, trusted);
        let reply = gateway.ask("/v1/chat/completions", &ask()).await;
        assert_eq!(reply.failure(), (502, "no_answer".into()));
        let body = reply.body.to_lowercase();
        assert!(body.contains("certificate"), "{body}");
        assert!(!body.contains("a-key-of-theirs"), "{body}");
    }
}
