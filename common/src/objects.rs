//! Blobs by key, chosen by URL: a folder by default, S3 in a cluster.
//!
//! A key is made of `/`-separated segments of ASCII letters, digits, `.`, `_`, `-`; no object's
//! key goes on where another's ends (`a` and `a/b`). An object is never seen half-written, and
//! is durable when [`Objects::put`] or [`ObjectWriter::finish`] returns.
//!
//! A store that does not answer fails soon, with [`Away`](crate::failure::Away) in the error,
//! and works again when it does.

mod folder;
mod s3;
#[cfg(test)]
mod tests;
mod walk;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Lifecycle;
use crate::secret::SecretText;
use folder::Folder;
use s3::S3;
pub use walk::Keys;

/// The most that [`ObjectReader::next`] gives at once.
const PIECE_BYTES: usize = 128 << 10;
/// S3 allows 1,024 bytes; what is appended to a prefix must fit, too.
const MAX_KEY_BYTES: usize = 512;

/// Where blobs are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `folder:`, or `s3://bucket?endpoint=http://host:port&region=us-east-1`.
    pub url: String,
    /// Who asks, for S3.
    pub access_key: String,
    /// Its secret, for S3.
    pub secret_key: SecretText,
}

/// An object store. Clones are one store.
#[derive(Debug, Clone)]
pub enum Objects {
    /// A folder (`folder:`, below the data folder).
    Folder(Folder),
    /// A bucket (`s3:`).
    S3(S3),
}

impl Objects {
    /// Opens the embedded store.
    ///
    /// # Errors
    /// It is another one's URL, or the folder can't be made.
    pub fn open(url: &str, data_dir: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(url == "folder:", "objects.url is {url:?}: it has to be \"folder:\" or \"s3://bucket?…\"");
        Ok(Self::Folder(Folder::open(&data_dir.join("objects"))?))
    }

    /// Opens whichever store is configured. An S3 server that is away is waited for by nobody:
    /// what needs it fails until it is there.
    ///
    /// # Errors
    /// A setting makes no sense, the folder can't be made, the server refuses the keys, or has
    /// no such bucket; says which key is to blame.
    pub async fn connect(settings: &Settings, data_dir: &Path, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        if !settings.url.starts_with("s3:") {
            return Self::open(&settings.url, data_dir);
        }
        let store = Self::S3(S3::new(settings, lifecycle)?);
        match store.check().await {
            Err(error) if error.is::<crate::failure::Away>() => {
                tracing::warn!(error = format!("{error:#}"), "the object store of objects.url does not answer yet");
                Ok(store)
            }
            checked => checked.map(|()| store),
        }
    }

    /// Whether the store is there and lets us in.
    ///
    /// # Errors
    /// It is not, or does not; says which setting is to blame.
    pub async fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Folder(folder) => folder.check(),
            Self::S3(s3) => s3.check().await,
        }
    }

    /// Stores `body` under `key`, replacing what is there.
    ///
    /// # Errors
    /// The key is malformed, or the store fails.
    pub async fn put(&self, key: &str, body: Bytes) -> anyhow::Result<()> {
        well_formed(key)?;
        match self {
            Self::Folder(folder) => folder.put(key, body).await,
            Self::S3(s3) => s3.put(key, &body).await,
        }
    }

    /// The object under `key`, if there is one.
    ///
    /// # Errors
    /// The key is malformed, or the store fails.
    pub async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        well_formed(key)?;
        match self {
            Self::Folder(folder) => folder.get(key).await,
            Self::S3(s3) => s3.get(key).await,
        }
    }

    /// Begins to store an object that need not be in memory whole: no more than 5 MiB of it
    /// are. Nothing is there before [`ObjectWriter::finish`] has returned.
    ///
    /// # Errors
    /// The key is malformed, or the store fails.
    pub async fn create(&self, key: &str) -> anyhow::Result<ObjectWriter> {
        well_formed(key)?;
        match self {
            Self::Folder(folder) => folder.create(key).await.map(ObjectWriter::Folder),
            Self::S3(s3) => Ok(ObjectWriter::S3(s3.create(key))),
        }
    }

    /// Opens the object under `key`, if there is one, to be read piece by piece.
    ///
    /// # Errors
    /// The key is malformed, or the store fails.
    pub async fn open_object(&self, key: &str) -> anyhow::Result<Option<ObjectReader>> {
        well_formed(key)?;
        Ok(match self {
            Self::Folder(folder) => folder.open_object(key).await?.map(ObjectReader::Folder),
            Self::S3(s3) => s3.open_object(key).await?.map(ObjectReader::S3),
        })
    }

    /// A URL that gives the object under `key` to whoever has it, straight from the store, for
    /// so long (at most a week); `None` where there is no such thing. The object need not exist.
    ///
    /// # Errors
    /// The key is malformed.
    pub async fn link(&self, key: &str, holds: Duration) -> anyhow::Result<Option<String>> {
        well_formed(key)?;
        match self {
            Self::Folder(_) => Ok(None),
            Self::S3(s3) => s3.link(key, holds).await.map(Some),
        }
    }

    /// The segments that follow `prefix` and a slash in the keys of objects, where more follow
    /// them; sorted. Also those of objects that were only begun.
    ///
    /// # Errors
    /// The prefix is no key, or the store fails.
    pub async fn folders(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        well_formed(prefix)?;
        match self {
            Self::Folder(folder) => folder.folders(prefix).await,
            Self::S3(s3) => s3.folders(prefix).await,
        }
    }

    /// Removes all objects whose keys begin with `prefix` and a slash, and what was begun of
    /// others; there need not be any.
    ///
    /// # Errors
    /// The prefix is no key, or the store fails.
    pub async fn delete_all(&self, prefix: &str) -> anyhow::Result<()> {
        well_formed(prefix)?;
        match self {
            Self::Folder(folder) => folder.delete_all(prefix).await,
            Self::S3(s3) => s3.delete_all(prefix).await,
        }
    }

    /// Removes the object under `key`; there need not be one.
    ///
    /// # Errors
    /// The key is malformed, or the store fails.
    pub async fn delete(&self, key: &str) -> anyhow::Result<()> {
        well_formed(key)?;
        match self {
            Self::Folder(folder) => folder.delete(key).await,
            Self::S3(s3) => s3.delete(key).await,
        }
    }
}

fn well_formed(key: &str) -> anyhow::Result<()> {
    let is_key = key.len() <= MAX_KEY_BYTES
        && key.split('/').all(|segment| {
            !segment.is_empty()
                && !segment.starts_with('.')
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        });
    anyhow::ensure!(is_key, "{key:?} is not an object key");
    Ok(())
}

/// An object that is being stored. Dropped before [`ObjectWriter::finish`] nothing of it stays.
#[derive(Debug)]
pub enum ObjectWriter {
    /// In a folder.
    Folder(folder::Writer),
    /// In a bucket.
    S3(s3::Writer),
}

impl ObjectWriter {
    /// Appends a piece.
    ///
    /// # Errors
    /// The store fails; the object can't be finished then.
    pub async fn write(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Folder(writer) => writer.write(piece).await,
            Self::S3(writer) => writer.write(piece).await,
        }
    }

    /// Stores what was written, replacing what is there; it is durable when this returns.
    ///
    /// # Errors
    /// The store fails.
    pub async fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Folder(writer) => writer.finish().await,
            Self::S3(writer) => writer.finish().await,
        }
    }
}

/// An object that is being read.
#[derive(Debug)]
pub enum ObjectReader {
    /// From a folder.
    Folder(folder::Reader),
    /// From a bucket.
    S3(s3::Reader),
}

impl ObjectReader {
    /// How long the object is.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        match self {
            Self::Folder(reader) => reader.bytes(),
            Self::S3(reader) => reader.bytes(),
        }
    }

    /// The next piece, of at most 128 KiB; `None` at the end.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        match self {
            Self::Folder(reader) => reader.next().await,
            Self::S3(reader) => reader.next().await,
        }
    }
}
