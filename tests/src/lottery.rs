//! A lottery from outside: opened, entered, followed, and checked by the offline command.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::http::{self, Connection};
use crate::sse::Event;
use crate::{Account, Answer, DEADLINE, Ran, Scene, Server, site, until};

/// A lottery that was opened.
#[derive(Debug, Clone)]
pub struct Lottery {
    /// Its id.
    pub id: String,
    /// What the answer to its opening said.
    pub answer: Value,
}

/// A body that opens a lottery of one book for so many seconds; for some more where a whole
/// site shares the machine's cores, and what a test does meanwhile takes longer.
#[must_use]
pub fn book(duration_s: u64) -> Value {
    let duration_s = duration_s + if site::is_asked_for() { 3 } else { 0 };
    json!({"title": "The draw", "prizes": [{"name": "a book", "count": 1}], "duration_s": duration_s})
}

/// A body with these fields in place of its own.
#[must_use]
pub fn with(mut body: Value, fields: Value) -> Value {
    let (Some(all), Value::Object(fields)) = (body.as_object_mut(), fields) else { panic!("both are objects") };
    all.extend(fields);
    body
}

impl Lottery {
    /// The room's owner opens a lottery.
    pub async fn open(scene: &Scene, body: &Value) -> Self {
        Self::from(scene.owner.post(&scene.path("/lotteries"), body).await.expect(201))
    }

    /// Of the answer to its opening.
    #[must_use]
    pub fn from(answer: Value) -> Self {
        Self { id: answer["id"].as_str().expect("an id").to_owned(), answer }
    }

    /// A path below the lottery's.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/lotteries/{}{rest}", self.id)
    }

    /// The lottery as it is now.
    pub async fn now(&self, server: &Server) -> Value {
        server.get(&self.path("")).await.expect(200)
    }

    /// When it is drawn (ms since 1970), as its spec says.
    #[must_use]
    pub fn draw_at_ms(&self) -> u64 {
        self.spec()["draw_at_ms"].as_u64().expect("a time")
    }

    /// The spec that was signed.
    #[must_use]
    pub fn spec(&self) -> Value {
        serde_json::from_str(self.answer["opened"]["spec"].as_str().expect("a spec")).expect("JSON")
    }

    /// Enters.
    pub async fn enter(&self, account: &Account) -> Answer {
        Answer::to(account.request(Method::PUT, &self.path("/entries/me"))).await
    }

    /// Enters, again and again until it is said that the account is in, or that it is too
    /// late: the server may be away. `None` is too late.
    pub async fn insist(&self, account: &Account) -> Option<Value> {
        let started = Instant::now();
        loop {
            match Answer::attempt(account.request(Method::PUT, &self.path("/entries/me"))).await {
                Ok(answer) if answer.status == 201 || answer.status == 200 => return Some(receipt(&answer)),
                Ok(answer) if answer.status == 409 => {
                    answer.refused(409, "lottery-closed");
                    return None;
                }
                Ok(answer) => answer.refused(503, "unavailable"),
                Err(_) => {}
            }
            assert!(started.elapsed() < DEADLINE, "nobody says whether {} is in, after {DEADLINE:?}", account.name);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Waits until it is drawn; gives the lottery.
    pub async fn drawn(&self, server: &Server) -> Value {
        until("the lottery is drawn", async || {
            let lottery = self.now(server).await;
            (lottery["phase"] == "drawn").then_some(lottery)
        })
        .await
    }

    /// The proof.
    pub async fn proof(&self, server: &Server) -> Value {
        server.get(&self.path("/proof")).await.expect(200)
    }

    /// The entries, one by one.
    pub async fn entries(&self, server: &Server) -> Vec<Value> {
        let answer = server.get(&self.path("/entries")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Downloads what the command for checking a draw reads.
    pub async fn documents(&self, server: &Server) -> Documents {
        let folder = server.data().join(format!("audit-{}", self.id));
        std::fs::create_dir_all(&folder).expect("a folder");
        let documents = Documents { folder, more: Vec::new() };
        for (name, path) in [("proof", "/proof"), ("entries", "/entries")] {
            let answer = server.get(&self.path(path)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            _ = documents.write(name, &answer.body);
        }
        documents
    }

    /// Checks the draw against what was saved, and that it agrees with it.
    pub async fn audit(&self, server: &Server, opened: &Value, closed: &Value, receipts: &[Value]) {
        let mut documents = self.documents(server).await;
        documents.add("opened", opened);
        documents.add("closed", closed);
        for receipt in receipts {
            documents.add("receipt", receipt);
        }
        let ran = documents.verify(server).await;
        assert_eq!(ran.code, Some(0), "lottery {}: {}{}", self.id, ran.out, ran.err);
    }

    /// What the events said of this lottery, in their order: each change with the event.
    #[must_use]
    pub fn told<'a>(&self, events: impl IntoIterator<Item = &'a Event>) -> Vec<(String, Value)> {
        let of_it = events.into_iter().filter(|event| event.kind == "lottery").map(Event::json);
        of_it
            .filter(|told| told["lottery_id"] == self.id.as_str())
            .map(|told| (told["change"].as_str().expect("a change").to_owned(), told))
            .collect()
    }
}

/// Enters all accounts as fast as they can over so many connections; gives the receipts.
pub async fn enter_all(address: SocketAddr, lottery: &Lottery, accounts: &[Account], connections: usize) -> Vec<Value> {
    let mut entering = JoinSet::new();
    for accounts in accounts.chunks(accounts.len().div_ceil(connections)) {
        let (path, accounts) = (lottery.path("/entries/me"), accounts.to_vec());
        entering.spawn(async move {
            let mut connection = Connection::to(address).await.expect("a connection");
            let mut receipts = Vec::with_capacity(accounts.len());
            for account in accounts {
                let bearer = format!("Bearer {}", account.token);
                let request = http::put(&path, &[("Authorization", &bearer)]);
                let (status, body) = connection.ask(&request).await.expect("an answer");
                assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
                let mut answer: Value = serde_json::from_slice(&body).expect("JSON");
                receipts.push(answer["receipt"].take());
            }
            receipts
        });
    }
    entering.join_all().await.concat()
}

/// The receipt of an answer to an entry.
#[must_use]
pub fn receipt(answer: &Answer) -> Value {
    let receipt = answer.json()["receipt"].clone();
    assert!(receipt["signature"].is_string(), "{}", answer.text());
    receipt
}

/// Files for `goligoli verify-draw`.
#[derive(Debug)]
pub struct Documents {
    folder: PathBuf,
    /// `--opened FILE`, and so on.
    more: Vec<String>,
}

impl Documents {
    /// Where the proof and the entries are: `proof`, `entries`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.file(name), bytes).expect("writing a document");
        self.file(name)
    }

    /// Gives it one more document: `opened`, `closed` or `receipt`.
    pub fn add(&mut self, option: &str, document: &Value) {
        let file = self.write(&format!("{option}-{}", self.more.len()), document.to_string().as_bytes());
        self.more.extend([format!("--{option}"), text(&file)]);
    }

    /// Runs the command.
    pub async fn verify(&self, server: &Server) -> Ran {
        let (proof, entries) = (text(&self.file("proof")), text(&self.file("entries")));
        let mut arguments = vec!["verify-draw", &proof, &entries];
        arguments.extend(self.more.iter().map(String::as_str));
        server.operate(&arguments).await
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}
