//! Objects as files of a folder.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::PIECE_BYTES;

/// The folder; keys are paths in it.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    pub(super) fn open(root: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
        Ok(Self(root.to_owned()))
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        std::fs::read_dir(&self.0).with_context(|| format!("reading {}", self.0.display())).map(drop)
    }

    pub(super) async fn put(&self, key: &str, body: Bytes) -> anyhow::Result<()> {
        let path = self.0.join(key);
        blocking(move || write_whole(&path, &body)).await
    }

    pub(super) async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        let path = self.0.join(key);
        blocking(move || match std::fs::read(&path) {
            Ok(body) => Ok(Some(Bytes::from(body))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        })
        .await
    }

    pub(super) async fn create(&self, key: &str) -> anyhow::Result<Writer> {
        let path = self.0.join(key);
        let draft = blocking({
            let path = path.clone();
            move || Draft::create(&path).with_context(|| format!("writing {}", path.display()))
        });
        let (draft, file) = draft.await?;
        Ok(Writer { draft, file: tokio::fs::File::from_std(file), path })
    }

    pub(super) async fn open_object(&self, key: &str) -> anyhow::Result<Option<Reader>> {
        let path = self.0.join(key);
        let file = match tokio::fs::File::open(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let bytes = file.metadata().await.with_context(|| format!("reading {}", path.display()))?.len();
        Ok(Some(Reader { file, bytes, path }))
    }

    pub(super) async fn folders(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let path = self.0.join(prefix);
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

    pub(super) async fn delete_all(&self, prefix: &str) -> anyhow::Result<()> {
        let path = self.0.join(prefix);
        blocking(move || match std::fs::remove_dir_all(&path) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        })
        .await
    }

    pub(super) async fn delete(&self, key: &str) -> anyhow::Result<()> {
        let path = self.0.join(key);
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

/// A file that is being written beside where it will be.
#[derive(Debug)]
pub struct Writer {
    draft: Draft,
    file: tokio::fs::File,
    path: PathBuf,
}

impl Writer {
    pub(super) async fn write(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(piece).await.with_context(|| format!("writing {}", self.path.display()))
    }

    pub(super) async fn finish(mut self) -> anyhow::Result<()> {
        let finish = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        finish.await.with_context(|| format!("writing {}", self.path.display()))?;
        let Self { draft, path, .. } = self;
        blocking(move || draft.become_object(&path).with_context(|| format!("writing {}", path.display()))).await
    }
}

/// A file that is being read.
#[derive(Debug)]
pub struct Reader {
    file: tokio::fs::File,
    bytes: u64,
    path: PathBuf,
}

impl Reader {
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let read = self.file.read_buf(&mut piece).await;
        let read = read.with_context(|| format!("reading {}", self.path.display()))?;
        Ok((read > 0).then(|| piece.freeze()))
    }
}
