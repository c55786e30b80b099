//! What all requests to providers have in common: how they are sent, and how their answers come back.

use axum::{
    body::Body,
    http::{HeaderMap, Request, Response, StatusCode, Uri, request::Parts},
};
use tower_local_service::provider::Provider;

use crate::{access::Facts, failure::Failure, headers};

/// The head of a request for the provider, with its key and headers instead of the client's.
pub(crate) fn head_for(
    provider: &Provider,
    uri: Option<Uri>,
    mut headers: HeaderMap,
) -> Result<Parts, Failure> {
    if let Some(error) = &provider.unavailable {
        return Err(Failure::from(error));
    }
    headers::to_provider(&mut headers, provider)
        .map_err(|_| unsendable(provider, "apiKey", "cannot be a header"))?;
    let uri = uri.ok_or_else(|| unsendable(provider, "baseUrl", "makes no URL with this path"))?;
    let (mut head, ()) = Request::new(()).into_parts();
    head.uri = uri;
    head.headers = headers;
    Ok(head)
}

/// The answer as the client gets it, with what goes wrong in the log.
pub(crate) fn to_client(
    answer: Result<Response<Body>, Failure>,
    facts: Facts,
) -> Result<Response<Body>, Failure> {
    let mut response = answer.inspect_err(|failure| facts.failed(failure))?;
    headers::to_client(response.headers_mut());
    Ok(response.map(|body| facts.of_body(body)))
}

fn unsendable(provider: &Provider, field: &str, what: &str) -> Failure {
    Failure::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "invalid_config",
        format!(
            "the {field} of provider `{}` {what}: correct it",
            provider.id
        ),
    )
}
