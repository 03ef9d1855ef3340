//! A MariaDB server: a schema for each service, sessions in which nothing waits for long.

use std::future::Future;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::mysql::MySqlDatabaseError;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::{ACQUIRE_TIMEOUT, Db, Kind};

/// Connections of one service and process. With all services twice on one server they are
/// below its default of 151.
const READERS: u32 = 4;
const WRITERS: u32 = 6;
/// Connections that nobody needs are closed after this.
const IDLE: Duration = Duration::from_mins(1);
/// How long a server may take to answer at start.
const START: Duration = Duration::from_secs(5);
/// How long the tables may take to be brought up to date, with waiting for another instance
/// that does it.
const MIGRATION: Duration = Duration::from_mins(10);
/// Byte for byte, and blanks count. MariaDB alone has it.
const COLLATION: &str = "utf8mb4_nopad_bin";
/// Prepared statements of a connection: those that differ in their number of rows, too. One that
/// is closed has no answer, and what is sent next waits for 40 ms (the driver leaves Nagle's
/// algorithm on, the server's kernel delays the acknowledgement). The server has a limit for all
/// connections together, 16,382 by default (`max_prepared_stmt_count`): a site of two of each service
/// stays below it as long as not all of its 80 connections are full.
const STATEMENTS: &str = "300";
const MAX_PREFIX_CHARS: usize = 40;

/// What sessions are like. Whoever stops with a transaction open loses it within a second,
/// and whoever waits for it gets its turn within two. Texts that are too long are refused.
const SESSION: &str = "SET SESSION innodb_lock_wait_timeout = 2, idle_transaction_timeout = 1, \
     max_statement_time = 5, tx_isolation = 'READ-COMMITTED', time_zone = '+00:00', \
     sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO,PIPES_AS_CONCAT'";

/// Begins a transaction that reads one state of the database.
pub(super) const SNAPSHOT: [&str; 2] =
    ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"];

/// The server that `db.url` names. Debug does not show the password.
pub(super) struct Server {
    options: AnyConnectOptions,
    /// The user, the host and the port, for errors.
    place: String,
    prefix: String,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place)
    }
}

impl Server {
    /// `None` if the URL is of another database.
    pub(super) fn of(url: &str) -> anyhow::Result<Option<Self>> {
        if !url.starts_with("mysql:") {
            return Ok(None);
        }
        sqlx::any::install_default_drivers();
        // Not with the cause: it may quote what it does not understand.
        let bad = || anyhow::anyhow!("db.url is not of the form mysql://user:password@host:port/prefix");
        let options: AnyConnectOptions = url.parse().map_err(|_| bad())?;
        let parsed = &options.database_url;
        let (Some(host), user) = (parsed.host_str().filter(|host| !host.is_empty()), parsed.username()) else {
            return Err(bad());
        };
        let prefix = parsed.path().trim_start_matches('/').to_owned();
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        anyhow::ensure!(
            !prefix.is_empty() && prefix.len() <= MAX_PREFIX_CHARS && prefix.chars().all(is_word),
            "db.url ends in {prefix:?}, but has to end in the prefix of the services' schemas: \
             at most {MAX_PREFIX_CHARS} of a to z, 0 to 9 and _"
        );
        let place = format!("{user}@{host}:{}", parsed.port().unwrap_or(3306));
        Ok(Some(Self { place, prefix, options }))
    }

    fn schema(&self, service: &str) -> String {
        format!("{}_{service}", self.prefix)
    }

    fn at(&self, schema: &str) -> AnyConnectOptions {
        let mut options = self.options.clone();
        options.database_url.set_path(schema);
        options.database_url.query_pairs_mut().append_pair("statement-cache-capacity", STATEMENTS);
        options
    }

    pub(super) async fn has_schema(&self, service: &str) -> anyhow::Result<bool> {
        const FIND: &str = "SELECT default_collation_name FROM information_schema.schemata WHERE schema_name = ?";
        let schema = self.schema(service);
        let found = self.within(START, async {
            let mut connection = connect(&self.at("")).await?;
            let row = sqlx::query(FIND).bind(schema.as_str()).fetch_optional(&mut connection).await?;
            let collation = row.map(|row| row.try_get::<String, _>(0)).transpose()?;
            connection.close().await?;
            Ok(collation)
        });
        let Some(collation) = found.await? else { return Ok(false) };
        anyhow::ensure!(
            collation == COLLATION,
            "db.url: the schema {schema} at {} has the collation {collation} instead of {COLLATION}",
            self.place
        );
        Ok(true)
    }

    pub(super) async fn make_schema(&self, service: &str) -> anyhow::Result<()> {
        // Looked for first: who may use it need not be allowed to make one.
        if self.has_schema(service).await? {
            return Ok(());
        }
        let schema = self.schema(service);
        let make = format!("CREATE DATABASE IF NOT EXISTS {schema} CHARACTER SET utf8mb4 COLLATE {COLLATION}");
        self.within(START, async {
            let mut connection = connect(&self.at("")).await?;
            connection.execute(AssertSqlSafe(make)).await?;
            connection.close().await
        })
        .await
    }

    pub(super) async fn migrate(&self, service: &str, migrations: &Migrator) -> anyhow::Result<()> {
        let (schema, place) = (self.schema(service), &self.place);
        // A session without limits.
        let one = AnyPoolOptions::new().max_connections(1).acquire_timeout(START);
        let one = self.within(START, one.connect_with(self.at(&schema))).await?;
        // One instance at a time. sqlx asks for such a lock itself, but with a time of -1, which
        // MariaDB answers with NULL and no lock. A session that ends gives its lock back.
        let mut turn = self.within(START, connect(&self.at(&schema))).await?;
        let taken = sqlx::query("SELECT COALESCE(GET_LOCK(?, ?), 0)")
            .bind(format!("goligoli-migrate-{schema}"))
            .bind(i64::try_from(MIGRATION.as_secs()).unwrap_or(i64::MAX))
            .fetch_one(&mut turn);
        let taken = self.within(MIGRATION + START, taken).await?;
        anyhow::ensure!(taken.try_get::<i64, _>(0)? == 1, "db.url: another process migrates {schema} for too long");
        let migrated = tokio::time::timeout(MIGRATION, migrations.run(&one)).await;
        _ = tokio::time::timeout(START, futures::future::join(one.close(), turn.close())).await;
        match migrated.map_err(|_| anyhow::anyhow!("db.url: migrating {schema} at {place} took over {MIGRATION:?}"))? {
            Ok(()) => Ok(()),
            Err(MigrateError::VersionMissing(version)) => {
                anyhow::bail!("db.url: the schema {schema} at {place} is of a newer goligoli (migration {version})")
            }
            Err(MigrateError::Dirty(Db::MOVE_MARK)) => {
                anyhow::bail!(
                    "db.url: a site is being moved into the schema {schema} at {place}; if that was cut short, run it \
                     again (goligoli migrate --from)"
                )
            }
            Err(MigrateError::Dirty(version)) => {
                anyhow::bail!(
                    "db.url: migration {version} of the schema {schema} at {place} was cut short; put the schema \
                     back from a backup, or drop it if it was new"
                )
            }
            Err(error) => anyhow::bail!("db.url: migrating the schema {schema} at {place}: {error}"),
        }
    }

    pub(super) async fn open(&self, service: &str) -> anyhow::Result<Db> {
        let options = self.at(&self.schema(service));
        let writer = self.within(START, pool(WRITERS).connect_with(options.clone())).await?;
        Ok(Db::of(Kind::Mysql, pool(READERS).connect_lazy_with(options), writer))
    }

    /// What happens at start, with an error that an operator understands.
    async fn within<T>(&self, time: Duration, work: impl Future<Output = sqlx::Result<T>>) -> anyhow::Result<T> {
        let place = &self.place;
        let done = tokio::time::timeout(time, work).await;
        match done.map_err(|_| anyhow::anyhow!("db.url: the server at {place} does not answer"))? {
            Ok(done) => Ok(done),
            Err(sqlx::Error::PoolTimedOut) => anyhow::bail!("db.url: the server at {place} has no free connection"),
            Err(sqlx::Error::Io(error)) => anyhow::bail!("db.url: no server answers at {place}: {error}"),
            Err(sqlx::Error::Database(error)) => match number(&*error) {
                Some(1045 | 1698) => anyhow::bail!("db.url: {place} is refused: the user or the password is wrong"),
                _ => anyhow::bail!("db.url: the server at {place} refuses: {}", error.message()),
            },
            Err(error) => anyhow::bail!("db.url: {place}: {error}"),
        }
    }
}

async fn connect(options: &AnyConnectOptions) -> sqlx::Result<AnyConnection> {
    AnyConnection::connect_with(options).await
}

fn pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE)
        // What a restart of the server has cut is found before it is used.
        .test_before_acquire(true)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(SESSION).await?;
                Ok(())
            })
        })
}

/// MariaDB's number of an error; `None` if it is another database's.
pub(crate) fn number(error: &dyn sqlx::error::DatabaseError) -> Option<u16> {
    error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}
