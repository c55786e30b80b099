//! The headers of a probe, and the statuses that mean ready.

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::Refusals;

/// Headers that the probe's connection sets.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn headers(configured: &[(String, String)], refusals: &mut Refusals<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (index, (name, value)) in configured.iter().enumerate() {
        let nth = index + 1;
        match header(name, value) {
            Ok((name, value)) => {
                if headers.try_append(name, value).is_err() {
                    refusals.add(
                        "healthHeaders",
                        "has more headers than any server accepts: write fewer",
                    );
                    return headers;
                }
            }
            Err(fault) => {
                refusals.add("healthHeaders", format!("has a header (no. {nth}) {fault}"));
            }
        }
    }
    headers
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name: HeaderName = name
        .parse()
        .map_err(|_| "whose name is invalid: write letters, digits and dashes")?;
    if RESERVED.contains(&name.as_str()) {
        return Err("that the connection sets by itself: leave it out");
    }
    Ok((name, sensitive(value)?))
}

fn sensitive(value: &str) -> Result<HeaderValue, &'static str> {
    let mut value: HeaderValue = value.parse().map_err(
        |_| "whose value cannot be sent: leave out line breaks and other control characters",
    )?;
    value.set_sensitive(true);
    Ok(value)
}

/// What requests to the base URL are sent with, and so the probes of its origin.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Sent as `Authorization`.
    pub(crate) key: Option<String>,
    pub(crate) headers: HeaderMap,
}

impl Credentials {
    /// Adds them to the headers of a probe. `healthHeaders` win, then the headers, then the key. Returns
    /// whether they have an `Authorization` of their own.
    pub(super) fn add_to(&self, probe: &mut HeaderMap, refusals: &mut Refusals<'_>) -> bool {
        let is_own = !probe.contains_key(AUTHORIZATION);
        let mut names: Vec<_> = self.headers.keys().collect();
        names.retain(|&name| !probe.contains_key(name) && !RESERVED.contains(&name.as_str()));
        for name in names {
            for value in self.headers.get_all(name) {
                let added = probe.try_append(name, value.clone());
                if added.is_err() {
                    refusals.add("headers", "are more than any server accepts: write fewer");
                }
            }
        }
        if let Some(key) = &self.key
            && !probe.contains_key(AUTHORIZATION)
        {
            match sensitive(&format!("Bearer {key}")) {
                Ok(value) => drop(probe.try_insert(AUTHORIZATION, value)),
                Err(fault) => refusals.add("apiKey", format!("is a key {fault}")),
            }
        }
        is_own && probe.contains_key(AUTHORIZATION)
    }
}

/// The statuses of this field; `None`: any 2xx.
pub(super) fn statuses(
    field: &str,
    configured: Option<&[u16]>,
    refusals: &mut Refusals<'_>,
) -> Option<Vec<u16>> {
    let mut statuses = configured?.to_vec();
    if statuses.is_empty() {
        refusals.add(
            field,
            "lists no status: name one, or leave it out for any 2xx",
        );
    }
    if statuses.iter().any(|status| !(100..=999).contains(status)) {
        refusals.add(field, "lists a number that is no status: write 100 to 999");
    }
    statuses.sort_unstable();
    statuses.dedup();
    Some(statuses)
}
