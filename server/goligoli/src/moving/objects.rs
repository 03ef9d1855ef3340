//! Objects of a data folder, copied to another store.

use std::path::Path;

use anyhow::Context as _;
use common::objects::{Keys, ObjectReader, Objects};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};

/// Objects that are copied at the same time; each has some 10 MiB in memory at most.
const AT_ONCE: usize = 6;

/// What was copied.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Copied {
    /// Objects that are there now.
    pub(super) all: u64,
    /// Those of them that were there before.
    pub(super) known: u64,
}

/// Copies all objects to `to`, where what is equal is left as it is.
///
/// # Errors
/// A store fails, a file is no object, or there is another object under a key.
pub(super) async fn copy(data_dir: &Path, to: &Objects) -> anyhow::Result<Copied> {
    let from = Objects::open("folder:", data_dir)?;
    let copies = stream::iter(Keys::in_folder(data_dir)?).map(|key| copy_one(&from, to, key));
    let add = |copied: Copied, known| async move {
        Ok(Copied { all: copied.all + 1, known: copied.known + u64::from(known) })
    };
    copies.buffer_unordered(AT_ONCE).try_fold(Copied::default(), add).await
}

/// Copies one; whether it was there.
async fn copy_one(from: &Objects, to: &Objects, key: anyhow::Result<String>) -> anyhow::Result<bool> {
    let key = key?;
    let open = async || from.open_object(&key).await?.with_context(|| format!("the object {key} has gone"));
    let mut here = open().await?;
    if let Some(there) = to.open_object(&key).await? {
        let is_equal = here.bytes() == there.bytes() && digest(here).await? == digest(there).await?;
        anyhow::ensure!(is_equal, "objects.url: there is another object under {key} already");
        return Ok(true);
    }
    let mut writer = to.create(&key).await?;
    while let Some(piece) = here.next().await? {
        writer.write(&piece).await?;
    }
    writer.finish().await?;
    Ok(false)
}

async fn digest(mut object: ObjectReader) -> anyhow::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    while let Some(piece) = object.next().await? {
        digest.update(&piece);
    }
    Ok(digest.finalize().into())
}
