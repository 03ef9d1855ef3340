//! Blobs by key: a folder by default.
//!
//! A key is made of `/`-separated segments of ASCII letters, digits, `.`, `_`, `-`; an
//! object is never seen half-written, and is on the disk when [`Objects::put`] returns.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

    /// Begins to store an object that need not be in memory whole. Nothing is there before
    /// [`ObjectWriter::finish`] has returned.
    ///
    /// # Errors
    /// The key is malformed, or the store fails.
    pub async fn create(&self, key: &str) -> anyhow::Result<ObjectWriter> {
        let Self::Folder(root) = self;
        let path = path_of(root, key)?;
        let draft = blocking({
            let path = path.clone();
            move || Draft::create(&path).with_context(|| format!("writing {}", path.display()))
        });
        let (draft, file) = draft.await?;
        Ok(ObjectWriter { draft, file: tokio::fs::File::from_std(file), path })
    }

    /// Opens the object under `key`, if there is one, to be read piece by piece.
    ///
    /// # Errors
    /// The key is malformed, or the store fails.
    pub async fn open_object(&self, key: &str) -> anyhow::Result<Option<ObjectReader>> {
        let Self::Folder(root) = self;
        let path = path_of(root, key)?;
        let file = match tokio::fs::File::open(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let bytes = file.metadata().await.with_context(|| format!("reading {}", path.display()))?.len();
        Ok(Some(ObjectReader { file, bytes, path }))
    }

    /// The segments that follow `prefix` and a slash in the keys of objects, where more follow
    /// them; sorted. Also those of objects that were only begun.
    ///
    /// # Errors
    /// The prefix is no key, or the store fails.
    pub async fn folders(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let Self::Folder(root) = self;
        let path = path_of(root, prefix)?;
        blocking(move || {
            let entries = match std::fs::read_dir(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries.with_context(|| format!("reading {}", path.display()))?,
            };
            let mut folders = Vec::new();
            for entry in entries {
                let entry = entry.with_context(|| format!("reading {}", path.display()))?;
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.file_name().to_string_lossy().into_owned());
                }
            }
            folders.sort_unstable();
            Ok(folders)
        })
        .await
    }

    /// Removes all objects whose keys begin with `prefix` and a slash, and what was begun of
    /// others; there need not be any.
    ///
    /// # Errors
    /// The prefix is no key, or the store fails.
    pub async fn delete_all(&self, prefix: &str) -> anyhow::Result<()> {
        let Self::Folder(root) = self;
        let path = path_of(root, prefix)?;
        blocking(move || match std::fs::remove_dir_all(&path) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
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
    let write = || -> std::io::Result<()> {
        let (draft, mut file) = Draft::create(path)?;
        file.write_all(body)?;
        file.sync_all()?;
        draft.become_object(path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// A file that is to be an object. Dropped before that, it is removed.
#[derive(Debug)]
struct Draft(PathBuf);

impl Draft {
    fn create(object: &Path) -> std::io::Result<(Self, std::fs::File)> {
        let (folder, name) = (object.parent().unwrap_or(object), object.file_name().unwrap_or_default());
        std::fs::create_dir_all(folder)?;
        // Two writers of one key must not share the file that they write before the rename.
        let draft = folder.join(format!(".{}.{:016x}", name.to_string_lossy(), rand::random::<u64>()));
        let file = std::fs::File::create(&draft)?;
        Ok((Self(draft), file))
    }

    fn become_object(self, object: &Path) -> std::io::Result<()> {
        std::fs::rename(&self.0, object)?;
        std::fs::File::open(object.parent().unwrap_or(object))?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Not there if it became an object.
        _ = std::fs::remove_file(&self.0);
    }
}

/// An object that is being stored. Dropped before [`ObjectWriter::finish`] nothing of it stays.
#[derive(Debug)]
pub struct ObjectWriter {
    draft: Draft,
    file: tokio::fs::File,
    path: PathBuf,
}

impl ObjectWriter {
    /// Appends a piece.
    ///
    /// # Errors
    /// The store fails; the object can't be finished then.
    pub async fn write(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(piece).await.with_context(|| format!("writing {}", self.path.display()))
    }

    /// Stores what was written, replacing what is there; it is on the disk when this returns.
    ///
    /// # Errors
    /// The store fails.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        let finish = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        finish.await.with_context(|| format!("writing {}", self.path.display()))?;
        let Self { draft, path, .. } = self;
        blocking(move || draft.become_object(&path).with_context(|| format!("writing {}", path.display()))).await
    }
}

/// An object that is being read.
#[derive(Debug)]
pub struct ObjectReader {
    file: tokio::fs::File,
    bytes: u64,
    path: PathBuf,
}

/// The most that [`ObjectReader::next`] gives at once.
const PIECE_BYTES: usize = 128 << 10;

impl ObjectReader {
    /// How long the object is.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next piece, of at most 128 KiB; `None` at the end.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let read = self.file.read_buf(&mut piece).await;
        let read = read.with_context(|| format!("reading {}", self.path.display()))?;
        Ok((read > 0).then(|| piece.freeze()))
    }
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
        in_pieces(store).await;
        for bad in ["", "/a", "a//b", "../a", "a/..", "a/.b", "a b", "ä", "a/"] {
            assert!(store.put(bad, Bytes::new()).await.is_err(), "{bad:?} is no key");
        }
    }

    async fn in_pieces(store: &Objects) {
        assert!(store.open_object("big/x.bin").await.unwrap().is_none());
        let pieces: Vec<Vec<u8>> = (0..5).map(|n| vec![n; 100_000]).collect();
        let mut writer = store.create("big/x.bin").await.unwrap();
        for piece in &pieces {
            writer.write(piece).await.unwrap();
        }
        assert_eq!(store.get("big/x.bin").await.unwrap(), None, "it is not there before it is whole");
        writer.finish().await.unwrap();
        let mut reader = store.open_object("big/x.bin").await.unwrap().unwrap();
        let mut all = Vec::new();
        while let Some(piece) = reader.next().await.unwrap() {
            all.extend_from_slice(&piece);
        }
        assert_eq!((reader.bytes(), all), (500_000, pieces.concat()));
        let mut given_up = store.create("big/y.bin").await.unwrap();
        given_up.write(b"half").await.unwrap();
        drop(given_up);
        assert_eq!(store.get("big/y.bin").await.unwrap(), None);
        store.put("bigger/z.bin", Bytes::from_static(b"stays")).await.unwrap();
        store.put("bigger/v2/z.bin", Bytes::new()).await.unwrap();
        store.put("bigger/v10/a/z.bin", Bytes::new()).await.unwrap();
        assert_eq!(store.folders("bigger").await.unwrap(), ["v10", "v2"]);
        assert_eq!(store.folders("nothing").await.unwrap(), Vec::<String>::new());
        for _ in 0..2 {
            store.delete_all("big").await.unwrap();
            assert_eq!(store.get("big/x.bin").await.unwrap(), None);
        }
        assert!(store.get("bigger/z.bin").await.unwrap().is_some());
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
