//! `/rooms/{id}/lotteries`, `/lotteries/{id}`: lotteries, and what their host does.

use axum::Json;
use axum::extract::State;
use common::rpc;
use idl::lottery::{
    CancelLottery, GetLottery, Keys, ListKeys, ListLotteries, ListWinners, Lotteries, LotteryBody, OpenLottery,
    RedrawPrize, RoomLottery, Winners,
};
use idl::{LotteryId, RoomId};
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
        .routes(routes!(list_lotteries, open_lottery))
        .routes(routes!(get_lottery))
        .routes(routes!(cancel_lottery))
        .routes(routes!(redraw))
        .routes(routes!(list_winners))
        .routes(routes!(list_keys))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// The `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
    /// How many; 50 if it is not given.
    #[param(minimum = 1, maximum = 50, nullable = false)]
    limit: Option<u32>,
}

/// List a room's lotteries, latest first.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{id}/lotteries",
    tag = "lotteries",
    params(("id" = RoomId, Path, description = "The room"), ListQuery),
    responses((status = 200, description = "A page", body = Lotteries))
)]
async fn list_lotteries(
    State(gateway): State<Gateway>,
    Path(room): Path<RoomId>,
    Query(query): Query<ListQuery>,
) -> Reply<Json<Lotteries>> {
    let request = ListLotteries { room, cursor: query.cursor, limit: page_size(query.limit, 50)? };
    Ok(Json(rpc::answer(gateway.lottery().lotteries(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Open a lottery in a room that is live. Its owner and site admins.
///
/// From the answer on nothing about it can be changed unnoticed: `opened` is the signed
/// promise that binds it. It can only be called off.
#[utoipa::path(
    post,
    path = "/api/v1/rooms/{id}/lotteries",
    tag = "lotteries",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("id" = RoomId, Path, description = "The room"),
        IdempotencyHeader,
    ),
    request_body = LotteryBody,
    responses(
        (status = 201, description = "The lottery", body = RoomLottery,
            headers(("Location" = String, description = "The lottery"))),
        (status = 409, description = "The room is not live, has too many lotteries that are not decided, or one with this keyword"),
    )
)]
async fn open_lottery(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(room): Path<RoomId>,
    Key(key): Key,
    extract::Strict(body): extract::Strict<LotteryBody>,
) -> Reply<Created<RoomLottery>> {
    let request = OpenLottery { caller, room, body, key };
    let lottery = rpc::answer(gateway.lottery().open(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(Created(format!("/api/v1/lotteries/{}", lottery.id), lottery))
}

/// Read a lottery.
#[utoipa::path(
    get,
    path = "/api/v1/lotteries/{id}",
    tag = "lotteries",
    params(("id" = LotteryId, Path, description = "The lottery")),
    responses((status = 200, description = "The lottery", body = RoomLottery))
)]
async fn get_lottery(State(gateway): State<Gateway>, Path(lottery): Path<LotteryId>) -> Reply<Json<RoomLottery>> {
    let request = GetLottery { lottery };
    Ok(Json(rpc::answer(gateway.lottery().lottery(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Why it is called off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    /// For everybody to read: 1 to 200 characters, one line.
    #[schema(min_length = 1, max_length = 200, example = "the prize broke")]
    reason: String,
}

/// Call an open lottery off, for everybody to see; again, nothing changes. The room's owner
/// and site admins.
#[utoipa::path(
    post,
    path = "/api/v1/lotteries/{id}/cancel",
    tag = "lotteries",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = LotteryId, Path, description = "The lottery")),
    request_body = CancelBody,
    responses(
        (status = 200, description = "The lottery as it is now", body = RoomLottery),
        (status = 409, description = "It is closed or drawn"),
    )
)]
async fn cancel_lottery(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(lottery): Path<LotteryId>,
    extract::Json(body): extract::Json<CancelBody>,
) -> Reply<Json<RoomLottery>> {
    let request = CancelLottery { caller, lottery, reason: body.reason };
    Ok(Json(rpc::answer(gateway.lottery().cancel(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Whose prize is drawn again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RedrawBody {
    /// The winner's entry.
    n: u64,
}

/// Take a winner out who has not claimed in time: the next in the ranking gets the prize.
/// The room's owner and site admins.
#[utoipa::path(
    post,
    path = "/api/v1/lotteries/{id}/redraw",
    tag = "lotteries",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = LotteryId, Path, description = "The lottery")),
    request_body = RedrawBody,
    responses(
        (status = 200, description = "The lottery as it is now", body = RoomLottery),
        (status = 409, description = "It is not drawn, the entry holds no prize, it was claimed, or there is still time"),
    )
)]
async fn redraw(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(lottery): Path<LotteryId>,
    extract::Json(body): extract::Json<RedrawBody>,
) -> Reply<Json<RoomLottery>> {
    let request = RedrawPrize { caller, lottery, n: body.n };
    Ok(Json(rpc::answer(gateway.lottery().redraw(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WinnersQuery {
    /// The `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
    /// How many; 50 if it is not given.
    #[param(minimum = 1, maximum = 200, nullable = false)]
    limit: Option<u32>,
}

/// List those who hold a prize of a drawn lottery, by rank.
#[utoipa::path(
    get,
    path = "/api/v1/lotteries/{id}/winners",
    tag = "lotteries",
    params(("id" = LotteryId, Path, description = "The lottery"), WinnersQuery),
    responses(
        (status = 200, description = "A page", body = Winners),
        (status = 409, description = "It is not drawn"),
    )
)]
async fn list_winners(
    State(gateway): State<Gateway>,
    Path(lottery): Path<LotteryId>,
    Query(query): Query<WinnersQuery>,
) -> Reply<Json<Winners>> {
    let request = ListWinners { lottery, cursor: query.cursor, limit: page_size(query.limit, 200)? };
    Ok(Json(rpc::answer(gateway.lottery().winners(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// List the keys that ever signed anything about a lottery, the oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/lotteries/keys",
    tag = "lotteries",
    responses((status = 200, description = "Ed25519 public keys with their dates", body = Keys))
)]
async fn list_keys(State(gateway): State<Gateway>) -> Reply<Json<Keys>> {
    let request = ListKeys::default();
    Ok(Json(rpc::answer(gateway.lottery().keys(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}
