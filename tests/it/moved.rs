//! An embedded site moves into a cluster: all is there, and what was refused stays refused.

use common::native;
use goligoli_tests::lottery::{Lottery, book, receipt};
use goligoli_tests::replay::{Replay, rows};
use goligoli_tests::{Account, Answer, Ran, Scene, Server, Setup, objects};
use serde_json::{Value, json};

const TEXTS: [&str; 5] = ["<b> & \"it's\"", "哈哈哈 🎉👩‍👩‍👧", "na\u{308}ive", "näive", "\\N 100%_?"];
/// Values that no API takes, in a table that is as good as any: what is alike must not become
/// the same.
const ALIKE: [(&str, i64); 7] =
    [("a", 0), ("a ", -1), ("A", i64::MAX), ("a\t", i64::MIN), ("ä", 1 << 53), ("a\u{308}", 3), ("🎉", 4)];

/// A site before it moves, and what it said of itself.
struct Old {
    server: Server,
    scene: Scene,
    mei: Account,
    muted: Account,
    logged_out: Account,
    refresh_token: Value,
    lottery: Lottery,
    entrants: Vec<Account>,
    receipts: Vec<Value>,
    replay: Replay,
}

impl Old {
    async fn live(lottery_s: u64) -> Self {
        let server = Setup::new().alone().start().await;
        let mut scene = Scene::open(&server).await;
        let mei = Account::register(&server, "mei").await;
        let (logged_out, muted) =
            (Account::log_in(&server, "mei", Account::PASSWORD).await, Account::register(&server, "loud").await);
        let log_in = json!({"name": "mei", "password": Account::PASSWORD, "device_name": "📱 "});
        let log_in = Answer::to(server.client().post(server.url("/api/v1/auth/login")).json(&log_in)).await;
        for text in TEXTS {
            _ = mei.say(&scene.room, text).await.expect(201);
        }
        let replay = Replay::of(&scene).await;
        _ = replay.ready(&scene.owner).await;

        let session = scene.owner.post(&scene.path("/sessions"), &Value::Null).await.expect(201);
        session["id"].as_str().unwrap().clone_into(&mut scene.session);
        let lottery = Lottery::open(&scene, &book(lottery_s)).await;
        let entrants = Account::seed(&server, 3).await;
        let mut receipts = Vec::new();
        for entrant in &entrants {
            receipts.push(receipt(&lottery.enter(entrant).await));
        }
        for text in TEXTS {
            _ = mei.say(&scene.room, text).await.expect(201);
        }
        let deleted = mei.say(&scene.room, "a slip").await.expect(201);
        let deleted = scene.path(&format!("/danmaku/{}", deleted["id"].as_str().unwrap()));
        assert_eq!(mei.delete(&deleted).await.status, 204);
        let mute = scene.path(&format!("/mutes/{}", muted.id));
        _ = scene.owner.put(&mute, &json!({"span": "forever"})).await.expect(200);
        assert_eq!(logged_out.post("/api/v1/auth/logout", &Value::Null).await.status, 204);
        let refresh_token = log_in.expect(200)["refresh_token"].clone();
        Self { server, scene, mei, muted, logged_out, refresh_token, lottery, entrants, receipts, replay }
    }

    /// What everybody, and the room's owner, can see.
    async fn told(&self, server: &Server) -> Vec<Value> {
        let (scene, owner) = (&self.scene, self.scene.owner.at(server));
        let mut told = scene.history(server).await;
        // Noted a moment after the answer.
        told.iter_mut().for_each(|danmaku| _ = danmaku["delivery"].take());
        for path in [scene.path(""), scene.path("/replays"), scene.path("/sessions"), self.lottery.path("")] {
            let mut answer = server.get(&path).await.expect(200);
            answer["viewers"].take();
            answer["server_time"].take();
            told.push(answer);
        }
        for path in ["/api/v1/me", "/api/v1/me/devices", &scene.path("/mutes"), &self.replay.path("/manifest")] {
            told.push(owner.get(path).await.expect(200));
        }
        told.extend(self.replay.danmaku(&owner).await);
        for format in ["xml", "ass", "json", "pb"] {
            told.push(json!(self.replay.file(&owner, format).await.body));
        }
        told
    }

    /// Stops, and writes what no API takes.
    async fn stop(&mut self) {
        _ = self.server.terminate().await;
        let db = self.server.db("user").await;
        for (client, times) in ALIKE {
            let insert = "INSERT INTO wrong_password (subject, client, times, ends_at_ms) \
                          VALUES ('alike', ?, ?, 9007199254740993)";
            let mut tx = db.begin().await.unwrap();
            _ = sqlx::query(insert).bind(client).bind(times).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        }
        db.close().await;
    }

    async fn move_to(&self, cluster: &Server, environment: &[(&str, &str)]) -> Ran {
        let folder = self.server.data().join("data");
        let arguments = ["migrate", "--from", "sqlite:", "--to", "mysql:", "--data-dir", folder.to_str().unwrap()];
        cluster.operate_with(&arguments, environment).await
    }
}

fn refused(ran: &Ran, says: &str) {
    assert!(!ran.ok && ran.err.lines().count() == 1 && ran.err.contains(says), "{says}: {} {}", ran.out, ran.err);
    assert!(ran.err.starts_with("goligoli: ") && ran.out.is_empty(), "{} {}", ran.out, ran.err);
}

#[tokio::test]
async fn an_embedded_site_moves_whole() {
    if native::server("NATIVE_MYSQL_URL").is_none() {
        return;
    }
    let mut old = Old::live(20).await;
    let before = old.told(&old.server).await;
    let mut cluster = Setup::new().apart().prepare();
    refused(&old.move_to(&cluster, &[]).await, "stop the server first");
    old.stop().await;

    // Killed half-way nothing starts on it, and it is run again.
    for point in ["moving.table-copied:9", "moving.table-copied:30", "moving.objects-copied"] {
        let killed = old.move_to(&cluster, &[("FAILPOINT", point)]).await;
        assert!(killed.code.is_none() && killed.out.is_empty(), "{} {}", killed.out, killed.err);
        refused(&cluster.operate(&["migrate"]).await, "a site is being moved");
    }
    let moved = old.move_to(&cluster, &[]).await;
    assert!(moved.ok, "{}", moved.err);
    let compared = moved.err.lines().filter(|line| line.ends_with("the same on both sides")).count();
    let mut tables = 0;
    for service in ["user", "live", "message", "lottery"] {
        tables += rows(&old.server, service, "sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations'").await;
    }
    assert_eq!(i64::try_from(compared).unwrap(), tables, "{}", moved.err);
    assert!(moved.err.contains("ended log-ins: 1 are carried over"), "{}", moved.err);
    let expected = objects(&old.server).await.len();
    assert!(
        expected > 5 && moved.err.contains(&format!("objects: {expected} are there, {expected} of")),
        "{}",
        moved.err
    );
    refused(&old.move_to(&cluster, &[]).await, "has rows already");

    cluster.site().take_keys(&moved.out);
    cluster.start_again().await;
    let late = old.lottery.insist(&old.mei.at(&cluster)).await;
    // All is as it was.
    for (now, before) in old.told(&cluster).await.iter().zip(&before) {
        if now["entrants"].is_null() {
            assert_eq!(now, before);
        }
    }
    let db = cluster.db("user").await;
    let alike = sqlx::query_as("SELECT client, times FROM wrong_password WHERE subject = 'alike'");
    let mut alike: Vec<(String, i64)> = alike.fetch_all(db.reader()).await.unwrap();
    alike.sort();
    let mut expected = ALIKE.map(|(client, times)| (client.to_owned(), times));
    expected.sort();
    assert_eq!(alike, expected);
    db.close().await;

    // Who is logged in stays so; who is not, does not come back.
    _ = old.mei.at(&cluster).say(&old.scene.room, "here we are").await.expect(201);
    let refresh = json!({"refresh_token": old.refresh_token});
    let refresh = cluster.client().post(cluster.url("/api/v1/auth/refresh")).json(&refresh);
    _ = Answer::to(refresh).await.expect(200);
    old.logged_out.at(&cluster).get("/api/v1/me").await.refused(401, "not-signed-in");
    old.muted.at(&cluster).say(&old.scene.room, "am I still muted?").await.refused(403, "muted");

    // The lottery goes on: everybody who entered is in, with the receipts of then.
    let drawn = old.lottery.drawn(&cluster).await;
    let entries = old.lottery.entries(&cluster).await;
    assert_eq!(entries.len(), old.entrants.len() + usize::from(late.is_some()));
    let receipts: Vec<Value> = old.receipts.iter().cloned().chain(late).collect();
    old.lottery.audit(&cluster, &old.lottery.answer["opened"], &drawn["closed"], &receipts).await;
    _ = cluster.terminate().await;
}

#[tokio::test]
async fn what_can_t_be_moved_is_said_in_a_line() {
    let (Some(mysql), Some(redis)) = (native::server("NATIVE_MYSQL_URL"), native::server("NATIVE_REDIS_URL")) else {
        return;
    };
    let mut old = Old::live(3_600).await;
    old.stop().await;
    let cluster = Setup::new().apart().prepare();
    let run = async |arguments: &[&str], environment: &[(&str, &str)]| {
        let arguments: Vec<&str> = ["migrate"].iter().chain(arguments).copied().collect();
        cluster.operate_with(&arguments, environment).await
    };
    let folder = old.server.data().join("data").to_str().unwrap().to_owned();
    let of = ["--from", "sqlite:", "--data-dir", &folder];
    refused(&run(&["--from", "mysql://a:secret@b/c"], &[]).await, "--from mysql");
    refused(&run(&["--from", "sqlite:", "--data-dir", "/nowhere"], &[]).await, "no embedded site in /nowhere");
    refused(&run(&["--from", "sqlite:", "--to", "sqlite:"], &[]).await, "--to");
    refused(&run(&["--from", "sqlite:", "--to", &format!("{mysql}other")], &[]).await, "--to and db.url");
    for (key, value, says) in [
        ("GOLIGOLI_DB__URL", "sqlite:", "db.url"),
        ("GOLIGOLI_DB__URL", "mysql://goligoli:wrong@127.0.0.1:1/it", "db.url: no server answers"),
        ("GOLIGOLI_OBJECTS__URL", "folder:", "objects.url"),
        ("GOLIGOLI_OBJECTS__SECRET_KEY", "wrong", "objects.secret_key"),
        ("GOLIGOLI_PUSH__FEEDS", "log:", "push.feeds"),
        ("GOLIGOLI_PUSH__FEEDS", &redis.replace("redis://:", "redis://:no"), "push.feeds"),
    ] {
        let ran = run(&of, &[(key, value)]).await;
        refused(&ran, says);
        assert!(!ran.err.contains("wrong"), "{}", ran.err);
    }

    // SQLite took what MariaDB does not take.
    let db = old.server.db("live").await;
    let spoil = async |sql: &'static str| {
        let mut tx = db.begin().await.unwrap();
        _ = sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    for (spoilt, says) in [
        ("UPDATE room_owner SET rooms = 'some'", "live.room_owner: the row with user_id "),
        ("UPDATE room SET title = hex(zeroblob(40)), version = version", "live.room: the row with id "),
    ] {
        spoil(spoilt).await;
        let ran = run(&of, &[]).await;
        assert!(!ran.ok && ran.err.lines().last().unwrap().contains(says), "{}", ran.err);
        spoil("UPDATE room_owner SET rooms = 1").await;
    }
    spoil("UPDATE room SET title = 'as it was'").await;
    db.close().await;
    assert!(run(&of, &[]).await.ok, "what was mended is moved");
    assert_eq!(rows(&cluster, "live", "room").await, 1);
}
