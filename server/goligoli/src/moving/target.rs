//! The databases that a site moves into: empty at first, marked until all is there.

use std::path::Path;

use anyhow::{Context as _, ensure};
use common::Db;
use common::db::Connection;
use sqlx::AssertSqlSafe;

use super::tables::Table;
use crate::migrate::{DATABASES, newest};

/// Tables in which migrations put rows.
const SEEDED: [&str; 2] = ["id_block", "gate"];

/// All of them, marked and emptied.
pub(super) struct Target {
    databases: Vec<(&'static str, Db)>,
    /// Holds the lock that lets one command at a time move something here.
    turn: Connection,
}

impl Target {
    /// Makes the databases, or takes those in which an earlier move was cut short.
    ///
    /// The first one's mark counts: it is set first, when all were empty, and taken away last.
    ///
    /// # Errors
    /// In one line: a database can't be used, has rows that no move wrote, or another move is
    /// at work.
    pub(super) async fn open(url: &str, data_dir: &Path) -> anyhow::Result<Self> {
        let (first, _) = DATABASES[0];
        let is_begun = match Db::open_existing(url, data_dir, first).await? {
            Some(db) => {
                let is_marked = is_marked(&db).await?;
                db.close().await;
                is_marked
            }
            None => false,
        };
        if !is_begun {
            // Before anything of theirs is changed.
            for (service, _) in DATABASES {
                if let Some(db) = Db::open_existing(url, data_dir, service).await? {
                    ensure_empty(service, &db).await?;
                    db.close().await;
                }
            }
        }
        let mut databases = Vec::new();
        for (service, migrations) in DATABASES {
            let db = if is_begun {
                let db = Db::open_existing(url, data_dir, service).await?;
                let db = db.with_context(|| format!("db.url: the database of {service} has gone"))?;
                let version: i64 =
                    sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations WHERE version <> ?")
                        .bind(Db::MOVE_MARK)
                        .fetch_one(db.reader())
                        .await?;
                ensure!(
                    version == newest(migrations),
                    "db.url: a move into it was begun by another version of goligoli; drop its databases first"
                );
                db
            } else {
                Db::open(url, data_dir, service, migrations).await?
            };
            databases.push((service, db));
        }
        let turn = turn(&databases[0].1).await?;
        if is_begun {
            // Another command may have ended that move before, and the site may run by now.
            ensure!(
                is_marked(&databases[0].1).await?,
                "db.url: another command has moved a site there at this moment; there is nothing left to do"
            );
        } else {
            // Another command may have come before.
            for (service, db) in &databases {
                ensure_empty(service, db).await?;
            }
        }
        for (_, db) in &databases {
            mark(db, MARK).await?;
        }
        for (_, db) in &databases {
            for table in Table::all(db).await? {
                // Not DELETE: it may be large.
                let truncate = format!("TRUNCATE TABLE {}", table.name());
                let mut tx = db.begin().await?;
                sqlx::query(AssertSqlSafe(truncate)).execute(&mut *tx).await?;
                tx.commit().await?;
            }
        }
        Ok(Self { databases, turn })
    }

    /// The services' databases, in the order of [`DATABASES`].
    pub(super) fn databases(&self) -> impl Iterator<Item = (&'static str, &Db)> {
        self.databases.iter().map(|(service, db)| (*service, db))
    }

    /// All is there: services may start.
    ///
    /// # Errors
    /// A database fails; the move is not over then.
    pub(super) async fn release(self) -> anyhow::Result<()> {
        for (_, db) in self.databases.iter().rev() {
            mark(db, UNMARK).await?;
        }
        drop(self.turn);
        for (_, db) in &self.databases {
            db.close().await;
        }
        Ok(())
    }
}

const MARK: &str = "INSERT IGNORE INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                    VALUES (?, 'a site is being moved here', FALSE, '', 0)";
const UNMARK: &str = "DELETE FROM _sqlx_migrations WHERE version = ?";

async fn is_marked(db: &Db) -> anyhow::Result<bool> {
    const MIGRATED: &str = "SELECT COUNT(*) FROM information_schema.tables \
                            WHERE table_schema = DATABASE() AND table_name = '_sqlx_migrations'";
    const MARKED: &str = "SELECT COUNT(*) FROM _sqlx_migrations WHERE version = ?";
    let tables: i64 = sqlx::query_scalar(MIGRATED).fetch_one(db.reader()).await?;
    if tables == 0 {
        return Ok(false);
    }
    let marks: i64 = sqlx::query_scalar(MARKED).bind(Db::MOVE_MARK).fetch_one(db.reader()).await?;
    Ok(marks > 0)
}

/// A lock of the server that lives as long as the connection.
async fn turn(db: &Db) -> anyhow::Result<Connection> {
    const LOCK: &str = "SELECT COALESCE(GET_LOCK(CONCAT('goligoli-move-', DATABASE()), 0), 0)";
    let mut connection = db.reader().acquire().await?;
    let taken: i64 = sqlx::query_scalar(LOCK).fetch_one(&mut connection).await?;
    ensure!(taken == 1, "db.url: another command is moving a site there at this moment");
    Ok(connection)
}

/// Holds that nobody has used the database.
async fn ensure_empty(service: &str, db: &Db) -> anyhow::Result<()> {
    for table in Table::all(db).await? {
        let name = table.name();
        let count = match name {
            "id_block" => "SELECT COUNT(*) FROM id_block WHERE next_id <> 1".to_owned(),
            seeded if SEEDED.contains(&seeded) => continue,
            name => format!("SELECT COUNT(*) FROM (SELECT 1 FROM {name} LIMIT 1) AS some"),
        };
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(db.reader()).await?;
        ensure!(
            rows == 0,
            "db.url: the table {name} of {service} there has rows already; a site moves into empty databases only"
        );
    }
    Ok(())
}

async fn mark(db: &Db, sql: &'static str) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query(sql).bind(Db::MOVE_MARK).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}
