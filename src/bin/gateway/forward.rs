//! `POST /v1/*`: finds the provider for a request by its model, and forwards it.

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, Response, header, request::Parts},
};
use http_body_util::{BodyExt as _, Full};
use tower_local_service::provider::Provider;

use crate::{
    access::Facts,
    choice::choose,
    dialect,
    direct::{self, FOR_POST},
    events::{self, Events},
    exchange::{head_for, to_client},
    failure::{self, Failure},
    form::{Form, is_form},
    headers,
    question::Question,
    state::Gateway,
    waiting::Waiting,
};

pub(crate) async fn forward(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response<Body>, Failure> {
    if let Some(target) = direct::target(&gateway.providers, request.uri().path()) {
        return direct::forward(gateway, target, request).await;
    }
    let facts = Facts::of(&request);
    if is_form(request.headers()) {
        return forward_form(&gateway, &facts, request).await;
    }
    let (head, body) = request.into_parts();
    let body = whole(body, gateway.body_limit).await?;
    let question = Question::read(body)?;
    let (provider, model) = choose(&gateway.providers, question.model())?;
    facts.is_for(&provider.id, Some(&model));
    let streams = question.streams();
    let waiting = if gateway.shows_progress {
        let path = head.uri.path();
        Waiting::of(path, provider.service.as_ref(), question.model())
    } else {
        Waiting::Comment
    };
    let mut head = to_provider(&provider, head, headers::as_json)?;
    if streams {
        // The head of the answer, which has its encoding, may come too late.
        head.headers.remove(header::ACCEPT_ENCODING);
    }
    let body = Full::new(question.into_body(&model));
    let keep_alive = gateway.keep_alive.filter(|_| streams);
    let answer = async move {
        let request = Request::from_parts(head, body);
        let answer = gateway.upstream.ask(&provider, request).await;
        to_client(answer, facts)
    };
    match keep_alive {
        Some(pace) => events::patiently(pace, waiting, answer).await,
        None => answer.await.map(Events::of),
    }
}

/// A body that was not sent to its end cannot be sent again, so a form is sent once.
async fn forward_form(
    gateway: &Gateway,
    facts: &Facts,
    request: Request,
) -> Result<Response<Body>, Failure> {
    let (head, body) = request.into_parts();
    let form = Form::read(&head.headers, body, gateway.body_limit).await?;
    let (provider, model) = choose(&gateway.providers, form.model().as_deref())?;
    facts.is_for(&provider.id, Some(&model));
    let (body, longer) = form.into_body(&model);
    let length = headers::length(&head.headers);
    let mut head = to_provider(&provider, head, |_| {})?;
    headers::set_length(&mut head.headers, length, longer);
    let request = Request::from_parts(head, body);
    let answer = gateway.upstream.ask_once(&provider, request).await;
    to_client(answer, facts.clone()).map(Events::of)
}

async fn whole(body: Body, limit: usize) -> Result<Bytes, Failure> {
    let body = body.collect().await;
    let body = body.map_err(|error| Failure::upload(&error.into(), limit))?;
    Ok(body.to_bytes())
}

/// Another method than POST: such requests name no model, so the path has to name the provider.
pub(crate) async fn without_question(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response<Body>, Failure> {
    let path = request.uri().path();
    if let Some(target) = direct::target(&gateway.providers, path) {
        return direct::forward(gateway, target, request).await;
    }
    let path = path.trim_start_matches("/v1/").trim_end_matches('/');
    if FOR_POST.contains(&path) {
        return Err(failure::wrong_method().await);
    }
    Err(failure::no_such_path().await)
}

/// The head of a `POST` for the provider, at the same path behind `/v1`.
fn to_provider(
    provider: &Provider,
    head: Parts,
    body_is: impl FnOnce(&mut HeaderMap),
) -> Result<Parts, Failure> {
    let mut headers = head.headers;
    body_is(&mut headers);
    let uri = dialect::url(provider, &head.uri);
    let mut head = head_for(provider, uri, headers)?;
    head.method = Method::POST;
    Ok(head)
}
