//! What a service is given to stand on.

use std::path::PathBuf;

use crate::data_dir::FreeSpace;
use crate::health::Health;
use crate::objects::Objects;
use crate::queue::Queue;
use crate::token::Verifier;
use crate::{Clock, Lifecycle};

/// The platform of one process. Clones are the same platform.
#[derive(Clone)]
pub struct Platform {
    /// The data folder, absolute.
    pub data_dir: PathBuf,
    /// Which database services open (each its own): [`crate::Db::open`].
    pub db_url: String,
    /// Where blobs are.
    pub objects: Objects,
    /// Where wake-ups travel.
    pub queue: Queue,
    /// The time.
    pub clock: Clock,
    /// Start and stop.
    pub lifecycle: Lifecycle,
    /// Readiness.
    pub health: Health,
    /// Whether there is room for new data.
    pub space: FreeSpace,
    /// Who a caller is.
    pub verifier: Verifier,
}

impl std::fmt::Debug for Platform {
    /// Without the URLs, in which there are passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Platform").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}
