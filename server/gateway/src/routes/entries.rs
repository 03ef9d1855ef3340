//! `/lotteries/{id}/entries`, `…/proof`, `/me/lotteries`: taking part, and checking.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use common::rpc;
use futures::stream;
use http::{StatusCode, header};
use idl::draw::{InclusionProof, Proof, Receipt};
use idl::lottery::{
    ClaimPrize, ENTRIES_PER_PAGE, EnterLottery, EntriesPage, GetInclusion, GetLottery, GetMyEntry, ListMyEntries,
    MyEntries, MyEntry, ReadEntries,
};
use idl::{LotteryId, Refusal};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::{PageQuery, Path, Query};
use crate::reply::Reply;
use crate::signed::{Signed, Writes};

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(my_entry, enter))
        .routes(routes!(claim))
        .routes(routes!(decline))
        .routes(routes!(my_lotteries))
        .routes(routes!(read_entries))
        .routes(routes!(inclusion))
        .routes(routes!(proof))
}

/// The caller is in.
#[derive(Debug, Serialize, ToSchema)]
struct EntryReply {
    /// Keep it: if it is missing under the root, that is fraud, and provable.
    receipt: Receipt,
}

/// Enter a lottery; again, the same receipt comes again. Who is in already gets it at any time.
///
/// Refused with `keyword-needed` where the lottery has a keyword: post it as a danmaku, which
/// is the entry. The answer comes when the entry is stored for good.
#[utoipa::path(
    put,
    path = "/api/v1/lotteries/{id}/entries/me",
    tag = "lotteries",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = LotteryId, Path, description = "The lottery")),
    responses(
        (status = 201, description = "The caller is in", body = EntryReply),
        (status = 200, description = "The caller was in before", body = EntryReply),
        (status = 409, description = "It takes no more entries, or was called off"),
    )
)]
async fn enter(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(lottery): Path<LotteryId>,
) -> Reply<Response> {
    let request = EnterLottery { caller, lottery, danmaku: None };
    let entered = rpc::answer(gateway.lottery().enter(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    let status = if entered.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(EntryReply { receipt: entered.receipt })).into_response())
}

/// Read one's own entry and what became of it.
#[utoipa::path(
    get,
    path = "/api/v1/lotteries/{id}/entries/me",
    tag = "lotteries",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = LotteryId, Path, description = "The lottery")),
    responses((status = 200, description = "The entry", body = MyEntry))
)]
async fn my_entry(
    State(gateway): State<Gateway>,
    Signed(caller): Signed,
    Path(lottery): Path<LotteryId>,
) -> Reply<Json<MyEntry>> {
    let request = GetMyEntry { caller, lottery };
    Ok(Json(rpc::answer(gateway.lottery().my_entry(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Claim one's prize: nobody else can be drawn for it any more. Again, nothing changes.
#[utoipa::path(
    post,
    path = "/api/v1/lotteries/{id}/entries/me/claim",
    tag = "lotteries",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = LotteryId, Path, description = "The lottery")),
    responses(
        (status = 200, description = "The entry as it is now", body = MyEntry),
        (status = 409, description = "It is not drawn, or the entry holds no prize"),
    )
)]
async fn claim(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(lottery): Path<LotteryId>,
) -> Reply<Json<MyEntry>> {
    let request = ClaimPrize { caller, lottery };
    Ok(Json(rpc::answer(gateway.lottery().claim(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Decline one's prize: the next in the ranking gets it. Again, nothing changes.
#[utoipa::path(
    post,
    path = "/api/v1/lotteries/{id}/entries/me/decline",
    tag = "lotteries",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = LotteryId, Path, description = "The lottery")),
    responses(
        (status = 200, description = "The entry as it is now", body = MyEntry),
        (status = 409, description = "It is not drawn, the entry holds no prize, or the prize was claimed"),
    )
)]
async fn decline(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(lottery): Path<LotteryId>,
) -> Reply<Json<MyEntry>> {
    let request = ClaimPrize { caller, lottery };
    Ok(Json(rpc::answer(gateway.lottery().decline(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// List one's own entries in all rooms and what became of them, latest first.
#[utoipa::path(
    get,
    path = "/api/v1/me/lotteries",
    tag = "lotteries",
    security(("bearer" = []), ("cookie" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page", body = MyEntries))
)]
async fn my_lotteries(
    State(gateway): State<Gateway>,
    Signed(caller): Signed,
    Query(query): Query<PageQuery>,
) -> Reply<Json<MyEntries>> {
    let request = ListMyEntries { caller, limit: query.limit()?, cursor: query.cursor };
    Ok(Json(rpc::answer(gateway.lottery().my_entries(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Read all entries of a lottery, once they are frozen: one line of JSON each, in order.
#[utoipa::path(
    get,
    path = "/api/v1/lotteries/{id}/entries",
    tag = "lotteries",
    params(("id" = LotteryId, Path, description = "The lottery")),
    responses(
        (status = 200, description = "NDJSON; a line is an `Entry`", body = String, content_type = "application/x-ndjson"),
        (status = 409, description = "They are not frozen, or it was called off"),
    )
)]
async fn read_entries(State(gateway): State<Gateway>, Path(lottery): Path<LotteryId>) -> Reply<Response> {
    // A refusal comes before the first byte; a failure later breaks the body off.
    let first = read_page(&gateway, lottery, 0).await?;
    let pages = first.count.div_ceil(ENTRIES_PER_PAGE);
    let rest = move |page: u64| {
        let gateway = gateway.clone();
        async move {
            if page >= pages {
                return Ok::<_, Refusal>(None);
            }
            Ok(Some((read_page(&gateway, lottery, page).await?.ndjson, page + 1)))
        }
    };
    let body = stream::once(async move { Ok::<Bytes, Refusal>(first.ndjson) });
    let body = futures::StreamExt::chain(body, stream::try_unfold(1, rest));
    // They never change; whoever downloads them need not ask again.
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

async fn read_page(gateway: &Gateway, lottery: LotteryId, page: u64) -> Result<EntriesPage, Refusal> {
    let request = ReadEntries { lottery, page };
    rpc::answer(gateway.lottery().entries(rpc::within(rpc::EDGE_DEADLINE), request).await)
}

/// Prove that an entry lies under the root: RFC 9162's audit path.
#[utoipa::path(
    get,
    path = "/api/v1/lotteries/{id}/entries/{n}/proof",
    tag = "lotteries",
    params(
        ("id" = LotteryId, Path, description = "The lottery"),
        ("n" = u64, Path, description = "The entry's number", minimum = 0, maximum = 9_007_199_254_740_991_i64),
    ),
    responses(
        (status = 200, description = "The path", body = InclusionProof),
        (status = 409, description = "The entries are not frozen, or it was called off"),
    )
)]
async fn inclusion(
    State(gateway): State<Gateway>,
    Path((lottery, n)): Path<(LotteryId, u64)>,
) -> Reply<Json<InclusionProof>> {
    let request = GetInclusion { lottery, n };
    Ok(Json(rpc::answer(gateway.lottery().inclusion(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// Read everything from which anyone can recompute the result, with the entries.
///
/// `goligoli verify-draw` and the page do it. Without a beacon the operator is trusted: who
/// knows the seed can steer the winner before the close by choosing a last entry; the proof
/// shows only that nothing changed after the announcements.
#[utoipa::path(
    get,
    path = "/api/v1/lotteries/{id}/proof",
    tag = "lotteries",
    params(("id" = LotteryId, Path, description = "The lottery")),
    responses(
        (status = 200, description = "The proof", body = Proof),
        (status = 409, description = "It is not drawn"),
    )
)]
async fn proof(State(gateway): State<Gateway>, Path(lottery): Path<LotteryId>) -> Reply<Json<Proof>> {
    let request = GetLottery { lottery };
    Ok(Json(rpc::answer(gateway.lottery().proof(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}
