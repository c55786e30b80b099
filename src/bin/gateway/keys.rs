//! `--api-key-file`: the keys of which a client has to send one.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse as _,
};
use subtle::{Choice, ConstantTimeEq as _};
use tower_http::validate_request::ValidateRequest;
use tracing::{info, warn};

use crate::failure::Failure;

/// Where clients send a key besides `Authorization`: Anthropic's, and those of Azure.
const OTHERS: [HeaderName; 2] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

/// What may be asked without a key: that the gateway runs, and the page that asks for one.
const FREE: [&str; 4] = ["/", "/health", "/page.css", "/page.js"];

/// A file with a key on each line. Clones see what one of them has read.
#[derive(Clone)]
pub(crate) struct Keys {
    file: Arc<Path>,
    keys: Arc<RwLock<Vec<String>>>,
}

impl Keys {
    /// # Errors
    ///
    /// The file cannot be read, or has no key.
    pub(crate) fn read(file: PathBuf) -> Result<Self, String> {
        let keys = keys_in(&file)?;
        Ok(Self {
            file: file.into(),
            keys: Arc::new(RwLock::new(keys)),
        })
    }

    /// Reads the file again. If it cannot be used, the keys stay as they were.
    pub(crate) fn reload(&self) {
        match keys_in(&self.file) {
            Ok(keys) => {
                info!("{} keys read again", keys.len());
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
            }
            Err(mistake) => warn!("the keys stay as they were: {mistake}"),
        }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// All keys are compared to their ends, so that no time tells how much of one was right.
    fn have(&self, sent: &[u8]) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let right = keys.iter().map(|key| key.as_bytes().ct_eq(sent));
        right.fold(Choice::from(0), |any, it| any | it).into()
    }

    fn admit(&self, headers: &HeaderMap) -> bool {
        let bearers = headers.get_all(header::AUTHORIZATION).iter();
        let bearers = bearers.filter_map(|it| bearer(it.as_bytes()));
        let others = OTHERS.into_iter().filter_map(|name| headers.get(name));
        let others = others.map(HeaderValue::as_bytes);
        bearers.chain(others).any(|sent| self.have(sent))
    }
}

/// Not the keys.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked("Bearer ".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer ");
    is_bearer.then(|| key.trim_ascii())
}

/// Never with a key in a message.
fn keys_in(file: &Path) -> Result<Vec<String>, String> {
    let name = file.display();
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| {
        format!("the keys in {name} cannot be read ({error}): correct --api-key-file")
    })?;
    let lines = text.lines().map(str::trim);
    let keys: Vec<_> = lines
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect();
    if keys.is_empty() {
        return Err(format!("{name} has no key: write one on a line of its own"));
    }
    let is_sendable = |key: &String| key.bytes().all(|it| it.is_ascii_graphic());
    if !keys.iter().all(is_sendable) {
        return Err(format!(
            "{name} has a key that cannot be sent in a header: write letters, digits and signs of ASCII, \
             without spaces"
        ));
    }
    Ok(keys)
}

/// What should be known of the file.
pub(crate) fn warning(file: &Path) -> Option<String> {
    let name = file.display();
    is_open_to_all(file)
        .then(|| format!("every user of this machine can read the keys: chmod o-r {name}"))
}

#[cfg(unix)]
fn is_open_to_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    fs::metadata(file).is_ok_and(|it| it.permissions().mode() & 0o004 != 0)
}

/// There are lists of rights in the place of modes, which are not read.
#[cfg(not(unix))]
fn is_open_to_all(_: &Path) -> bool {
    false
}

/// Refuses requests without a key, if there are keys.
#[derive(Clone, Debug)]
pub(crate) struct Door(pub(crate) Option<Keys>);

impl<B> ValidateRequest<B> for Door {
    type ResponseBody = Body;

    fn validate(&mut self, request: &mut Request<B>) -> Result<(), Response<Body>> {
        let Some(keys) = &self.0 else {
            return Ok(());
        };
        if FREE.contains(&request.uri().path()) || keys.admit(request.headers()) {
            return Ok(());
        }
        let mut response = Failure::new(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "this gateway asks for a key, and the request has none that it knows: send it as \
             `Authorization: Bearer KEY`, or in the API key of your client",
        )
        .into_response();
        let challenge = HeaderValue::from_static("Bearer");
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
        Err(response)
    }
}
