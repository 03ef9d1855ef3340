//! `goligoli migrate`: brings the tables of all databases up to date.

use common::Db;
use common::data_dir::DataDir;
use sqlx::migrate::Migrator;

use crate::Config;

/// The services that have a database, and their tables.
pub(crate) const DATABASES: [(&str, &Migrator); 4] = [
    ("user", &user::MIGRATIONS),
    ("live", &live::MIGRATIONS),
    ("message", &message::MIGRATIONS),
    ("lottery", &lottery::MIGRATIONS),
];

/// One after the other; what is up to date stays as it is. Several may do so at the same time.
///
/// # Errors
/// A database can't be opened, is of a newer goligoli, or is a file that a server has.
pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
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
