//! Asks a model of a configuration file in `OpenClaw`'s shape, and starts its server for that.
//!
//! ```sh
//! cargo run --example openclaw --features json5 -- ~/.openclaw/openclaw.json "Who are you?"
//! cargo run --example openclaw --features json5 -- \
//!     examples/config/llama-cpp.json5 llama-cpp/gemma-3-4b-it "Who are you?"
//! ```
//!
//! Without a model it asks `agents.defaults.model`. The answer goes to the standard output while it
//! arrives. The client of hyper-util has no TLS of its own, so a provider at an `https` URL is refused
//! here: add hyper-rustls to the client, or use reqwest.
#![expect(clippy::print_stderr, reason = "only the answer goes to stdout")]

use std::{
    env, error,
    io::{self, Write},
    iter,
    process::ExitCode,
};

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::{signal::ctrl_c, time::timeout};
use tower::{Layer, ServiceExt};
use tower_local_service::{
    BoxError, ColdStart, EnsureLocalServiceLayer, Error, Registry,
    body::LeasedBody,
    provider::{Provider, ProvidersConfig},
};

const USAGE: &str = "write a file, a model (or leave it out), and a question: \
                     openclaw FILE [PROVIDER/MODEL] \"QUESTION\"";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let asked = tokio::select! {
        // Listened to before anything is started.
        biased;
        Ok(()) = ctrl_c() => None,
        asked = ask() => Some(asked),
    };
    // Whatever the result: the server is stopped, and nothing of it is left.
    let registry = Registry::global();
    tokio::select! {
        () = registry.shutdown() => {}
        // A second Ctrl-C does not wait. The server ends with this program.
        Ok(()) = ctrl_c() => {}
    }
    match asked {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => fail(&error),
        // By the convention of shells: 128 and the number of SIGINT.
        None => ExitCode::from(130),
    }
}

async fn ask() -> Result<(), BoxError> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (file, model, question) = match &args[..] {
        [file, question] => (file, None, question),
        [file, model, question] => (file, Some(model), question),
        _ => return Err(USAGE.into()),
    };
    let providers = ProvidersConfig::from_file(file)?.register(&Registry::global())?;
    let (provider, model) = match model {
        Some(model) => providers.resolve_model(model).ok_or_else(|| {
            let ids = providers.ids().join(", ");
            format!("no provider in {file} has {model}: write one of {ids}, a slash and a model")
        })?,
        None => providers.primary_model().ok_or_else(|| {
            format!(
                "{file} has no agents.defaults.model of its providers: write a model after the file"
            )
        })?,
    };

    if let Some(error) = provider.unavailable {
        return Err(error.into());
    }
    // The server of that model, as two models may have the same URL. A program that asks many models
    // makes the layer with `providers`, which finds the server of each request by its URL.
    let service = provider.service.clone();
    let layer = EnsureLocalServiceLayer::new(move |_: &_| service.clone());
    let client = layer.layer(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let request = request(&provider, &model, question)?;
    let response = timeout(provider.timeout, client.oneshot(request))
        .await
        .map_err(|_| late(&provider))??;
    if let Some(ColdStart { waited, .. }) = response.extensions().get() {
        eprintln!(
            "openclaw: {} was started, which took {waited:?}",
            provider.id
        );
    }
    show(response, &provider).await
}

/// The layer adds nothing to a request: a program sets the key and the headers of the file itself.
fn request(
    provider: &Provider,
    model: &str,
    question: &str,
) -> Result<Request<Full<Bytes>>, BoxError> {
    let Provider { id, base_url, .. } = provider;
    if base_url.scheme_str() == Some("https") {
        let text = "is at an https URL, and this example has no TLS: ask another provider";
        return Err(format!("{id} {text}").into());
    }
    if let Some(api) = provider
        .api
        .as_deref()
        .filter(|api| *api != "openai-completions")
    {
        let text = "and this example openai-completions only: ask another provider";
        return Err(format!("{id} speaks {api}, {text}").into());
    }
    let url = format!(
        "{}/chat/completions",
        base_url.to_string().trim_end_matches('/')
    );
    let chat = json!({
        "model": model,
        "messages": [{ "role": "user", "content": question }],
        "stream": true,
    });
    let mut request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(chat.to_string()))?;
    if let Some(key) = &provider.api_key {
        let mut value = HeaderValue::try_from(format!("Bearer {key}"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    request.headers_mut().extend(provider.headers.clone());
    Ok(request)
}

/// Writes the tokens of a stream of server-sent events as they come.
async fn show(
    response: Response<LeasedBody<Incoming>>,
    provider: &Provider,
) -> Result<(), BoxError> {
    let status = response.status();
    let mut body = response.into_body();
    let mut lines = Vec::new();
    // Each gap may be as long as the wait for the head.
    while let Some(frame) = timeout(provider.timeout, body.frame())
        .await
        .map_err(|_| late(provider))?
    {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        lines.extend_from_slice(&data);
        // An event may end anywhere in a frame.
        while let Some(end) = lines.iter().position(|byte| *byte == b'\n')
            && status == StatusCode::OK
        {
            let line: Vec<u8> = lines.drain(..=end).collect();
            write(&token(&line)?)?;
        }
    }
    if status == StatusCode::OK {
        return Ok(write("\n")?);
    }
    let said = String::from_utf8_lossy(&lines);
    Err(format!("{} answered with status {status}: {said}", provider.id).into())
}

/// What an event adds to the answer.
fn token(line: &[u8]) -> Result<String, BoxError> {
    let data = line.strip_prefix(b"data:").unwrap_or_default();
    // The last event is no JSON.
    let event: Value = serde_json::from_slice(data).unwrap_or_default();
    if let Some(error) = event.get("error") {
        return Err(format!("the answer broke off: {error}").into());
    }
    let content = event["choices"][0]["delta"]["content"].as_str();
    Ok(content.unwrap_or_default().to_owned())
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn late(provider: &Provider) -> BoxError {
    let Provider { id, timeout, .. } = provider;
    format!("{id} said nothing for {timeout:?}: set a longer timeoutSeconds, or ask again").into()
}

fn fail(error: &BoxError) -> ExitCode {
    // An error of the crate says everything, however deep it is; others leave the reason to their
    // sources.
    match Error::of(error) {
        Some(error) => eprintln!("openclaw: {error:#}"),
        None => eprintln!("openclaw: {}", chain(&**error)),
    }
    ExitCode::FAILURE
}

fn chain(error: &(dyn error::Error + 'static)) -> String {
    let texts = iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    texts.collect::<Vec<_>>().join(": ")
}
