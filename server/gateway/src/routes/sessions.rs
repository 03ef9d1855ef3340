//! `/rooms/{id}/sessions`: broadcasts.

use axum::Json;
use axum::extract::State;
use common::rpc;
use idl::live::{CloseSession, GetSession, ListSessions, OpenSession, Session, Sessions};
use idl::{RoomId, SessionId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::{IdempotencyHeader, Key, PageQuery, Path, Query};
use crate::reply::{Created, Reply};
use crate::signed::Writes;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(list_sessions, open_session))
        .routes(routes!(get_session))
        .routes(routes!(close_session))
}

/// List a room's broadcasts, latest first.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{id}/sessions",
    tag = "broadcasts",
    params(("id" = RoomId, Path, description = "The room"), PageQuery),
    responses((status = 200, description = "A page of broadcasts", body = Sessions))
)]
async fn list_sessions(
    State(gateway): State<Gateway>,
    Path(room): Path<RoomId>,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Sessions>> {
    let request = ListSessions { room, limit: query.limit()?, cursor: query.cursor };
    Ok(Json(rpc::answer(gateway.live().sessions(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Begin a broadcast. The room's owner.
#[utoipa::path(
    post,
    path = "/api/v1/rooms/{id}/sessions",
    tag = "broadcasts",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("id" = RoomId, Path, description = "The room"),
        IdempotencyHeader,
    ),
    responses(
        (status = 201, description = "The broadcast", body = Session,
            headers(("Location" = String, description = "The broadcast"))),
        (status = 409, description = "The room is live already"),
    )
)]
async fn open_session(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(room): Path<RoomId>,
    Key(key): Key,
) -> Reply<Created<Session>> {
    let request = OpenSession { caller, room, key };
    let session = rpc::answer(gateway.live().open(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(Created(format!("/api/v1/rooms/{room}/sessions/{}", session.id), session))
}

/// Read one broadcast.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{id}/sessions/{session}",
    tag = "broadcasts",
    params(
        ("id" = RoomId, Path, description = "The room"),
        ("session" = SessionId, Path, description = "The broadcast"),
    ),
    responses((status = 200, description = "The broadcast", body = Session))
)]
async fn get_session(
    State(gateway): State<Gateway>,
    Path((room, session)): Path<(RoomId, SessionId)>,
) -> Reply<Json<Session>> {
    let request = GetSession { room, session };
    Ok(Json(rpc::answer(gateway.live().session(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// End a broadcast; ending it again changes nothing. The room's owner.
#[utoipa::path(
    post,
    path = "/api/v1/rooms/{id}/sessions/{session}/close",
    tag = "broadcasts",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("id" = RoomId, Path, description = "The room"),
        ("session" = SessionId, Path, description = "The broadcast"),
    ),
    responses((status = 200, description = "The broadcast, ended", body = Session))
)]
async fn close_session(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path((room, session)): Path<(RoomId, SessionId)>,
) -> Reply<Json<Session>> {
    let request = CloseSession { caller, room, session };
    Ok(Json(rpc::answer(gateway.live().close(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}
