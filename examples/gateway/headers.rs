//! Which headers go on, and which are ours.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, InvalidHeaderValue},
};
use tower_local_service::provider::Provider;

/// About one connection, and not about what is sent over it.
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

/// What the client says to this gateway and to nobody else. Its keys among them: whatever it sends,
/// since SDKs insist on one, is not for the provider, whose key is in the file.
const OURS: [HeaderName; 9] = [
    header::HOST,
    // Set anew, as the model's name may have another length.
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    header::COOKIE,
    header::ORIGIN,
    header::REFERER,
];

/// Servers allow each page to use them, as llama-server does. Here `--allow-origin` decides.
const CORS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// Makes of the headers of a client those for the provider.
///
/// # Errors
///
/// If its key cannot be one.
pub(crate) fn to_provider(
    headers: &mut HeaderMap,
    provider: &Provider,
) -> Result<(), InvalidHeaderValue> {
    remove_hop_by_hop(headers);
    remove(headers, &OURS);
    if let Some(key) = &provider.api_key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    // In the place of those with the same name.
    headers.extend(provider.headers.clone());
    Ok(())
}

/// Makes of the headers of a provider those for the client.
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
