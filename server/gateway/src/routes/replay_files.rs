//! `/replays/{id}/manifest`, `…/parts`, `…/segments`, `…/danmaku.xml`: the files of a replay,
//! from the object store. Who may see them live says; what belongs to a version never changes.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use common::Failure;
use common::objects::{ObjectReader, Objects};
use futures::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use idl::live::LocatedReplay;
use idl::replay::{ReplayLines, ReplayManifest};
use idl::{Caller, Code, Refusal, ReplayId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::replays::located;
use crate::Gateway;
use crate::extract::{Path, Query};
use crate::reply::{Reply, matches_etag};
use crate::signed::Reads;

/// How long a segment of the binary form is.
const SEGMENT_MS: u64 = 360_000;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(manifest))
        .routes(routes!(part))
        .routes(routes!(segment))
        .routes(routes!(xml))
        .routes(routes!(ass))
        .routes(routes!(json))
        .routes(routes!(protobuf))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VersionQuery {
    /// The replay's version; then the answer may be kept for ever.
    #[param(nullable = false)]
    v: Option<u64>,
}

/// Read what a replay consists of: its parts, its heat curve, its marks.
#[utoipa::path(
    get,
    path = "/api/v1/replays/{id}/manifest",
    tag = "replays",
    security((), ("bearer" = []), ("cookie" = [])),
    params(("id" = ReplayId, Path, description = "The replay"), VersionQuery),
    responses(
        (status = 200, description = "The manifest", body = ReplayManifest,
            headers(("ETag" = String, description = "Changes with the version"))),
        (status = 304, description = "As `If-None-Match` has it"),
        (status = 409, description = "It is being indexed for the first time"),
    )
)]
async fn manifest(
    State(gateway): State<Gateway>,
    Reads(caller): Reads,
    Path(replay): Path<ReplayId>,
    Query(query): Query<VersionQuery>,
    headers: HeaderMap,
) -> Reply<Response> {
    let files = Files::of(&gateway, caller, replay, query.v).await?;
    files.answer(&gateway, &headers, "meta.json", "application/json", None).await
}

/// Read a part of a replay's danmaku; the manifest says which there are.
#[utoipa::path(
    get,
    path = "/api/v1/replays/{id}/parts/{n}",
    tag = "replays",
    security((), ("bearer" = []), ("cookie" = [])),
    params(
        ("id" = ReplayId, Path, description = "The replay"),
        ("n" = u32, Path, description = "The part's number, from 1"),
        VersionQuery,
    ),
    responses(
        (status = 200, description = "The danmaku", body = ReplayLines,
            headers(("ETag" = String, description = "Changes with the version"))),
        (status = 304, description = "As `If-None-Match` has it"),
        (status = 409, description = "It is being indexed for the first time"),
    )
)]
async fn part(
    State(gateway): State<Gateway>,
    Reads(caller): Reads,
    Path((replay, n)): Path<(ReplayId, u32)>,
    Query(query): Query<VersionQuery>,
    headers: HeaderMap,
) -> Reply<Response> {
    let files = Files::of(&gateway, caller, replay, query.v).await?;
    files.answer(&gateway, &headers, &part_name(n.into(), "json"), "application/json", None).await
}

/// Read six minutes of a replay in the binary form of Bilibili's danmaku segments.
#[utoipa::path(
    get,
    path = "/api/v1/replays/{id}/segments/{n}",
    tag = "replays",
    security((), ("bearer" = []), ("cookie" = [])),
    params(
        ("id" = ReplayId, Path, description = "The replay"),
        ("n" = u32, Path, description = "The segment's number, from 1"),
        VersionQuery,
    ),
    responses(
        (status = 200, description = "`DmSegMobileReply`; nothing at all if nothing was said", content_type = "application/octet-stream", body = Vec<u8>,
            headers(("ETag" = String, description = "Changes with the version"))),
        (status = 304, description = "As `If-None-Match` has it"),
        (status = 409, description = "It is being indexed for the first time"),
    )
)]
async fn segment(
    State(gateway): State<Gateway>,
    Reads(caller): Reads,
    Path((replay, n)): Path<(ReplayId, u32)>,
    Query(query): Query<VersionQuery>,
    headers: HeaderMap,
) -> Reply<Response> {
    let files = Files::of(&gateway, caller, replay, query.v).await?;
    let about = files.about();
    if matches_etag(&headers, &files.etag()) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let manifest = files.manifest().await?;
    let segments = manifest.replay.duration_ms.div_ceil(SEGMENT_MS).max(1);
    if n == 0 || u64::from(n) > segments {
        return Err(Refusal::new(Code::NoSuchSegment, format!("the replay has {segments} segments")).into());
    }
    // Bytes of one message after those of another are the bytes of both together.
    let parts = manifest.parts.into_iter().filter(move |part| part.segment == u64::from(n));
    let keys: Vec<String> = parts.map(|part| files.key(&part_name(part.part, "pb"))).collect();
    let objects = files.objects.clone();
    let bodies = stream::try_unfold((keys.into_iter(), None), move |(mut keys, mut open)| {
        let objects = objects.clone();
        async move {
            loop {
                let mut reader: ObjectReader = match open.take() {
                    Some(reader) => reader,
                    None => match keys.next() {
                        Some(key) => {
                            objects.open_object(&key).await?.ok_or_else(|| anyhow::anyhow!("{key} is gone"))?
                        }
                        None => return anyhow::Ok(None),
                    },
                };
                if let Some(piece) = reader.next().await? {
                    return Ok(Some((piece, (keys, Some(reader)))));
                }
            }
        }
    });
    Ok((about, [(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(bodies)).into_response())
}

/// What the four downloads have in common.
macro_rules! download {
    ($name:ident, $path:literal, $extension:literal, $content_type:literal, $summary:literal) => {
        #[doc = $summary]
        #[utoipa::path(
                            get,
                            path = $path,
                            tag = "replays",
                            security((), ("bearer" = []), ("cookie" = [])),
                            params(("id" = ReplayId, Path, description = "The replay"), VersionQuery),
                            responses(
                                (status = 200, description = "The file", content_type = $content_type, body = String,
                                    headers(("ETag" = String, description = "Changes with the version"))),
                                (status = 304, description = "As `If-None-Match` has it"),
                                (status = 409, description = "It is being indexed for the first time"),
                            )
                        )]
        async fn $name(
            State(gateway): State<Gateway>,
            Reads(caller): Reads,
            Path(replay): Path<ReplayId>,
            Query(query): Query<VersionQuery>,
            headers: HeaderMap,
        ) -> Reply<Response> {
            let files = Files::of(&gateway, caller, replay, query.v).await?;
            let name = format!("replay-{replay}.{}", $extension);
            files.answer(&gateway, &headers, concat!("danmaku/all.", $extension), $content_type, Some(&name)).await
        }
    };
}

download!(
    xml,
    "/api/v1/replays/{id}/danmaku.xml",
    "xml",
    "text/xml; charset=utf-8",
    "Take a replay's danmaku away as Bilibili's XML, which danmaku tools read, and which can be imported again."
);
download!(
    ass,
    "/api/v1/replays/{id}/danmaku.ass",
    "ass",
    "text/x-ssa; charset=utf-8",
    "Take a replay's danmaku away as subtitles for video players."
);
download!(
    json,
    "/api/v1/replays/{id}/danmaku.json",
    "json",
    "application/json",
    "Take a replay's danmaku away as one JSON document, `ReplayDocument`."
);
download!(
    protobuf,
    "/api/v1/replays/{id}/danmaku.pb",
    "pb",
    "application/octet-stream",
    "Take a replay's danmaku away as Bilibili's binary segments, one after the other."
);

/// A version of a replay's files.
struct Files {
    objects: Objects,
    caller: Option<Caller>,
    located: LocatedReplay,
    /// The client named this version, and will name another one when there is one.
    is_lasting: bool,
}

impl Files {
    async fn of(gateway: &Gateway, caller: Option<Caller>, replay: ReplayId, v: Option<u64>) -> Result<Self, Refusal> {
        let located = located(gateway, caller.clone(), replay).await?;
        if located.replay.version == 0 {
            let detail = "the replay is being indexed for the first time";
            return Err(Refusal::new(Code::ReplayNotReady, detail).retry_after_ms(2_000));
        }
        let is_lasting = v == Some(located.replay.version);
        Ok(Self { objects: gateway.0.platform.objects.clone(), caller, located, is_lasting })
    }

    /// Opens an object. A new version may have taken the place of this one a moment ago: then
    /// it is that one's.
    async fn open(mut self, gateway: &Gateway, name: &str) -> Result<Option<(Self, ObjectReader)>, Refusal> {
        loop {
            let opened = self.objects.open_object(&self.key(name)).await.map_err(|error| failed(error, name))?;
            if let Some(reader) = opened {
                return Ok(Some((self, reader)));
            }
            let now = Self::of(gateway, self.caller.clone(), self.located.replay.id, None).await?;
            if now.located.replay.version == self.located.replay.version {
                return Ok(None);
            }
            self = now;
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}/v{}/{name}", self.located.prefix, self.located.replay.version)
    }

    fn etag(&self) -> String {
        format!("\"{}\"", self.located.replay.version)
    }

    /// `ETag` and `Cache-Control`. What was not shown to a guest no cache in between may keep.
    fn about(&self) -> [(header::HeaderName, String); 2] {
        let who = if self.caller.is_none() { "public" } else { "private" };
        let how_long = if self.is_lasting { "max-age=31536000, immutable" } else { "no-cache" };
        [(header::ETAG, self.etag()), (header::CACHE_CONTROL, format!("{who}, {how_long}"))]
    }

    /// Answers with an object, piece by piece.
    async fn answer(
        self,
        gateway: &Gateway,
        headers: &HeaderMap,
        name: &str,
        content_type: &'static str,
        file_name: Option<&str>,
    ) -> Reply<Response> {
        if matches_etag(headers, &self.etag()) {
            return Ok((StatusCode::NOT_MODIFIED, self.about()).into_response());
        }
        let none = || Refusal::new(Code::NoSuchSegment, "the replay has no such part");
        let (files, reader) = self.open(gateway, name).await?.ok_or_else(none)?;
        let about = files.about();
        let length = reader.bytes();
        let pieces = stream::try_unfold(reader, |mut reader| async move {
            anyhow::Ok(reader.next().await?.map(|piece: Bytes| (piece, reader)))
        });
        let content = [(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
        let mut response = (about, content, Body::from_stream(pieces)).into_response();
        if let Some(value) =
            file_name.and_then(|name| HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).ok())
        {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
        }
        Ok(response)
    }

    async fn manifest(&self) -> Result<ReplayManifest, Refusal> {
        let read = async {
            let key = self.key("meta.json");
            let body = self.objects.get(&key).await?.ok_or_else(|| anyhow::anyhow!("{key} is not there"))?;
            anyhow::Ok(serde_json::from_slice(&body)?)
        };
        read.await.map_err(|error| failed(error, "meta.json"))
    }
}

fn part_name(part: u64, extension: &str) -> String {
    format!("danmaku/part_{part:05}.{extension}")
}

fn failed(error: anyhow::Error, name: &str) -> Refusal {
    Failure::Broken(error).into_refusal(&format!("reading {name} of a replay"))
}
