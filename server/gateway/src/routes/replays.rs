//! `/rooms/{id}/replays`, `/replays/{id}`: what is left of broadcasts, and what their owner
//! does with it.

use axum::Json;
use axum::extract::State;
use common::rpc;
use http::StatusCode;
use idl::live::{
    DeleteReplay, EditReplay, GetReplay, IndexReplay, ListReplays, LocatedReplay, Replay, ReplayText, Replays,
};
use idl::message::{DeleteReplayDanmaku, ReadReplayDanmaku, ReplayDanmakuPage};
use idl::{Caller, DanmakuId, Refusal, ReplayId, RoomId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::{self, PageQuery, Path, Query, page_size};
use crate::reply::Reply;
use crate::signed::{Reads, Writes};

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(list_replays))
        .routes(routes!(get_replay, edit_replay, delete_replay))
        .routes(routes!(index_replay))
        .routes(routes!(read_replay_danmaku))
        .routes(routes!(delete_replay_danmaku))
}

/// A replay that the caller may see, and where it lies.
pub(super) async fn located(
    gateway: &Gateway,
    caller: Option<Caller>,
    replay: ReplayId,
) -> Result<LocatedReplay, Refusal> {
    rpc::answer(gateway.live().replay(rpc::within(rpc::EDGE_DEADLINE), GetReplay { caller, replay }).await)
}

/// List a room's replays, latest first. Hidden ones are listed for the owner and site admins.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{id}/replays",
    tag = "replays",
    security((), ("bearer" = []), ("cookie" = [])),
    params(("id" = RoomId, Path, description = "The room"), PageQuery),
    responses((status = 200, description = "A page", body = Replays))
)]
async fn list_replays(
    State(gateway): State<Gateway>,
    Reads(caller): Reads,
    Path(room): Path<RoomId>,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Replays>> {
    let request = ListReplays { caller, room, limit: query.limit()?, cursor: query.cursor };
    Ok(Json(rpc::answer(gateway.live().replays(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Read what a replay is.
#[utoipa::path(
    get,
    path = "/api/v1/replays/{id}",
    tag = "replays",
    security((), ("bearer" = []), ("cookie" = [])),
    params(("id" = ReplayId, Path, description = "The replay")),
    responses((status = 200, description = "The replay", body = Replay))
)]
async fn get_replay(
    State(gateway): State<Gateway>,
    Reads(caller): Reads,
    Path(replay): Path<ReplayId>,
) -> Reply<Json<Replay>> {
    Ok(Json(located(&gateway, caller, replay).await?.replay))
}

/// Change what a replay is called, or who may see it. The room's owner and site admins.
#[utoipa::path(
    patch,
    path = "/api/v1/replays/{id}",
    tag = "replays",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = ReplayId, Path, description = "The replay")),
    request_body = ReplayText,
    responses((status = 200, description = "The replay as it is now", body = Replay))
)]
async fn edit_replay(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(replay): Path<ReplayId>,
    extract::Strict(body): extract::Strict<ReplayText>,
) -> Reply<Json<Replay>> {
    let request = EditReplay { caller, replay, body };
    Ok(Json(rpc::answer(gateway.live().edit_replay(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Delete a replay for good. The room's owner and site admins. Again, nothing changes: while
/// something is left of it that is a success, too; then there is no such replay any more.
#[utoipa::path(
    delete,
    path = "/api/v1/replays/{id}",
    tag = "replays",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = ReplayId, Path, description = "The replay")),
    responses((status = 204, description = "It is deleted"))
)]
async fn delete_replay(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(replay): Path<ReplayId>,
) -> Reply<StatusCode> {
    let request = DeleteReplay { caller, replay };
    rpc::answer(gateway.live().delete_replay(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have a replay indexed again, from what is stored. The room's owner and site admins.
#[utoipa::path(
    post,
    path = "/api/v1/replays/{id}/index",
    tag = "replays",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = ReplayId, Path, description = "The replay")),
    responses((status = 202, description = "It will be: its `version` changes when it is", body = Replay))
)]
async fn index_replay(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(replay): Path<ReplayId>,
) -> Reply<(StatusCode, Json<Replay>)> {
    let request = IndexReplay { caller, replay };
    let replay = rpc::answer(gateway.live().index_replay(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok((StatusCode::ACCEPTED, Json(replay)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DanmakuQuery {
    /// From this moment on, in milliseconds from the beginning.
    #[param(nullable = false)]
    from_ms: Option<u64>,
    /// Before this moment.
    #[param(nullable = false)]
    before_ms: Option<u64>,
    /// Only those with this in their text, whatever the case of ASCII letters.
    #[param(min_length = 1, max_length = 100, nullable = false)]
    text: Option<String>,
    /// The `next_cursor` of the page before, of the same question.
    #[param(nullable = false)]
    cursor: Option<String>,
    /// How many; 50 if it is not given.
    #[param(minimum = 1, maximum = 500, nullable = false)]
    limit: Option<u32>,
}

/// Read a replay's danmaku by time: a range, or those with a text in them.
#[utoipa::path(
    get,
    path = "/api/v1/replays/{id}/danmaku",
    tag = "replays",
    security((), ("bearer" = []), ("cookie" = [])),
    params(("id" = ReplayId, Path, description = "The replay"), DanmakuQuery),
    responses((status = 200, description = "A page", body = ReplayDanmakuPage))
)]
async fn read_replay_danmaku(
    State(gateway): State<Gateway>,
    Reads(caller): Reads,
    Path(replay): Path<ReplayId>,
    Query(query): Query<DanmakuQuery>,
) -> Reply<Json<ReplayDanmakuPage>> {
    let request = ReadReplayDanmaku {
        caller,
        replay,
        from_ms: query.from_ms.unwrap_or(0),
        before_ms: query.before_ms,
        text: query.text,
        cursor: query.cursor,
        limit: page_size(query.limit, 500)?,
    };
    Ok(Json(rpc::answer(gateway.message().replay_danmaku(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Delete a danmaku of a replay, and of the room's history; the replay's files follow within
/// seconds. Again, nothing changes. The room's owner and admins, and site admins.
#[utoipa::path(
    delete,
    path = "/api/v1/replays/{id}/danmaku/{danmaku}",
    tag = "replays",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("id" = ReplayId, Path, description = "The replay"),
        ("danmaku" = DanmakuId, Path, description = "The danmaku"),
    ),
    responses((status = 204, description = "It is deleted"))
)]
async fn delete_replay_danmaku(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path((replay, danmaku)): Path<(ReplayId, DanmakuId)>,
) -> Reply<StatusCode> {
    let request = DeleteReplayDanmaku { caller, replay, danmaku };
    rpc::answer(gateway.message().delete_replay_danmaku(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(StatusCode::NO_CONTENT)
}
