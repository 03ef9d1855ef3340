//! What services rely on, the same on every database.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use idl::{Timestamp, UserId};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr as _};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::*;
use crate::failure::{is_conflict, may_pass};
use crate::idempotency::{self, Key};
use crate::outbox::Outbox;
use crate::telemetry::traces::{Trace, seen};
use crate::{Ids, native};

mod mysql;

fn migrations(versions: usize) -> Migrator {
    let thing = "CREATE TABLE thing (name VARCHAR(20) NOT NULL PRIMARY KEY, n BIGINT NOT NULL);";
    let tables = [Ids::TABLE, Outbox::TABLE, Outbox::PLACE, Outbox::TRACE, idempotency::TABLE, thing].concat();
    let texts = [tables, "CREATE TABLE later (id BIGINT NOT NULL PRIMARY KEY);".to_owned()];
    let migration = |(version, text): (i64, String)| {
        Migration::new(version, "test".into(), MigrationType::Simple, AssertSqlSafe(text).into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(texts).take(versions).map(migration).collect())
}

/// A database on each member that is there.
async fn members(dir: &Path) -> Vec<(String, Db)> {
    let mut urls = vec!["sqlite:".to_owned()];
    urls.extend(native::server("NATIVE_MYSQL_URL").map(|server| native::db_url_on(&server, dir)));
    let mut members = Vec::new();
    for url in urls {
        let db = Db::open(&url, dir, "test", &migrations(1)).await.unwrap();
        members.push((url, db));
    }
    members
}

async fn put(tx: &mut Tx, name: &str, n: i64) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO thing (name, n) VALUES (?, ?)").bind(name).bind(n).execute(&mut **tx).await.map(drop)
}

async fn count(db: &Db) -> i64 {
    sqlx::query("SELECT COUNT(*) FROM thing").fetch_one(db.reader()).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    for (url, db) in members(dir.path()).await {
        transactions_are_whole(&db).await;
        texts_are_compared_byte_for_byte(&db).await;
        a_snapshot_stays_as_it_was(&db).await;
        patterns_are_blind_to_case_alone(&db).await;
        let other = Db::open(&url, dir.path(), "test", &migrations(1)).await.unwrap();
        ids_are_unique_across_instances(&db, &other).await;
        a_key_is_claimed_once(&db, &other).await;
        a_row_is_changed_by_one_at_a_time(&db, &other).await;
        a_fact_is_relayed_in_the_trace_it_was_written_in(&db).await;
        facts_arrive_in_order_whoever_relays_them(&db, &other).await;
        it_is_opened_again_but_not_by_an_older_version(&url, dir.path(), db).await;
    }
}

async fn transactions_are_whole(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    put(&mut tx, "a", 1).await.unwrap();
    assert_eq!(count(db).await, 0, "nobody sees what is not committed");
    drop(tx);
    let mut tx = db.begin().await.unwrap();
    put(&mut tx, "b", 1).await.unwrap();
    tx.rollback().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    put(&mut tx, "c", 1).await.unwrap();
    let again = put(&mut tx, "c", 2).await.unwrap_err();
    assert!(matches!(&again, sqlx::Error::Database(error) if error.is_unique_violation()), "{again}");
    assert!(!may_pass(&again) && !is_conflict(&again));
    tx.commit().await.unwrap();
    assert_eq!(count(db).await, 1);
}

async fn texts_are_compared_byte_for_byte(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    let insert = format!("{}thing (name, n) VALUES (?, 0)", db.insert_ignore());
    let names = ["name", "Name", "name ", "n\u{e4}me", "na\u{308}me", "\u{1F600}", "\u{1F601}"];
    for (inserted, name) in names.iter().map(|name| (1, name)).chain(names.iter().map(|name| (0, name))) {
        let done = sqlx::query(AssertSqlSafe(insert.as_str().to_owned())).bind(*name).execute(&mut *tx).await.unwrap();
        assert_eq!(done.rows_affected(), inserted, "{name:?}");
    }
    let same = sqlx::query("UPDATE thing SET n = n WHERE name = 'name'").execute(&mut *tx).await.unwrap();
    assert_eq!(same.rows_affected(), 1, "what was found counts, not what was changed");
    tx.rollback().await.unwrap();
}

async fn a_snapshot_stays_as_it_was(db: &Db) {
    const COUNT: &str = "SELECT COUNT(*) FROM thing";
    let mut snapshot = db.snapshot().await.unwrap();
    let before: i64 = sqlx::query(COUNT).fetch_one(&mut *snapshot).await.unwrap().get(0);
    let mut tx = db.begin().await.unwrap();
    put(&mut tx, "new", 1).await.unwrap();
    tx.commit().await.unwrap();
    let after: i64 = sqlx::query(COUNT).fetch_one(&mut *snapshot).await.unwrap().get(0);
    assert_eq!((before, count(db).await), (after, after + 1));
}

async fn patterns_are_blind_to_case_alone(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    put(&mut tx, "10% Off \u{1F600}", 1).await.unwrap();
    for (text, found) in [("OFF", 1), ("10%", 1), ("1%o", 0), ("_ff", 0), ("!", 0), ("\u{1F600}", 1), ("\u{1F601}", 0)]
    {
        let find = format!("SELECT COUNT(*) FROM thing WHERE name{}? ESCAPE '!'", db.like());
        let row = sqlx::query(AssertSqlSafe(find)).bind(like_anywhere(text)).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(row.get::<i64, _>(0), found, "{text}");
    }
    tx.rollback().await.unwrap();
}

async fn ids_are_unique_across_instances(db: &Db, other: &Db) {
    let (here, there) = (Ids::new(db.clone()), Ids::new(other.clone()));
    let (here, there) = tokio::join!(here.take(15_000), there.take(15_000));
    let all: BTreeSet<u64> = here.unwrap().into_iter().chain(there.unwrap()).collect();
    assert_eq!(all.len(), 30_000);
}

async fn a_key_is_claimed_once(db: &Db, other: &Db) {
    let claim = async |db: &Db, result: i64| {
        let key = Key::new("key".to_owned().try_into().unwrap(), UserId(7), "test", &["body"]);
        let mut tx = db.begin().await.unwrap();
        let earlier = key.claim(db, &mut tx, result, Timestamp(0)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        tx.commit().await.unwrap();
        earlier.unwrap_or(result)
    };
    let (here, there) = tokio::join!(claim(db, 1), claim(other, 2));
    assert_eq!(here, there);
}

/// Who reads after the update of a row sees what the one before has committed.
async fn a_row_is_changed_by_one_at_a_time(db: &Db, other: &Db) {
    let mut tx = db.begin().await.unwrap();
    put(&mut tx, "counter", 0).await.unwrap();
    tx.commit().await.unwrap();
    let add = async |db: &Db| {
        for _ in 0..20 {
            let mut tx = db.begin().await.unwrap();
            // What was read before counts for nothing.
            sqlx::query("SELECT n FROM thing WHERE name = 'counter'").fetch_one(&mut *tx).await.unwrap();
            sqlx::query("UPDATE thing SET n = n WHERE name = 'counter'").execute(&mut *tx).await.unwrap();
            let row = sqlx::query("SELECT n FROM thing WHERE name = 'counter'").fetch_one(&mut *tx).await.unwrap();
            let next = row.get::<i64, _>(0) + 1;
            sqlx::query("UPDATE thing SET n = ? WHERE name = 'counter'").bind(next).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        }
    };
    tokio::join!(add(db), add(other), add(db), add(other));
    let row = sqlx::query("SELECT n FROM thing WHERE name = 'counter'").fetch_one(db.reader()).await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 80);
}

/// Two instances write facts of one topic by turns, and both relay.
async fn facts_arrive_in_order_whoever_relays_them(db: &Db, other: &Db) {
    const FACTS: usize = 40;
    let outboxes = [db, other].map(|db| Outbox::new(db.clone(), Ids::new(db.clone())));
    // The second instance has the higher ids.
    for outbox in &outboxes {
        outbox.slots(1).await.unwrap();
    }
    for n in 0..FACTS {
        let outbox = &outboxes[(n + 1) % 2];
        let slot = outbox.slots(1).await.unwrap()[0];
        let mut tx = db.begin().await.unwrap();
        outbox.add(&mut tx, slot, 7, &n).await.unwrap();
        tx.commit().await.unwrap();
    }
    let (arrived, stop) = (Arc::new(Mutex::new(Vec::<usize>::new())), CancellationToken::new());
    let deliver = |_, facts: Vec<usize>| {
        let arrived = Arc::clone(&arrived);
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let mut arrived = arrived.lock().unwrap();
            // As receivers do: what is known is dropped.
            for fact in facts {
                if !arrived.contains(&fact) {
                    arrived.push(fact);
                }
            }
            Ok(())
        }
    };
    let all = async {
        assert!(outboxes[0].drained(7, None, Duration::from_secs(20)).await.unwrap());
        stop.cancel();
    };
    tokio::join!(outboxes[0].relay(stop.clone(), deliver), outboxes[1].relay(stop.clone(), deliver), all);
    let arrived = arrived.lock().unwrap().clone();
    if db.is_shared() {
        assert_eq!(arrived, (0..FACTS).collect::<Vec<_>>());
    } else {
        assert_eq!(arrived.len(), FACTS, "one process writes, and ids tell the order");
    }
}

/// Also those that are relayed together, and those that were written in no trace.
async fn a_fact_is_relayed_in_the_trace_it_was_written_in(db: &Db) {
    let _traced = seen::here();
    let outbox = Outbox::new(db.clone(), Ids::new(db.clone()));
    let (first, second, unkept) = (seen::fresh(true), seen::fresh(true), seen::fresh(false));
    for (topic, trace) in [(1, &first), (1, &second), (2, &unkept)] {
        let span = tracing::info_span!("a request");
        trace.go_on_in(&span);
        let written = async {
            let slot = outbox.slots(1).await.unwrap()[0];
            let mut tx = db.begin().await.unwrap();
            outbox.add(&mut tx, slot, topic, &trace.to_header()).await.unwrap();
            tx.commit().await.unwrap();
        };
        written.instrument(span).await;
    }
    let (arrived, stop) = (Mutex::new(Vec::new()), CancellationToken::new());
    let deliver = |topic, _: Vec<String>| {
        arrived.lock().unwrap().push((topic, Trace::header_here()));
        std::future::ready(Ok(()))
    };
    let all = async {
        for topic in [1, 2] {
            assert!(outbox.drained(topic, None, Duration::from_secs(20)).await.unwrap());
        }
        stop.cancel();
    };
    tokio::join!(outbox.relay(stop.clone(), deliver), all);
    let arrived = arrived.into_inner().unwrap();
    assert_eq!(
        arrived.iter().map(|(topic, here)| (*topic, here.is_some())).collect::<Vec<_>>(),
        [(1, true), (2, false)]
    );
    let spans = seen::ended(&first);
    let relayed = spans.iter().find(|span| span.name == "outbox.relay").unwrap();
    let request = spans.iter().find(|span| span.name == "a request").unwrap();
    assert_eq!(relayed.parent_span_id, request.span_context.span_id());
    let other = seen::ended(&second)[0].span_context.span_id();
    assert_eq!(relayed.links.iter().map(|link| link.span_context.span_id()).collect::<Vec<_>>(), [other]);
}

async fn it_is_opened_again_but_not_by_an_older_version(url: &str, dir: &Path, db: Db) {
    let before = count(&db).await;
    db.close().await;
    assert!(Db::open_existing(url, dir, "nothing").await.unwrap().is_none());
    let db = Db::open_existing(url, dir, "test").await.unwrap().unwrap();
    assert_eq!(count(&db).await, before);
    db.close().await;
    Db::open(url, dir, "test", &migrations(2)).await.unwrap().close().await;
    let error = format!("{:#}", Db::open(url, dir, "test", &migrations(1)).await.unwrap_err());
    assert!(error.contains("migration 2"), "{error}");
    assert!(url == "sqlite:" || error.starts_with("db.url: "), "{error}");
}
