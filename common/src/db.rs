//! A service's own database, chosen by URL. `sqlite:` is a file in the data folder.
//!
//! One SQL text serves every database that goligoli knows, under these rules: ids are
//! made by us, times are BIGINT milliseconds, truth values are SMALLINT, and there is no
//! RETURNING and no ON CONFLICT; where dialects differ, [`Db`] has the word.
//!
//! Durability: SQLite runs with WAL and `synchronous=FULL`, so a commit is on the disk
//! when it returns. Writers share one connection and begin with `BEGIN IMMEDIATE`: no
//! transaction ever fails half-way because another one holds the lock.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyPool, Executor as _};

/// A write transaction. Dropped without commit it is rolled back.
pub type Tx = sqlx::Transaction<'static, Any>;

/// How long a statement waits for a free connection before it fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
const READERS: u32 = 4;

/// What the databases of this process are, for traces: all are of one kind.
static IS_MYSQL: AtomicBool = AtomicBool::new(false);

/// The database's name in traces.
pub(crate) fn system() -> &'static str {
    if IS_MYSQL.load(Ordering::Relaxed) { "mariadb" } else { "sqlite" }
}

/// A service's database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Db {
    reader: AnyPool,
    writer: AnyPool,
}

impl Db {
    /// Opens (or makes) the database of `service` and brings its tables up to date.
    ///
    /// # Errors
    /// The URL's scheme is not known, the file can't be opened, or a migration fails.
    pub async fn open(url: &str, data_dir: &Path, service: &str, migrations: &Migrator) -> anyhow::Result<Self> {
        IS_MYSQL.store(url.starts_with("mysql:"), Ordering::Relaxed);
        let db = Self::open_file(url, &file_of(data_dir, service), "rwc").await?;
        let migrated = migrations.run(&db.writer).await;
        migrated.with_context(|| format!("migrating the database of {service}"))?;
        Ok(db)
    }

    /// Opens the database of `service` as it is, if there is one.
    ///
    /// # Errors
    /// The URL's scheme is not known, or the file can't be opened.
    pub async fn open_existing(url: &str, data_dir: &Path, service: &str) -> anyhow::Result<Option<Self>> {
        let file = file_of(data_dir, service);
        Ok(if file.try_exists()? { Some(Self::open_file(url, &file, "rw").await?) } else { None })
    }

    async fn open_file(url: &str, file: &Path, mode: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(url == "sqlite:", "db.url is {url:?}, but this build knows only \"sqlite:\"");
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}?mode={mode}", file.display());
        let opening = || format!("opening {}", file.display());
        // One after the other: the first one turns the write-ahead log on.
        let writer = sqlite_pool(1).connect(&url).await.with_context(opening)?;
        let reader = sqlite_pool(READERS).connect(&url).await.with_context(opening)?;
        Ok(Self { reader, writer })
    }

    /// For statements that only read. They see what was committed before they began.
    #[must_use]
    pub const fn reader(&self) -> &AnyPool {
        &self.reader
    }

    /// Begins a write transaction; waits for the writer before it.
    ///
    /// # Errors
    /// No connection within two seconds, or the database refuses.
    pub async fn begin(&self) -> sqlx::Result<Tx> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// The words that insert a row unless a unique key has it already.
    #[must_use]
    pub const fn insert_ignore(&self) -> &'static str {
        "INSERT OR IGNORE INTO "
    }

    /// Closes all connections, after what runs on them.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

fn file_of(data_dir: &Path, service: &str) -> PathBuf {
    data_dir.join(format!("{service}.db"))
}

fn sqlite_pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute(
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                         PRAGMA busy_timeout = 2000; PRAGMA foreign_keys = ON;",
                    )
                    .await?;
                Ok(())
            })
        })
}

/// Escapes a text for `LIKE … ESCAPE '!'`, to be found anywhere in a column.
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
