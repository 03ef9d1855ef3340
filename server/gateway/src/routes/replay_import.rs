//! `POST /rooms/{id}/replays`: a danmaku file becomes a replay. The file goes to the object
//! store as it comes, and is read from there.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use common::{Failure, rpc};
use futures::StreamExt as _;
use http::{HeaderMap, header};
use idl::live::{BeginImport, GiveImportUp, ReplayState};
use idl::message::{ImportReplay, ImportedReplay};
use idl::{Code, Refusal, RoomId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::{IdempotencyHeader, Key, Path, Query, media_type};
use crate::reply::{Created, Reply};
use crate::signed::Writes;

/// Who sends nothing for so long is not waited for any longer.
const PIECE_WAIT: Duration = Duration::from_secs(30);
/// Reading and storing a file takes less, also when others come before it.
pub(crate) const IMPORT_DEADLINE: Duration = Duration::from_mins(15);
/// Who comes while too many bring files may come again after this.
const FULL_RETRY_MS: u64 = 10_000;

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
///
/// A repetition with the same `Idempotency-Key`, room and title gives the replay that was made,
/// without the report, whatever its body is. If the first one failed, or its replay was deleted,
/// the file is imported.
#[utoipa::path(
    post,
    path = "/api/v1/rooms/{id}/replays",
    tag = "replays",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = RoomId, Path, description = "The room"), ImportQuery, IdempotencyHeader),
    request_body(content(("application/xml"), ("text/xml")), description = "The file, UTF-8"),
    responses(
        (status = 201, description = "The replay; it is being indexed", body = ImportedReplay,
            headers(("Location" = String, description = "The replay"))),
        (status = 409, description = "The room has too many replays of files, or the import with this \
            Idempotency-Key has not ended yet: `Retry-After` says when to ask again"),
    )
)]
async fn import_replay(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Key(key): Key,
    Path(room): Path<RoomId>,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Body,
) -> Reply<Created<ImportedReplay>> {
    if !matches!(media_type(&headers).as_deref(), Some("application/xml" | "text/xml")) {
        let detail = "the Content-Type must be application/xml or text/xml";
        return Err(Refusal::new(Code::UnsupportedMedia, detail).into());
    }
    let full = |_| Refusal::new(Code::Unavailable, "too many files are being imported").retry_after_ms(FULL_RETRY_MS);
    let place = Arc::clone(&gateway.0.import_places).try_acquire_owned().map_err(full)?;
    // To its end, even if the client goes away: then, too, there is all of it or nothing.
    let lifecycle = gateway.0.platform.lifecycle.clone();
    let begin = BeginImport { caller, room, title: query.title, key };
    let imported = lifecycle.effect(async move {
        let imported = import(&gateway, begin, &headers, body).await;
        drop(place);
        Ok(imported?)
    });
    let imported = imported.await.map_err(|failure| failure.into_refusal(&format!("importing into room {room}")))?;
    Ok(Created(format!("/api/v1/replays/{}", imported.replay.id), imported))
}

async fn import(
    gateway: &Gateway,
    begin: BeginImport,
    headers: &HeaderMap,
    body: Body,
) -> Result<ImportedReplay, Refusal> {
    // First of all, so that nobody uploads who may not. Nothing is asked in the caller's name
    // afterwards: an upload may take longer than a token holds.
    let begun = rpc::answer(gateway.live().begin_import(rpc::within(rpc::EDGE_DEADLINE), begin).await)?;
    if begun.state != ReplayState::Importing {
        return Ok(ImportedReplay { replay: begun, report: None });
    }
    let file = ImportReplay { replay: begun.id };
    let imported = bring(gateway, &file, headers, body).await;
    if imported.is_err() {
        give_up(gateway, &file).await;
    }
    imported
}

async fn bring(
    gateway: &Gateway,
    file: &ImportReplay,
    headers: &HeaderMap,
    body: Body,
) -> Result<ImportedReplay, Refusal> {
    let (object, within) = (file.object(), gateway.0.import_within);
    let keep = tokio::time::timeout(within, keep(gateway, &object, headers, body));
    let kept = gateway.0.platform.lifecycle.soft().run_until_cancelled(keep).await;
    let kept = kept.ok_or_else(|| Refusal::new(Code::Unavailable, "the server stops").retry_after_ms(FULL_RETRY_MS))?;
    let late = |_| Refusal::new(Code::MalformedRequest, format!("the body took more than {} s", within.as_secs()));
    kept.map_err(late)??;
    rpc::answer(gateway.message().import_replay(rpc::within(IMPORT_DEADLINE), file.clone()).await)
}

/// Leaves nothing of an import that failed. If even this does, the replay is deleted later, as
/// one whose import did not end, and the file with it.
async fn give_up(gateway: &Gateway, file: &ImportReplay) {
    let replay = file.replay;
    if let Err(error) = gateway.0.platform.objects.delete(&file.object()).await {
        _ = Failure::Broken(error).into_refusal(&format!("removing the file of replay {replay}"));
    }
    let given_up = gateway.live().give_import_up(rpc::within(rpc::EDGE_DEADLINE), GiveImportUp { replay }).await;
    match rpc::answer(given_up) {
        Err(refusal) if refusal.code != Code::NoSuchReplay => {
            tracing::warn!(%replay, %refusal, "a replay whose import failed could not be removed");
        }
        _ => {}
    }
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
