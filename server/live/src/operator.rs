//! What the site's operator may do from the command line, beyond the contract: in a
//! running server, or on the data of a stopped one.

use std::sync::Arc;

use common::{Db, Outcome, Platform};
use idl::ReplayId;
use idl::live::Replay;
use tokio::sync::OnceCell;

use crate::replay::no_such_replay;
use crate::store::replay as table;

/// The operator's functions. Clones are one operator.
#[derive(Debug, Clone)]
pub struct Operator {
    platform: Platform,
    db: Arc<OnceCell<Db>>,
}

impl Operator {
    pub(crate) fn new(platform: Platform, db: Db) -> Self {
        Self { platform, db: Arc::new(OnceCell::new_with(Some(db))) }
    }

    /// On the data of a stopped server (the caller holds the data folder's lock). The database
    /// is opened, and migrated, when something is done to it.
    #[must_use]
    pub fn of_stopped(platform: &Platform) -> Self {
        Self { platform: platform.clone(), db: Arc::default() }
    }

    /// Has a replay indexed again, whoever may see it: by a running server within seconds, by a
    /// stopped one when it starts. It is shown as it is until then. Returns it as it is now.
    ///
    /// # Errors
    /// `no-such-replay`, also for one that is importing or deleted; or the database failed, or
    /// can't be opened.
    pub async fn reindex(&self, id: ReplayId) -> Outcome<Replay> {
        self.platform.space.check()?;
        let db = self.db.get_or_try_init(|| crate::open(&self.platform)).await?;
        let mut tx = db.begin().await?;
        let row = table::find(&mut *tx, id).await?.filter(|row| !row.is_importing() && !row.is_deleted());
        let row = row.ok_or_else(|| no_such_replay(id))?;
        table::revise(&mut tx, id).await?;
        tx.commit().await?;
        Ok(row.into())
    }
}
