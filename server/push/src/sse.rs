//! `GET /api/v1/rooms/{id}/events`: the door of the event stream.
//!
//! An `EventSource` that is answered 5xx or 429 gives up for good. So what will pass (a
//! full or stopping process) is said with 200, a `retry:` and a closed stream; only what
//! will not pass by itself (a room that is not there, guests where none are taken, a
//! malformed request) has an error status.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use common::http::{Filled, LongLived, Problem, Ready, Script as _, credentials, edge};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use idl::{Code, RoomId};
use serde::Deserialize;
use tokio::time::Instant;

use crate::Push;
use crate::frame;
use crate::stream::{Arrival, Stream, guests_may_watch, jitter};

const MAX_EVENTS: std::ops::RangeInclusive<u64> = 1..=100_000;
const MAX_RATE_PER_S: u32 = 1_000;
/// A room's feed must have been read by then, and be as new as the viewer has seen it.
const JOIN_DEADLINE: Duration = Duration::from_secs(2);
/// A process that is full asks its viewers to come back within so long.
const FULL_RETRY_MS: u64 = 15_000;

#[derive(Debug, Deserialize)]
struct Parameters {
    last_event_id: Option<String>,
    max_events: Option<u64>,
    rate: Option<u32>,
}

// Why a stream is not opened that will be later: the process stops, it or the client's
// network has as many streams as it may have, or the room's feed could not be read in time.
const STOPPING: &str = "stopping";
const FULL: &str = "full";
const ADDRESS: &str = "address";
const ROOM: &str = "room";

pub(crate) fn router(push: Push) -> Router {
    // Shown from the start: a rate has no beginning else.
    opened(0);
    [STOPPING, FULL, ADDRESS, ROOM].into_iter().for_each(|why| refused(why, 0));
    Router::new().route("/api/v1/rooms/{id}/events", get(open).fallback(bad_method)).with_state(push)
}

async fn bad_method() -> Response {
    let mut response = Problem::new(Code::MethodNotAllowed, "an event stream is read with GET").into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

async fn open(
    State(push): State<Push>,
    room: Result<Path<RoomId>, PathRejection>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    request: Parts,
) -> Result<Response, Problem> {
    let headers = &request.headers;
    let malformed = |what: String| Problem::new(Code::MalformedRequest, what);
    let Path(room) = room.map_err(|error| malformed(error.body_text()))?;
    let Query(parameters) = parameters.map_err(|error| malformed(error.body_text()))?;
    if parameters.max_events.is_some_and(|most| !MAX_EVENTS.contains(&most)) {
        return Err(malformed(format!("max_events is {} to {}", MAX_EVENTS.start(), MAX_EVENTS.end())));
    }
    if parameters.rate.is_some_and(|rate| rate > MAX_RATE_PER_S) {
        return Err(malformed(format!("rate is 0 to {MAX_RATE_PER_S}, in danmaku a second")));
    }
    let identity = identify(&push, headers)?;
    let is_full = push.streams_open() >= push.settings.max_streams;
    let address = edge::client_address(&request, &push.networks.trusted_proxies);
    let place = address.map(|address| push.admission.enter(address));
    let why_not = [
        (push.platform.lifecycle.soft().is_cancelled(), STOPPING),
        (is_full, FULL),
        (matches!(place, Some(None)), ADDRESS),
    ];
    if let Some((_, why)) = why_not.into_iter().find(|(applies, _)| *applies) {
        return Ok(come_back(why));
    }
    let last_event_id = match headers.get("last-event-id") {
        Some(header) => Some(header.to_str().unwrap_or_default().to_owned()),
        None => parameters.last_event_id,
    };
    // An empty id is what a client sends that never got one.
    let last_event_id = last_event_id.filter(|id| !id.is_empty()).map(|id| id.parse().ok());
    let joining = push.rooms.join(room, last_event_id.flatten());
    let Ok(Ok(viewing)) = tokio::time::timeout(JOIN_DEADLINE, joining).await else {
        return Ok(come_back(ROOM));
    };
    let no_such_room = || Problem::new(Code::NoSuchRoom, format!("there is no room {room}"));
    let viewing = viewing.ok_or_else(no_such_room)?;
    if identity.is_none() && !guests_may_watch(&viewing.room) {
        return Err(Problem::new(Code::NotSignedIn, "this room takes no guests; sign in to watch"));
    }
    let arrival = Arrival {
        device: identity.as_deref().map(|identity| (identity.device, identity.user)),
        last_event_id,
        max_events: parameters.max_events,
        rate_per_s: parameters.rate,
        server_time_ms: push.platform.clock.now().0,
    };
    let soft = push.platform.lifecycle.soft().clone();
    let revocations = push.platform.verifier.revocations();
    let stream = Stream::begin(viewing, place.flatten(), &arrival, &push.settings, revocations, soft);
    // The connection is cut at *hard*; the stream itself need not know.
    let lifecycle = push.platform.lifecycle.clone();
    let take = move |stream: Stream, taken| Arc::clone(stream.room()).crews(&lifecycle).seat(stream, taken);
    let (long_lived, body) = LongLived::of(stream.ok_or_else(no_such_room)?, take, by_itself);
    let mut response = event_stream(body);
    opened(1);
    response.extensions_mut().insert(long_lived);
    Ok(response)
}

/// What a stream says where its connection can't be taken from the HTTP server.
fn by_itself(stream: Stream) -> impl futures::Stream<Item = Bytes> {
    let bell = stream.room().bell();
    futures::stream::unfold((stream, bell), async |(mut stream, mut bell)| {
        loop {
            // First listen, then look: whatever happens after the look rings.
            bell.mark_unchanged();
            let mut ready = Ready::default();
            let filled = stream.fill(Instant::now(), &mut ready);
            let bytes = ready.joined();
            if !bytes.is_empty() {
                return Some((bytes, (stream, bell)));
            }
            if filled == Filled::All {
                return None;
            }
            // The room has the bell, and the stream has the room.
            _ = tokio::time::timeout_at(stream.due(), bell.changed()).await;
        }
    })
}

/// Who watches. A bad bearer token is an error; a cookie that has expired makes a guest,
/// because the page can't tell the browser to leave it out.
fn identify(push: &Push, headers: &HeaderMap) -> Result<Option<Arc<idl::access::Identity>>, Problem> {
    match credentials::of(headers)? {
        None => Ok(None),
        Some(credentials::Credentials::Bearer(caller)) => Ok(Some(push.platform.verifier.verify(&caller)?)),
        Some(credentials::Credentials::Cookie(caller)) => Ok(push.platform.verifier.verify(&caller).ok()),
    }
}

fn opened(streams: u64) {
    metrics::counter!("goligoli_push_streams_opened_total").increment(streams);
}

fn refused(why: &'static str, streams: u64) {
    metrics::counter!("goligoli_push_streams_refused_total", "reason" => why).increment(streams);
}

fn come_back(why: &'static str) -> Response {
    refused(why, 1);
    let retry = frame::retry(1_000 + jitter(FULL_RETRY_MS));
    let comment = Bytes::from_static(b": not now, come back\n\n");
    event_stream(Body::from([retry, comment].concat()))
}

fn event_stream(body: Body) -> Response {
    let mut response = (StatusCode::OK, body).into_response();
    let fixed = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // no-transform: a proxy that compresses would also buffer.
        (header::CACHE_CONTROL, "no-cache, no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
