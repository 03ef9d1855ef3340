//! `/rooms/{id}/cover`: a room's picture.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use common::rpc;
use http::{HeaderMap, StatusCode, header};
use idl::RoomId;
use idl::live::{GetCover, Room, SetCover};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::{Image, Path, Query};
use crate::reply::{Reply, matches_etag};
use crate::signed::Writes;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(get_cover, set_cover))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CoverQuery {
    /// The version that the room's `cover_url` names; then the answer may be kept for ever.
    #[param(nullable = false)]
    v: Option<String>,
}

/// Read a room's cover.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{id}/cover",
    tag = "rooms",
    params(("id" = RoomId, Path, description = "The room"), CoverQuery),
    responses(
        (status = 200, description = "A JPEG of 960×540", content_type = "image/jpeg",
            headers(("ETag" = String, description = "Changes with the image"))),
        (status = 304, description = "As `If-None-Match` has it"),
    )
)]
async fn get_cover(
    State(gateway): State<Gateway>,
    Path(room): Path<RoomId>,
    Query(query): Query<CoverQuery>,
    headers: HeaderMap,
) -> Reply<Response> {
    let cover = rpc::answer(gateway.live().cover(rpc::within(rpc::EDGE_DEADLINE), GetCover { room }).await)?;
    let etag = format!("\"{}\"", cover.version);
    let lasting = query.v == Some(cover.version.to_string());
    let keep = if lasting { "public, max-age=31536000, immutable" } else { "public, no-cache" };
    let about = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, keep.to_owned())];
    if matches_etag(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    Ok((about, [(header::CONTENT_TYPE, "image/jpeg")], cover.jpeg).into_response())
}

/// Set a room's cover: a JPEG, PNG or WebP of at most 2 MiB. Its owner.
#[utoipa::path(
    put,
    path = "/api/v1/rooms/{id}/cover",
    tag = "rooms",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = RoomId, Path, description = "The room")),
    request_body(content(("image/jpeg"), ("image/png"), ("image/webp")), description = "The image file"),
    responses((status = 200, description = "The room as it is now", body = Room))
)]
async fn set_cover(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(room): Path<RoomId>,
    Image(image): Image,
) -> Reply<Json<Room>> {
    let request = SetCover { caller, room, image };
    Ok(Json(rpc::answer(gateway.live().set_cover(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}
