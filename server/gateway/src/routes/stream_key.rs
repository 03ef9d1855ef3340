//! `/rooms/{id}/stream-key`: what broadcasting software shows to be let in.

use axum::Json;
use axum::extract::State;
use common::rpc;
use idl::RoomId;
use idl::live::{RotateStreamKey, StreamKey};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::Path;
use crate::reply::Reply;
use crate::signed::Writes;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(rotate_stream_key))
}

/// Make a new stream key; the one before ends. The room's owner. It is shown this once.
#[utoipa::path(
    post,
    path = "/api/v1/rooms/{id}/stream-key",
    tag = "rooms",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = RoomId, Path, description = "The room")),
    responses((status = 200, description = "The key", body = StreamKey))
)]
async fn rotate_stream_key(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(room): Path<RoomId>,
) -> Reply<Json<StreamKey>> {
    let request = RotateStreamKey { caller, room };
    Ok(Json(rpc::answer(gateway.live().rotate_stream_key(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}
