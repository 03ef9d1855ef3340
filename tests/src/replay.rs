//! A replay from outside: what its broadcast became, in all its files, and what of it lies in
//! the object store.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use sqlx::{Connection as _, SqliteConnection};
use tokio::task::JoinSet;

use crate::http::{self, Connection};
use crate::{Account, Answer, Scene, Server, until};

/// A replay that exists.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Its id.
    pub id: String,
}

/// A line of an exported XML file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlLine {
    /// The fields of `p`, as they stand there.
    pub fields: Vec<String>,
    /// When it was sent (ms since 1970).
    pub sent_ms: i64,
    /// Who said it.
    pub user: Option<String>,
    /// What it says.
    pub text: String,
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

    /// Holds that the object store has the files of the version that is shown, and nothing
    /// else of this replay; waits for the sweep.
    pub async fn swept(&self, server: &Server, account: &Account) {
        until("no more is stored than what is shown", async || {
            let manifest = self.manifest(account).await;
            let mut expected: BTreeSet<String> =
                ["xml", "ass", "json", "pb"].iter().map(|format| format!("danmaku/all.{format}")).collect();
            expected.insert("meta.json".to_owned());
            for n in 1..=items(&manifest["parts"]).len() {
                expected.extend(["json", "pb"].map(|format| format!("danmaku/part_{n:05}.{format}")));
            }
            let version = format!("/v{}/", manifest["version"]);
            let of_this = format!("/{}-", self.id);
            let found = objects(server).into_iter().filter(|key| key.contains(&of_this));
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
    let file = server.data().join(format!("data/{service}.db"));
    let mut db = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.expect("a database");
    let count = format!("SELECT COUNT(*) FROM {table}");
    let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut db).await.expect("a number");
    db.close().await.expect("it closes");
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

/// The keys of all that the object store holds, drafts too.
#[must_use]
pub fn objects(server: &Server) -> BTreeSet<String> {
    fn walk(folder: &Path, root: &Path, keys: &mut BTreeSet<String>) {
        // What is removed meanwhile is not there.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, root, keys);
            } else {
                keys.insert(path.strip_prefix(root).expect("it is in there").to_string_lossy().into_owned());
            }
        }
    }
    let root = server.data().join("data/objects");
    let mut keys = BTreeSet::new();
    walk(&root, &root, &mut keys);
    keys
}

/// The rows of an exported XML file behind its head. Reads what the exports promise, and no
/// other XML.
#[must_use]
pub fn xml_rows(file: &str) -> &str {
    let (head, rows) = file.split_once('\n').expect("the head is a row");
    assert!(head.starts_with(r#"<?xml version="1.0" encoding="UTF-8"?><i><chatserver>"#), "{head}");
    rows.strip_suffix("</i>\n").expect("the end is a row")
}

/// The lines of an exported XML file.
#[must_use]
pub fn xml_lines(file: &str) -> Vec<XmlLine> {
    xml_rows(file).lines().map(xml_line).collect()
}

fn xml_line(row: &str) -> XmlLine {
    let (attributes, text) = row
        .strip_prefix("<d ")
        .and_then(|row| row.strip_suffix("</d>"))
        .and_then(|row| row.split_once('>'))
        .unwrap_or_else(|| panic!("no line: {row}"));
    let attribute = |name: &str| {
        let (_, value) = attributes.split_once(&format!("{name}=\""))?;
        value.split_once('"').map(|(value, _)| plain(value))
    };
    XmlLine {
        fields: attribute("p").expect("p").split(',').map(str::to_owned).collect(),
        sent_ms: attribute("sent_ms").expect("sent_ms").parse().expect("a number"),
        user: attribute("user"),
        text: plain(text),
    }
}

fn plain(text: &str) -> String {
    // The ampersand last: "&amp;lt;" says "&lt;".
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}

/// The danmaku of binary segments: id, time (ms), mode, size, colour and text of each.
#[must_use]
pub fn segment_lines(mut bytes: &[u8]) -> Vec<(u64, u64, u64, u64, u64, String)> {
    let mut lines = Vec::new();
    while let Some((field, value)) = field(&mut bytes) {
        let (1, Field::Bytes(mut element)) = (field, value) else { continue };
        let (mut numbers, mut text) = ([0; 6], String::new());
        while let Some((number, value)) = self::field(&mut element) {
            match (number, value) {
                (1..=5, Field::Number(value)) => numbers[number as usize] = value,
                (7, Field::Bytes(bytes)) => text = String::from_utf8(bytes.to_vec()).expect("UTF-8"),
                _ => {}
            }
        }
        let [_, id, at_ms, mode, size, color] = numbers;
        lines.push((id, at_ms, mode, size, color, text));
    }
    lines
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    if bytes.is_empty() {
        return None;
    }
    let tag = varint(bytes);
    let value = varint(bytes);
    Some((
        tag >> 3,
        match tag & 7 {
            0 => Field::Number(value),
            2 => {
                let (value, rest) = bytes.split_at(usize::try_from(value).expect("a length"));
                *bytes = rest;
                Field::Bytes(value)
            }
            other => panic!("a field of type {other}"),
        },
    ))
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).expect("a number ends");
    let (number, rest) = bytes.split_at(end + 1);
    *bytes = rest;
    number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7F))
}
