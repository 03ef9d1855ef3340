//! Data are put back from a backup: what was given out since is not given out again. Of a
//! cluster the databases are put back, and its Redis knows more than they do.

use std::path::Path;

use goligoli_tests::lottery::{Lottery, book, receipt};
use goligoli_tests::{Account, Scene, Server, Setup, Watch};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

/// A copy of a stopped site's data: its folder, or its schemas.
struct Backup {
    folder: Option<TempDir>,
}

impl Backup {
    async fn of(server: &Server) -> Self {
        if server.site_name().is_some() {
            copy_schemas(server, "", "_kept").await;
            return Self { folder: None };
        }
        let folder = tempfile::tempdir().unwrap();
        copy(server.data(), folder.path());
        Self { folder: Some(folder) }
    }

    async fn put_back(self, server: &Server) {
        match self.folder {
            None => copy_schemas(server, "_kept", "").await,
            Some(folder) => {
                std::fs::remove_dir_all(server.data()).unwrap();
                copy(folder.path(), server.data());
            }
        }
    }
}

/// Copies each service's schema from the one with this ending to the one with that.
async fn copy_schemas(server: &Server, from: &str, to: &str) {
    for service in ["user", "live", "message", "lottery"] {
        let db = server.db(service).await;
        let schema: String = sqlx::query_scalar("SELECT DATABASE()").fetch_one(db.reader()).await.unwrap();
        let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(db.reader()).await.unwrap();
        let run = async |sql: String| {
            let mut tx = db.begin().await.unwrap();
            _ = sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        };
        run(format!("CREATE DATABASE IF NOT EXISTS {schema}{to}")).await;
        for table in tables {
            run(format!("CREATE TABLE IF NOT EXISTS {schema}{to}.{table} LIKE {schema}{from}.{table}")).await;
            run(format!("TRUNCATE TABLE {schema}{to}.{table}")).await;
            run(format!("INSERT INTO {schema}{to}.{table} SELECT * FROM {schema}{from}.{table}")).await;
        }
        if !from.is_empty() {
            run(format!("DROP DATABASE {schema}{from}")).await;
        }
        db.close().await;
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&from, &to),
            kind if kind.is_file() => _ = std::fs::copy(from, to).unwrap(),
            _ => {}
        }
    }
}

fn number(id: &Value) -> u64 {
    id.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_was_given_out_since_the_backup_is_not_given_out_again() {
    let mut server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 3).await;
    let lottery = Lottery::open(&scene, &book(3_600)).await;
    _ = receipt(&lottery.enter(&accounts[0]).await);
    let running = server.operate(&["admin", "restored"]).await;
    assert!(!running.ok && running.err.contains("stop the server first"), "{}", running.err);
    _ = server.terminate().await;
    let backup = Backup::of(&server).await;

    // All this is lost.
    server.start_again().await;
    _ = receipt(&lottery.enter(&accounts[1]).await);
    let lost = Lottery::open(&scene, &book(3_600)).await;
    let lost_danmaku = scene.owner.say(&scene.room, "lost").await.expect(201);
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    let seen = viewer.next("hello").await;
    _ = server.terminate().await;
    backup.put_back(&server).await;

    for called_off in ["1", "0"] {
        let restored = server.operate(&["admin", "restored"]).await;
        assert!(restored.ok && restored.err.ends_with(&format!("called off: {called_off}\n")), "{}", restored.err);
    }
    server.start_again().await;
    let now = lottery.now(&server).await;
    assert_eq!((&now["phase"], &now["entrants"]), (&json!("cancelled"), &json!(1)));
    assert!(now["cancelled"]["reason"].as_str().unwrap().contains("backup"), "{now}");
    let next = Lottery::open(&scene, &book(3_600)).await;
    assert!(number(&json!(next.id)) > number(&json!(lost.id)) + 10_000, "{} {}", next.id, lost.id);
    let danmaku = scene.owner.say(&scene.room, "found").await.expect(201);
    assert!(number(&danmaku["id"]) > number(&lost_danmaku["id"]) + 10_000, "{danmaku} {lost_danmaku}");
    // Whoever watched before learns that something is missing.
    let mut viewer = Watch::guest().after(&seen.id.unwrap()).open(&server, &scene.room).await;
    assert_eq!(viewer.event().await.json()["resumed"], json!(false));
    let gap = viewer.next("gap").await.json();
    assert_eq!(gap["n"], Value::Null, "nobody knows how much");
}

#[tokio::test]
async fn feeds_that_were_put_back_end_positions_and_nothing_else() {
    let mut server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    let lottery = Lottery::open(&scene, &book(3_600)).await;
    assert_eq!(mei.post("/api/v1/auth/logout", &Value::Null).await.status, 204);
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    let seen = viewer.next("hello").await;
    _ = server.terminate().await;
    let restored = server.operate(&["admin", "restored", "--feeds-only"]).await;
    assert!(restored.ok && restored.err.ends_with("all feeds begin anew\n"), "{}", restored.err);
    server.start_again().await;
    assert_eq!(lottery.now(&server).await["phase"], "open");
    let mut viewer = Watch::guest().after(&seen.id.unwrap()).open(&server, &scene.room).await;
    assert_eq!(viewer.event().await.json()["resumed"], json!(false));
    mei.get("/api/v1/me").await.refused(401, "not-signed-in");
}
