//! Which headers are forwarded.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, InvalidHeaderValue},
};
use tower_local_service::provider::Provider;

use crate::dialect;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Headers of one connection, and not of the message.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Headers for this gateway only. The client's keys, too: SDKs insist on sending one, but the key of the
/// provider is in the file.
const FOR_GATEWAY: [HeaderName; 9] = [
    header::HOST,
    // It is set again, as the name of the model may have another length.
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::AUTHORIZATION,
    HeaderName::from_static("api-key"),
    X_API_KEY,
    header::COOKIE,
    header::ORIGIN,
    header::REFERER,
];

/// Some servers, such as llama-server, allow every page to use them. Here `--allow-origin` decides.
const CORS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// Turns the headers of a client into those for the provider.
///
/// # Errors
///
/// The key of the provider cannot be sent in a header.
pub(crate) fn to_provider(
    headers: &mut HeaderMap,
    provider: &Provider,
) -> Result<(), InvalidHeaderValue> {
    remove_hop_by_hop(headers);
    remove(headers, &FOR_GATEWAY);
    if let Some(key) = &provider.api_key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
        if dialect::is_anthropic(provider) {
            let mut value = HeaderValue::from_str(key)?;
            value.set_sensitive(true);
            headers.insert(X_API_KEY, value);
        }
    }
    // They replace those of the same name.
    headers.extend(provider.headers.clone());
    Ok(())
}

/// The body has been read as JSON, whatever the client calls it: curl calls it a form, and servers have lower limits
/// for forms.
pub(crate) fn as_json(headers: &mut HeaderMap) {
    if !headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
}

/// How long the body is, if its client says so.
pub(crate) fn length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The length of a body that is sent as it comes: not all servers read one without.
pub(crate) fn set_length(headers: &mut HeaderMap, length: Option<usize>, longer: isize) {
    let length = length.and_then(|it| it.checked_add_signed(longer));
    headers.extend(length.map(|it| (header::CONTENT_LENGTH, HeaderValue::from(it))));
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// Turns the headers of a provider into those for the client.
pub(crate) fn to_client(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    remove(headers, &CORS);
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    remove(headers, &named);
    remove(headers, &HOP_BY_HOP);
}

fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}
