//! `/rooms`: finding, making and changing rooms.

use axum::Json;
use axum::extract::State;
use common::rpc;
use idl::event::RoomRules;
use idl::live::{CreateRoom, EditRoom, GetRoom, ListRooms, Room, RoomText, Rooms, SetRules};
use idl::{RoomId, UserId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::{self, IdempotencyHeader, Key, Path, Query, page_size};
use crate::reply::{Created, Reply};
use crate::signed::Writes;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(list_rooms, create_room))
        .routes(routes!(get_room, edit_room))
        .routes(routes!(set_rules))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RoomsQuery {
    /// Only rooms that are live, by viewers.
    live: Option<bool>,
    /// Only rooms whose title, category or streamer's name holds this.
    #[param(max_length = 60, nullable = false)]
    search: Option<String>,
    /// Only this account's rooms.
    #[param(nullable = false)]
    owner: Option<UserId>,
    /// The `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
    /// How many; 50 if it is not given.
    #[param(minimum = 1, maximum = 100, nullable = false)]
    limit: Option<u32>,
}

/// List rooms: live ones by viewers, others latest first.
#[utoipa::path(
    get,
    path = "/api/v1/rooms",
    tag = "rooms",
    params(RoomsQuery),
    responses((status = 200, description = "A page of rooms", body = Rooms))
)]
async fn list_rooms(State(gateway): State<Gateway>, Query(query): Query<RoomsQuery>) -> Reply<Json<Rooms>> {
    let request = ListRooms {
        live: query.live.unwrap_or(false),
        search: query.search,
        owner: query.owner,
        cursor: query.cursor,
        limit: page_size(query.limit, 100)?,
    };
    Ok(Json(rpc::answer(gateway.live().rooms(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Make a room.
#[utoipa::path(
    post,
    path = "/api/v1/rooms",
    tag = "rooms",
    security(("bearer" = []), ("cookie" = [])),
    params(IdempotencyHeader),
    request_body = RoomText,
    responses(
        (status = 201, description = "The room", body = Room,
            headers(("Location" = String, description = "The room"))),
        (status = 409, description = "The account has as many rooms as it may have"),
    )
)]
async fn create_room(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Key(key): Key,
    extract::Strict(text): extract::Strict<RoomText>,
) -> Reply<Created<Room>> {
    let request = CreateRoom { caller, text, key };
    let room = rpc::answer(gateway.live().create_room(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(Created(format!("/api/v1/rooms/{}", room.id), room))
}

/// Read a room.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{id}",
    tag = "rooms",
    params(("id" = RoomId, Path, description = "The room")),
    responses((status = 200, description = "The room", body = Room))
)]
async fn get_room(State(gateway): State<Gateway>, Path(room): Path<RoomId>) -> Reply<Json<Room>> {
    Ok(Json(rpc::answer(gateway.live().room(rpc::within(rpc::EDGE_DEADLINE), GetRoom { room }).await)?))
}

/// What to change; the rest stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoomPatch {
    /// 1 to 60 characters, one line.
    #[schema(min_length = 1, max_length = 60)]
    title: Option<String>,
    /// At most 1,000 characters; may have lines.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// At most 20 characters, one line; may be empty.
    #[schema(max_length = 20)]
    category: Option<String>,
}

/// Change what a room says about itself. Its owner.
#[utoipa::path(
    patch,
    path = "/api/v1/rooms/{id}",
    tag = "rooms",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = RoomId, Path, description = "The room")),
    request_body = RoomPatch,
    responses((status = 200, description = "The room as it is now", body = Room))
)]
async fn edit_room(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(room): Path<RoomId>,
    extract::Json(patch): extract::Json<RoomPatch>,
) -> Reply<Json<Room>> {
    let RoomPatch { title, description, category } = patch;
    let request = EditRoom { caller, room, title, description, category };
    Ok(Json(rpc::answer(gateway.live().edit_room(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Set what is allowed in a room, all of it. Its owner.
#[utoipa::path(
    put,
    path = "/api/v1/rooms/{id}/rules",
    tag = "rooms",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = RoomId, Path, description = "The room")),
    request_body = RoomRules,
    responses((status = 200, description = "The room as it is now", body = Room))
)]
async fn set_rules(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(room): Path<RoomId>,
    extract::Strict(rules): extract::Strict<RoomRules>,
) -> Reply<Json<Room>> {
    let request = SetRules { caller, room, rules };
    Ok(Json(rpc::answer(gateway.live().set_rules(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}
