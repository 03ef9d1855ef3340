//! What an operator says after a data folder was put back from a backup.
//!
//! Since the backup things were given out that the folder knows nothing of: ids, positions in
//! rooms' feeds, receipts, versions of replays. If they were given out a second time, for something else, the first
//! ones would seem to be of that: a token of another account, a place in another stream, a
//! receipt that is missing in another lottery's root.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Context as _;
use common::data_dir::DataDir;
use common::{Clock, Db, Ids, Lifecycle};
use lottery::Lottery;
use message::Message;

use crate::{Config, platform};

/// Services with a database of their own.
const DATABASES: [&str; 4] = ["user", "live", "message", "lottery"];

/// Makes a restored data folder safe to start on. Doing it again does no harm.
///
/// # Errors
/// A server runs on the folder, or something in it can't be opened.
pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    let folder = DataDir::lock(&config.data_dir).context("stop the server first")?;
    let (platform, _) = platform::open(config, &folder, Clock::system(), Lifecycle::new()).await?;
    for service in DATABASES {
        let db = Db::open_existing(&platform.db_url, &platform.data_dir, service).await?;
        let db = db.with_context(|| format!("there is no database of {service}: see data_dir and db.url"))?;
        Ids::new(db.clone()).skip().await?;
        db.close().await;
    }
    let feeds = platform.data_dir.join("feeds");
    match std::fs::remove_dir_all(&feeds) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing {}", feeds.display()));
        }
        _ => {}
    }
    Message::after_restore(&platform).await?;
    let called_off = Lottery::after_restore(&config.lottery, &platform).await?;
    platform.lifecycle.stop(Duration::from_secs(5)).await;
    eprintln!("the data folder may be started on; open lotteries that were called off: {called_off}");
    Ok(())
}
