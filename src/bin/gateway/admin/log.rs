//! `GET /admin/{provider}/log`: what a server has written and writes, without secrets.
//!
//! The last lines that are kept, as text; `?lines=N` only so many. With `?follow` each further line comes when it is
//! written, and to clients that accept server-sent events as the JSON of a [`Line`].

use std::iter;

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response, Sse, sse},
};
use futures_util::{Stream, StreamExt as _, stream};
use tower_local_service::{Line, Output};

use super::server::server;
use crate::{failure::Failure, query, state::Gateway};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub(crate) async fn log(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    RawQuery(asked): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let asked = asked.as_deref();
    let mut output = server(&gateway, &id)?.service.output();
    let kept = last_lines(&mut output, most(asked)?);
    if !query::has(asked, "follow") {
        let text: String = kept.iter().map(as_text).collect();
        return Ok(([(header::CONTENT_TYPE, TEXT)], text).into_response());
    }
    let lines = stream::iter(kept).chain(further(output));
    let lines = lines.take_until(gateway.ending.begun());
    if wants_events(&headers) {
        let events = lines.map(|line| sse::Event::default().json_data(line));
        let events = Sse::new(events).keep_alive(sse::KeepAlive::default());
        return Ok(events.into_response());
    }
    let text = lines.map(|line| Ok::<_, axum::Error>(as_text(&line)));
    Ok(([(header::CONTENT_TYPE, TEXT)], Body::from_stream(text)).into_response())
}

/// How many of the lines that are kept are asked for.
fn most(asked: Option<&str>) -> Result<usize, Failure> {
    match query::value(asked, "lines") {
        Some(lines) => lines
            .parse()
            .map_err(|_| Failure::invalid("`lines` is no number: write lines=N, such as lines=20")),
        None => Ok(usize::MAX),
    }
}

fn last_lines(output: &mut Output, most: usize) -> Vec<Line> {
    let mut lines: Vec<_> = iter::from_fn(|| output.try_next()).collect();
    lines.split_off(lines.len().saturating_sub(most))
}

fn further(output: Output) -> impl Stream<Item = Line> {
    stream::unfold(output, async |mut output| {
        let line = output.next().await;
        Some((line, output))
    })
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|it| it.to_str().ok());
    accepted.any(|it| it.contains("text/event-stream"))
}

fn as_text(line: &Line) -> String {
    let (missed, text) = (line.missed, &line.text);
    match missed {
        0 => format!("{text}\n"),
        _ => format!("({missed} lines were lost)\n{text}\n"),
    }
}
