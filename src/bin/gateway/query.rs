//! The queries of URLs.

/// Whether it has that name, with or without a value.
pub(crate) fn has(query: Option<&str>, name: &str) -> bool {
    pairs(query).any(|(key, _)| key == name)
}

/// The first value of that name.
pub(crate) fn value<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    pairs(query).find_map(|(key, value)| value.filter(|_| key == name))
}

fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, Option<&str>)> {
    let parts = query.unwrap_or_default().split('&');
    parts.map(|part| match part.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (part, None),
    })
}
