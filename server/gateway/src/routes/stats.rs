//! `/stats`: what goes on, for the site's admins.

use axum::Json;
use axum::extract::State;
use common::rpc;
use idl::push::{RoomActivities, TopBy, TopRooms};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::Query;
use crate::reply::Reply;
use crate::signed::Signed;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(top_rooms))
}

/// Which rooms.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TopQuery {
    /// By what; else by viewers.
    #[param(inline, nullable = false)]
    by: Option<TopBy>,
}

/// List the 20 rooms in which most is going on. Site admins.
///
/// Counts are of the last minute, or since the room was opened in the server's memory;
/// `window_ms` says which.
#[utoipa::path(
    get,
    path = "/api/v1/stats/rooms",
    tag = "operators",
    security(("bearer" = []), ("cookie" = [])),
    params(TopQuery),
    responses(
        (status = 200, description = "The rooms, the most first", body = RoomActivities),
        (status = 403, description = "Not this caller's to see"),
    )
)]
async fn top_rooms(
    State(gateway): State<Gateway>,
    Signed(caller): Signed,
    Query(query): Query<TopQuery>,
) -> Reply<Json<RoomActivities>> {
    let request = TopRooms { caller, by: query.by.unwrap_or_default() };
    Ok(Json(rpc::answer(gateway.push().top_rooms(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}
