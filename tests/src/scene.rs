//! What most tests need: a streamer with a live room, and what was said in it.

use serde_json::{Value, json};

use crate::{Account, Server, Watch};

/// A room on air.
#[derive(Debug)]
pub struct Scene {
    /// Whose room it is.
    pub owner: Account,
    /// The room's id.
    pub room: String,
    /// The broadcast's id.
    pub session: String,
}

impl Scene {
    /// A new streamer opens a new room.
    pub async fn open(server: &Server) -> Self {
        Self::of(Account::register(server, "streamer").await, server).await
    }

    /// An account opens a new room.
    pub async fn of(owner: Account, server: &Server) -> Self {
        let room = owner.post("/api/v1/rooms", &json!({"title": "The room"})).await.expect(201);
        let room = room["id"].as_str().expect("an id").to_owned();
        let session = owner.post(&format!("/api/v1/rooms/{room}/sessions"), &Value::Null).await.expect(201);
        // Facts reach the stream a moment after the answer: wait until this one has.
        let mut viewer = Watch::guest().open(server, &room).await;
        if viewer.next("hello").await.json()["room"]["session"].is_null() {
            while viewer.next("room").await.json()["change"] != "opened" {}
        }
        Self { owner, room, session: session["id"].as_str().expect("an id").to_owned() }
    }

    /// A path below the room's.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/rooms/{}{rest}", self.room)
    }

    /// Sets the room's rules.
    pub async fn rules(&self, rules: Value) {
        _ = self.owner.put(&self.path("/rules"), &rules).await.expect(200);
    }

    /// All that was said in the room, oldest first, read page by page.
    pub async fn history(&self, server: &Server) -> Vec<Value> {
        danmaku(server, &self.room).await
    }
}

/// All that was said in a room, oldest first, read page by page.
pub async fn danmaku(server: &Server, room: &str) -> Vec<Value> {
    let mut pages: Vec<Vec<Value>> = Vec::new();
    let mut before = String::new();
    loop {
        let path = format!("/api/v1/rooms/{room}/danmaku?limit=200{before}");
        let page = server.get(&path).await.expect(200);
        pages.push(page["items"].as_array().expect("a list").clone());
        match page["before_cursor"].as_str() {
            Some(cursor) => before = format!("&before={cursor}"),
            None => return pages.into_iter().rev().flatten().collect(),
        }
    }
}
