//! Facts that must reach another service: written in the transaction that causes them,
//! relayed in order until they are accepted, in the trace of their cause. The receiver sees a
//! fact once or more, under a stable id of its own, and drops repetitions.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use idl::{Kind, Refusal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::db::Tx;
use crate::telemetry::traces::{self, Trace};
use crate::{Db, Ids};

/// Rows that are in memory at once.
const BATCH: i64 = 500;
/// Another instance's rows, and what failed, are looked for this often.
const POLL: Duration = Duration::from_secs(1);
/// Who waits until facts are gone looks at least this often.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A stop waits so long for a last delivery.
const LAST_PASS: Duration = Duration::from_millis(500);

/// A service's outgoing facts. Needs the table of [`Outbox::TABLE`]. Clones are one outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    db: Db,
    ids: Ids,
    written: Arc<Notify>,
    relayed: Arc<Notify>,
}

/// A fact that waits to be written with its id, taken before the transaction began.
#[derive(Debug, Clone, Copy)]
pub struct Slot(u64);

impl Outbox {
    /// What a service's first migration holds for this.
    pub const TABLE: &str =
        "CREATE TABLE outbox (id BIGINT NOT NULL PRIMARY KEY, topic BIGINT NOT NULL, body TEXT NOT NULL);";

    /// What a later migration of the service adds to that: where a fact stands among those of
    /// several instances, whose ids do not tell.
    pub const PLACE: &str = "ALTER TABLE outbox ADD COLUMN placed BIGINT NOT NULL DEFAULT 0;";

    /// And what it adds for traces: the one in which a fact was written, as far as it is kept.
    pub const TRACE: &str = "ALTER TABLE outbox ADD COLUMN traceparent VARCHAR(55);";

    /// The outbox in `db`.
    #[must_use]
    pub fn new(db: Db, ids: Ids) -> Self {
        Self { db, ids, written: Arc::default(), relayed: Arc::default() }
    }

    /// Takes places for `n` facts, before the transaction begins.
    ///
    /// # Errors
    /// The database gave no ids.
    pub async fn slots(&self, n: usize) -> sqlx::Result<Vec<Slot>> {
        Ok(self.ids.take(n).await?.into_iter().map(Slot).collect())
    }

    /// Writes a fact about `topic` in the caller's transaction. Facts of one topic are
    /// relayed in the order in which they were written here, if the transactions that wrote
    /// them held the same lock; where one process alone writes, in that of their slots.
    ///
    /// # Errors
    /// The database refuses, or the fact is not representable in JSON.
    pub async fn add<T: Serialize>(&self, tx: &mut Tx, slot: Slot, topic: u64, fact: &T) -> sqlx::Result<()> {
        self.add_in(Trace::here().as_ref(), tx, slot, topic, fact).await
    }

    /// The same, of a fact whose cause is in a trace of its own, as in a transaction of several.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub async fn add_in<T: Serialize>(
        &self,
        trace: Option<&Trace>,
        tx: &mut Tx,
        slot: Slot,
        topic: u64,
        fact: &T,
    ) -> sqlx::Result<()> {
        let body = serde_json::to_string(fact).map_err(|e| sqlx::Error::Encode(e.into()))?;
        let place = self.db.statement_time_us();
        let insert = format!("INSERT INTO outbox (id, topic, body, traceparent, placed) VALUES (?, ?, ?, ?, {place})");
        sqlx::query(sqlx::AssertSqlSafe(insert))
            .bind(slot.0.cast_signed())
            .bind(topic.cast_signed())
            .bind(body)
            .bind(trace.map(Trace::to_header))
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// Says that a transaction with facts was committed.
    pub fn committed(&self) {
        self.written.notify_one();
    }

    /// Waits until no committed fact about `topic` is left to be relayed that has the place of
    /// `last` or an earlier one (`None`: none at all); `false` if that takes longer than
    /// `within`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn drained(&self, topic: u64, last: Option<Slot>, within: Duration) -> sqlx::Result<bool> {
        const ANY: &str = "SELECT 1 FROM outbox WHERE topic = ? LIMIT 1";
        // Those before it are relayed before it.
        const LAST: &str = "SELECT 1 FROM outbox WHERE topic = ? AND id = ?";
        let drained = async {
            loop {
                let relayed = self.relayed.notified();
                let waits = match last {
                    None => sqlx::query(ANY).bind(topic.cast_signed()),
                    Some(slot) => sqlx::query(LAST).bind(topic.cast_signed()).bind(slot.0.cast_signed()),
                };
                if waits.fetch_optional(self.db.reader()).await?.is_none() {
                    return Ok(true);
                }
                // Another instance may relay it.
                _ = tokio::time::timeout(LOOK_AGAIN, relayed).await;
            }
        };
        tokio::time::timeout(within, drained).await.unwrap_or(Ok(false))
    }

    /// Hands facts to `deliver`, by topic, until `stop`. What is refused as wrong in itself
    /// is dropped with an error in the log; everything else is tried again.
    pub async fn relay<T, F>(&self, stop: CancellationToken, deliver: impl Fn(u64, Vec<T>) -> F)
    where
        T: DeserializeOwned,
        F: Future<Output = Result<(), Refusal>>,
    {
        while !stop.is_cancelled() {
            let pass = self.pass(&deliver).await;
            let pause = match pass {
                Ok(Pass::More) => continue,
                Ok(Pass::Empty) => POLL,
                Ok(Pass::Waiting(why)) => {
                    tracing::warn!(error = %why, "facts wait in the outbox: the receiver does not take them");
                    POLL / 4
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the outbox could not be read");
                    POLL
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.written.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        // What was written while stopping; the rest is relayed at the next start.
        _ = tokio::time::timeout(LAST_PASS, self.pass(&deliver)).await;
    }

    async fn pass<T, F>(&self, deliver: &impl Fn(u64, Vec<T>) -> F) -> sqlx::Result<Pass>
    where
        T: DeserializeOwned,
        F: Future<Output = Result<(), Refusal>>,
    {
        let mut waiting: BTreeMap<u64, Refusal> = BTreeMap::new();
        let (mut after, mut delivered) = ((i64::MIN, i64::MIN), false);
        loop {
            let facts = self.read(after).await?;
            let Some(last) = facts.last() else { break };
            after = (last.placed, last.id);
            let topics: BTreeSet<u64> = facts.iter().map(|fact| fact.topic).collect();
            for topic in topics {
                // A topic that waits keeps its order, and keeps nobody else waiting.
                if waiting.contains_key(&topic) {
                    continue;
                }
                let of_topic: Vec<&Fact> = facts.iter().filter(|fact| fact.topic == topic).collect();
                let span = relaying(&of_topic);
                match self.hand_over(topic, &of_topic, deliver).instrument(span.clone()).await? {
                    Ok(()) => delivered = true,
                    Err(refusal) => {
                        traces::fail(&span, "refused", refusal.to_string());
                        waiting.insert(topic, refusal);
                    }
                }
            }
        }
        Ok(match waiting.pop_first() {
            Some((_, refusal)) => Pass::Waiting(refusal),
            None if delivered => Pass::More,
            None => Pass::Empty,
        })
    }

    /// Delivers facts of one topic together, and forgets them. If they are refused for good,
    /// each is delivered alone, so that only the wrong one is lost.
    async fn hand_over<T, F>(
        &self,
        topic: u64,
        facts: &[&Fact],
        deliver: &impl Fn(u64, Vec<T>) -> F,
    ) -> sqlx::Result<Result<(), Refusal>>
    where
        T: DeserializeOwned,
        F: Future<Output = Result<(), Refusal>>,
    {
        match deliver(topic, facts.iter().filter_map(|fact| fact.parse()).collect()).await {
            Ok(()) => self.forget(facts).await?,
            Err(refusal) if !is_final(&refusal) => return Ok(Err(refusal)),
            Err(_) => {
                for fact in facts {
                    match deliver(topic, fact.parse().into_iter().collect()).await {
                        Err(refusal) if !is_final(&refusal) => return Ok(Err(refusal)),
                        Err(refusal) => {
                            tracing::error!(topic, body = fact.body, error = %refusal, "a fact was refused for good and is dropped");
                        }
                        Ok(()) => {}
                    }
                    self.forget(std::slice::from_ref(fact)).await?;
                }
            }
        }
        Ok(Ok(()))
    }

    /// The next facts after this place. The table is short: what was relayed is gone.
    async fn read(&self, (placed, id): (i64, i64)) -> sqlx::Result<Vec<Fact>> {
        const PAGE: &str = "SELECT id, topic, body, placed, traceparent FROM outbox \
             WHERE placed > ? OR (placed = ? AND id > ?) ORDER BY placed, id LIMIT ?";
        let page = sqlx::query(PAGE).bind(placed).bind(placed).bind(id).bind(BATCH);
        let rows = page.fetch_all(self.db.reader()).await?;
        let fact = |row: &AnyRow| {
            let topic = row.try_get::<i64, _>(1)?.cast_unsigned();
            let (placed, traceparent) = (row.try_get(3)?, row.try_get(4)?);
            Ok(Fact { id: row.try_get(0)?, topic, body: row.try_get(2)?, placed, traceparent })
        };
        rows.iter().map(fact).collect()
    }

    async fn forget(&self, facts: &[&Fact]) -> sqlx::Result<()> {
        if facts.is_empty() {
            return Ok(());
        }
        let mut sql = QueryBuilder::<Any>::new("DELETE FROM outbox WHERE id IN (");
        let mut list = sql.separated(", ");
        facts.iter().for_each(|fact| _ = list.push_bind(fact.id));
        sql.push(")");
        let mut tx = self.db.begin().await?;
        sql.build().execute(&mut *tx).await?;
        tx.commit().await?;
        self.relayed.notify_waiters();
        Ok(())
    }
}

/// A row.
struct Fact {
    id: i64,
    topic: u64,
    body: String,
    placed: i64,
    /// Where it was written, if that is in a trace that is kept.
    traceparent: Option<String>,
}

/// The span of a delivery: in the trace of the first fact that has one, linked to the others.
fn relaying(facts: &[&Fact]) -> Span {
    let headers = facts.iter().filter_map(|fact| fact.traceparent.as_deref());
    traces::caused_by_all(headers, || tracing::info_span!("outbox.relay", facts = facts.len()))
}

impl Fact {
    /// `None` if it is unreadable: what can't be read can't be delivered, ever.
    fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.body)
            .inspect_err(
                |error| tracing::error!(%error, body = self.body, "a fact in the outbox is unreadable and dropped"),
            )
            .ok()
    }
}

/// Trying again would not help.
fn is_final(refusal: &Refusal) -> bool {
    matches!(refusal.kind(), Kind::Malformed | Kind::Invalid | Kind::TooLarge)
}

enum Pass {
    /// All that there was is gone; there may be more by now.
    More,
    /// There was nothing.
    Empty,
    /// Something was not taken.
    Waiting(Refusal),
}
