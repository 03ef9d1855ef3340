//! A service's own database, chosen by URL: `sqlite:` is a file in the data folder, `mysql:`
//! a schema on a MariaDB server, which several instances of the service may share.
//!
//! One SQL text serves both, under these rules: ids are made by us, times are BIGINT
//! milliseconds, truth values are SMALLINT, texts are checked for their length before, and
//! there is no RETURNING, no ON CONFLICT and no partial index; where dialects differ,
//! [`Db`] has the word.
//!
//! Durability: SQLite runs with WAL and `synchronous=FULL`, MariaDB with its default, so a
//! commit is on the disk when it returns.
//!
//! Who writes: on SQLite one at a time (`BEGIN IMMEDIATE`), so that no transaction fails
//! half-way because another one holds the lock. On MariaDB many do. What is read to be
//! written is therefore locked first, by a conditional `UPDATE` of the row that stands for
//! it; statements after it see what others have committed (READ COMMITTED). A transaction
//! that meets a lock for long, or is the victim of a deadlock, fails as a whole and may be
//! run again: [`crate::failure::may_pass`].
//!
//! No statement waits for ever, whatever becomes of the server: see [`Connection`].

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyPool, Pool};

mod connection;
mod mysql;
mod sqlite;
#[cfg(test)]
mod tests;

pub use connection::{Connection, Reader, Tx};
pub(crate) use mysql::number as mysql_number;

/// How long a statement waits for a free connection before it fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the databases of this process are, for traces: all are of one kind.
static IS_MYSQL: AtomicBool = AtomicBool::new(false);

/// The database's name in traces.
pub(crate) fn system() -> &'static str {
    if IS_MYSQL.load(Ordering::Relaxed) { "mariadb" } else { "sqlite" }
}

/// A service's database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Db {
    kind: Kind,
    reader: Reader,
    writer: AnyPool,
}

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Mysql,
}

impl Db {
    /// The version of a migration that is never done: as long as a shared database has its row,
    /// a site is being moved into it, and nobody opens it with [`Db::open`].
    pub const MOVE_MARK: i64 = i64::MAX;

    /// Opens (or makes) the database of `service` and brings its tables up to date.
    ///
    /// # Errors
    /// One line that names `db.url`, without its password: the URL is not understood, nobody
    /// answers there, the password is wrong, or the tables are of a newer version. Or the
    /// file can't be opened, or a migration fails.
    pub async fn open(url: &str, data_dir: &Path, service: &str, migrations: &Migrator) -> anyhow::Result<Self> {
        IS_MYSQL.store(url.starts_with("mysql:"), Ordering::Relaxed);
        if let Some(server) = mysql::Server::of(url)? {
            server.make_schema(service).await?;
            server.migrate(service, migrations).await?;
            return server.open(service).await;
        }
        let db = Self::open_file(url, &file_of(data_dir, service), "rwc").await?;
        let migrated = migrations.run(&db.writer).await;
        migrated.with_context(|| format!("migrating the database of {service}"))?;
        Ok(db)
    }

    /// Opens the database of `service` as it is, if there is one.
    ///
    /// # Errors
    /// Those of [`Db::open`].
    pub async fn open_existing(url: &str, data_dir: &Path, service: &str) -> anyhow::Result<Option<Self>> {
        if let Some(server) = mysql::Server::of(url)? {
            return Ok(if server.has_schema(service).await? { Some(server.open(service).await?) } else { None });
        }
        let file = file_of(data_dir, service);
        Ok(if file.try_exists()? { Some(Self::open_file(url, &file, "rw").await?) } else { None })
    }

    async fn open_file(url: &str, file: &Path, mode: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(url == "sqlite:", "db.url is neither \"sqlite:\" nor mysql://user:password@host:port/prefix");
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}?mode={mode}", file.display());
        let opening = || format!("opening {}", file.display());
        // One after the other: the first one turns the write-ahead log on.
        let writer = sqlite::pool(1).connect(&url).await.with_context(opening)?;
        let reader = sqlite::pool(sqlite::READERS).connect(&url).await.with_context(opening)?;
        Ok(Self::of(Kind::Sqlite, reader, writer))
    }

    const fn of(kind: Kind, reader: Pool<Any>, writer: Pool<Any>) -> Self {
        Self { kind, reader: Reader { kind, pool: reader }, writer }
    }

    /// For statements that only read. Each sees what was committed before it began.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Begins a transaction whose statements all see what was committed before the first. It
    /// must not write.
    ///
    /// # Errors
    /// No connection within two seconds, or the database refuses.
    pub async fn snapshot(&self) -> sqlx::Result<Tx> {
        match self.kind {
            Kind::Sqlite => Ok(Tx::of_sqlite(self.reader.pool.begin().await?)),
            Kind::Mysql => Tx::begin(&self.reader.pool, &mysql::SNAPSHOT).await,
        }
    }

    /// Begins a write transaction; on SQLite it waits for the writer before it.
    ///
    /// # Errors
    /// No connection within two seconds, or the database refuses.
    pub async fn begin(&self) -> sqlx::Result<Tx> {
        match self.kind {
            Kind::Sqlite => Ok(Tx::of_sqlite(self.writer.begin_with("BEGIN IMMEDIATE").await?)),
            Kind::Mysql => Tx::begin(&self.writer, &["BEGIN"]).await,
        }
    }

    /// Whether other processes may have the database open, too: several instances of the
    /// service.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Mysql)
    }

    /// The words that insert a row unless a unique key has it already. On MariaDB they cut
    /// texts that are too long: lengths have to be checked before.
    #[must_use]
    pub const fn insert_ignore(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "INSERT OR IGNORE INTO ",
            Kind::Mysql => "INSERT IGNORE INTO ",
        }
    }

    /// What ends a `SELECT` whose rows others may read, but not change until the transaction
    /// ends.
    #[must_use]
    pub const fn share_lock(&self) -> &'static str {
        match self.kind {
            // Nobody else writes.
            Kind::Sqlite => "",
            Kind::Mysql => " LOCK IN SHARE MODE",
        }
    }

    /// The operator between a column and the pattern of [`like_anywhere`]: blind to the case
    /// of Latin letters.
    #[must_use]
    pub const fn like(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => " LIKE ",
            Kind::Mysql => " COLLATE utf8mb4_unicode_520_ci LIKE ",
        }
    }

    /// The time of a statement in microseconds by the database's own clock; 0 where one
    /// process alone writes.
    #[must_use]
    pub(crate) const fn statement_time_us(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "0",
            Kind::Mysql => "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)",
        }
    }

    /// Closes all connections, after what runs on them.
    pub async fn close(&self) {
        self.reader.pool.close().await;
        self.writer.close().await;
    }
}

fn file_of(data_dir: &Path, service: &str) -> PathBuf {
    data_dir.join(format!("{service}.db"))
}

/// Escapes a text for [`Db::like`]` ? ESCAPE '!'`, to be found anywhere in a column.
#[must_use]
pub fn like_anywhere(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
