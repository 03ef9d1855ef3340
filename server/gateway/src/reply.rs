//! Answers that several routes give.

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use common::http::Problem;
use http::{HeaderValue, Method, StatusCode, header};
use idl::Code;
use serde::Serialize;

/// What a handler gives: an answer, or the refusal as a problem.
pub(crate) type Reply<T> = Result<T, Problem>;

/// Something was made; it is at this path.
#[derive(Debug)]
pub(crate) struct Created<T>(pub(crate) String, pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let Self(path, body) = self;
        (StatusCode::CREATED, [(header::LOCATION, path)], Json(body)).into_response()
    }
}

/// The path is there, the method isn't; axum adds `Allow`.
pub(crate) async fn method_not_allowed(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem::new(Code::MethodNotAllowed, "the Allow header says which methods this path takes").into_response()
}

/// What the API says holds now and for this caller; only routes that say so are cached.
pub(crate) async fn not_stored(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether the client has this version already.
pub(crate) fn matches_etag(headers: &http::HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}
