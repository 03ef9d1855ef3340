//! What the site's operator may do from the command line, beyond the contract: in a
//! running server, or on the data of a stopped one.

use common::data_dir::FreeSpace;
use common::{Db, Outcome, Platform};
use idl::ReplayId;
use idl::live::Replay;

use crate::replay::no_such_replay;
use crate::store::replay as table;

/// The operator's functions. Clones are one operator.
#[derive(Debug, Clone)]
pub struct Operator {
    db: Db,
    space: FreeSpace,
}

impl Operator {
    pub(crate) const fn new(db: Db, space: FreeSpace) -> Self {
        Self { db, space }
    }

    /// Opens the data of a stopped server (the caller holds the data folder's lock).
    ///
    /// # Errors
    /// The database can't be opened or migrated.
    pub async fn open(platform: &Platform) -> anyhow::Result<Self> {
        Ok(Self::new(crate::open(platform).await?, platform.space.clone()))
    }

    /// Has a replay indexed again, whoever may see it: by a running server within seconds, by a
    /// stopped one when it starts. It is shown as it is until then. Returns it as it is now.
    ///
    /// # Errors
    /// `no-such-replay`, also for one that is importing or deleted; or the database failed.
    pub async fn reindex(&self, id: ReplayId) -> Outcome<Replay> {
        self.space.check()?;
        let mut tx = self.db.begin().await?;
        let row = table::find(&mut *tx, id).await?.filter(|row| !row.is_importing() && !row.is_deleted());
        let row = row.ok_or_else(|| no_such_replay(id))?;
        table::revise(&mut tx, id).await?;
        tx.commit().await?;
        Ok(row.into())
    }
}
