//! Blobs by key: a folder by default.
//!
//! A key is made of `/`-separated segments of ASCII letters, digits, `.`, `_`, `-`; an
//! object is never seen half-written, and is on the disk when [`Objects::put`] returns.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;

/// An object store, chosen by URL. Clones are one store.
#[derive(Debug, Clone)]
pub enum Objects {
    /// A folder (`folder:`, below the data folder).
    Folder(PathBuf),
}

impl Objects {
    /// Opens the store.
    ///
    /// # Errors
    /// The URL's scheme is not known, or the folder can't be made.
    pub fn open(url: &str, data_dir: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(url == "folder:", "objects.url is {url:?}, but this build knows only \"folder:\"");
        let root = data_dir.join("objects");
        std::fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
        Ok(Self::Folder(root))
    }

    /// Stores `body` under `key`, replacing what is there.
    ///
    /// # Errors
    /// The key is malformed, or the store fails.
    pub async fn put(&self, key: &str, body: Bytes) -> anyhow::Result<()> {
        let Self::Folder(root) = self;
        let path = path_of(root, key)?;
        blocking(move || write_whole(&path, &body)).await
    }

    /// The object under `key`, if there is one.
    ///
    /// # Errors
    /// The key is malformed, or the store fails.
    pub async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        let Self::Folder(root) = self;
        let path = path_of(root, key)?;
        blocking(move || match std::fs::read(&path) {
            Ok(body) => Ok(Some(Bytes::from(body))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        })
        .await
    }

    /// Removes the object under `key`; there need not be one.
    ///
    /// # Errors
    /// The key is malformed, or the store fails.
    pub async fn delete(&self, key: &str) -> anyhow::Result<()> {
        let Self::Folder(root) = self;
        let path = path_of(root, key)?;
        blocking(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("the object store's worker ended early")?
}

fn path_of(root: &Path, key: &str) -> anyhow::Result<PathBuf> {
    let well_formed = key.split('/').all(|segment| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    });
    anyhow::ensure!(well_formed, "{key:?} is not an object key");
    Ok(root.join(key))
}

fn write_whole(path: &Path, body: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("an object key has a folder")?;
    let name = path.file_name().context("an object key has a name")?.to_string_lossy();
    // Two writers of one key must not share the file that they write before the rename.
    let draft = folder.join(format!(".{name}.{:016x}", rand::random::<u64>()));
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(body)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().inspect_err(|_| _ = std::fs::remove_file(&draft)).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every object store must do; each back-end's test calls it.
    async fn contract(store: &Objects) {
        assert_eq!(store.get("a/b.jpg").await.unwrap(), None);
        store.delete("a/b.jpg").await.unwrap();
        store.put("a/b.jpg", Bytes::from_static(b"one")).await.unwrap();
        store.put("a/b.jpg", Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(store.get("a/b.jpg").await.unwrap().as_deref(), Some(&b"two"[..]));
        store.delete("a/b.jpg").await.unwrap();
        assert_eq!(store.get("a/b.jpg").await.unwrap(), None);
        for bad in ["", "/a", "a//b", "../a", "a/..", "a/.b", "a b", "ä", "a/"] {
            assert!(store.put(bad, Bytes::new()).await.is_err(), "{bad:?} is no key");
        }
    }

    #[tokio::test]
    async fn the_folder_keeps_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        let store = Objects::open("folder:", dir.path()).unwrap();
        contract(&store).await;
        let left = std::fs::read_dir(dir.path().join("objects/a")).unwrap().count();
        assert_eq!(left, 0, "no drafts stay behind");
    }
}
