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
use idl::replay::{ReplayLines, ReplayManifest, layout};
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

const BINARY: &str = "application/octet-stream";

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
    files.answer(&gateway, &headers, layout::MANIFEST, "application/json", None).await
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
    let name = layout::part(n.into());
    if files.are_known(&headers) {
        return Ok(files.unchanged());
    }
    match files.find(&gateway, &name).await? {
        Found::Object(files, object) => Ok(files.stream(object, "application/json", None)),
        Found::Nothing(files, manifest) => {
            let parts = manifest.parts.len() as u64;
            match (1..=parts).contains(&n.into()) {
                true => Err(files.lost(&name).into()),
                false => Err(Refusal::new(Code::NoSuchSegment, format!("the replay has {parts} parts")).into()),
            }
        }
    }
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
    let (n, name) = (u64::from(n), layout::segment(n.into()));
    if files.are_known(&headers) {
        return Ok(files.unchanged());
    }
    match files.find(&gateway, &name).await? {
        Found::Object(files, object) => Ok(files.stream(object, BINARY, None)),
        Found::Nothing(files, manifest) => {
            let segments = layout::segments(manifest.replay.duration_ms);
            if manifest.parts.iter().any(|part| part.segment == n) {
                return Err(files.lost(&name).into());
            }
            if !(1..=segments).contains(&n) {
                return Err(Refusal::new(Code::NoSuchSegment, format!("the replay has {segments} segments")).into());
            }
            Ok((files.about(), [(header::CONTENT_TYPE, BINARY)]).into_response())
        }
    }
}

/// What the four downloads have in common.
// rustfmt moves the attribute further to the right each time.
#[rustfmt::skip]
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
            files.answer(&gateway, &headers, &layout::whole($extension), $content_type, Some(&name)).await
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

    /// Opens an object. A later version may have taken the place of this one a moment ago: then
    /// it is that one's.
    async fn find(mut self, gateway: &Gateway, name: &str) -> Result<Found, Refusal> {
        loop {
            let object = self.objects.open_object(&self.key(name)).await;
            if let Some(object) = object.map_err(|error| failed(error, name))? {
                return Ok(Found::Object(self, object));
            }
            let manifest = self.manifest().await?;
            let now = Self::of(gateway, self.caller.clone(), self.located.replay.id, None).await?;
            // What is shown has all its objects: so it had them when they were looked for.
            if now.located.replay.version == self.located.replay.version {
                let manifest = manifest.ok_or_else(|| self.lost(layout::MANIFEST))?;
                return Ok(Found::Nothing(self, manifest));
            }
            self = now;
        }
    }

    async fn manifest(&self) -> Result<Option<ReplayManifest>, Refusal> {
        let read = async {
            let body = self.objects.get(&self.key(layout::MANIFEST)).await?;
            Ok(body.map(|body| serde_json::from_slice(&body)).transpose()?)
        };
        read.await.map_err(|error| failed(error, layout::MANIFEST))
    }

    /// An object of what is shown is not there: somebody has removed it.
    fn lost(&self, name: &str) -> Refusal {
        failed(anyhow::anyhow!("{} is not there", self.key(name)), name)
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", layout::folder(&self.located.prefix, self.located.replay.version))
    }

    fn etag(&self) -> String {
        format!("\"{}\"", self.located.replay.version)
    }

    /// Whether the client has them.
    fn are_known(&self, headers: &HeaderMap) -> bool {
        matches_etag(headers, &self.etag())
    }

    fn unchanged(&self) -> Response {
        (StatusCode::NOT_MODIFIED, self.about()).into_response()
    }

    /// `ETag` and `Cache-Control`. What was not shown to a guest no cache in between may keep.
    /// One that may asks again after a minute: a replay that is hidden or deleted has to go from
    /// there, too, and that changes no version. Whoever has seen a file may keep it.
    fn about(&self) -> [(header::HeaderName, String); 2] {
        let caching = match (self.caller.is_none(), self.is_lasting) {
            (true, true) => "public, max-age=31536000, s-maxage=60, immutable",
            (false, true) => "private, max-age=31536000, immutable",
            (true, false) => "public, no-cache",
            (false, false) => "private, no-cache",
        };
        [(header::ETAG, self.etag()), (header::CACHE_CONTROL, caching.to_owned())]
    }

    /// Answers with an object that every version has.
    async fn answer(
        self,
        gateway: &Gateway,
        headers: &HeaderMap,
        name: &str,
        content_type: &'static str,
        file_name: Option<&str>,
    ) -> Reply<Response> {
        if self.are_known(headers) {
            return Ok(self.unchanged());
        }
        match self.find(gateway, name).await? {
            Found::Object(files, object) => Ok(files.stream(object, content_type, file_name)),
            Found::Nothing(files, _) => Err(files.lost(name).into()),
        }
    }

    /// The answer, piece by piece.
    fn stream(&self, object: ObjectReader, content_type: &'static str, file_name: Option<&str>) -> Response {
        let length = object.bytes();
        let pieces = stream::try_unfold(object, |mut object| async move {
            anyhow::Ok(object.next().await?.map(|piece: Bytes| (piece, object)))
        });
        let content = [(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
        let mut response = (self.about(), content, Body::from_stream(pieces)).into_response();
        if let Some(value) =
            file_name.and_then(|name| HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).ok())
        {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
        }
        response
    }
}

/// What is where an object would be.
enum Found {
    /// It.
    Object(Files, ObjectReader),
    /// Nothing; whether that is as it should be the manifest says.
    Nothing(Files, ReplayManifest),
}

fn failed(error: anyhow::Error, name: &str) -> Refusal {
    Failure::Broken(error).into_refusal(&format!("reading {name} of a replay"))
}
