//! Entries, and the Merkle tree's pages over them.

use std::collections::HashMap;

use common::Db;
use common::cursor::Position;
use common::db::Tx;
use idl::draw::{Entry, Hash};
use idl::{LotteryId, UserId};
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};

use super::ROWS_AT_ONCE;
use crate::row::OPEN;

/// Where the next entry of an open lottery goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Next {
    pub(crate) n: u64,
    /// The time of the entry before, or of the opening.
    pub(crate) last_ms: u64,
}

/// An entry that is being made.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry {
    pub(crate) entry: Entry,
    pub(crate) user_name: String,
}

/// Locks the lottery against the freeze and other batches; `None` if it is not open.
pub(crate) async fn lock(tx: &mut Tx, id: LotteryId) -> sqlx::Result<Option<Next>> {
    const LOCK: &str = "UPDATE lottery SET next_n = next_n WHERE id = ? AND phase = ?";
    if sqlx::query(LOCK).bind(id.as_i64()).bind(OPEN).execute(&mut **tx).await?.rows_affected() == 0 {
        return Ok(None);
    }
    const NEXT: &str = "SELECT next_n, last_ms FROM lottery WHERE id = ?";
    let row = sqlx::query(NEXT).bind(id.as_i64()).fetch_one(&mut **tx).await?;
    Ok(Some(Next { n: number(&row, 0)?, last_ms: number(&row, 1)? }))
}

/// The entries that these accounts have already.
pub(crate) async fn of_users(
    db: &mut common::db::Connection,
    id: LotteryId,
    users: impl Iterator<Item = UserId>,
) -> sqlx::Result<HashMap<UserId, Entry>> {
    let mut sql = QueryBuilder::<Any>::new("SELECT n, user_id, entered_at_ms, weight FROM entry WHERE lottery_id = ");
    sql.push_bind(id.as_i64()).push(" AND user_id IN (");
    let mut list = sql.separated(", ");
    users.for_each(|user| _ = list.push_bind(user.as_i64()));
    // An empty list is no SQL.
    list.push("0");
    sql.push(")");
    let rows = sql.build().fetch_all(db).await?;
    rows.iter().map(|row| entry(row).map(|entry| (entry.user_id, entry))).collect()
}

/// Adds entries, in order, and says where the next one goes.
pub(crate) async fn append(tx: &mut Tx, id: LotteryId, new: &[NewEntry], next: Next) -> sqlx::Result<()> {
    for rows in new.chunks(ROWS_AT_ONCE) {
        let mut sql =
            QueryBuilder::<Any>::new("INSERT INTO entry (lottery_id, n, user_id, user_name, entered_at_ms, weight) ");
        sql.push_values(rows, |mut row, NewEntry { entry, user_name }| {
            row.push_bind(id.as_i64())
                .push_bind(entry.n.cast_signed())
                .push_bind(entry.user_id.as_i64())
                .push_bind(user_name.as_str())
                .push_bind(entry.entered_at_ms.cast_signed())
                .push_bind(entry.weight.cast_signed());
        });
        sql.build().execute(&mut **tx).await?;
    }
    const SET: &str = "UPDATE lottery SET next_n = ?, last_ms = ? WHERE id = ?";
    sqlx::query(SET)
        .bind(next.n.cast_signed())
        .bind(next.last_ms.cast_signed())
        .bind(id.as_i64())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The account's entry, if it has one.
pub(crate) async fn of_user(db: &Db, id: LotteryId, user: UserId) -> sqlx::Result<Option<Entry>> {
    const FIND: &str = "SELECT n, user_id, entered_at_ms, weight FROM entry WHERE user_id = ? AND lottery_id = ?";
    let row = sqlx::query(FIND).bind(user.as_i64()).bind(id.as_i64()).fetch_optional(db.reader()).await?;
    row.as_ref().map(entry).transpose()
}

/// The account's entries after `from`, latest first, with their lotteries.
pub(crate) async fn all_of_user(
    db: &Db,
    user: UserId,
    from: Position,
    limit: i64,
) -> sqlx::Result<Vec<(LotteryId, Entry)>> {
    const PAGE: &str = "SELECT n, user_id, entered_at_ms, weight, lottery_id FROM entry \
         WHERE user_id = ? AND entered_at_ms <= ? AND (entered_at_ms < ? OR lottery_id < ?) \
         ORDER BY entered_at_ms DESC, lottery_id DESC LIMIT ?";
    let rows = sqlx::query(PAGE)
        .bind(user.as_i64())
        .bind(from.rank)
        .bind(from.rank)
        .bind(from.id)
        .bind(limit)
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(|row| Ok((LotteryId::from_i64(row.try_get(4)?), entry(row)?))).collect()
}

/// The entries with numbers from `first` to below `end`, in order.
pub(crate) async fn range(db: &Db, id: LotteryId, first: u64, end: u64) -> sqlx::Result<Vec<Entry>> {
    const RANGE: &str = "SELECT n, user_id, entered_at_ms, weight FROM entry \
         WHERE lottery_id = ? AND n >= ? AND n < ? ORDER BY n";
    let rows = sqlx::query(RANGE)
        .bind(id.as_i64())
        .bind(first.cast_signed())
        .bind(end.cast_signed())
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(entry).collect()
}

/// The names that these entries came with, by number.
pub(crate) async fn names(db: &Db, id: LotteryId, numbers: &[u64]) -> sqlx::Result<HashMap<u64, String>> {
    let mut names = HashMap::with_capacity(numbers.len());
    for numbers in numbers.chunks(ROWS_AT_ONCE) {
        let mut sql = QueryBuilder::<Any>::new("SELECT n, user_name FROM entry WHERE lottery_id = ");
        sql.push_bind(id.as_i64()).push(" AND n IN (");
        let mut list = sql.separated(", ");
        numbers.iter().for_each(|n| _ = list.push_bind(n.cast_signed()));
        sql.push(")");
        for row in sql.build().fetch_all(db.reader()).await? {
            names.insert(number(&row, 0)?, row.try_get(1)?);
        }
    }
    Ok(names)
}

/// Keeps the tree's pages; those that are there already are the same.
pub(crate) async fn keep_pages(db: &Db, tx: &mut Tx, id: LotteryId, pages: &[Hash]) -> sqlx::Result<()> {
    let numbered: Vec<(i64, &Hash)> = (0..).zip(pages).collect();
    for rows in numbered.chunks(ROWS_AT_ONCE) {
        let insert = format!("{}entry_page (lottery_id, page, hash) ", db.insert_ignore());
        let mut sql = QueryBuilder::<Any>::new(insert);
        sql.push_values(rows, |mut row, (page, hash)| {
            row.push_bind(id.as_i64()).push_bind(*page).push_bind(hash.to_string());
        });
        sql.build().execute(&mut **tx).await?;
    }
    Ok(())
}

/// The tree's pages, in order.
pub(crate) async fn pages(db: &Db, id: LotteryId) -> sqlx::Result<Vec<Hash>> {
    const ALL: &str = "SELECT hash FROM entry_page WHERE lottery_id = ? ORDER BY page";
    let rows = sqlx::query(ALL).bind(id.as_i64()).fetch_all(db.reader()).await?;
    rows.iter().map(|row| parse(&row.try_get::<String, _>(0)?)).collect()
}

fn entry(row: &AnyRow) -> sqlx::Result<Entry> {
    Ok(Entry {
        n: number(row, 0)?,
        user_id: UserId(number(row, 1)?),
        entered_at_ms: number(row, 2)?,
        weight: number(row, 3)?,
    })
}

pub(super) fn number(row: &AnyRow, column: usize) -> sqlx::Result<u64> {
    row.try_get::<i64, _>(column).map(i64::cast_unsigned)
}

/// What we wrote ourselves and can't read is the database's fault.
pub(super) fn parse<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &str,
) -> sqlx::Result<T> {
    text.parse().map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}
