//! The operator's command line, beside a running server and without one.

use goligoli_tests::{Account, Answer, Ran, Scene, Server, Setup};
use serde_json::{Value, json};

/// A command that must fail with one line that says why.
fn refused(ran: &Ran, says: &str) {
    assert!(!ran.ok, "it must fail: {} {}", ran.out, ran.err);
    assert_eq!(ran.err.lines().count(), 1, "one line: {}", ran.err);
    assert!(ran.err.starts_with("goligoli: ") && ran.err.contains(says), "{}", ran.err);
}

fn new_password(ran: &Ran) -> String {
    assert!(ran.ok, "{}", ran.err);
    let (_, rest) = ran.err.split_once(" is ").expect("it says the password");
    rest.split(';').next().unwrap().to_owned()
}

async fn log_in(server: &Server, name: &str, password: &str) -> Answer {
    let body = json!({"name": name, "password": password});
    Answer::to(server.client().post(server.url("/api/v1/auth/login")).json(&body)).await
}

#[tokio::test]
async fn a_site_admin_is_made_by_the_operator() {
    let mut server = Setup::new().alone().start().await;
    let scene = Scene::open(&server).await;
    let running = Account::register(&server, "while-running").await;
    _ = Account::register(&server, "while-stopped").await;
    let close = scene.path(&format!("/sessions/{}/close", scene.session));
    running.post(&close, &Value::Null).await.refused(403, "not-allowed");

    let ran = server.operate(&["admin", "grant", "while-running"]).await;
    assert!(ran.ok && ran.err.contains("site admin"), "{}", ran.err);
    _ = server.terminate().await;
    let ran = server.operate(&["admin", "grant", "while-stopped"]).await;
    assert!(ran.ok && ran.err.contains("site admin"), "{}", ran.err);
    refused(&server.operate(&["admin", "grant", "nobody-here"]).await, "no such account");
    server.start_again().await;
    refused(&server.operate(&["admin", "grant", "nobody-here"]).await, "no such account");

    for name in ["while-running", "while-stopped"] {
        let admin = Account::log_in(&server, name, Account::PASSWORD).await;
        assert_eq!(admin.get("/api/v1/me").await.expect(200)["role"], "site_admin");
        // What only the owner may else.
        _ = admin.post(&close, &Value::Null).await.expect(200);
    }
}

#[tokio::test]
async fn a_command_opens_no_database_but_its_own() {
    let mut server = Setup::new().alone().start().await;
    _ = Account::register(&server, "mei").await;
    _ = server.terminate().await;
    let (database, away) = (server.data().join("data/live.db"), server.data().join("live.db.away"));
    std::fs::rename(&database, &away).unwrap();
    let ran = server.operate(&["admin", "grant", "mei"]).await;
    assert!(ran.ok && !database.exists(), "{}", ran.err);
    // Of a replay it has to.
    refused(&server.operate(&["admin", "reindex", "7"]).await, "there is no replay 7");
    assert!(database.exists());
}

#[tokio::test]
async fn a_forgotten_password_is_reset_by_the_operator() {
    let mut server = Setup::new().alone().start().await;
    let mei = Account::register(&server, "mei").await;
    let first = new_password(&server.operate(&["admin", "reset-password", "mei"]).await);
    log_in(&server, "mei", Account::PASSWORD).await.refused(401, "wrong-credentials");
    let again = Account::log_in(&server, "mei", &first).await;
    goligoli_tests::until("the log-in before has ended", async || {
        (mei.get("/api/v1/me").await.status == 401).then_some(())
    })
    .await;

    _ = server.terminate().await;
    let second = new_password(&server.operate(&["admin", "reset-password", "mei"]).await);
    server.start_again().await;
    log_in(&server, "mei", &first).await.refused(401, "wrong-credentials");
    _ = Account::log_in(&server, "mei", &second).await;
    // Its log-ins ended with it, although no server ran that could have been told.
    goligoli_tests::until("the log-in before has ended", async || {
        (again.get("/api/v1/me").await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_thousand_test_accounts_have_tokens_that_work() {
    let mut server = Setup::new().alone().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 1_000).await;
    let ids: std::collections::HashSet<&str> = accounts.iter().map(|account| account.id.as_str()).collect();
    assert_eq!(ids.len(), 1_000);
    for account in accounts.iter().step_by(111) {
        let me = account.get("/api/v1/me").await.expect(200);
        assert_eq!((&me["id"], &me["name"]), (&json!(account.id), &json!(account.name)));
        _ = account.say(&scene.room, "I am real").await.expect(201);
    }
    // Without a server, and again: the same accounts, with new tokens.
    _ = server.terminate().await;
    let ran = server.operate(&["seed", "--accounts", "3", "--password", "a shared password"]).await;
    assert!(ran.ok && ran.out.lines().count() == 3, "{} {}", ran.out, ran.err);
    server.start_again().await;
    let first: Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
    let token = first["access_token"].as_str().unwrap();
    let me = Answer::to(server.client().get(server.url("/api/v1/me")).bearer_auth(token)).await.expect(200);
    assert_eq!(me["id"], first["user_id"]);
}

#[tokio::test]
async fn a_replay_is_indexed_again_by_the_operator() {
    let mut server = Setup::new().alone().start().await;
    let scene = Scene::open(&server).await;
    _ = scene.owner.say(&scene.room, "once more").await.expect(201);
    _ = scene.owner.post(&scene.path(&format!("/sessions/{}/close", scene.session)), &Value::Null).await.expect(200);
    // Its id, and a version after that one.
    let ready = async |server: &Server, after: u64| {
        goligoli_tests::until("the replay is indexed", async || {
            let replays = server.get(&scene.path("/replays")).await.expect(200);
            let replay = &replays["items"][0];
            let version = replay["version"].as_u64().filter(|version| *version > after)?;
            assert_eq!((&replay["danmaku_count"], &replay["state"]), (&json!(1), &json!("ready")));
            Some((replay["id"].as_str().unwrap().to_owned(), version))
        })
        .await
    };
    let (replay, first) = ready(&server, 0).await;
    let reindex = ["admin", "reindex", &replay];
    let ran = server.operate(&reindex).await;
    assert!(ran.ok && ran.err.contains("is indexed again"), "{}", ran.err);
    let (_, second) = ready(&server, first).await;
    refused(&server.operate(&["admin", "reindex", "4000000"]).await, "there is no replay 4000000");

    _ = server.terminate().await;
    let ran = server.operate(&reindex).await;
    assert!(ran.ok && ran.err.contains("is indexed again"), "{}", ran.err);
    refused(&server.operate(&["admin", "reindex", "4000000"]).await, "there is no replay 4000000");
    server.start_again().await;
    _ = ready(&server, second).await;
}

#[tokio::test]
async fn what_can_not_work_is_refused_in_one_line() {
    let server = Setup::new().alone().start().await;
    let part = server.operate(&["serve", "--service", "push"]).await;
    refused(&part, "push.feeds = \"log:\" is embedded");
    // A second process on the same data folder, with another port.
    let second = server.operate_with(&["serve"], &[("GOLIGOLI_HTTP__LISTEN", "127.0.0.1:0")]).await;
    refused(&second, "in use by another goligoli process");
    let taken = server.operate(&["serve"]).await;
    refused(&taken, "http.listen");
    let unknown = server.operate_with(&["config"], &[("GOLIGOLI_PUSH__RATE_PER_SECOND", "1")]).await;
    refused(&unknown, "rate_per_second");
    let wrong = server.operate_with(&["config"], &[("GOLIGOLI_PUSH__RATE_PER_S", "0")]).await;
    refused(&wrong, "");
    let nowhere = server.operate(&["--config", "nowhere.toml", "config"]).await;
    refused(&nowhere, "nowhere.toml");
    let no_file = server.operate_with(&["demo", "--file", "nowhere.xml"], &[]).await;
    refused(&no_file, "nowhere.xml");
    // The server never noticed.
    assert_eq!(server.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn the_configuration_in_effect_is_printed() {
    let server = Setup::new().alone().prepare();
    std::fs::write(server.data().join("site.toml"), "[push]\nrate_per_s = 7\nburst = 9\n").unwrap();
    let ran = server
        .operate_with(
            &["--config", "site.toml", "config"],
            &[("GOLIGOLI_PUSH__BURST", "11"), ("GOLIGOLI_PUSH__RATE_PER_S", "")],
        )
        .await;
    // An empty value is no number; without it the file's counts.
    assert!(!ran.ok, "{}", ran.out);
    let server = Setup::new().alone().unset("PUSH__RATE_PER_S").prepare();
    std::fs::write(server.data().join("site.toml"), "[push]\nrate_per_s = 7\nburst = 9\n").unwrap();
    let ran = server.operate_with(&["--config", "site.toml", "config"], &[("GOLIGOLI_PUSH__BURST", "11")]).await;
    assert!(ran.ok, "{}", ran.err);
    for line in ["rate_per_s = 7", "burst = 11", "tick_ms = 25"] {
        assert!(
            ran.out.lines().any(|printed| printed == line),
            "{line}: the file, the environment, the default\n{}",
            ran.out
        );
    }
    assert!(ran.out.contains(&format!("data_dir = \"{}\"", server.data().join("data").display())), "{}", ran.out);
}
