//! The first places of the ranking, replacements, claims; and the keys that sign.

use std::collections::BTreeSet;

use common::Db;
use common::db::Tx;
use idl::draw::{Hash, ReplaceReason, Replaced};
use idl::lottery::Key;
use idl::{LotteryId, Timestamp, UserId};
use sqlx::{Any, QueryBuilder, Row as _};

use super::ROWS_AT_ONCE;
use super::entries::{number, parse};
use crate::protocol::rank::Ranked;

/// A place of the ranking, with the name that the entry came with.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) ranked: Ranked,
    pub(crate) user_name: String,
}

/// What a drawn lottery's prizes follow from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Results {
    pub(crate) places: Vec<Place>,
    pub(crate) replaced: Vec<Replaced>,
    pub(crate) claimed: BTreeSet<u64>,
}

/// Keeps places from the `first` on; those that are there already are the same.
pub(crate) async fn keep_places(
    db: &Db,
    tx: &mut Tx,
    id: LotteryId,
    first: usize,
    places: &[Place],
) -> sqlx::Result<()> {
    let numbered: Vec<(usize, &Place)> = (first..).zip(places).collect();
    for rows in numbered.chunks(ROWS_AT_ONCE) {
        let insert = format!("{}ranking (lottery_id, place, n, user_id, user_name, entry_key) ", db.insert_ignore());
        let mut sql = QueryBuilder::<Any>::new(insert);
        sql.push_values(rows, |mut row, (place, Place { ranked, user_name })| {
            row.push_bind(id.as_i64())
                .push_bind(i64::try_from(*place).unwrap_or(i64::MAX))
                .push_bind(ranked.n.cast_signed())
                .push_bind(ranked.user_id.as_i64())
                .push_bind(user_name.as_str())
                .push_bind(ranked.key.to_string());
        });
        sql.build().execute(&mut **tx).await?;
    }
    Ok(())
}

/// What there is of a drawn lottery, as one snapshot if `db` is a transaction.
pub(crate) async fn of(db: &mut common::db::Connection, id: LotteryId) -> sqlx::Result<Results> {
    const PLACES: &str = "SELECT n, user_id, user_name, entry_key FROM ranking WHERE lottery_id = ? ORDER BY place";
    const REPLACED: &str = "SELECT n, reason, at_ms, signature FROM replacement WHERE lottery_id = ? ORDER BY i";
    const CLAIMED: &str = "SELECT n FROM claim WHERE lottery_id = ?";
    let mut results = Results::default();
    for row in sqlx::query(PLACES).bind(id.as_i64()).fetch_all(&mut *db).await? {
        let key = parse(&row.try_get::<String, _>(3)?)?;
        let ranked = Ranked { key, n: number(&row, 0)?, user_id: UserId(number(&row, 1)?) };
        results.places.push(Place { ranked, user_name: row.try_get(2)? });
    }
    for row in sqlx::query(REPLACED).bind(id.as_i64()).fetch_all(&mut *db).await? {
        results.replaced.push(Replaced {
            n: number(&row, 0)?,
            reason: reason(number(&row, 1)?),
            at_ms: number(&row, 2)?,
            signature: parse(&row.try_get::<String, _>(3)?)?,
        });
    }
    for row in sqlx::query(CLAIMED).bind(id.as_i64()).fetch_all(&mut *db).await? {
        results.claimed.insert(number(&row, 0)?);
    }
    Ok(results)
}

const fn reason(code: u64) -> ReplaceReason {
    if code == ReplaceReason::Declined.code() as u64 { ReplaceReason::Declined } else { ReplaceReason::Unclaimed }
}

/// Keeps the i-th replacement.
pub(crate) async fn replace(tx: &mut Tx, id: LotteryId, i: usize, record: &Replaced) -> sqlx::Result<()> {
    const INSERT: &str =
        "INSERT INTO replacement (lottery_id, i, n, reason, at_ms, signature) VALUES (?, ?, ?, ?, ?, ?)";
    sqlx::query(INSERT)
        .bind(id.as_i64())
        .bind(i64::try_from(i).unwrap_or(i64::MAX))
        .bind(record.n.cast_signed())
        .bind(i64::from(record.reason.code()))
        .bind(record.at_ms.cast_signed())
        .bind(record.signature.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keeps that a prize was claimed.
pub(crate) async fn claim(db: &Db, tx: &mut Tx, id: LotteryId, n: u64, now: Timestamp) -> sqlx::Result<()> {
    let insert = format!("{}claim (lottery_id, n, claimed_at_ms) VALUES (?, ?, ?)", db.insert_ignore());
    sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(id.as_i64())
        .bind(n.cast_signed())
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Viewers are to be told who holds the prizes now.
pub(crate) async fn change_hands(db: &Db, tx: &mut Tx, id: LotteryId) -> sqlx::Result<()> {
    let insert = format!("{}changed_hands (lottery_id) VALUES (?)", db.insert_ignore());
    sqlx::query(sqlx::AssertSqlSafe(insert)).bind(id.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// Some of the lotteries that viewers are to be told of.
pub(crate) async fn changed_hands(db: &Db, limit: i64) -> sqlx::Result<Vec<LotteryId>> {
    const PAGE: &str = "SELECT lottery_id FROM changed_hands ORDER BY lottery_id LIMIT ?";
    let rows = sqlx::query(PAGE).bind(limit).fetch_all(db.reader()).await?;
    rows.iter().map(|row| row.try_get(0).map(LotteryId::from_i64)).collect()
}

/// Viewers are being told of this one; `false` if somebody else did.
pub(crate) async fn told(tx: &mut Tx, id: LotteryId) -> sqlx::Result<bool> {
    const DELETE: &str = "DELETE FROM changed_hands WHERE lottery_id = ?";
    Ok(sqlx::query(DELETE).bind(id.as_i64()).execute(&mut **tx).await?.rows_affected() == 1)
}

/// When the entry's prize was claimed.
pub(crate) async fn claimed_at(db: &Db, id: LotteryId, n: u64) -> sqlx::Result<Option<Timestamp>> {
    const FIND: &str = "SELECT claimed_at_ms FROM claim WHERE lottery_id = ? AND n = ?";
    let row = sqlx::query(FIND).bind(id.as_i64()).bind(n.cast_signed()).fetch_optional(db.reader()).await?;
    row.map(|row| row.try_get(0).map(Timestamp)).transpose()
}

/// From now on this key opens lotteries.
pub(crate) async fn use_key(db: &Db, key: &Hash, now: Timestamp) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    const END: &str = "UPDATE receipt_key SET until_ms = ? WHERE until_ms IS NULL AND public_key <> ?";
    sqlx::query(END).bind(now.0).bind(key.to_string()).execute(&mut *tx).await?;
    let insert = format!("{}receipt_key (public_key, since_ms) VALUES (?, ?)", db.insert_ignore());
    sqlx::query(sqlx::AssertSqlSafe(insert)).bind(key.to_string()).bind(now.0).execute(&mut *tx).await?;
    sqlx::query("UPDATE receipt_key SET until_ms = NULL WHERE public_key = ?")
        .bind(key.to_string())
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// All keys, the oldest first.
pub(crate) async fn keys(db: &Db) -> sqlx::Result<Vec<Key>> {
    const ALL: &str = "SELECT public_key, since_ms, until_ms FROM receipt_key ORDER BY since_ms, public_key";
    let rows = sqlx::query(ALL).fetch_all(db.reader()).await?;
    let key = |row: &sqlx::any::AnyRow| {
        Ok(Key {
            key: parse(&row.try_get::<String, _>(0)?)?,
            since: Timestamp(row.try_get(1)?),
            until: row.try_get::<Option<i64>, _>(2)?.map(Timestamp),
        })
    };
    rows.iter().map(key).collect()
}
