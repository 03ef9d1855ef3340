//! The web page, embedded. Every path that no route knows is the page's, except below
//! `/api`: the page has its own router.

use axum::extract::Request;
use axum::response::{Html, IntoResponse as _, Response};
use common::http::Problem;
use http::{HeaderMap, Method, StatusCode, header};
use idl::Code;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::reply::{matches_etag, method_not_allowed};

#[derive(RustEmbed)]
#[folder = "../../static/dist"]
#[allow_missing = true]
struct Files;

/// Stands in where the page was not built.
const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>goligoli</title>\
    <p>goligoli runs, but its web page was not built into it: run <code>make page</code>, then build again. \
    The API is at <a href=/api/v1/docs/>/api/v1/docs/</a>.";

/// Answers what no route does.
pub(crate) async fn serve(request: Request) -> Response {
    let path = request.uri().path();
    if path == "/api" || path.starts_with("/api/") {
        return Problem::new(Code::NoSuchPath, "the API has no such path; see /api/v1/openapi.json").into_response();
    }
    if path == "/metrics" {
        // A collector must not take the page for an empty set of metrics.
        return Problem::new(Code::NoSuchPath, "metrics are on the operators' listener (ops.listen)").into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return ([(header::ALLOW, "GET,HEAD")], method_not_allowed(request.method().clone()).await).into_response();
    }
    let name = path.trim_start_matches('/');
    if let Some(file) = Some(name).filter(|name| !name.is_empty()).and_then(Files::get) {
        // The builder puts a hash of the content into these names.
        let keep = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        return answer(request.headers(), file, keep);
    }
    if is_page(path, request.headers()) {
        return match Files::get("index.html") {
            Some(index) => answer(request.headers(), index, "no-cache"),
            None => ([(header::CACHE_CONTROL, "no-store")], Html(NOT_BUILT)).into_response(),
        };
    }
    Problem::new(Code::NoSuchPath, "there is no such file").into_response()
}

/// A path of the page's own router. A file that is missing must not look like it: an old
/// tab that asks for a script of yesterday needs to see that it is gone.
fn is_page(path: &str, headers: &HeaderMap) -> bool {
    let is_file = path.rsplit('/').next().is_some_and(|last| last.contains('.'));
    let takes_html = headers
        .get(header::ACCEPT)
        .is_none_or(|value| value.to_str().is_ok_and(|types| types.contains("text/html") || types.contains("*/*")));
    path == "/" || (!is_file && takes_html)
}

fn answer(headers: &HeaderMap, file: EmbeddedFile, keep: &'static str) -> Response {
    // Weak: the same bytes may leave compressed.
    let hash: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("W/\"{hash}\"");
    let about = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, keep.to_owned())];
    if matches_etag(headers, &etag) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let media_type = match file.metadata.mimetype() {
        "text/html" => "text/html; charset=utf-8",
        "text/javascript" => "text/javascript; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        other => other,
    };
    (about, [(header::CONTENT_TYPE, media_type.to_owned())], file.data.into_owned()).into_response()
}
