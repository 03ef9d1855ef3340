//! Reading an object as it comes.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;

use super::fault::Fault;
use super::{AGAIN_AFTER, S3, WITHIN};
use crate::objects::PIECE_BYTES;

/// So long holds the link that an object is read by; it is used at once.
const LINK_SECONDS: u32 = 60;
/// The longest wait for more of an object.
const PIECE_WITHIN: Duration = Duration::from_secs(10);

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
    response: reqwest::Response,
    /// What came of it and was not given yet.
    come: Bytes,
    bytes: u64,
    key: String,
}

impl Reader {
    pub(super) async fn open(s3: &S3, key: &str) -> Result<Option<Self>, Fault> {
        let link = s3.0.bucket.presign_get(key, LINK_SECONDS, None).await?;
        let tries = async {
            match s3.0.client.get(&link).send().await {
                Err(error) if !error.is_timeout() => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                    s3.0.client.get(&link).send().await
                }
                response => response,
            }
        };
        let response = tokio::time::timeout(WITHIN, tries).await.map_err(|_| Fault::late(WITHIN))??;
        let status = response.status();
        if !status.is_success() {
            let body = tokio::time::timeout(WITHIN, response.text()).await.map_err(|_| Fault::late(WITHIN))??;
            return match Fault::of(status.as_u16(), &body) {
                Fault::Missing => Ok(None),
                fault => Err(fault),
            };
        }
        let length = response.headers().get(http::header::CONTENT_LENGTH);
        let bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let bytes = bytes.ok_or_else(|| Fault::Other("an object without its length".to_owned()))?;
        Ok(Some(Self { response, come: Bytes::new(), bytes, key: key.to_owned() }))
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while self.come.is_empty() {
            let more = tokio::time::timeout(PIECE_WITHIN, self.response.chunk()).await;
            let more = more.map_err(|_| Fault::late(PIECE_WITHIN)).and_then(|more| more.map_err(Fault::from));
            let more = more.map_err(|fault| fault.explained("the bucket", "the object store"));
            let Some(more) = more.with_context(|| format!("reading {}", self.key))? else { return Ok(None) };
            self.come = more;
        }
        Ok(Some(self.come.split_to(self.come.len().min(PIECE_BYTES))))
    }
}
