//! Connections to providers on `https`, with the certificates that this machine trusts.

use std::sync::Arc;

use hyper_rustls::{
    ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream,
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, crypto::ring::default_provider,
};
use tokio::net::TcpStream;
use tracing::warn;

/// With or without TLS, as the URL says.
pub(crate) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

pub(crate) fn connector(mut http: HttpConnector) -> HttpsConnector<HttpConnector> {
    http.enforce_http(false);
    HttpsConnectorBuilder::new()
        .with_tls_config(config())
        .https_or_http()
        .enable_http1()
        .wrap_connector(http)
}

fn config() -> ClientConfig {
    let trusting = begin().with_native_roots().unwrap_or_else(|error| {
        // Providers on http work.
        warn!("no provider on https can be trusted: this machine has no certificates ({error})");
        begin().with_root_certificates(RootCertStore::empty())
    });
    trusting.with_no_client_auth()
}

fn begin() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    // Named, as another crate may bring another one.
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("it has the usual versions")
}
