//! The tokens of a streamed answer.

use std::pin::pin;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tower_local_service::{BoxError, body::LeasedBody};

/// Reads server-sent events to the end of the body.
pub(crate) async fn each_token(
    body: LeasedBody<Incoming>,
    mut take: impl FnMut(&str),
) -> Result<(), BoxError> {
    let mut body = pin!(body);
    let mut lines = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        lines.extend_from_slice(&data);
        // An event may end anywhere in a frame.
        while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = lines.drain(..=end).collect();
            if let Some(token) = token(&line) {
                take(&token);
            }
        }
    }
    Ok(())
}

fn token(line: &[u8]) -> Option<String> {
    let event: Value = serde_json::from_slice(line.strip_prefix(b"data: ")?).ok()?;
    let delta = event.get("choices")?.get(0)?.get("delta")?;
    // A model that thinks first says so elsewhere.
    let content = ["content", "reasoning_content"].map(|name| delta.get(name)?.as_str());
    content.into_iter().flatten().next().map(str::to_owned)
}
