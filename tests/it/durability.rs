//! What was acknowledged is there after `kill -9`, once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use goligoli_tests::{Account, Scene, Server, Setup, until};
use tokio::task::JoinSet;

const POSTERS: usize = 32;
const KILLS: usize = 10;
/// Posts that are acknowledged between two kills, at least.
const BETWEEN: usize = 200;

/// A line that was acknowledged: its text, its key's number, its id.
#[derive(Debug, Clone)]
struct Said {
    poster: usize,
    number: usize,
    id: String,
}

impl Said {
    fn text(poster: usize, number: usize) -> String {
        format!("{poster}: {number}")
    }
}

/// Every text of the history with its ids.
async fn stored(server: &Server, scene: &Scene) -> HashMap<String, Vec<String>> {
    let mut stored: HashMap<String, Vec<String>> = HashMap::new();
    for danmaku in scene.history(server).await {
        let text = |field: &str| danmaku[field].as_str().unwrap().to_owned();
        stored.entry(text("text")).or_default().push(text("id"));
    }
    stored
}

#[tokio::test]
async fn ten_kills_under_load_lose_nothing_and_double_nothing() {
    let mut server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, POSTERS).await;
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut posters = JoinSet::new();
    for (poster, account) in accounts.iter().cloned().enumerate() {
        let (stop, acknowledged, room) = (Arc::clone(&stop), Arc::clone(&acknowledged), scene.room.clone());
        posters.spawn(async move {
            let mut said = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let number = said.len();
                let posted = account.insist(&room, &Said::text(poster, number), &number.to_string()).await;
                said.push(Said { poster, number, id: posted["id"].as_str().unwrap().to_owned() });
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            said
        });
    }
    for _ in 0..KILLS {
        let enough = acknowledged.load(Ordering::Relaxed) + BETWEEN;
        until("posts are acknowledged", async || (acknowledged.load(Ordering::Relaxed) >= enough).then_some(())).await;
        server.kill9().await;
        server.start_again().await;
    }
    stop.store(true, Ordering::Relaxed);
    let said = posters.join_all().await.concat();
    // The last kill came after all but the latest posts; one more without any.
    server.kill9().await;
    server.start_again().await;
    let stored = stored(&server, &scene).await;
    for one in &said {
        let text = Said::text(one.poster, one.number);
        assert_eq!(stored.get(&text), Some(&vec![one.id.clone()]), "{text}: acknowledged, so there, once");
    }
    // Every line was repeated until it was acknowledged, so there is nothing else.
    assert_eq!(stored.len(), said.len());
    assert!(said.len() >= KILLS * BETWEEN);
    // The key still stands for the same danmaku, and for no other.
    for one in said.iter().step_by(said.len() / 50) {
        let account = &accounts[one.poster];
        let text = Said::text(one.poster, one.number);
        assert_eq!(account.insist(&scene.room, &text, &one.number.to_string()).await["id"], one.id);
        let other = account.try_say(&scene.room, "something else", &one.number.to_string()).await.unwrap();
        other.refused(422, "idempotency-key-reused");
    }
    assert_eq!(scene.history(&server).await.len(), said.len(), "repeating stores nothing");
}
