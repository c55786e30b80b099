//! Answers that are no stream, for clients that have been promised one.
//!
//! Some servers ignore `stream`, some have nothing to stream. If the client waited long, it has the head of a
//! stream by then, so the answer comes as the events that its SDK makes the same answer of.

use serde_json::{Value, json};

/// The events of a whole answer.
pub(crate) fn events(answer: Value) -> String {
    if answer["type"] == "message" {
        return message(answer);
    }
    match answer["object"].as_str() {
        Some("chat.completion") => chat(answer),
        Some("response") => {
            let name = "response.completed";
            named(name, &json!({ "type": name, "response": answer }))
        }
        _ => done(&answer),
    }
}

/// An event of its own kind.
pub(crate) fn named(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn done(answer: &Value) -> String {
    format!("data: {answer}\n\ndata: [DONE]\n\n")
}

/// A message of `OpenAI`'s chats in one piece. It stays what it was, too.
fn chat(mut answer: Value) -> String {
    answer["object"] = json!("chat.completion.chunk");
    let choices = answer["choices"].as_array_mut();
    for choice in choices.into_iter().flatten() {
        let mut delta = choice["message"].clone();
        let calls = delta.get_mut("tool_calls").and_then(Value::as_array_mut);
        for (index, call) in calls.into_iter().flatten().enumerate() {
            call["index"] = json!(index);
        }
        choice["delta"] = delta;
    }
    done(&answer)
}

/// A message of Anthropic's API, each part of it in one piece.
fn message(mut answer: Value) -> String {
    let parts = answer["content"].take();
    let reason = answer["stop_reason"].take();
    let sequence = answer["stop_sequence"].take();
    let usage = answer["usage"].clone();
    answer["content"] = json!([]);
    let mut events = named(
        "message_start",
        &json!({ "type": "message_start", "message": answer }),
    );
    for (index, part) in parts.as_array().into_iter().flatten().enumerate() {
        let (empty, delta) = piece(part.clone());
        let begins =
            json!({ "type": "content_block_start", "index": index, "content_block": empty });
        events += &named("content_block_start", &begins);
        if let Some(delta) = delta {
            let all = json!({ "type": "content_block_delta", "index": index, "delta": delta });
            events += &named("content_block_delta", &all);
        }
        let ends = json!({ "type": "content_block_stop", "index": index });
        events += &named("content_block_stop", &ends);
    }
    let delta = json!({ "stop_reason": reason, "stop_sequence": sequence });
    let ends = json!({ "type": "message_delta", "delta": delta, "usage": usage });
    events += &named("message_delta", &ends);
    events += &named("message_stop", &json!({ "type": "message_stop" }));
    events
}

/// A part without its content, and its content.
fn piece(mut part: Value) -> (Value, Option<Value>) {
    let (field, empty, kind, name) = match part["type"].as_str() {
        Some("text") => ("text", json!(""), "text_delta", "text"),
        Some("thinking") => ("thinking", json!(""), "thinking_delta", "thinking"),
        Some("tool_use") => ("input", json!({}), "input_json_delta", "partial_json"),
        _ => return (part, None),
    };
    let content = match std::mem::replace(&mut part[field], empty) {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut delta = json!({ "type": kind });
    delta[name] = json!(content);
    (part, Some(delta))
}
