//! `goligoli migrate`: brings the tables of all databases up to date, or moves a whole site.

use std::path::PathBuf;

use clap::Args;
use common::Db;
use common::data_dir::DataDir;
use sqlx::migrate::Migrator;

use crate::{Config, moving};

/// The services that have a database, and their tables.
pub(crate) const DATABASES: [(&str, &Migrator); 4] = [
    ("user", &user::MIGRATIONS),
    ("live", &live::MIGRATIONS),
    ("message", &message::MIGRATIONS),
    ("lottery", &lottery::MIGRATIONS),
];

/// What is to be moved.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Move a whole embedded site, which has to be stopped, into the cluster of the
    /// configuration: `--from sqlite:`. Rows go to db.url, objects to objects.url, log-ins that
    /// have ended to push.feeds; none of these may hold anything yet. The data folder stays as
    /// it is. Standard output gets the site's keys, as lines of an environment file for the
    /// cluster: keep them secret. What was cut short is run again in the same way.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Where the rows go: `mysql:`, which stands for the configuration's db.url (the default),
    /// or a URL, if the configuration has none.
    #[arg(long, value_name = "URL", requires = "from")]
    to: Option<String>,
    /// The data folder of the embedded site, if it is not the configuration's data_dir.
    #[arg(long, value_name = "FOLDER", requires = "from")]
    data_dir: Option<PathBuf>,
}

/// One database after the other; what is up to date stays as it is. Several may do so at the
/// same time.
///
/// # Errors
/// A database can't be opened, is of a newer goligoli, or is a file that a server has. Or the
/// site can't be moved.
pub(crate) async fn run(config: &Config, options: Options) -> anyhow::Result<()> {
    if let Some(from) = options.from {
        let data_dir = options.data_dir.unwrap_or_else(|| config.data_dir.clone());
        return moving::run(config, &from, options.to.as_deref(), &data_dir).await;
    }
    let embedded = config.db.url.starts_with("sqlite:");
    // Files belong to the process that runs on them.
    let _folder = embedded.then(|| DataDir::lock(&config.data_dir)).transpose()?;
    for (service, migrations) in DATABASES {
        let db = Db::open(&config.db.url, &config.data_dir, service, migrations).await?;
        db.close().await;
        eprintln!("{service}: its tables are up to date");
    }
    Ok(())
}

/// The latest migration of a database, which has some; one that is under way counts, too.
///
/// # Errors
/// The database fails.
pub(crate) async fn version_of(db: &Db) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations").fetch_one(db.reader()).await
}

/// The latest migration that this goligoli knows.
pub(crate) fn newest(migrations: &Migrator) -> i64 {
    migrations.iter().map(|migration| migration.version).max().unwrap_or_default()
}
