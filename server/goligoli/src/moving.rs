//! `goligoli migrate --from sqlite:`: an embedded site moves into a cluster, whole.
//!
//! Both are stopped: the data folder is locked, and nobody may be registered in the cluster.
//! Nothing is overwritten: the cluster's tables have to be empty, its feeds without rooms, and
//! under an object's key there may be nothing else. The data folder stays as it is (but for
//! tables that are brought up to date) and is the backup.
//!
//! What goes where:
//! - rows to `db.url`, table by table; then both sides are read and compared. Ids go on above
//!   all that were given out, as their blocks are rows, too; open lotteries stay open.
//! - objects to `objects.url`, under their keys.
//! - log-ins that have ended to `push.feeds`: their access tokens stay refused. Nothing else of
//!   the feeds: the databases are the truth, rooms begin new feeds in another epoch, and viewers
//!   who come back get a `gap`.
//! - keys to standard output, as settings: with them tokens stay valid, and lotteries are drawn
//!   with the seeds and signed with the keys that were announced.
//!
//! Killed at any time, it is run again: until all is there each schema has a mark
//! ([`Db::MOVE_MARK`]) with which no service starts; a repetition empties the marked tables and
//! begins anew, and skips objects that are there.

mod objects;
mod tables;
mod target;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use common::data_dir::DataDir;
use common::objects::Objects;
use common::{Clock, Db, Lifecycle, failpoint};

use crate::fresh_keys::SiteKeys;
use crate::migrate::{DATABASES, newest, version_of};
use crate::{Config, stopped};
use tables::Table;
use target::Target;

/// Moves the site in `data_dir`.
///
/// # Errors
/// In one line: what is asked for makes no sense, something is in use or holds something
/// already, a row can't be had there (with its table and key), or a server fails. Then it may be
/// run again.
pub(crate) async fn run(config: &Config, from: &str, to: Option<&str>, data_dir: &Path) -> anyhow::Result<()> {
    let scheme = from.split_once(':').map_or(from, |(scheme, _)| scheme);
    ensure!(from == "sqlite:", "--from {scheme}: only an embedded site can be moved, which is --from sqlite:");
    let db_url = target_url(&config.db.url, to)?;
    for (key, url, is_embedded, other) in [
        ("objects.url", config.objects.url.as_str(), !config.objects.url.starts_with("s3:"), "s3://…"),
        ("push.feeds", "log:", config.push.feeds.is_log(), "redis://…"),
    ] {
        ensure!(!is_embedded, "{key} is {url:?}, which is embedded: a site moves to a cluster ({other})");
    }
    // Asked before anything is made there.
    ensure!(
        data_dir.join("user.db").exists(),
        "there is no embedded site in {}: --data-dir (or data_dir) names its data folder",
        data_dir.display()
    );
    let folder = DataDir::lock(data_dir).context("stop the server first")?;
    let lifecycle = Lifecycle::new();
    let moved = move_site(config, &db_url, &folder, &lifecycle).await;
    lifecycle.stop(Duration::from_secs(5)).await;
    moved
}

/// Where the rows go. A URL on a command line is seen by others: it need not be there.
fn target_url(configured: &str, to: Option<&str>) -> anyhow::Result<String> {
    let to = to.unwrap_or("mysql:");
    ensure!(to.starts_with("mysql:"), "--to has to be mysql: (db.url of the configuration), or mysql://…");
    match (to, configured) {
        ("mysql:", url) if url.starts_with("mysql:") => Ok(url.to_owned()),
        ("mysql:", _) => bail!("db.url is embedded: the configuration (--config) has to be the cluster's"),
        (to, configured) => {
            ensure!(
                to == configured || !configured.starts_with("mysql:"),
                "--to and db.url name two databases: leave one of them out"
            );
            Ok(to.to_owned())
        }
    }
}

async fn move_site(config: &Config, db_url: &str, folder: &DataDir, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let data_dir = folder.path();
    let keys = SiteKeys::in_folder(data_dir)?;
    stopped::ensure(config, lifecycle).await?;
    let objects = Objects::connect(&config.objects, data_dir, lifecycle).await?;
    objects.check().await?;
    ensure!(
        !push::at_rest::has_rooms(&config.push.feeds).await?,
        "push.feeds: the Redis holds rooms' feeds already; another ?prefix= is needed, or they have to go"
    );
    let mut sources = Vec::new();
    for (service, migrations) in DATABASES {
        if let Some(db) = Db::open_existing("sqlite:", data_dir, service).await? {
            let version = version_of(&db).await.with_context(|| format!("the database of {service}"))?;
            db.close().await;
            ensure!(
                version <= newest(migrations),
                "the database of {service} in {} is of a newer goligoli (migration {version})",
                data_dir.display()
            );
        }
        sources.push(Db::open("sqlite:", data_dir, service, migrations).await?);
    }
    let target = Target::open(db_url, data_dir).await?;
    for (source, (service, db)) in sources.iter().zip(target.databases()) {
        copy_rows(service, source, db).await?;
        source.close().await;
    }
    let copied = objects::copy(data_dir, &objects).await?;
    failpoint::reached("moving.objects-copied");
    eprintln!("objects: {} are there, {} of them from before", copied.all, copied.known);
    let ended = push::at_rest::carry_revocations(data_dir, &config.push.feeds, &Clock::system()).await?;
    eprintln!("ended log-ins: {ended} are carried over");
    // Before it is over: who did not get them runs it again.
    for name in keys.contradicted_by(config) {
        eprintln!("remark: {name} of the configuration is not the old site's, and has to become what is printed below");
    }
    let keys = if config.rpc.secret.is_empty() { keys } else { keys.without_rpc_secret() };
    keys.print()?;
    target.release().await?;
    eprintln!(
        "the site has moved; give its processes the keys above, and never start the old one on {} again",
        data_dir.display()
    );
    Ok(())
}

/// Copies a service's tables, then compares both sides.
async fn copy_rows(service: &str, from: &Db, to: &Db) -> anyhow::Result<()> {
    let tables = Table::all(to).await?;
    tables::ensure_same(service, from, &tables).await?;
    for table in &tables {
        table.copy(from, to).await.with_context(|| format!("{service}.{}", table.name()))?;
        failpoint::reached("moving.table-copied");
    }
    for table in &tables {
        let name = format!("{service}.{}", table.name());
        let here = table.digest(from).await.with_context(|| name.clone())?;
        let there = table.digest(to).await.with_context(|| name.clone())?;
        ensure!(here == there, "{name}: {here} in the data folder, but {there} in db.url; run it again");
        eprintln!("{name}: {there}, the same on both sides");
    }
    Ok(())
}
