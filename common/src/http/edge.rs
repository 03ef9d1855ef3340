//! Around every request: an id, a log line, a span, metrics, headers that browsers heed, and
//! a problem instead of a broken connection when a handler panics.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use idl::Refusal;
use ipnet::IpNet;
use opentelemetry::trace::Status;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::Problem;
use crate::telemetry::red;
use crate::telemetry::traces::Trace;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Pages run only their own scripts and talk only to where they come from.
const PAGE_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data: blob:; connect-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; \
    frame-ancestors 'self'; base-uri 'none'; form-action 'self'; object-src 'none'";

tokio::task_local! {
    static CURRENT_ID: String;
}

/// The id of the request that this task answers.
#[must_use]
pub fn current_request_id() -> Option<String> {
    CURRENT_ID.try_with(Clone::clone).ok()
}

/// Puts the edge around `router`.
pub fn around(router: Router) -> Router {
    around_behind(router, Vec::new())
}

/// The same, where requests through these proxies go on in the trace that they say.
pub fn around_behind(router: Router, trusted_proxies: Vec<IpNet>) -> Router {
    let trusted: Trusted = trusted_proxies.into();
    router.layer(CatchPanicLayer::custom(panicked)).layer(from_fn_with_state(trusted, each))
}

type Trusted = Arc<[IpNet]>;

/// Asked for all the time, by machines: not traced.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer asks for")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("?"), "a handler panicked");
    Problem::from(Refusal::internal()).into_response()
}

async fn each(State(trusted): State<Trusted>, mut request: Request, next: Next) -> Response {
    let id = format!("{:016x}", rand::random::<u64>());
    let method = request.method().clone();
    // Never the path itself in a metric: ids would make a series each.
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let span = span_of(&request, &trusted, &id, &route);
    let started = Instant::now();
    let mut response = CURRENT_ID.scope(id.clone(), next.run(request)).instrument(span.clone()).await;
    let status = response.status();
    red::http(&route, method_label(&method), status.as_u16(), started.elapsed());
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_attribute("error.type", status.as_u16().to_string());
        span.set_status(Status::error(""));
    }
    span.in_scope(|| tracing::debug!(status = status.as_u16(), ms = started.elapsed().as_millis(), "answered"));
    set_headers(response.headers_mut(), &id);
    response
}

fn span_of(request: &Request, trusted: &[IpNet], id: &str, route: &str) -> tracing::Span {
    let method = method_label(request.method());
    if PROBES.contains(&route) {
        return tracing::debug_span!("http", request.id = %id, http.request.method = method, http.route = route);
    }
    let name = format!("{method} {route}");
    let span = tracing::info_span!(
        "http", request.id = %id, http.request.method = method, http.route = route, otel.kind = "server", otel.name = name
    );
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
    // Whoever comes from elsewhere could have all requests traced that we don't want to.
    if peer.is_some_and(|peer| trusted.iter().any(|net| net.contains(&peer))) {
        let said = request.headers().get("traceparent").and_then(|said| said.to_str().ok());
        if let Some(trace) = said.and_then(Trace::parse) {
            trace.go_on_in(&span);
        }
    }
    span.set_attribute("url.path", request.uri().path().to_owned());
    span.set_attribute("url.scheme", "http");
    span
}

/// A method as a label: what a client makes up must not make a series.
fn method_label(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|name| *name == method.as_str()).unwrap_or("other")
}

fn set_headers(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Who is at the other end: the connection's address, or, behind a proxy that is
/// trusted, the nearest address in `X-Forwarded-For` that isn't one.
#[must_use]
pub fn client_address(request: &http::request::Parts, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip().to_canonical();
    let is_proxy = |address: IpAddr| trusted_proxies.iter().any(|net| net.contains(&address));
    if !is_proxy(peer) {
        return Some(peer);
    }
    let forwarded = request.headers.get_all("x-forwarded-for");
    let hops: Vec<&str> =
        forwarded.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).collect();
    let mut nearest = peer;
    for hop in hops.iter().rev() {
        match hop.trim().parse::<IpAddr>() {
            Ok(address) => nearest = address.to_canonical(),
            Err(_) => break,
        }
        if !is_proxy(nearest) {
            break;
        }
    }
    Some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &str) -> String {
        let mut request = http::Request::new(());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        client_address(&request.into_parts().0, &proxies).unwrap().to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(seen("192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2"), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", "nonsense"), "10.0.0.1");
        assert_eq!(seen("::ffff:192.0.2.1", "x"), "192.0.2.1");
    }
}
