//! Storing an object in parts. Nobody sees it before the last request has put them together;
//! what was begun and is not finished is aborted.

use std::sync::Weak;
use std::time::Duration;

use ::s3::serde_types::Part;
use anyhow::Context as _;
use tokio::sync::mpsc;

use super::fault::Fault;
use super::{Asked, Inner, S3, WITHIN, content_type, within};
use crate::Lifecycle;

/// The least that S3 takes as a part that is not the last; so much of an object is in memory
/// (and as much again while it is sent).
const PART_BYTES: usize = 5 << 20;
/// Uploads that wait to be aborted. More: they are left to [`S3::delete_all`], or to the
/// bucket's own rule for uploads that were begun long ago.
pub(super) const MAX_ABANDONED: usize = 1_000;
/// How often an abort is tried, and the pause before the second time; then it doubles.
const ABORT_TRIES: u32 = 6;
const ABORT_PAUSE: Duration = Duration::from_millis(500);

/// An upload that nobody finishes.
#[derive(Debug)]
pub(super) struct Abandoned {
    key: String,
    upload: String,
}

/// An object that is being stored.
pub struct Writer {
    s3: S3,
    key: String,
    /// What is not a part yet; less than one.
    waiting: Vec<u8>,
    /// `None` as long as all fits into one request.
    upload: Option<Upload>,
}

struct Upload {
    id: String,
    parts: Vec<Part>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({})", self.key)
    }
}

impl Writer {
    pub(super) const fn new(s3: S3, key: String) -> Self {
        Self { s3, key, waiting: Vec::new(), upload: None }
    }

    pub(crate) async fn write(&mut self, mut piece: &[u8]) -> anyhow::Result<()> {
        while !piece.is_empty() {
            let (now, later) = piece.split_at(piece.len().min(PART_BYTES - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            piece = later;
            if self.waiting.len() == PART_BYTES {
                self.send_part().await.with_context(|| format!("storing a part of {}", self.key))?;
            }
        }
        Ok(())
    }

    pub(crate) async fn finish(mut self) -> anyhow::Result<()> {
        if self.upload.is_none() {
            return self.s3.put_at(&self.key, &self.waiting).await;
        }
        if !self.waiting.is_empty() {
            self.send_part().await.with_context(|| format!("storing the last part of {}", self.key))?;
        }
        self.complete().await.with_context(|| format!("putting the parts of {} together", self.key))
    }

    async fn send_part(&mut self) -> anyhow::Result<()> {
        if self.upload.is_none() {
            // Sent once: if the answer is lost, what was begun is found by its key.
            let begun = self.s3.0.lasting.initiate_multipart_upload(&self.key, content_type(&self.key));
            let begun = self.s3.asked(Asked::to("CreateMultipartUpload", &self.key), begun);
            let begun = tokio::time::timeout(WITHIN, begun).await.unwrap_or_else(|_| Err(Fault::late(WITHIN)));
            let id = begun.map_err(|fault| self.s3.failed(fault))?.upload_id;
            self.upload = Some(Upload { id, parts: Vec::new() });
        }
        let Some(upload) = &mut self.upload else { return Ok(()) };
        let (bucket, key, number) = (&self.s3.0.bucket, &self.key, upload.parts.len() as u32 + 1);
        let send = || bucket.put_multipart_chunk(self.waiting.clone(), key, number, &upload.id, content_type(key));
        let asked = Asked::to("UploadPart", key);
        let part =
            self.s3.send(asked, within(self.waiting.len()), send).await.map_err(|fault| self.s3.failed(fault))?;
        upload.parts.push(part);
        self.waiting.clear();
        Ok(())
    }

    async fn complete(&mut self) -> anyhow::Result<()> {
        let Some(upload) = &self.upload else { return Ok(()) };
        let bytes = upload.parts.len() * PART_BYTES;
        let complete = self.s3.0.bucket.complete_multipart_upload(&self.key, &upload.id, upload.parts.clone());
        // Sent once: the second time there would be no such upload. A server may copy all parts.
        let complete = self.s3.asked(Asked::to("CompleteMultipartUpload", &self.key), complete);
        let completed = tokio::time::timeout(within(bytes), complete).await;
        let completed = completed.unwrap_or_else(|_| Err(Fault::late(within(bytes))));
        completed.map_err(|fault| self.s3.failed(fault))?;
        self.upload = None;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(Upload { id, .. }) = self.upload.take() {
            let abandoned = Abandoned { key: std::mem::take(&mut self.key), upload: id };
            // Full: see MAX_ABANDONED.
            _ = self.s3.0.abandoned.try_send(abandoned);
        }
    }
}

/// Aborts what is abandoned until the process stops, and then what was abandoned before.
pub(super) fn abort_abandoned(inner: Weak<Inner>, mut waiting: mpsc::Receiver<Abandoned>, lifecycle: &Lifecycle) {
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("objects.abort", async move {
        while let Some(Some(abandoned)) = soft.run_until_cancelled(waiting.recv()).await {
            let Some(inner) = inner.upgrade() else { return };
            soft.run_until_cancelled(abort(&S3(inner), &abandoned)).await;
        }
        while let (Ok(abandoned), Some(inner)) = (waiting.try_recv(), inner.upgrade()) {
            if S3(inner).abort(&abandoned.key, &abandoned.upload).await.is_err() {
                return;
            }
        }
    });
}

async fn abort(s3: &S3, Abandoned { key, upload }: &Abandoned) {
    for n in 0..ABORT_TRIES {
        match s3.abort(key, upload).await {
            Ok(()) => return,
            Err(error) if n + 1 == ABORT_TRIES => {
                tracing::warn!(key, error = format!("{error:#}"), "parts of an object that was given up stay for now");
            }
            Err(_) => tokio::time::sleep(ABORT_PAUSE * (1 << n)).await,
        }
    }
}

impl S3 {
    /// Removes the parts of an upload that is not to be finished; there need not be one.
    pub(super) async fn abort(&self, key: &str, upload: &str) -> anyhow::Result<()> {
        match self
            .send(Asked::to("AbortMultipartUpload", key), WITHIN, || self.0.bucket.abort_upload(key, upload))
            .await
        {
            Ok(()) | Err(Fault::Missing) => Ok(()),
            Err(fault) => Err(self.failed(fault)).with_context(|| format!("giving up what was begun of {key}")),
        }
    }
}
