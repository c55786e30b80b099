//! `POST /v1/*`: finds the provider for a request, and forwards it.

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Path, State, rejection::BytesRejection},
    http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header},
};
use http_body_util::Full;
use tower_local_service::provider::{Provider, Providers};

use crate::{
    access::Facts,
    app::Gateway,
    config, dialect,
    events::{self, Events},
    failure::{self, Failure},
    headers, models,
    question::Question,
};

/// What servers have for POST requests. Others may have more, and are asked for it.
const FOR_POST: [&str; 15] = [
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

/// How many characters of a name a message quotes.
const SHOWN: usize = 100;

pub(crate) async fn forward(
    State(gateway): State<Gateway>,
    Extension(facts): Extension<Facts>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response<Body>, Failure> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::too_large(gateway.body_limit),
        _ => Failure::unread(&rejection),
    })?;
    refuse_forms(&headers)?;
    let question = Question::read(body)?;
    let (provider, model) = choose(&gateway.providers, question.model())?;
    facts.is_for(&provider.id, &model);
    let streams = question.streams();
    let request = request(&provider, &uri, headers, question, &model)?;
    let answer = async move {
        let answer = gateway.upstream.ask(&provider, request).await;
        let mut response = answer.inspect_err(|failure| facts.failed(failure))?;
        headers::to_client(response.headers_mut());
        Ok(response.map(|body| facts.of_body(body)))
    };
    match gateway.keep_alive {
        Some(pace) if streams => events::patiently(pace, answer).await,
        _ => answer.await.map(Events::of),
    }
}

/// Another method than POST: such requests name no model, so there is no provider to send them to.
pub(crate) async fn without_question(Path(path): Path<String>) -> Failure {
    if FOR_POST.contains(&path.trim_end_matches('/')) {
        return failure::wrong_method().await;
    }
    failure::no_such_path().await
}

/// Files come in forms (`/v1/audio/transcriptions`), in which the model may follow the whole file. They
/// are refused.
fn refuse_forms(headers: &HeaderMap) -> Result<(), Failure> {
    let kind = headers.get(header::CONTENT_TYPE);
    let is_form = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"));
    if is_form {
        return Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "no_forms",
            "the body is a form, and the model is read from JSON only: send forms to the provider itself",
        ));
    }
    Ok(())
}

fn choose(providers: &Providers, model: Option<&str>) -> Result<(Provider, String), Failure> {
    match model {
        Some(model) => providers
            .resolve_model(model)
            .map_or_else(|| choose_bare(providers, model), Ok),
        None => providers.primary_model().ok_or_else(|| {
            Failure::invalid(format!(
                "the body names no `model`, and agents.defaults.model of the configuration names none \
                 of a provider: write PROVIDER/MODEL with one of the providers {}",
                providers.ids().join(", ")
            ))
        }),
    }
}

/// A model without its provider, where one provider alone lists it.
fn choose_bare(providers: &Providers, model: &str) -> Result<(Provider, String), Failure> {
    let meant = models::full_names(providers, model);
    if let [one] = &meant[..]
        && let Some(chosen) = providers.resolve_model(one)
    {
        return Ok(chosen);
    }
    let shown: String = model.chars().take(SHOWN).collect();
    if meant.len() > 1 {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "ambiguous_model",
            format!(
                "several providers list the model {shown:?}: write one of {}",
                meant.join(", ")
            ),
        ));
    }
    Err(Failure::no_such_model(format!(
        "no provider has the model {shown:?}: write PROVIDER/MODEL with one of the providers {}, or look at GET \
         /v1/models",
        providers.ids().join(", ")
    )))
}

fn request(
    provider: &Provider,
    uri: &Uri,
    mut headers: HeaderMap,
    question: Question,
    model: &str,
) -> Result<Request<Full<Bytes>>, Failure> {
    if let Some(error) = &provider.unavailable {
        return Err(Failure::from(error));
    }
    if config::needs_tls(provider) {
        return Err(failure::needs_tls(provider));
    }
    headers::to_provider(&mut headers, provider)
        .map_err(|_| unsendable(provider, "apiKey", "cannot be a header"))?;
    if question.streams() {
        // The head of the answer, which has its encoding, may come too late.
        headers.remove(header::ACCEPT_ENCODING);
    }
    let uri = dialect::url(provider, uri)
        .ok_or_else(|| unsendable(provider, "baseUrl", "makes no URL with this path"))?;
    let mut request = Request::new(Full::new(question.into_body(model)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
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
