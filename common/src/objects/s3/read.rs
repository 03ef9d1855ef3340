//! Reading an object as it comes.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::fault::Fault;
use super::{AGAIN_AFTER, Asked, S3};
use crate::objects::PIECE_BYTES;

/// So long holds the link that an object is read by; it is used at once.
const LINK_SECONDS: u32 = 60;
/// The longest wait for its beginning: whoever reads is waited for, too.
const BEGINS_WITHIN: Duration = Duration::from_secs(3);
/// The longest wait for more of an object.
const PIECE_WITHIN: Duration = Duration::from_secs(10);
/// How often what breaks off is gone on with from there: a server restarts, or does not like
/// to wait for a slow reader. Each pause before it is twice as long, three seconds in all.
const RESUMED: u32 = 5;

pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(2))
        .read_timeout(PIECE_WITHIN)
        // A server that sends us on is not the one that was configured.
        .redirect(reqwest::redirect::Policy::none())
        .build();
    client.context("making the object store's client")
}

/// An object that is being read.
#[derive(Debug)]
pub struct Reader {
    s3: S3,
    key: String,
    bytes: u64,
    /// Which of all objects that the key may have had.
    etag: Option<HeaderValue>,
    response: reqwest::Response,
    /// How much has come, and what of it was not given yet.
    come: u64,
    rest: Bytes,
    resumed: u32,
}

impl Reader {
    pub(super) async fn open(s3: &S3, key: String) -> Result<Option<Self>, Fault> {
        let response = match request(s3, &key, 0, None).await {
            Err(Fault::Missing) => return Ok(None),
            response => response?,
        };
        let length = response.headers().get(header::CONTENT_LENGTH);
        let bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let bytes = bytes.ok_or_else(|| Fault::Other("an object without its length".to_owned()))?;
        let etag = response.headers().get(header::ETAG).cloned();
        Ok(Some(Self { s3: s3.clone(), key, bytes, etag, response, come: 0, rest: Bytes::new(), resumed: 0 }))
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while self.rest.is_empty() {
            let mut more = self.more().await;
            while let Err(fault) = more {
                if self.resumed >= RESUMED {
                    more = Err(fault);
                    break;
                }
                more = self.resume(fault).await;
            }
            let more = more.map_err(|fault| self.s3.failed(fault));
            let Some(more) = more.with_context(|| format!("reading {}", self.key))? else { return Ok(None) };
            self.come += more.len() as u64;
            self.rest = more;
        }
        Ok(Some(self.rest.split_to(self.rest.len().min(PIECE_BYTES))))
    }

    async fn more(&mut self) -> Result<Option<Bytes>, Fault> {
        let more = tokio::time::timeout(PIECE_WITHIN, self.response.chunk()).await;
        Ok(more.map_err(|_| Fault::late(PIECE_WITHIN))??)
    }

    /// Goes on where it broke off, if the object is still the same.
    async fn resume(&mut self, broke: Fault) -> Result<Option<Bytes>, Fault> {
        tokio::time::sleep(AGAIN_AFTER * 2_u32.pow(self.resumed)).await;
        self.resumed += 1;
        match request(&self.s3, &self.key, self.come, self.etag.as_ref()).await {
            Ok(response) if self.come == 0 || response.status() == StatusCode::PARTIAL_CONTENT => {
                self.response = response;
            }
            Err(fault @ Fault::Away(_)) => return Err(fault),
            _ => {
                // It is another object now, or gone: no further try would find this one.
                self.resumed = RESUMED;
                return Err(broke);
            }
        }
        self.more().await
    }
}

/// Asks for an object from a byte on.
async fn request(s3: &S3, key: &str, from: u64, etag: Option<&HeaderValue>) -> Result<reqwest::Response, Fault> {
    let link = s3.0.bucket.presign_get(key, LINK_SECONDS, None).await?;
    let send = || {
        let mut request = s3.0.client.get(&link);
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        if let Some(etag) = etag {
            request = request.header(header::IF_MATCH, etag);
        }
        request.send()
    };
    let (asked, mut is_unsent) = (Asked::to("GetObject", key), false);
    let answer = async {
        let first = async {
            let response = send().await.inspect_err(|error| is_unsent = !error.is_timeout())?;
            judged(response).await
        };
        match s3.asked(asked, first).await {
            Err(_) if is_unsent => {
                tokio::time::sleep(AGAIN_AFTER).await;
                s3.asked(asked, async { judged(send().await?).await }).await
            }
            outcome => outcome,
        }
    };
    tokio::time::timeout(BEGINS_WITHIN, answer).await.unwrap_or_else(|_| Err(Fault::late(BEGINS_WITHIN)))
}

async fn judged(response: reqwest::Response) -> Result<reqwest::Response, Fault> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    Err(Fault::of(status, &response.text().await?))
}
