//! How a service's inside fails: with a refusal for the caller, or with something
//! unexpected that goes to our log and reaches the caller as a bare `internal`.

use std::future::Future;
use std::time::Duration;

use idl::{Code, Refusal};
use tracing::Span;

use crate::db;
use crate::telemetry::traces;

/// What a service's functions return.
pub type Outcome<T> = Result<T, Failure>;

/// Why a service's function did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The caller is told why; not logged.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] sqlx::Error),
    /// Anything else that should not happen.
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

/// A server that is needed does not answer, or says that it can't at present; it may a moment
/// later. As the context of an error it makes a refusal of it that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} does not answer")]
pub struct Away(pub &'static str);

impl Failure {
    /// For the caller; what the caller must not see is logged here, once, as failure of
    /// `what` (a short phrase with the ids in it).
    pub fn into_refusal(self, what: &str) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Db(error) if is_passing(&error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "{what}: the database is away");
                traces::fail(&Span::current(), "unavailable", error.to_string());
                Refusal::new(Code::Unavailable, "the service's database did not answer").retry_after_ms(1_000)
            }
            Self::Db(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "{what} failed");
                Refusal::internal()
            }
            Self::Broken(error) if error.is::<Away>() => {
                tracing::warn!(error = %format!("{error:#}"), "{what} has to wait");
                traces::fail(&Span::current(), "unavailable", format!("{error:#}"));
                Refusal::new(Code::Unavailable, "a server that is needed for this did not answer").retry_after_ms(1_000)
            }
            Self::Broken(error) => {
                tracing::error!(error = %format!("{error:#}"), "{what} failed");
                Refusal::internal()
            }
        }
    }
}

/// Does `work` again, some times, when a transaction in it met another one: of two that wait
/// for each other the database undoes one. What `work` did before must do no harm twice.
///
/// # Errors
/// Those of `work`.
pub async fn again<T, F>(work: impl Fn() -> F) -> Outcome<T>
where
    F: Future<Output = Outcome<T>>,
{
    const TRIES: u32 = 4;
    const PAUSE: Duration = Duration::from_millis(10);
    let mut tried = 1;
    loop {
        match work().await {
            Err(Failure::Db(error)) if tried < TRIES && is_conflict(&error) => {
                tracing::debug!(tried, error = &error as &dyn std::error::Error, "a transaction met another; again");
                tokio::time::sleep(PAUSE * tried).await;
                tried += 1;
            }
            done => return done,
        }
    }
}

/// Somebody else has the database, or the way to it broke: the same transaction may work a
/// moment later. It may have been committed: only what does no harm twice may be run again.
#[must_use]
pub fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => match db::mysql_number(&**error) {
            Some(number) => is_passing_on_mysql(number) && !FULL.contains(&number),
            // SQLITE_BUSY, SQLITE_LOCKED and their extended codes.
            None => sqlite_code(&**error).is_some_and(|code| matches!(code, 5 | 6)),
        },
        _ => false,
    }
}

/// The transaction met another one, and nothing of it was done.
#[must_use]
pub fn is_conflict(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    db::mysql_number(&**error).is_some_and(|number| CONFLICTS.contains(&number))
}

/// The same statement may work a moment later.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => match db::mysql_number(&**error) {
            Some(number) => is_passing_on_mysql(number),
            // SQLITE_BUSY, SQLITE_FULL and their extended codes.
            None => sqlite_code(&**error).is_some_and(|code| matches!(code, 5 | 13)),
        },
        _ => false,
    }
}

fn sqlite_code(error: &dyn sqlx::error::DatabaseError) -> Option<i64> {
    Some(error.code()?.parse::<i64>().ok()? & 0xFF)
}

/// Lock wait timeout, deadlock, record changed since the snapshot.
const CONFLICTS: [u16; 3] = [1205, 1213, 1020];
/// Disk full, table full.
const FULL: [u16; 2] = [1021, 1114];

/// MariaDB's errors that say nothing against the statement.
fn is_passing_on_mysql(number: u16) -> bool {
    // Too many connections, it shuts down, it was killed or took too long, it may only read,
    // a connection aborted or killed.
    const SERVER: [u16; 10] = [1040, 1053, 1080, 1152, 1203, 1290, 1317, 1836, 1927, 1969];
    CONFLICTS.contains(&number) || FULL.contains(&number) || SERVER.contains(&number)
}
