//! Connections to SQLite: one that writes, and some that read.

use sqlx::Executor as _;
use sqlx::any::AnyPoolOptions;

use super::ACQUIRE_TIMEOUT;

pub(super) const READERS: u32 = 4;

pub(super) fn pool(connections: u32) -> AnyPoolOptions {
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
