//! A replay from outside: what its broadcast became, in all its files, and what of it lies in
//! the object store.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};

use tokio::task::JoinSet;

use crate::http::{self, Connection};
use crate::{Account, Answer, Scene, Server, objects, until};

mod files;

pub use files::{SegmentLine, XmlLine, segment_lines, xml_lines, xml_rows};

/// A replay that exists.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Its id.
    pub id: String,
}

impl Replay {
    /// Of the answer that shows it.
    #[must_use]
    pub fn from(answer: &Value) -> Self {
        Self { id: answer["id"].as_str().expect("an id").to_owned() }
    }

    /// Closes the scene's broadcast; gives its replay, which may not be ready yet.
    pub async fn of(scene: &Scene) -> Self {
        let close = scene.path(&format!("/sessions/{}/close", scene.session));
        _ = scene.owner.post(&close, &Value::Null).await.expect(200);
        let replays = list(&scene.owner, &scene.room).await;
        let one = replays.iter().find(|replay| replay["session_id"] == scene.session.as_str());
        Self::from(one.expect("a broadcast that has ended has a replay"))
    }

    /// A path below the replay's.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/replays/{}{rest}", self.id)
    }

    /// Waits until it is ready; gives it.
    pub async fn ready(&self, account: &Account) -> Value {
        self.later(account, 0).await
    }

    /// Waits for a later version than this one.
    pub async fn later(&self, account: &Account, version: u64) -> Value {
        until("the replay is ready", async || {
            let replay = account.get(&self.path("")).await.expect(200);
            let is_later = replay["version"].as_u64()? > version;
            is_later.then(|| {
                assert_eq!(replay["state"], "ready", "{replay}");
                replay
            })
        })
        .await
    }

    /// The manifest.
    pub async fn manifest(&self, account: &Account) -> Value {
        account.get(&self.path("/manifest")).await.expect(200)
    }

    /// The danmaku of all parts, as the manifest has them; all of one version.
    pub async fn danmaku(&self, account: &Account) -> Vec<Value> {
        until("all parts are of one version", async || self.danmaku_of_one_version(account).await).await
    }

    async fn danmaku_of_one_version(&self, account: &Account) -> Option<Vec<Value>> {
        let manifest = self.manifest(account).await;
        let etag = format!("\"{}\"", manifest["version"]);
        let mut danmaku = Vec::new();
        for (n, part) in (1..).zip(items(&manifest["parts"])) {
            let lines = account.get(&self.path(&format!("/parts/{n}"))).await;
            // A later version may have come between, and have fewer parts.
            if lines.headers.get("etag").is_none_or(|of_part| of_part != etag.as_str()) {
                return None;
            }
            let lines = lines.expect(200);
            assert_eq!((&part["part"], &part["danmaku_count"]), (&json!(n), &json!(items(&lines["danmaku"]).len())));
            danmaku.extend(items(&lines["danmaku"]).iter().cloned());
        }
        Some(danmaku)
    }

    /// A file with everything, by its extension.
    pub async fn file(&self, account: &Account, extension: &str) -> Answer {
        let answer = account.get(&self.path(&format!("/danmaku.{extension}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// Imports the XML as another replay, of the account's room. Holds that it is the same list,
    /// in the same order, and that no line had to be changed for it.
    pub async fn comes_back(&self, account: &Account, room: &str) -> Self {
        let xml = self.file(account, "xml").await.text();
        let answer = Answer::to(importing(account, room, "The same").body(xml)).await;
        let imported = answer.expect(201);
        let again = Self::from(&imported["replay"]);
        assert_eq!(answer.headers["location"], again.path(""));
        self.is_the_same_as(&imported, account).await;
        again
    }

    /// Holds that what was imported is this replay's list, and that no line was changed.
    pub async fn is_the_same_as(&self, imported: &Value, account: &Account) {
        let again = Self::from(&imported["replay"]);
        let danmaku = self.danmaku(account).await;
        assert_eq!(imported["report"], json!({"accepted": danmaku.len(), "skipped": {}, "changed": {}}));
        assert_eq!(again.ready(account).await["danmaku_count"], danmaku.len());
        let danmaku_again = again.danmaku(account).await;
        assert_eq!(danmaku_again.len(), danmaku.len());
        for (one_again, one) in danmaku_again.iter().zip(&danmaku) {
            assert_eq!(one_again, one);
        }
        let [xml, xml_again] = [self.file(account, "xml").await.text(), again.file(account, "xml").await.text()];
        assert_eq!(xml_rows(&xml_again), xml_rows(&xml), "equal but for the head");
    }

    /// Holds that the object store has the files of the version that is shown, and nothing
    /// else of this replay; waits for the sweep.
    pub async fn swept(&self, server: &Server, account: &Account) {
        until("no more is stored than what is shown", async || {
            let manifest = self.manifest(account).await;
            let mut expected: BTreeSet<String> =
                ["xml", "ass", "json", "pb"].iter().map(|format| format!("danmaku/all.{format}")).collect();
            expected.insert("meta.json".to_owned());
            for (n, part) in (1..).zip(items(&manifest["parts"])) {
                let segment = part["segment"].as_u64().expect("a number");
                expected.extend([format!("danmaku/part_{n:05}.json"), format!("danmaku/segment_{segment:05}.pb")]);
            }
            let version = format!("/v{}/", manifest["version"]);
            let of_this = format!("/{}-", self.id);
            let found = objects(server).await.into_iter().filter(|key| key.contains(&of_this));
            let mut shown = BTreeSet::new();
            for key in found {
                shown.insert(key.split_once(&version)?.1.to_owned());
            }
            (shown == expected).then_some(())
        })
        .await;
    }
}

/// The room's replays as the account sees them, latest first.
pub async fn list(account: &Account, room: &str) -> Vec<Value> {
    let answer = account.get(&format!("/api/v1/rooms/{room}/replays?limit=100")).await.expect(200);
    assert!(answer["next_cursor"].is_null(), "a test has no more replays in a room");
    items(&answer["items"]).to_vec()
}

/// How many rows a table has, in the database of a service that has it.
///
/// # Panics
/// There is no such table.
pub async fn rows(server: &Server, service: &str, table: &str) -> i64 {
    let db = server.db(service).await;
    let count = format!("SELECT COUNT(*) FROM {table}");
    let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(db.reader()).await.expect("a number");
    db.close().await;
    rows
}

/// A request that brings a file as a replay, without a body.
pub fn importing(account: &Account, room: &str, title: &str) -> reqwest::RequestBuilder {
    let path = format!("/api/v1/rooms/{room}/replays");
    account.request(Method::POST, &path).query(&[("title", title)]).header("Content-Type", "application/xml")
}

/// Many people talk at once, each over a connection of its own, `each` lines; gives the ids
/// of all that was acknowledged, which must be all, by time and id.
///
/// # Panics
/// Something was refused.
pub async fn talk(server: &Server, room: &str, accounts: &[Account], each: usize) -> BTreeSet<String> {
    let mut talking = JoinSet::new();
    for account in accounts {
        let (account, room, address) = (account.clone(), room.to_owned(), server.address());
        talking.spawn(async move {
            let mut talker = Talker::connect(address, &account, &room).await;
            let mut ids = Vec::new();
            for n in 0..each {
                let Reply::Accepted(id) = talker.say(&format!("line {n}")).await else { panic!("it is not accepted") };
                ids.push(id);
            }
            ids
        });
    }
    talking.join_all().await.into_iter().flatten().collect()
}

/// What a talker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It is stored, with this id.
    Accepted(String),
    /// No broadcast is on.
    Closed,
    /// It took too long: it may be stored or not.
    Unknown,
}

/// Somebody who talks in a room, over a connection that is kept.
#[derive(Debug)]
pub struct Talker {
    connection: Connection,
    path: String,
    bearer: String,
}

impl Talker {
    /// Connects.
    pub async fn connect(address: SocketAddr, account: &Account, room: &str) -> Self {
        let connection = Connection::to(address).await.expect("a connection");
        let path = format!("/api/v1/rooms/{room}/danmaku");
        Self { connection, path, bearer: format!("Bearer {}", account.token) }
    }

    /// Says something.
    pub async fn say(&mut self, text: &str) -> Reply {
        let headers = [("Authorization", self.bearer.as_str()), ("Content-Type", "application/json")];
        let body = json!({"text": text}).to_string();
        let (status, answer) = self.connection.ask(&http::post(&self.path, &headers, &body)).await.expect("an answer");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        match status {
            201 => Reply::Accepted(answer["id"].as_str().expect("an id").to_owned()),
            409 => {
                assert_eq!(answer["code"], "room-closed", "{answer}");
                Reply::Closed
            }
            503 => Reply::Unknown,
            status => panic!("{status} {answer}"),
        }
    }
}

/// The items of a list.
#[must_use]
pub fn items(list: &Value) -> &[Value] {
    list.as_array().expect("a list")
}

/// The ids of danmaku, in their order.
#[must_use]
pub fn ids(danmaku: &[Value]) -> Vec<String> {
    danmaku.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}
