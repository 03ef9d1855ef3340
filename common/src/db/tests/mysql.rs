//! What goes wrong on the way to a server, or there.

use std::net::SocketAddr;
use std::time::Instant;

use sqlx::AnyConnection;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Nothing goes through, and nothing is closed.
    Stuck,
    /// All connections are cut, and no new ones are made.
    Cut,
}

/// A way to the server that can be barred.
async fn way(server: &str) -> (String, watch::Sender<Way>) {
    let (account, place) = server.trim_start_matches("mysql://").trim_end_matches('/').rsplit_once('@').unwrap();
    let place: SocketAddr = place.parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mysql://{account}@{}", listener.local_addr().unwrap());
    let (bar, way) = watch::channel(Way::Open);
    let through = async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut way = way.clone();
            connections.spawn(async move {
                let Ok(mut far) = TcpStream::connect(place).await else { return };
                loop {
                    let now = *way.borrow_and_update();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far), if now == Way::Open => return,
                        _ = way.changed(), if now != Way::Cut => {}
                        () = std::future::ready(()), if now == Way::Cut => return,
                    }
                }
            });
        }
    };
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    tokio::spawn(through);
    (url, bar)
}

async fn works(db: &Db) -> bool {
    let Ok(mut tx) = db.begin().await else { return false };
    let done = sqlx::query("UPDATE thing SET n = n + 1").execute(&mut *tx).await.is_ok();
    done && tx.commit().await.is_ok() && sqlx::query("SELECT 1").fetch_one(db.reader()).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_or_is_away_is_waited_for_in_vain_but_not_for_long() {
    let Some(server) = native::server("NATIVE_MYSQL_URL") else { return };
    let (dir, (url, bar)) = (tempfile::tempdir().unwrap(), way(&server).await);
    let db = Db::open(&native::db_url_on(&url, dir.path()), dir.path(), "test", &migrations(1)).await.unwrap();
    for barred in [Way::Stuck, Way::Cut] {
        assert!(works(&db).await);
        let mut tx = db.begin().await.unwrap();
        bar.send_replace(barred);
        let begun = Instant::now();
        let (within, read) =
            tokio::join!(sqlx::query("SELECT 1").fetch_one(&mut *tx), sqlx::query("SELECT 1").fetch_one(db.reader()));
        for error in [within.map(drop).unwrap_err(), read.map(drop).unwrap_err()] {
            assert!(may_pass(&error), "{barred:?}: {error}");
            let refusal = crate::Failure::Db(error).into_refusal("a test");
            assert_eq!(refusal.code, idl::Code::Unavailable);
        }
        let error = tx.commit().await.unwrap_err();
        assert!(may_pass(&error), "{barred:?}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{barred:?}: {:?}", begun.elapsed());
        assert!(!works(&db).await);
        bar.send_replace(Way::Open);
        let healed = Instant::now();
        while !works(&db).await {
            assert!(healed.elapsed() < PATIENCE, "{barred:?}: it does not heal");
        }
        assert!(healed.elapsed() < Duration::from_secs(5), "{barred:?}: {:?}", healed.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_left_in_the_middle_is_read_by_nobody_else() {
    let Some(server) = native::server("NATIVE_MYSQL_URL") else { return };
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&native::db_url_on(&server, dir.path()), dir.path(), "test", &migrations(1)).await.unwrap();
    for wait_ms in 0..60_u64 {
        let long = "SELECT REPEAT('x', 200000), SLEEP(?) UNION ALL SELECT REPEAT('y', 3000000), 0";
        let long = sqlx::query(long).bind(0.03_f64).fetch_all(db.reader());
        _ = tokio::time::timeout(Duration::from_millis(wait_ms), long).await;
        let mut tx = db.begin().await.unwrap();
        let write = sqlx::query("INSERT INTO thing (name, n) VALUES (?, SLEEP(0.01))").bind("left").execute(&mut *tx);
        _ = tokio::time::timeout(Duration::from_millis(wait_ms / 4), write).await;
        drop(tx);
        let n = i64::try_from(wait_ms).unwrap();
        for _ in 0..3 {
            let row = sqlx::query("SELECT ? + 1").bind(n).fetch_one(db.reader()).await.unwrap();
            assert_eq!(row.get::<i64, _>(0), n + 1);
        }
    }
    assert_eq!(count(&db).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_in_a_transaction_holds_nobody_up_for_long() {
    let Some(server) = native::server("NATIVE_MYSQL_URL") else { return };
    let dir = tempfile::tempdir().unwrap();
    let url = native::db_url_on(&server, dir.path());
    let db = Db::open(&url, dir.path(), "test", &migrations(1)).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    for name in ["a", "b"] {
        put(&mut tx, name, 0).await.unwrap();
    }
    tx.commit().await.unwrap();
    let lock = async |tx: &mut Tx, name: &str| {
        sqlx::query("UPDATE thing SET n = n + 1 WHERE name = ?").bind(name).execute(&mut **tx).await.map(drop)
    };
    let mut stopped = db.begin().await.unwrap();
    lock(&mut stopped, "a").await.unwrap();
    let (mut tx, begun) = (db.begin().await.unwrap(), Instant::now());
    lock(&mut tx, "a").await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
    tx.commit().await.unwrap();
    assert!(may_pass(&lock(&mut stopped, "a").await.unwrap_err()));

    // Two that wait for each other: one of them is told to begin again.
    let (mut one, mut two) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    lock(&mut one, "a").await.unwrap();
    lock(&mut two, "b").await.unwrap();
    let (first, second) = tokio::join!(lock(&mut one, "b"), lock(&mut two, "a"));
    let errors: Vec<sqlx::Error> = [first, second].into_iter().filter_map(Result::err).collect();
    assert!(matches!(&errors[..], [error] if is_conflict(error) && may_pass(error)), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_url_is_said_in_a_line_without_the_password() {
    let Some(server) = native::server("NATIVE_MYSQL_URL") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (account, place) = server.trim_start_matches("mysql://").trim_end_matches('/').rsplit_once('@').unwrap();
    let (user, password) = account.split_once(':').unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    for (url, said) in [
        (format!("mysql://{user}:s3cret@{place}/site"), "is wrong"),
        (format!("mysql://{user}:{password}@{nobody}/site"), "no server answers"),
        (format!("mysql://{user}:{password}@{place}/"), "prefix"),
        (format!("mysql://{user}:{password}@{place}/a`b"), "prefix"),
        (format!("mysql://{user}:{password}@:/"), "not of the form"),
        (format!("mysql:{user}:{password}"), "db.url"),
        (format!("postgres://{user}:{password}@{place}/site"), "neither"),
    ] {
        let error = format!("{:#}", Db::open(&url, dir.path(), "test", &migrations(1)).await.unwrap_err());
        assert!(error.starts_with("db.url") && error.contains(said), "{error}");
        assert!(!error.contains("s3cret") && !error.contains(password) && !error.contains('\n'), "{error}");
    }
    // A schema that somebody made by hand compares texts in another way.
    let url = native::db_url_on(&server, dir.path());
    let schema = format!("{}_test", url.rsplit_once('/').unwrap().1);
    sqlx::any::install_default_drivers();
    let mut connection = <AnyConnection as sqlx::Connection>::connect(&server).await.unwrap();
    let make = format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci");
    sqlx::query(AssertSqlSafe(make)).execute(&mut connection).await.unwrap();
    let error = Db::open(&url, dir.path(), "test", &migrations(1)).await.unwrap_err().to_string();
    assert!(error.starts_with("db.url: ") && error.contains("collation"), "{error}");
}
