//! The data folder: one process at a time, and never the last of the disk.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use idl::{Code, Refusal};

use crate::health::Health;
use crate::lifecycle::Lifecycle;

/// What is kept free, so that the databases can always end what they began.
const RESERVED_BYTES: u64 = 64 << 20;
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The data folder, locked for this process as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the folder if need be (for its owner's eyes only) and locks it.
    ///
    /// # Errors
    /// The folder can't be made or written, or another process has it.
    pub fn lock(path: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("making the data folder {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("finding {}", path.display()))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .with_context(|| format!("opening the lock of {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("the data folder {} is in use by another goligoli process", path.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
        }
    }

    /// The folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a file that only its owner reads, whole or not at all: a crash leaves no half of it.
pub(crate) fn write_whole(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let draft = file.with_extension("draft");
    let mut out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    std::fs::rename(draft, file)
}

/// Whether there is room for new data. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct FreeSpace {
    full: Arc<AtomicBool>,
}

impl FreeSpace {
    /// Watches the disk under `folder`; readiness follows.
    pub fn watch(folder: &Path, health: &Health, lifecycle: &Lifecycle) -> Self {
        let space = Self::default();
        let (watched, folder, health, soft) =
            (space.clone(), folder.to_owned(), health.clone(), lifecycle.soft().clone());
        lifecycle.spawn("data_dir.free_space", async move {
            loop {
                let full = rustix::fs::statvfs(&folder).is_ok_and(|s| s.f_bavail * s.f_frsize < RESERVED_BYTES);
                if watched.full.swap(full, Ordering::Relaxed) != full {
                    tracing::warn!(
                        full,
                        "the disk is {}",
                        if full { "full: writes are refused" } else { "usable again" }
                    );
                }
                health.report("disk", if full { Err("less than 64 MiB are free".to_owned()) } else { Ok(()) });
                if soft.run_until_cancelled(tokio::time::sleep(CHECK_EVERY)).await.is_none() {
                    break;
                }
            }
        });
        space
    }

    /// Refuses while the disk is full.
    ///
    /// # Errors
    /// `unavailable`, to be tried again.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.full.load(Ordering::Relaxed) {
            return Err(Refusal::new(Code::Unavailable, "the server's disk is full").retry_after_ms(5_000));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_its_owner_s_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let locked = DataDir::lock(&dir.path().join("data")).unwrap();
        assert_eq!(std::fs::metadata(locked.path()).unwrap().permissions().mode() & 0o077, 0);
    }

    #[test]
    fn a_second_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::lock(dir.path()).unwrap();
        let second = DataDir::lock(dir.path()).unwrap_err();
        assert!(second.to_string().contains("in use"), "{second}");
        drop(first);
        DataDir::lock(dir.path()).unwrap();
    }
}
