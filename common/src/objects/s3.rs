//! Objects in a bucket of an S3 server, addressed by path.

mod address;
mod asked;
mod fault;
mod listing;
mod read;
mod upload;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ::s3::Bucket;
use ::s3::error::S3Error;
use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::mpsc;

use super::Settings;
use crate::Lifecycle;
use address::Address;
use asked::Asked;
use fault::Fault;
pub(super) use read::Reader;
use upload::Abandoned;
pub(super) use upload::Writer;

/// What a small request takes at most, a try and its repetition together.
const WITHIN: Duration = Duration::from_secs(5);
/// To each request comes so much for every MiB that it carries.
const WITHIN_PER_MIB: Duration = Duration::from_secs(2);
/// Before what did not reach the server is sent once more.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const MIB: usize = 1 << 20;
/// Keys that are listed or removed by one request; S3 allows 1,000.
const PAGE_KEYS: usize = 1_000;
/// What is stored never changes: whatever does change gets another key.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// A bucket. Clones are the same.
#[derive(Clone)]
pub struct S3(Arc<Inner>);

struct Inner {
    bucket: Box<Bucket>,
    /// The same; what begins by it is stored with [`CACHE_CONTROL`].
    lasting: Bucket,
    /// Reads by links: the bucket's own client would not tell how long an object is.
    client: reqwest::Client,
    name: String,
    /// What all keys begin with.
    folder: String,
    endpoint: String,
    page_keys: usize,
    abandoned: mpsc::Sender<Abandoned>,
}

impl std::fmt::Debug for S3 {
    /// Without the keys, which the bucket would show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3({} at {})", self.0.name, self.0.endpoint)
    }
}

impl S3 {
    /// Asks the server nothing.
    pub(super) fn new(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        Self::with_pages(settings, PAGE_KEYS, lifecycle)
    }

    pub(super) fn with_pages(settings: &Settings, page_keys: usize, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        // Once for the process: its own repetitions wait a second.
        ::s3::set_retries(0);
        let Address { bucket: name, folder, endpoint, region } = Address::parse(&settings.url)?;
        let bucket = bucket(settings, &name, &endpoint, region)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
        let lasting = bucket.with_extra_headers(headers)?;
        let client = read::client()?;
        let (abandoned, waiting) = mpsc::channel(upload::MAX_ABANDONED);
        let s3 = Self(Arc::new(Inner { bucket, lasting, client, name, folder, endpoint, page_keys, abandoned }));
        // It must not keep alive what it waits for.
        upload::abort_abandoned(Arc::downgrade(&s3.0), waiting, lifecycle);
        Ok(s3)
    }

    pub(super) async fn check(&self) -> anyhow::Result<()> {
        let below = self.key("check/");
        let page = || self.0.bucket.list_page(below.clone(), None, None, None, Some(1));
        match self.send(Asked::to("ListObjectsV2", &below), WITHIN, page).await {
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.explained(&self.0.name, &self.0.endpoint)),
        }
    }

    pub(super) async fn put(&self, key: &str, body: &[u8]) -> anyhow::Result<()> {
        self.put_at(&self.key(key), body).await
    }

    /// The same, by the server's key.
    async fn put_at(&self, key: &str, body: &[u8]) -> anyhow::Result<()> {
        let put = || {
            let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, CACHE_CONTROL)]);
            self.0.bucket.put_object_with_content_type_and_headers(key, body, content_type(key), Some(headers))
        };
        let put = self.send(Asked::to("PutObject", key), within(body.len()), put).await;
        put.map(drop).map_err(|fault| self.failed(fault)).with_context(|| format!("storing {key}"))
    }

    pub(super) async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        let Some(mut reader) = self.open_object(key).await? else { return Ok(None) };
        let mut body = Vec::with_capacity(usize::try_from(reader.bytes()).unwrap_or(0).min(MIB));
        while let Some(piece) = reader.next().await? {
            body.extend_from_slice(&piece);
        }
        Ok(Some(Bytes::from(body)))
    }

    pub(super) fn create(&self, key: &str) -> Writer {
        Writer::new(self.clone(), self.key(key))
    }

    pub(super) async fn open_object(&self, key: &str) -> anyhow::Result<Option<Reader>> {
        let opened = Reader::open(self, self.key(key)).await;
        opened.map_err(|fault| self.failed(fault)).with_context(|| format!("reading {key}"))
    }

    pub(super) async fn link(&self, key: &str, holds: Duration) -> anyhow::Result<String> {
        let seconds = u32::try_from(holds.as_secs()).unwrap_or(u32::MAX).max(1);
        self.0.bucket.presign_get(self.key(key), seconds, None).await.with_context(|| format!("making a link to {key}"))
    }

    pub(super) async fn delete(&self, key: &str) -> anyhow::Result<()> {
        let at = self.key(key);
        match self.send(Asked::to("DeleteObject", &at), WITHIN, || self.0.bucket.delete_object(&at)).await {
            Ok(_) | Err(Fault::Missing) => Ok(()),
            Err(fault) => Err(self.failed(fault)).with_context(|| format!("removing {key}")),
        }
    }

    /// Sends a request that may be sent twice: if the first did not get there, or the server
    /// could not do it then.
    async fn send<T, F>(&self, asked: Asked<'_>, within: Duration, request: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, S3Error>>,
    {
        let tries = async {
            match self.asked(asked, request()).await {
                Err(Fault::Away(_)) => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                    self.asked(asked, request()).await
                }
                outcome => outcome,
            }
        };
        tokio::time::timeout(within, tries).await.unwrap_or_else(|_| Err(Fault::late(within)))
    }

    /// A key as the server has it.
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.0.folder)
    }

    fn failed(&self, fault: Fault) -> anyhow::Error {
        fault.explained(&self.0.name, &self.0.endpoint)
    }
}

/// How long a request may take that carries so many bytes.
const fn within(bytes: usize) -> Duration {
    WITHIN.saturating_add(WITHIN_PER_MIB.saturating_mul(bytes.div_ceil(MIB) as u32))
}

fn bucket(settings: &Settings, name: &str, endpoint: &str, region: String) -> anyhow::Result<Box<Bucket>> {
    anyhow::ensure!(!settings.access_key.is_empty(), "objects.access_key is missing; objects.url needs it");
    anyhow::ensure!(!settings.secret_key.is_empty(), "objects.secret_key is missing; objects.url needs it");
    let (access, secret) = (Some(settings.access_key.as_str()), Some(settings.secret_key.reveal()));
    // Errors of these two could show a key.
    let credentials = ::s3::creds::Credentials::new(access, secret, None, None, None)
        .map_err(|_| anyhow::anyhow!("objects.access_key and objects.secret_key are no keys"))?;
    let region = ::s3::Region::Custom { region, endpoint: endpoint.to_owned() };
    let bucket = Bucket::new(name, region, credentials).map_err(|_| anyhow::anyhow!("objects.url names no bucket"))?;
    let mut bucket = bucket.with_path_style();
    // A last resort: each request has a shorter time of its own.
    bucket.set_request_timeout(Some(Duration::from_mins(1)));
    Ok(bucket)
}

/// S3 does not guess what an object is.
fn content_type(key: &str) -> &'static str {
    match key.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("pb") => "application/x-protobuf",
        Some("ass") => "text/x-ssa; charset=utf-8",
        Some("vtt") => "text/vtt",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("ts") => "video/mp2t",
        Some("m4s") => "video/iso.segment",
        Some("mp4") => "video/mp4",
        Some("flv") => "video/x-flv",
        _ => "application/octet-stream",
    }
}
