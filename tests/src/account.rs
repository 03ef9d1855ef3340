//! Somebody who asks the API: one log-in of one account.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{Answer, DEADLINE, Server};

const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A log-in.
#[derive(Debug, Clone)]
pub struct Account {
    /// The account.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The access token.
    pub token: String,
    /// The log-in's id; empty if the account was seeded.
    pub device: String,
    base: String,
    http: reqwest::Client,
}

impl Account {
    /// The password that [`Account::register`] gives.
    pub const PASSWORD: &'static str = "correct horse battery";

    /// Registers a new account.
    pub async fn register(server: &Server, name: &str) -> Self {
        let body = json!({"name": name, "password": Self::PASSWORD, "device_name": "test"});
        let answer = Answer::to(server.client().post(server.url("/api/v1/users")).json(&body)).await;
        Self::from(server, &answer.expect(201))
    }

    /// Logs in once more.
    pub async fn log_in(server: &Server, name: &str, password: &str) -> Self {
        let body = json!({"name": name, "password": password, "device_name": "test"});
        let answer = Answer::to(server.client().post(server.url("/api/v1/auth/login")).json(&body)).await;
        Self::from(server, &answer.expect(200))
    }

    fn from(server: &Server, logged_in: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        Self {
            id: text(&logged_in["account"]["id"]),
            name: text(&logged_in["account"]["name"]),
            token: text(&logged_in["access_token"]),
            device: text(&logged_in["device_id"]),
            base: server.url(""),
            http: server.client().clone(),
        }
    }

    /// Makes accounts by the operator's command; far faster than registering them.
    pub async fn seed(server: &Server, accounts: usize) -> Vec<Self> {
        let ran = server.operate(&["seed", "--accounts", &accounts.to_string()]).await;
        assert!(ran.ok, "{}", ran.err);
        let read = |line: &str| {
            let seeded: Value = serde_json::from_str(line).expect("a line of JSON");
            let text = |field: &str| seeded[field].as_str().expect("a string").to_owned();
            Self {
                id: text("user_id"),
                name: text("name"),
                token: text("access_token"),
                device: String::new(),
                base: server.url(""),
                http: server.client().clone(),
            }
        };
        let seeded: Vec<Self> = ran.out.lines().map(read).collect();
        assert_eq!(seeded.len(), accounts);
        seeded
    }

    /// The same log-in, at a server to which the account has moved.
    #[must_use]
    pub fn at(&self, server: &Server) -> Self {
        Self { base: server.url(""), http: server.client().clone(), ..self.clone() }
    }

    /// A request as this account.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// Gets something.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    /// Puts JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::PUT, path).json(body)).await
    }

    /// Deletes something.
    pub async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// Says something in a room.
    pub async fn say(&self, room: &str, text: &str) -> Answer {
        self.post(&format!("/api/v1/rooms/{room}/danmaku"), &json!({"text": text})).await
    }

    /// Says something under an idempotency key; the server may be away.
    ///
    /// # Errors
    /// There was no whole answer.
    pub async fn try_say(&self, room: &str, text: &str, key: &str) -> reqwest::Result<Answer> {
        let path = format!("/api/v1/rooms/{room}/danmaku");
        let request = self.request(Method::POST, &path).header("Idempotency-Key", key).json(&json!({"text": text}));
        Answer::attempt(request).await
    }

    /// Says something under an idempotency key, again and again until it is acknowledged:
    /// the server may be away, or not there yet.
    pub async fn insist(&self, room: &str, text: &str, key: &str) -> Value {
        let started = Instant::now();
        loop {
            match self.try_say(room, text, key).await {
                Ok(answer) if answer.status == 201 => return answer.json(),
                Ok(answer) => answer.refused(503, "unavailable"),
                Err(_) => {}
            }
            assert!(started.elapsed() < DEADLINE, "{text} is not acknowledged after {DEADLINE:?}");
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}
