//! `GET /admin/events`: what happens to the servers, as server-sent events.
//!
//! Each is the JSON of an [`Event`](tower_local_service::Event). `?past` begins with those of the last hour, and the
//! header `Last-Event-ID`, which browsers send, with those after that one.

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse, Sse, sse},
};
use futures_util::{StreamExt as _, stream};

use crate::{history::Reader, query, state::Gateway};

pub(crate) async fn events(
    State(gateway): State<Gateway>,
    RawQuery(asked): RawQuery,
    headers: HeaderMap,
) -> impl IntoResponse {
    let history = &gateway.history;
    let last = headers.get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok()?.parse().ok());
    let reader = match last {
        Some(last) => history.read_after(last),
        None if query::has(asked.as_deref(), "past") => history.read_past(),
        None => history.read_on(),
    };
    let events = stream::unfold(reader, async |reader| Some(next(reader).await));
    let events = events.take_until(gateway.ending.begun());
    Sse::new(events).keep_alive(sse::KeepAlive::default())
}

async fn next(mut reader: Reader) -> (Result<sse::Event, axum::Error>, Reader) {
    let (id, event) = reader.next().await;
    let event = sse::Event::default().id(id.to_string()).json_data(event);
    (event, reader)
}
