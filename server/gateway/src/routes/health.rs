//! `/healthz`, `/readyz`, `/metrics`: for whoever runs the process.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use common::http::Problem;
use common::{Platform, telemetry};
use http::header;
use idl::{Code, Refusal};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What anybody may ask.
pub(crate) fn routes() -> OpenApiRouter<Platform> {
    OpenApiRouter::default().routes(routes!(healthz)).routes(routes!(readyz))
}

/// What only operators may: metrics tell how many watch, and where the server hurts.
pub(crate) fn ops_routes() -> OpenApiRouter<Platform> {
    routes().routes(routes!(metrics))
}

/// Fine.
#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    /// `ok`.
    status: &'static str,
}

/// Is the process alive?
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operators",
    responses((status = 200, description = "It is", body = Alive))
)]
async fn healthz() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// What can be said of each part.
#[derive(Debug, Serialize, ToSchema)]
struct Ready {
    /// `ready`.
    status: &'static str,
    /// The parts that were asked: `ok`, or `degraded:` and why.
    parts: BTreeMap<&'static str, String>,
}

/// Can the process take traffic?
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operators",
    responses(
        (status = 200, description = "It can", body = Ready),
        (status = 503, description = "It cannot; the detail says which parts are why"),
    )
)]
async fn readyz(State(platform): State<Platform>) -> Response {
    let parts = platform.health.parts();
    let mut wrong: Vec<String> =
        parts.iter().filter_map(|(part, state)| Some(format!("{part}: {}", state.as_ref().err()?))).collect();
    if platform.lifecycle.soft().is_cancelled() {
        wrong.push("process: stopping".to_owned());
    }
    if wrong.is_empty() {
        let mut parts: BTreeMap<_, _> = parts.into_keys().map(|part| (part, "ok".to_owned())).collect();
        parts.extend(platform.health.degraded().into_iter().map(|(part, why)| (part, format!("degraded: {why}"))));
        return Json(Ready { status: "ready", parts }).into_response();
    }
    Problem::from(Refusal::new(Code::Unavailable, wrong.join("; ")).retry_after_ms(1_000)).into_response()
}

/// Metrics, in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operators",
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain"))
)]
async fn metrics() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::render()).into_response()
}
