//! A log-in that has ended is over everywhere within five seconds.

use std::time::Duration;

use goligoli_tests::{Account, Scene, Server, Setup, Viewer, Watch, in_time, until};
use serde_json::json;

/// What is promised.
const SOON: Duration = Duration::from_secs(5);

async fn watching(server: &Server, account: &Account, scene: &Scene) -> Viewer {
    let mut viewer = Watch::by(account).open(server, &scene.room).await;
    _ = viewer.next("hello").await;
    viewer
}

async fn is_cut(mut viewer: Viewer, how: &str) {
    let bye = in_time(SOON, how, viewer.next("bye")).await;
    assert_eq!(bye.json(), json!({"reason": "revoked", "reconnect_in_ms": null}), "{how}");
    assert_eq!(viewer.item_or_error().await.expect("it ends properly"), None);
}

async fn is_refused(server: &Server, account: &Account, scene: &Scene, how: &str) {
    let refused = async || (account.get("/api/v1/me").await.status == 401).then_some(());
    in_time(SOON, how, until(how, refused)).await;
    account.get("/api/v1/me").await.refused(401, "not-signed-in");
    account.say(&scene.room, "am I still here?").await.refused(401, "not-signed-in");
    Watch::by(account).refused(server, &scene.room).await.refused(401, "not-signed-in");
}

#[tokio::test]
async fn log_out_revocation_and_a_new_password_end_streams_and_tokens() {
    let mut server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    let log_in = async || Account::log_in(&server, "mei", Account::PASSWORD).await;
    let (left, lost, old) = (log_in().await, log_in().await, log_in().await);
    let mut stays = watching(&server, &mei, &scene).await;

    let stream = watching(&server, &left, &scene).await;
    assert_eq!(left.post("/api/v1/auth/logout", &json!(null)).await.status, 204);
    is_cut(stream, "log-out").await;
    is_refused(&server, &left, &scene, "log-out").await;

    let stream = watching(&server, &lost, &scene).await;
    assert_eq!(mei.delete(&format!("/api/v1/me/devices/{}", lost.device)).await.status, 204);
    is_cut(stream, "a revoked device").await;
    is_refused(&server, &lost, &scene, "a revoked device").await;

    let stream = watching(&server, &old, &scene).await;
    let change = json!({"current": Account::PASSWORD, "new": "tr0ub4dor and three"});
    assert_eq!(mei.put("/api/v1/me/password", &change).await.status, 204);
    is_cut(stream, "a new password").await;
    is_refused(&server, &old, &scene, "a new password").await;

    // Who changed the password stays, and so do others.
    _ = scene.owner.say(&scene.room, "still here").await.expect(201);
    _ = stays.through_text("still here").await;
    let devices = mei.get("/api/v1/me/devices").await.expect(200);
    assert_eq!(devices["items"].as_array().unwrap().len(), 1, "{devices}");

    // Not a moment's grace after a restart, planned or not: ready means ready to refuse.
    for planned in [true, false] {
        if planned {
            server.restart().await;
        } else {
            server.kill9().await;
            server.start_again().await;
        }
        for account in [&left, &lost, &old] {
            account.get("/api/v1/me").await.refused(401, "not-signed-in");
            Watch::by(account).refused(&server, &scene.room).await.refused(401, "not-signed-in");
        }
        _ = mei.get("/api/v1/me").await.expect(200);
    }
}

#[tokio::test]
async fn a_log_out_right_before_kill_9_holds() {
    let mut server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    assert_eq!(mei.post("/api/v1/auth/logout", &json!(null)).await.status, 204);
    server.kill9().await;
    server.start_again().await;
    is_refused(&server, &mei, &scene, "a log-out before a crash").await;
}
