//! Requests whose path names the provider: `/v1/{provider}/…` for its API, and `/upstream/{provider}/…` for all that
//! its server has, such as a page of its own. Any method, and WebSockets.

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::{Method, Response, StatusCode, Uri, header},
    response::IntoResponse as _,
};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use tower_local_service::provider::{Provider, Providers};

use crate::{
    access::Facts,
    dialect,
    exchange::{head_for, to_client},
    failure::Failure,
    headers,
    redirect::Place,
    state::Gateway,
    websocket,
};

const API: &str = "/v1/";
const SERVER: &str = "/upstream/";

/// What servers have for POST requests. Others may have more, and are asked for it.
pub(crate) const FOR_POST: [&str; 15] = [
    "audio/speech",
    "audio/transcriptions",
    "audio/translations",
    "chat/completions",
    "completions",
    "embeddings",
    "images/edits",
    "images/generations",
    "messages",
    "messages/count_tokens",
    "moderations",
    "rerank",
    "reranking",
    "responses",
    "responses/input_tokens",
];

/// A provider, and where at its server.
pub(crate) struct Target {
    provider: Provider,
    /// Its id as the path has it.
    id: String,
    /// The path there, from its root if there is no API before it.
    rest: String,
    is_api: bool,
}

/// What a path under `/v1` names, unless it is one of the API itself.
pub(crate) fn target(providers: &Providers, path: &str) -> Option<Target> {
    let rest = path.strip_prefix(API)?;
    if FOR_POST.contains(&rest.trim_end_matches('/')) {
        return None;
    }
    let mut target = split(providers, rest)?;
    target.is_api = true;
    Some(target)
}

/// `/upstream/{provider}/…`
pub(crate) async fn upstream(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response<Body>, Failure> {
    let path = request.uri().path();
    let rest = path.strip_prefix(SERVER).unwrap_or_default();
    let Some(target) = split(&gateway.providers, rest) else {
        return Err(Failure::new(
            StatusCode::NOT_FOUND,
            "no_such_provider",
            format!(
                "the path names no provider: write /upstream/PROVIDER/ with one of the providers {}",
                gateway.providers.ids().join(", ")
            ),
        ));
    };
    if target.rest.is_empty() {
        // So that the links of its page lead there.
        let to = [(header::LOCATION, format!("{path}/"))];
        return Ok((StatusCode::PERMANENT_REDIRECT, to).into_response());
    }
    forward(gateway, target, request).await
}

/// The provider that a path begins with, and the path behind it. A slash in an id is written as `%2F`.
fn split(providers: &Providers, path: &str) -> Option<Target> {
    let end = path.find('/').unwrap_or(path.len());
    let (id, rest) = path.split_at(end);
    let name = percent_decode_str(id).decode_utf8().ok()?;
    Some(Target {
        provider: providers.get(&name)?,
        id: id.to_owned(),
        rest: rest.to_owned(),
        is_api: false,
    })
}

pub(crate) async fn forward(
    gateway: Gateway,
    target: Target,
    mut request: Request,
) -> Result<Response<Body>, Failure> {
    let facts = Facts::of(&request);
    facts.is_for(&target.provider.id, None);
    let asked = websocket::asked(&mut request);
    let (head, body) = request.into_parts();
    let uri = target.uri(head.uri.query());
    let length = headers::length(&head.headers);
    let mut sent = head_for(&target.provider, uri, head.headers)?;
    sent.method = head.method;
    headers::set_length(&mut sent.headers, length, 0);
    if let Some(asked) = &asked {
        asked.put_into(&mut sent.headers);
    }
    // The layers before this one hide the end of a body that there is not.
    let is_look = matches!(sent.method, Method::GET | Method::HEAD);
    let answer = if body.is_end_stream() || (is_look && length.is_none_or(|it| it == 0)) {
        let request = Request::from_parts(sent, Full::default());
        gateway.upstream.ask(&target.provider, request).await
    } else {
        let request = Request::from_parts(sent, body);
        gateway.upstream.ask_once(&target.provider, request).await
    };
    let mut response = match asked {
        Some(asked) => asked.answered(answer, facts)?,
        None => to_client(answer, facts)?,
    };
    target.place().lead_back(response.headers_mut());
    Ok(response)
}

impl Target {
    /// Where all paths of the server are, also those beside its API.
    fn place(&self) -> Place {
        Place::new(
            self.provider.base_url.clone(),
            format!("{SERVER}{}", self.id),
        )
    }

    fn uri(&self, query: Option<&str>) -> Option<Uri> {
        let query = query.map(|it| format!("?{it}")).unwrap_or_default();
        let rest = format!("{}{query}", self.rest);
        if self.is_api {
            return dialect::url(&self.provider, &format!("/v1{rest}").parse().ok()?);
        }
        let mut parts = self.provider.base_url.clone().into_parts();
        parts.path_and_query = Some(rest.parse().ok()?);
        Uri::from_parts(parts).ok()
    }
}
