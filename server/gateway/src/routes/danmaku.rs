//! `/rooms/{id}/danmaku`: saying something, and what was said.

use axum::Json;
use axum::extract::State;
use common::http::Problem;
use common::{failpoint, rpc};
use http::StatusCode;
use idl::draw::Receipt;
use idl::lottery::EnterLottery;
use idl::message::{Danmaku, DanmakuBody, DeleteDanmaku, GetDanmaku, History, HistoryFrom, PostDanmaku, ReadHistory};
use idl::{Code, DanmakuId, RoomId, SessionId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::{self, IdempotencyHeader, Key, Path, Query, page_size};
use crate::reply::{Created, Reply};
use crate::signed::{Posts, Reads, Writes};

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(read_history, post_danmaku)).routes(routes!(get_danmaku, delete_danmaku))
}

/// A danmaku that was accepted, and the entry that it is, if it is a lottery's keyword.
#[derive(Debug, Serialize, ToSchema)]
struct PostedDanmaku {
    #[serde(flatten)]
    danmaku: Danmaku,
    /// What became of the entry: of a keyword only.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<KeywordEntry>,
}

/// What became of an entry by keyword.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KeywordEntry {
    /// The account is in. Keep it.
    Receipt(Receipt),
    /// It is not; the problem says why.
    #[schema(value_type = Object)]
    Refused(Problem),
}

/// Say something in a room that is live.
///
/// What is an open lottery's keyword enters that lottery: `entry` says whether it did.
///
/// The answer comes when it is stored for good; whether viewers see it live is up to the
/// room's flow limiter. Too many posts of one account are refused with 429, but not the
/// repetition of one that was accepted, known by its `Idempotency-Key`.
#[utoipa::path(
    post,
    path = "/api/v1/rooms/{id}/danmaku",
    tag = "danmaku",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("id" = RoomId, Path, description = "The room"),
        IdempotencyHeader,
    ),
    request_body = DanmakuBody,
    responses(
        (status = 201, description = "The danmaku", body = PostedDanmaku,
            headers(("Location" = String, description = "The danmaku"))),
        (status = 409, description = "The room is not live"),
    )
)]
async fn post_danmaku(
    State(gateway): State<Gateway>,
    posts: Posts,
    Path(room): Path<RoomId>,
    Key(key): Key,
    extract::Strict(body): extract::Strict<DanmakuBody>,
) -> Reply<Created<PostedDanmaku>> {
    let context = rpc::within(rpc::EDGE_DEADLINE);
    let (Posts::Freely(caller) | Posts::OnlyAgain(caller, _)) = &posts;
    let entrant = caller.clone();
    let danmaku = match posts {
        Posts::Freely(caller) => {
            let request = PostDanmaku { caller, room, body, key };
            rpc::answer(gateway.message().post(context, request).await)?
        }
        Posts::OnlyAgain(caller, too_often) => {
            let request = PostDanmaku { caller, room, body, key };
            let again = rpc::answer(gateway.message().repeat(context, request).await);
            again.map_err(|refusal| if refusal.code == Code::NoSuchDanmaku { too_often } else { refusal.into() })?
        }
    };
    let entry = match danmaku.lottery_id {
        Some(lottery) => {
            failpoint::reached("gateway.keyword-posted");
            let request = EnterLottery { caller: entrant, lottery, danmaku: Some(danmaku.id) };
            // Within what is left: whoever asked for this does not wait twice as long, and an entry
            // that came too late here is made by the lottery itself.
            Some(match rpc::answer(gateway.lottery().enter(context, request).await) {
                Ok(entered) => KeywordEntry::Receipt(entered.receipt),
                Err(refusal) => KeywordEntry::Refused(refusal.into()),
            })
        }
        None => None,
    };
    Ok(Created(format!("/api/v1/rooms/{room}/danmaku/{}", danmaku.id), PostedDanmaku { danmaku, entry }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Read back from here: a `before_cursor`, or where a danmaku stands, which is
    /// `{sent_at in milliseconds since 1970}.{id}`.
    #[param(nullable = false)]
    before: Option<String>,
    /// Read on from here: an `after_cursor`, or where a danmaku stands. Not together with `before`.
    #[param(nullable = false)]
    after: Option<String>,
    /// How many; 50 if it is not given.
    #[param(minimum = 1, maximum = 200, nullable = false)]
    limit: Option<u32>,
    /// Only this broadcast's.
    #[param(nullable = false)]
    session: Option<SessionId>,
    /// Only this account's.
    #[param(nullable = false)]
    sender: Option<UserId>,
}

/// Read a room's history: the latest page, or from a cursor on, in either direction.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{id}/danmaku",
    tag = "danmaku",
    security((), ("bearer" = []), ("cookie" = [])),
    params(("id" = RoomId, Path, description = "The room"), HistoryQuery),
    responses(
        (status = 200, description = "A page, oldest first", body = History),
        (status = 401, description = "The room takes no guests, or the bearer token does not hold"),
    )
)]
async fn read_history(
    State(gateway): State<Gateway>,
    Reads(caller): Reads,
    Path(room): Path<RoomId>,
    Query(query): Query<HistoryQuery>,
) -> Reply<Json<History>> {
    let from = match (query.before, query.after) {
        (None, None) => HistoryFrom::Latest,
        (Some(cursor), None) => HistoryFrom::Before(cursor),
        (None, Some(cursor)) => HistoryFrom::After(cursor),
        (Some(_), Some(_)) => {
            return Err(Problem::new(Code::MalformedRequest, "the query: before and after exclude each other"));
        }
    };
    let limit = page_size(query.limit, 200)?;
    let request = ReadHistory { caller, room, from, session: query.session, sender: query.sender, limit };
    Ok(Json(rpc::answer(gateway.message().history(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Read one danmaku.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{id}/danmaku/{danmaku}",
    tag = "danmaku",
    security((), ("bearer" = []), ("cookie" = [])),
    params(
        ("id" = RoomId, Path, description = "The room"),
        ("danmaku" = DanmakuId, Path, description = "The danmaku"),
    ),
    responses(
        (status = 200, description = "The danmaku", body = Danmaku),
        (status = 401, description = "The room takes no guests, or the bearer token does not hold"),
    )
)]
async fn get_danmaku(
    State(gateway): State<Gateway>,
    Reads(caller): Reads,
    Path((room, danmaku)): Path<(RoomId, DanmakuId)>,
) -> Reply<Json<Danmaku>> {
    let request = GetDanmaku { caller, room, danmaku };
    Ok(Json(rpc::answer(gateway.message().danmaku(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Delete a danmaku everywhere; again, nothing changes. Its sender within two minutes,
/// the room's owner and admins at any time.
#[utoipa::path(
    delete,
    path = "/api/v1/rooms/{id}/danmaku/{danmaku}",
    tag = "danmaku",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("id" = RoomId, Path, description = "The room"),
        ("danmaku" = DanmakuId, Path, description = "The danmaku"),
    ),
    responses((status = 204, description = "It is gone"))
)]
async fn delete_danmaku(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path((room, danmaku)): Path<(RoomId, DanmakuId)>,
) -> Reply<StatusCode> {
    let request = DeleteDanmaku { caller, room, danmaku };
    rpc::answer(gateway.message().delete(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(StatusCode::NO_CONTENT)
}
