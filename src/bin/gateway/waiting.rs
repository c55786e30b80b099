//! What a client is sent that streams and waits for its model.

use axum::body::Bytes;
use serde_json::json;
use tower_local_service::{LocalService, Phase};

/// Clients skip it, and know that the connection works.
const COMMENT: Bytes = Bytes::from_static(b": waiting for the model\n\n");

/// What is sent at each pause.
pub(crate) enum Waiting {
    /// A comment, which nobody sees.
    Comment,
    /// What the server does, as a part of the reasoning of `OpenAI`'s chats, which people see.
    Reasoning {
        service: LocalService,
        model: String,
    },
}

impl Waiting {
    /// Other APIs have no place for a text before the answer.
    pub(crate) fn of(path: &str, service: Option<&LocalService>, model: Option<&str>) -> Self {
        match service {
            Some(service) if path == "/v1/chat/completions" => Self::Reasoning {
                service: service.clone(),
                model: model.unwrap_or_default().to_owned(),
            },
            _ => Self::Comment,
        }
    }

    pub(crate) fn event(&self) -> Bytes {
        match self {
            Self::Comment => COMMENT,
            Self::Reasoning { service, model } => {
                let chunk = json!({
                    "id": "chatcmpl-waiting",
                    "object": "chat.completion.chunk",
                    "created": 0,
                    "model": model,
                    "choices": [{
                        "index": 0,
                        "delta": { "role": "assistant", "reasoning_content": text(service) },
                        "finish_reason": null,
                    }],
                });
                format!("data: {chunk}\n\n").into()
            }
        }
    }
}

fn text(service: &LocalService) -> String {
    let (name, status) = (service.name(), service.status());
    if let Some(waits_for) = status.waits_for {
        return format!("{name} waits for {waits_for}\n");
    }
    match (status.phase, status.loading_for) {
        (Phase::Starting, Some(since)) => {
            format!("{name} has been loading for {} s\n", since.as_secs())
        }
        (Phase::Ready, _) => format!("{name} is loaded, and has not answered yet\n"),
        _ => format!("{name} is waited for\n"),
    }
}
