//! `/rooms/{id}/admins` and `/rooms/{id}/mutes`: who keeps order, and who is kept quiet.

use crate::Gateway;
use crate::extract::{self, PageQuery, Path, Query};
use crate::reply::Reply;
use crate::signed::{Signed, Writes};
use axum::Json;
use axum::extract::State;
use common::rpc;
use http::StatusCode;
use idl::live::{Admins, ListAdmins, ListMutes, MuteSpan, MuteUser, MutedUser, Mutes, SetAdmin, UnmuteUser};
use idl::{Caller, RoomId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(list_admins))
        .routes(routes!(name_admin, remove_admin))
        .routes(routes!(list_mutes))
        .routes(routes!(mute, unmute))
}

/// List a room's admins.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{id}/admins",
    tag = "moderation",
    params(("id" = RoomId, Path, description = "The room")),
    responses((status = 200, description = "All of them", body = Admins))
)]
async fn list_admins(State(gateway): State<Gateway>, Path(room): Path<RoomId>) -> Reply<Json<Admins>> {
    Ok(Json(rpc::answer(gateway.live().admins(rpc::within(rpc::EDGE_DEADLINE), ListAdmins { room }).await)?))
}

/// Name an admin of a room. Its owner.
#[utoipa::path(
    put,
    path = "/api/v1/rooms/{id}/admins/{user}",
    tag = "moderation",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("id" = RoomId, Path, description = "The room"),
        ("user" = UserId, Path, description = "The account"),
    ),
    responses(
        (status = 204, description = "The account is an admin"),
        (status = 409, description = "The room has as many admins as it may have"),
    )
)]
async fn name_admin(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path((room, user)): Path<(RoomId, UserId)>,
) -> Reply<StatusCode> {
    set_admin(&gateway, caller, room, user, true).await
}

/// Take an admin's role away. The room's owner.
#[utoipa::path(
    delete,
    path = "/api/v1/rooms/{id}/admins/{user}",
    tag = "moderation",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("id" = RoomId, Path, description = "The room"),
        ("user" = UserId, Path, description = "The account"),
    ),
    responses((status = 204, description = "The account is no admin"))
)]
async fn remove_admin(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path((room, user)): Path<(RoomId, UserId)>,
) -> Reply<StatusCode> {
    set_admin(&gateway, caller, room, user, false).await
}

async fn set_admin(gateway: &Gateway, caller: Caller, room: RoomId, user: UserId, admin: bool) -> Reply<StatusCode> {
    let request = SetAdmin { caller, room, user, admin };
    rpc::answer(gateway.live().set_admin(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(StatusCode::NO_CONTENT)
}

/// List a room's mutes, latest first. Its owner and admins.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{id}/mutes",
    tag = "moderation",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = RoomId, Path, description = "The room"), PageQuery),
    responses(
        (status = 200, description = "A page of mutes", body = Mutes),
        (status = 403, description = "Not this caller's to see"),
    )
)]
async fn list_mutes(
    State(gateway): State<Gateway>,
    Signed(caller): Signed,
    Path(room): Path<RoomId>,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Mutes>> {
    let request = ListMutes { caller, room, limit: query.limit()?, cursor: query.cursor };
    Ok(Json(rpc::answer(gateway.live().mutes(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// For how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MuteBody {
    /// `"session"`, `"forever"`, or `{"hours": 1}` to `{"hours": 720}`.
    span: MuteSpan,
}

/// Mute an account in a room; again, to change for how long. Its owner and admins.
#[utoipa::path(
    put,
    path = "/api/v1/rooms/{id}/mutes/{user}",
    tag = "moderation",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("id" = RoomId, Path, description = "The room"),
        ("user" = UserId, Path, description = "The account"),
    ),
    request_body = MuteBody,
    responses(
        (status = 200, description = "The mute", body = MutedUser),
        (status = 409, description = "Until the end of the broadcast, but there is none"),
    )
)]
async fn mute(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path((room, user)): Path<(RoomId, UserId)>,
    extract::Json(body): extract::Json<MuteBody>,
) -> Reply<Json<MutedUser>> {
    let request = MuteUser { caller, room, user, span: body.span };
    Ok(Json(rpc::answer(gateway.live().mute(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Lift a mute. The room's owner and admins.
#[utoipa::path(
    delete,
    path = "/api/v1/rooms/{id}/mutes/{user}",
    tag = "moderation",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("id" = RoomId, Path, description = "The room"),
        ("user" = UserId, Path, description = "The account"),
    ),
    responses((status = 204, description = "The account may speak"))
)]
async fn unmute(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path((room, user)): Path<(RoomId, UserId)>,
) -> Reply<StatusCode> {
    let request = UnmuteUser { caller, room, user };
    rpc::answer(gateway.live().unmute(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(StatusCode::NO_CONTENT)
}
