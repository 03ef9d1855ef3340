//! Connections that end: a statement has its deadline, and a connection on which one was
//! cut is thrown away.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Describe, Either, Execute, Executor, SqlStr, Transaction};

use super::Kind;

/// A server that answers nothing for so long counts as away. Longer than a statement may
/// wait for a lock there.
const STATEMENT: Duration = Duration::from_secs(4);
/// A connection that does not come back to its pool for so long is closed.
const RETURN: Duration = Duration::from_secs(2);

/// A connection to a service's database.
///
/// On MariaDB a statement that is not answered within four seconds fails (`Io`, `TimedOut`;
/// what became of it is not known), and a connection goes back to its pool only if all that
/// was begun on it was answered: in all other cases, a caller that went away among them, it
/// is closed, and the server rolls back what it was in.
#[derive(Debug)]
pub struct Connection {
    kind: Kind,
    held: Held,
    /// A statement was begun whose end was not seen.
    cut: bool,
    /// A transaction was begun, and neither committed nor rolled back.
    open: bool,
}

#[derive(Debug)]
enum Held {
    Pooled(PoolConnection<Any>),
    Sqlite(Transaction<'static, Any>),
    Nothing,
}

impl Held {
    fn raw(&mut self) -> sqlx::Result<&mut AnyConnection> {
        match self {
            Self::Pooled(connection) => Ok(connection),
            Self::Sqlite(transaction) => Ok(transaction),
            Self::Nothing => Err(sqlx::Error::PoolClosed),
        }
    }
}

impl Connection {
    async fn acquire(kind: Kind, pool: &AnyPool) -> sqlx::Result<Self> {
        Ok(Self { kind, held: Held::Pooled(pool.acquire().await?), cut: false, open: false })
    }

    /// Does one thing with the connection, in time.
    async fn in_time<T>(&mut self, work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>) -> sqlx::Result<T> {
        let raw = self.held.raw()?;
        if self.kind == Kind::Sqlite {
            return work(raw).await;
        }
        self.cut = true;
        let done = tokio::time::timeout(STATEMENT, work(raw)).await.unwrap_or_else(|_| Err(late()));
        self.cut = !is_answer(&done);
        done
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Connection { kind, held, cut, .. } = self;
        let raw = match held.raw() {
            Ok(raw) => raw,
            Err(error) => return stream::once(async { Err(error) }).boxed(),
        };
        let rows = raw.fetch_many(query);
        if *kind == Kind::Sqlite {
            return rows;
        }
        *cut = true;
        let begun = Some((rows, cut));
        let next = async |begun: Option<(BoxStream<'e, _>, &'e mut bool)>| {
            let (mut rows, cut) = begun?;
            match tokio::time::timeout(STATEMENT, rows.next()).await {
                Ok(Some(Ok(row))) => Some((Ok(row), Some((rows, cut)))),
                Ok(Some(Err(error))) => {
                    let failed = Err(error);
                    *cut = !is_answer(&failed);
                    Some((failed, None))
                }
                Ok(None) => {
                    *cut = false;
                    None
                }
                Err(_) => Some((Err(late()), None)),
            }
        };
        stream::unfold(begun, next).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        self.in_time(async |raw: &mut AnyConnection| raw.fetch_optional(query).await).boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'c: 'e,
    {
        self.in_time(async |raw: &mut AnyConnection| raw.prepare_with(sql, parameters).await).boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Any>>>
    where
        'c: 'e,
    {
        self.in_time(async |raw: &mut AnyConnection| raw.describe(sql).await).boxed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Held::Pooled(connection) = &mut self.held else { return };
        if self.kind == Kind::Sqlite {
            return;
        }
        if self.cut || self.open {
            connection.close_on_drop();
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // It is tested on its way, which a server that hangs must not hold up for ever.
            runtime.spawn(tokio::time::timeout(RETURN, connection.return_to_pool()));
        }
    }
}

fn late() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the database server does not answer").into()
}

/// Whether the server said this, and the connection is as before.
const fn is_answer<T>(done: &sqlx::Result<T>) -> bool {
    !matches!(
        done,
        Err(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed)
    )
}

/// Connections for reading. Clones share them.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) kind: Kind,
    pub(super) pool: AnyPool,
}

impl Reader {
    /// One of them, for several statements.
    ///
    /// # Errors
    /// None is free within two seconds.
    pub async fn acquire(&self) -> sqlx::Result<Connection> {
        Connection::acquire(self.kind, &self.pool).await
    }
}

impl<'r> Executor<'r> for &'_ Reader {
    type Database = Any;

    /// All rows come at once.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'r: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let reader = self.clone();
        let rows = async move {
            let mut connection = reader.acquire().await?;
            let rows: Vec<_> = connection.fetch_many(query).try_collect().await?;
            Ok::<_, sqlx::Error>(stream::iter(rows.into_iter().map(sqlx::Result::Ok)))
        };
        stream::once(rows).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'r: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let reader = self.clone();
        async move { reader.acquire().await?.fetch_optional(query).await }.boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'r: 'e,
    {
        let reader = self.clone();
        async move { reader.acquire().await?.prepare_with(sql, parameters).await }.boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Any>>>
    where
        'r: 'e,
    {
        let reader = self.clone();
        async move { reader.acquire().await?.describe(sql).await }.boxed()
    }
}

/// A transaction. Dropped without commit it is rolled back.
#[derive(Debug)]
pub struct Tx(Connection);

impl Tx {
    pub(super) const fn of_sqlite(transaction: Transaction<'static, Any>) -> Self {
        Self(Connection { kind: Kind::Sqlite, held: Held::Sqlite(transaction), cut: false, open: false })
    }

    /// Begins with these statements.
    pub(super) async fn begin(pool: &AnyPool, statements: &[&'static str]) -> sqlx::Result<Self> {
        let mut connection = Connection::acquire(Kind::Mysql, pool).await?;
        for statement in statements {
            connection.execute(*statement).await?;
        }
        connection.open = true;
        Ok(Self(connection))
    }

    /// Makes what was done durable.
    ///
    /// # Errors
    /// The database refused, and nothing was done; or (`Io`) it did not answer, and it may
    /// have been done.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.end("COMMIT").await
    }

    /// Undoes what was done. The connection is free for the next one then, which it is not
    /// after a transaction that was just dropped.
    ///
    /// # Errors
    /// The database did not answer; it undoes it by itself.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, word: &'static str) -> sqlx::Result<()> {
        if let Held::Sqlite(_) = &self.0.held
            && let Held::Sqlite(transaction) = std::mem::replace(&mut self.0.held, Held::Nothing)
        {
            return if word == "COMMIT" { transaction.commit().await } else { transaction.rollback().await };
        }
        self.0.execute(word).await?;
        self.0.open = false;
        Ok(())
    }
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}
