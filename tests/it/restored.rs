//! A data folder is put back from a backup: what was given out since is not given out again.

use std::path::Path;

use goligoli_tests::lottery::{Lottery, book, receipt};
use goligoli_tests::{Account, Scene, Setup, Watch};
use serde_json::{Value, json};

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
    if server.db_url() != goligoli_tests::EMBEDDED {
        // A copy of the folder is no backup there.
        return;
    }
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 3).await;
    let lottery = Lottery::open(&scene, &book(3_600)).await;
    _ = receipt(&lottery.enter(&accounts[0]).await);
    let running = server.operate(&["admin", "restored"]).await;
    assert!(!running.ok && running.err.contains("stop the server first"), "{}", running.err);
    _ = server.terminate().await;
    let backup = tempfile::tempdir().unwrap();
    copy(server.data(), backup.path());

    // All this is lost.
    server.start_again().await;
    _ = receipt(&lottery.enter(&accounts[1]).await);
    let lost = Lottery::open(&scene, &book(3_600)).await;
    let lost_danmaku = scene.owner.say(&scene.room, "lost").await.expect(201);
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    let seen = viewer.next("hello").await;
    _ = server.terminate().await;
    std::fs::remove_dir_all(server.data()).unwrap();
    copy(backup.path(), server.data());

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
