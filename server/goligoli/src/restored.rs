//! What an operator says after data were put back from a backup: a data folder, or a cluster's
//! databases and Redis.
//!
//! Since the backup things were given out that these know nothing of: ids, positions in rooms'
//! feeds, receipts, versions of replays. If they were given out a second time, for something
//! else, the first ones would seem to be of that: a token of another account, a place in another
//! stream, a receipt that is missing in another lottery's root.

use std::time::Duration;

use anyhow::Context as _;
use common::data_dir::DataDir;
use common::keys::SecretKey;
use common::{Clock, Db, Ids, Lifecycle};
use lottery::Lottery;
use message::Message;

use crate::migrate::DATABASES;
use crate::{Config, stopped};

/// Makes what was put back safe to start on; with `feeds_only` the databases are as they were.
/// Doing it again does no harm.
///
/// # Errors
/// In one line: something runs on it, or a part of it can't be opened; the key that signs for
/// lotteries is not here.
pub(crate) async fn run(config: &Config, feeds_only: bool) -> anyhow::Result<()> {
    let folder = DataDir::lock(&config.data_dir).context("stop the server first")?;
    let lifecycle = Lifecycle::new();
    let restored = restore(config, &folder, feeds_only, &lifecycle).await;
    lifecycle.stop(Duration::from_secs(5)).await;
    restored
}

async fn restore(config: &Config, folder: &DataDir, feeds_only: bool, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let (db_url, data_dir) = (&config.db.url, folder.path());
    stopped::ensure(config, lifecycle).await?;
    if feeds_only {
        push::at_rest::begin_anew(&config.push.feeds, data_dir).await?;
        eprintln!("the site may be started; all feeds begin anew");
        return Ok(());
    }
    let mut databases = Vec::new();
    for (service, _) in DATABASES {
        let db = Db::open_existing(db_url, data_dir, service).await?;
        databases.push(db.with_context(|| format!("there is no database of {service}: see data_dir and db.url"))?);
    }
    // A new one would be made, and could call nothing off.
    let is_here =
        config.lottery.receipt_key.configured().is_some() || SecretKey::load(data_dir, lottery::RECEIPT_KEY)?.is_some();
    anyhow::ensure!(is_here, "lottery.receipt_key is not set: that a lottery is called off is signed");
    for db in databases {
        Ids::new(db.clone()).skip().await?;
        db.close().await;
    }
    push::at_rest::begin_anew(&config.push.feeds, data_dir).await?;
    let clock = Clock::system();
    clock.watch(data_dir, lifecycle);
    Message::after_restore(db_url, data_dir).await?;
    let called_off = Lottery::after_restore(&config.lottery, db_url, data_dir, &clock).await?;
    eprintln!("the site may be started; open lotteries that were called off: {called_off}");
    Ok(())
}
