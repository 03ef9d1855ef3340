//! `POST /rooms/{id}/replays`: a danmaku file becomes a replay. The file goes to the object
//! store as it comes, and is read from there.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use common::{Failure, rpc};
use futures::StreamExt as _;
use http::{HeaderMap, header};
use idl::live::{BeginImport, DeleteReplay};
use idl::message::{ImportReplay, ImportedReplay};
use idl::{Caller, Code, Refusal, RoomId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::{Path, Query, media_type};
use crate::reply::{Created, Reply};
use crate::signed::Writes;

/// Who sends nothing for so long is not waited for any longer.
const PIECE_WAIT: Duration = Duration::from_secs(30);
/// Reading and storing two million danmaku takes less.
const IMPORT_DEADLINE: Duration = Duration::from_mins(5);

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(import_replay))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// What the replay is called.
    #[param(min_length = 1, max_length = 60)]
    title: String,
}

/// Make a replay of a danmaku file: Bilibili's XML, and the dialects that recorders write.
/// The room's owner and site admins.
///
/// All of the file or nothing: a file that is not well-formed is refused with the line. Lines
/// that can't be shown here are skipped; the report counts them, and what was changed.
#[utoipa::path(
    post,
    path = "/api/v1/rooms/{id}/replays",
    tag = "replays",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = RoomId, Path, description = "The room"), ImportQuery),
    request_body(content(("application/xml"), ("text/xml")), description = "The file, UTF-8"),
    responses(
        (status = 201, description = "The replay; it is being indexed", body = ImportedReplay,
            headers(("Location" = String, description = "The replay"))),
        (status = 409, description = "The room has too many replays of files"),
    )
)]
async fn import_replay(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(room): Path<RoomId>,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Body,
) -> Reply<Created<ImportedReplay>> {
    if !matches!(media_type(&headers).as_deref(), Some("application/xml" | "text/xml")) {
        let detail = "the Content-Type must be application/xml or text/xml";
        return Err(Refusal::new(Code::UnsupportedMedia, detail).into());
    }
    // To its end, even if the client goes away: then, too, there is all of it or nothing.
    let lifecycle = gateway.0.platform.lifecycle.clone();
    let import = async move { Ok(import(&gateway, caller, room, query.title, &headers, body).await?) };
    let imported = lifecycle.effect(import).await;
    let imported = imported.map_err(|failure| failure.into_refusal(&format!("importing into room {room}")))?;
    Ok(Created(format!("/api/v1/replays/{}", imported.replay.id), imported))
}

async fn import(
    gateway: &Gateway,
    caller: Caller,
    room: RoomId,
    title: String,
    headers: &HeaderMap,
    body: Body,
) -> Result<ImportedReplay, Refusal> {
    // First of all, so that nobody uploads who may not.
    let request = BeginImport { caller: caller.clone(), room, title };
    let replay = rpc::answer(gateway.live().begin_import(rpc::within(rpc::EDGE_DEADLINE), request).await)?.id;
    let object = format!("imports/{replay}.xml");
    if let Err(refusal) = keep(gateway, &object, headers, body).await {
        // If this fails, it is deleted later.
        let request = DeleteReplay { caller, replay };
        _ = gateway.live().delete_replay(rpc::within(rpc::EDGE_DEADLINE), request).await;
        return Err(refusal);
    }
    let request = ImportReplay { caller, replay, object };
    rpc::answer(gateway.message().import_replay(rpc::within(IMPORT_DEADLINE), request).await)
}

/// Stores the body. What breaks off is not stored.
async fn keep(gateway: &Gateway, object: &str, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
    let most = gateway.0.import_max_bytes;
    let too_large = || Refusal::new(Code::TooLarge, format!("the file is larger than {most} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > most) {
        return Err(too_large());
    }
    gateway.0.platform.space.check()?;
    let failed = |error: anyhow::Error| Failure::Broken(error).into_refusal("storing a file that is imported");
    let broke_off = |how: &str| Refusal::new(Code::MalformedRequest, format!("the body {how}"));
    let mut writer = gateway.0.platform.objects.create(object).await.map_err(failed)?;
    let (mut pieces, mut bytes) = (body.into_data_stream(), 0);
    loop {
        let piece = tokio::time::timeout(PIECE_WAIT, pieces.next()).await;
        let Some(piece) = piece.map_err(|_| broke_off("did not come in time"))? else { break };
        let piece = piece.map_err(|_| broke_off("broke off"))?;
        bytes += piece.len() as u64;
        if bytes > most {
            return Err(too_large());
        }
        gateway.0.platform.space.check()?;
        writer.write(&piece).await.map_err(failed)?;
    }
    writer.finish().await.map_err(failed)
}
