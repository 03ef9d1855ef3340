//! What is known of the clock, in the data folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Hands;
use super::anchor::Anchor;
use crate::data_dir;

const FILE: &str = "clock.json";

/// Changes with every start of the machine (not of the process). `None` where that is not told.
#[must_use]
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// What a process knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    boot_id: Option<String>,
    known: Anchor,
}

impl Kept {
    /// What that means now, under this boot of the machine.
    pub(super) fn resume(&self, boot_id: Option<&str>, hands: Hands) -> Anchor {
        // A container may have a steady clock of its own, which began anew with it.
        let is_same_boot = boot_id.is_some() && self.boot_id.as_deref() == boot_id && self.known.is_before(hands);
        if is_same_boot { self.known } else { self.known.after_boot(hands) }
    }
}

/// Reads what the latest process knew. A file that can't be read is as good as none.
pub(super) fn load(folder: &Path) -> Option<Kept> {
    let file = folder.join(FILE);
    let read = || -> anyhow::Result<Option<Kept>> {
        match std::fs::read(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bytes => Ok(Some(serde_json::from_slice(&bytes?)?)),
        }
    };
    read().unwrap_or_else(|error| {
        let file = file.display();
        tracing::error!(error = %format!("{error:#}"), "{file} does not tell where the clock was; it is believed as it is");
        None
    })
}

/// Writes it.
#[derive(Debug)]
pub(super) struct Keeper {
    file: PathBuf,
    boot_id: Option<String>,
    /// Told when it begins, not each time.
    failing: bool,
}

impl Keeper {
    pub(super) fn new(folder: &Path, boot_id: Option<String>) -> Self {
        Self { file: folder.join(FILE), boot_id, failing: false }
    }

    pub(super) async fn keep(&mut self, known: Anchor) {
        let (file, kept) = (self.file.clone(), Kept { boot_id: self.boot_id.clone(), known });
        let write = move || -> anyhow::Result<()> {
            data_dir::write_whole(&file, &serde_json::to_vec(&kept)?)
                .with_context(|| format!("writing {}", file.display()))
        };
        let written = tokio::task::spawn_blocking(write).await.map_err(anyhow::Error::from).flatten();
        match &written {
            Err(error) if !self.failing => {
                tracing::warn!(error = %format!("{error:#}"), "where the clock is can't be kept for the next start");
            }
            Ok(()) if self.failing => tracing::info!("where the clock is can be kept again"),
            _ => {}
        }
        self.failing = written.is_err();
    }
}
