//! The tables in SQL: here lotteries; [`entries`], [`keyword`] and [`results`] have files of their own.

use common::cursor::Position;
use common::db::Tx;
use common::{Db, Outcome};
use idl::draw::{Cancelled, Closed, Hash, Opened};
use idl::{LotteryId, RoomId, UserId};
use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row as _};

use crate::protocol::spec::SpecText;
use crate::row::{CANCELLED, CLOSED, DRAWN, OPEN, RawRow, Row, lottery_columns};

pub(crate) mod entries;
pub(crate) mod keyword;
pub(crate) mod results;

/// Rows in one statement: below every database's limit of parameters.
const ROWS_AT_ONCE: usize = 500;
/// Lotteries in a page of those that are not decided: as many states as push takes at once.
const UNDECIDED_AT_ONCE: i64 = 500;

/// One more lottery that is not decided in this room; `false` if it has `most` already.
pub(crate) async fn claim_place(db: &Db, tx: &mut Tx, room: RoomId, most: u32) -> sqlx::Result<bool> {
    const CLAIM: &str = "UPDATE room_undecided SET lotteries = lotteries + 1 WHERE room_id = ? AND lotteries < ?";
    let claim = || sqlx::query(CLAIM).bind(room.as_i64()).bind(i64::from(most));
    // First of all the update: two that have both found the row by inserting it wait for each other.
    if claim().execute(&mut **tx).await?.rows_affected() == 1 {
        return Ok(true);
    }
    let first = format!("{}room_undecided (room_id, lotteries) VALUES (?, 0)", db.insert_ignore());
    sqlx::query(sqlx::AssertSqlSafe(first)).bind(room.as_i64()).execute(&mut **tx).await?;
    Ok(claim().execute(&mut **tx).await?.rows_affected() == 1)
}

/// A lottery of the room was decided.
pub(crate) async fn give_place_back(tx: &mut Tx, room: RoomId) -> sqlx::Result<()> {
    const BACK: &str = "UPDATE room_undecided SET lotteries = lotteries - 1 WHERE room_id = ? AND lotteries > 0";
    sqlx::query(BACK).bind(room.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// What a new lottery's row is made of.
pub(crate) struct NewLottery<'a> {
    pub(crate) spec: &'a SpecText,
    pub(crate) opened: &'a Opened,
    pub(crate) sealed_seed: &'a str,
    pub(crate) opened_by: UserId,
    pub(crate) test: bool,
    /// The trace in which it is created.
    pub(crate) traceparent: Option<String>,
}

/// A new lottery, open.
pub(crate) async fn insert(tx: &mut Tx, new: NewLottery<'_>) -> sqlx::Result<()> {
    const INSERT: &str = "INSERT INTO lottery (id, room_id, opened_by, test, phase, version, spec, commitment, \
         opened_signature, sealed_seed, opens_at_ms, draw_at_ms, next_n, last_ms, leased_until_ms, \
         traceparent) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, 0, ?, 0, ?)";
    let spec = new.spec.spec();
    sqlx::query(INSERT)
        .bind(spec.lottery_id.as_i64())
        .bind(spec.room_id.as_i64())
        .bind(new.opened_by.as_i64())
        .bind(i64::from(new.test))
        .bind(OPEN)
        .bind(new.spec.text())
        .bind(new.opened.commitment.to_string())
        .bind(new.opened.signature.to_string())
        .bind(new.sealed_seed)
        .bind(spec.opens_at_ms.cast_signed())
        .bind(spec.draw_at_ms.cast_signed())
        // No entry is older than the lottery.
        .bind(spec.opens_at_ms.cast_signed())
        .bind(new.traceparent)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The lottery, if there is one.
pub(crate) async fn find(db: impl Executor<'_, Database = Any>, id: LotteryId) -> Outcome<Option<Row>> {
    let row: Option<RawRow> =
        sqlx::query_as(lottery_columns!("WHERE id = ?")).bind(id.as_i64()).fetch_optional(db).await?;
    row.map(RawRow::parse).transpose()
}

/// The room's lotteries after `from`, latest first.
pub(crate) async fn of_room(
    db: impl Executor<'_, Database = Any>,
    room: RoomId,
    from: Position,
    limit: i64,
) -> Outcome<Vec<Row>> {
    const PAGE: &str = lottery_columns!(
        "WHERE room_id = ? AND opens_at_ms <= ? AND (opens_at_ms < ? OR id < ?) \
         ORDER BY opens_at_ms DESC, id DESC LIMIT ?"
    );
    let rows: Vec<RawRow> = sqlx::query_as(PAGE)
        .bind(room.as_i64())
        .bind(from.rank)
        .bind(from.rank)
        .bind(from.id)
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.into_iter().map(RawRow::parse).collect()
}

/// Lotteries that are not decided, by ascending id, a page at a time.
#[derive(Debug)]
pub(crate) struct Undecided<'a> {
    db: &'a Db,
    after: LotteryId,
}

impl<'a> Undecided<'a> {
    pub(crate) const fn of(db: &'a Db) -> Self {
        Self { db, after: LotteryId(0) }
    }

    /// The next page; `None` if there are no more.
    pub(crate) async fn next_page(&mut self) -> Outcome<Option<Vec<Row>>> {
        const PAGE: &str = lottery_columns!("WHERE phase <= 1 AND id > ? ORDER BY id LIMIT ?");
        let query = sqlx::query_as(PAGE).bind(self.after.as_i64()).bind(UNDECIDED_AT_ONCE);
        let rows: Vec<RawRow> = query.fetch_all(self.db.reader()).await?;
        let rows = rows.into_iter().map(RawRow::parse).collect::<Outcome<Vec<Row>>>()?;
        let Some(last) = rows.last() else { return Ok(None) };
        self.after = last.facts.id;
        Ok(Some(rows))
    }
}

/// Whether a lottery was opened with this receipt key. Looks through all of them.
pub(crate) async fn any_of_key(db: &Db, key: &Hash) -> sqlx::Result<bool> {
    const FIND: &str = "SELECT 1 FROM lottery WHERE spec LIKE ? LIMIT 1";
    let named = format!("%\"receipt_key\":\"{key}\"%");
    Ok(sqlx::query(FIND).bind(named).fetch_optional(db.reader()).await?.is_some())
}

/// Open lotteries with the number of their entries.
pub(crate) async fn entrants(db: &Db) -> sqlx::Result<Vec<(LotteryId, u64)>> {
    const ALL: &str = "SELECT id, next_n FROM lottery WHERE phase = 0";
    let rows = sqlx::query(ALL).fetch_all(db.reader()).await?;
    let pair = |row: &AnyRow| Ok((LotteryId::from_i64(row.try_get(0)?), row.try_get::<i64, _>(1)?.cast_unsigned()));
    rows.iter().map(pair).collect()
}

/// A lottery that is due.
pub(crate) struct Due {
    pub(crate) id: LotteryId,
    /// The trace in which it was created, if that is kept.
    pub(crate) traceparent: Option<String>,
}

/// Lotteries that are due and that nobody draws, the first due first.
pub(crate) async fn due(db: &Db, now_ms: u64, limit: i64) -> sqlx::Result<Vec<Due>> {
    const DUE: &str = "SELECT id, traceparent FROM lottery WHERE phase <= 1 AND draw_at_ms <= ? AND leased_until_ms <= ? \
         ORDER BY draw_at_ms LIMIT ?";
    let now_ms = now_ms.cast_signed();
    let rows = sqlx::query(DUE).bind(now_ms).bind(now_ms).bind(limit).fetch_all(db.reader()).await?;
    let due = |row: &AnyRow| Ok(Due { id: LotteryId::from_i64(row.try_get(0)?), traceparent: row.try_get(1)? });
    rows.iter().map(due).collect()
}

/// Takes the drawing of a due lottery until a moment; `false` if it is not due, is decided,
/// or somebody has taken it.
pub(crate) async fn lease(db: &Db, id: LotteryId, now_ms: u64, until_ms: u64) -> sqlx::Result<bool> {
    const LEASE: &str = "UPDATE lottery SET leased_until_ms = ? \
         WHERE id = ? AND phase <= 1 AND draw_at_ms <= ? AND leased_until_ms <= ?";
    let now_ms = now_ms.cast_signed();
    let mut tx = db.begin().await?;
    let leased = sqlx::query(LEASE)
        .bind(until_ms.cast_signed())
        .bind(id.as_i64())
        .bind(now_ms)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(leased.rows_affected() == 1)
}

/// Lets a lease that ends at one moment end at another; `false` if it is no more that one.
pub(crate) async fn move_lease(db: &Db, id: LotteryId, from_ms: u64, to_ms: u64) -> sqlx::Result<bool> {
    const MOVE: &str = "UPDATE lottery SET leased_until_ms = ? WHERE id = ? AND leased_until_ms = ?";
    let (from_ms, to_ms) = (from_ms.cast_signed(), to_ms.cast_signed());
    let mut tx = db.begin().await?;
    let moved = sqlx::query(MOVE).bind(to_ms).bind(id.as_i64()).bind(from_ms).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(moved.rows_affected() == 1)
}

/// Nobody who could have a lease is left: the database was this process's alone before.
pub(crate) async fn void_leases(db: &Db) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query("UPDATE lottery SET leased_until_ms = 0 WHERE phase <= 1 AND leased_until_ms > 0")
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Freezes the entries; `false` if that was done before, or it is not due.
pub(crate) async fn freeze(db: &Db, id: LotteryId, now_ms: u64) -> sqlx::Result<bool> {
    const FREEZE: &str = "UPDATE lottery SET phase = ?, closed_at_ms = ?, version = version + 1 \
         WHERE id = ? AND phase = ? AND draw_at_ms <= ?";
    let now_ms = now_ms.cast_signed();
    let mut tx = db.begin().await?;
    let frozen = sqlx::query(FREEZE)
        .bind(CLOSED)
        .bind(now_ms)
        .bind(id.as_i64())
        .bind(OPEN)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(frozen.rows_affected() == 1)
}

/// Keeps what was signed of the freeze; `false` if that was done before.
pub(crate) async fn set_root(tx: &mut Tx, closed: &Closed) -> sqlx::Result<bool> {
    const SET: &str = "UPDATE lottery SET root = ?, closed_signature = ?, version = version + 1 \
         WHERE id = ? AND phase = ? AND root IS NULL";
    let set = sqlx::query(SET)
        .bind(closed.root.to_string())
        .bind(closed.signature.to_string())
        .bind(closed.lottery_id.as_i64())
        .bind(CLOSED)
        .execute(&mut **tx)
        .await?;
    Ok(set.rows_affected() == 1)
}

/// Decides the lottery and reveals its seed; `false` if that was done before.
pub(crate) async fn decide(tx: &mut Tx, id: LotteryId, seed: &Hash, now_ms: u64) -> sqlx::Result<bool> {
    const DECIDE: &str = "UPDATE lottery SET phase = ?, seed = ?, drawn_at_ms = ?, version = version + 1 \
         WHERE id = ? AND phase = ? AND root IS NOT NULL";
    let decided = sqlx::query(DECIDE)
        .bind(DRAWN)
        .bind(seed.to_string())
        .bind(now_ms.cast_signed())
        .bind(id.as_i64())
        .bind(CLOSED)
        .execute(&mut **tx)
        .await?;
    Ok(decided.rows_affected() == 1)
}

/// Calls an open lottery off; `false` if it is not open.
pub(crate) async fn cancel(tx: &mut Tx, cancelled: &Cancelled) -> sqlx::Result<bool> {
    const CANCEL: &str = "UPDATE lottery SET phase = ?, cancelled_at_ms = ?, cancel_reason = ?, \
         cancelled_signature = ?, version = version + 1 WHERE id = ? AND phase = ?";
    let done = sqlx::query(CANCEL)
        .bind(CANCELLED)
        .bind(cancelled.at_ms.cast_signed())
        .bind(cancelled.reason.as_str())
        .bind(cancelled.signature.to_string())
        .bind(cancelled.lottery_id.as_i64())
        .bind(OPEN)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Locks a drawn lottery against other changes of its prizes, and counts the change; `false`
/// if it is not drawn.
pub(crate) async fn lock_drawn(tx: &mut Tx, id: LotteryId) -> sqlx::Result<bool> {
    const LOCK: &str = "UPDATE lottery SET version = version + 1 WHERE id = ? AND phase = ?";
    let locked = sqlx::query(LOCK).bind(id.as_i64()).bind(DRAWN).execute(&mut **tx).await?;
    Ok(locked.rows_affected() == 1)
}
