//! Streams over restarts: planned ones and `kill -9`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use goligoli_tests::{Account, DEADLINE, Followed, Scene, Server, Setup, Watch, follow, in_time};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const LAST: &str = "the last word";

/// Followers who see everything from now to [`LAST`].
async fn followers(server: &Server, room: &str, many: usize) -> JoinSet<Followed> {
    let mut all = JoinSet::new();
    for _ in 0..many {
        let (began, begun) = oneshot::channel();
        let url = server.url(&format!("/api/v1/rooms/{room}/events"));
        all.spawn(follow(url, began, |event| event.text().as_deref() == Some(LAST)));
        in_time(DEADLINE, "a follower's hello", begun).await.unwrap();
    }
    all
}

/// Accounts that post all the time; each line is repeated until it is acknowledged.
struct Crowd {
    stop: Arc<AtomicBool>,
    posting: JoinSet<Vec<String>>,
}

impl Crowd {
    fn begin(accounts: &[Account], room: &str, evening: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut posting = JoinSet::new();
        for account in accounts {
            let (stop, account, room) = (Arc::clone(&stop), account.clone(), room.to_owned());
            posting.spawn(async move {
                let mut said = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let text = format!("{} {evening}.{}", account.name, said.len());
                    _ = account.insist(&room, &text, &format!("{evening}.{}", said.len())).await;
                    said.push(text);
                }
                said
            });
        }
        Self { stop, posting }
    }

    /// Everything that was acknowledged.
    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.posting.join_all().await.concat()
    }
}

/// One order, no hole, no repetition; returns the texts.
fn agree(seen: &[Followed]) -> Vec<String> {
    for one in seen {
        let numbers: Vec<u64> = one.ids.iter().map(|id| number(id)).collect();
        let first = number(&one.begin) + 1;
        let expected: Vec<u64> = (first..).take(numbers.len()).collect();
        assert_eq!(numbers, expected, "every position once, in order");
        assert!(one.words("gap").is_empty(), "{:?}", one.words("gap"));
        assert_eq!(one.words("hello").len(), 1, "who resumes needs none");
        let resumed: Vec<_> = one.words("welcome").iter().map(|word| word["resumed"] == true).collect();
        assert!(!resumed[0] && resumed[1..].iter().all(|resumed| *resumed), "{resumed:?}");
    }
    // They came one after the other, so the first saw what the second did, and a little more.
    let (first, second) = (&seen[0].events, &seen[1].events);
    let (longer, shorter) = if first.len() > second.len() { (first, second) } else { (second, first) };
    assert_eq!(longer[longer.len() - shorter.len()..], shorter[..], "all viewers see one order");
    seen[0].texts()
}

fn number(id: &str) -> u64 {
    id.rsplit_once('-').expect("epoch and number").1.parse().expect("a number")
}

#[tokio::test]
async fn a_planned_restart_loses_nothing_and_says_goodbye() {
    // Of a whole site nobody plans that: its processes are restarted one by one.
    let mut server = Setup::new().alone().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 4).await;
    let followers = followers(&server, &scene.room, 2).await;
    let mut last_seen = Watch::guest().open(&server, &scene.room).await;
    _ = last_seen.next("hello").await;
    for evening in 0..2 {
        let crowd = Crowd::begin(&accounts, &scene.room, evening);
        _ = last_seen.next("danmaku").await;
        server.restart().await;
        let bye = last_seen.next("bye").await.json();
        assert_eq!(bye["reason"], "draining");
        assert!(bye["reconnect_in_ms"].as_u64().is_some_and(|ms| ms <= 200), "{bye}");
        // The query does what the header does.
        let position = last_seen.position().to_owned();
        last_seen = Watch::guest().query(&format!("last_event_id={position}")).open(&server, &scene.room).await;
        assert_eq!(last_seen.event().await.json()["resumed"], true);
        let next = last_seen.event().await;
        assert_ne!(next.kind, "hello", "who resumes needs none");
        if let Some(id) = &next.id {
            assert_eq!(number(id), number(&position) + 1);
        }
        _ = last_seen.next("danmaku").await;
        _ = crowd.end().await;
    }
    // By a viewer: what the owner says takes another lane, and might overtake.
    _ = accounts[0].say(&scene.room, LAST).await.expect(201);
    let seen = all_of(followers).await;
    for one in &seen {
        let byes = one.words("bye");
        assert_eq!(byes.len(), 2, "{byes:?}");
        assert!(byes.iter().all(|bye| bye["reason"] == "draining"), "{byes:?}");
        assert_eq!(one.streams, 3);
    }
    // A process that is asked to stop finishes what it took: all that is stored was shown.
    let mut shown = agree(&seen);
    let mut stored: Vec<String> =
        scene.history(&server).await.iter().map(|danmaku| danmaku["text"].as_str().unwrap().to_owned()).collect();
    shown.sort_unstable();
    stored.sort_unstable();
    assert_eq!(shown, stored);
}

#[tokio::test]
async fn kill_9_loses_nothing_that_the_feed_had() {
    let mut server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 8).await;
    let followers = followers(&server, &scene.room, 2).await;
    let crowd = Crowd::begin(&accounts, &scene.room, 0);
    for _ in 0..3 {
        let mut witness = Watch::guest().open(&server, &scene.room).await;
        for _ in 0..60 {
            _ = witness.next("danmaku").await;
        }
        server.kill9().await;
        server.start_again().await;
    }
    let said = crowd.end().await;
    // By a viewer: what the owner says takes another lane, and might overtake.
    _ = accounts[0].say(&scene.room, LAST).await.expect(201);
    let seen = all_of(followers).await;
    assert!(seen.iter().all(|one| one.streams >= 4), "they were cut off three times");
    let mut shown = agree(&seen);
    assert!(shown.len() > 180, "{} were shown", shown.len());
    // Nobody sees what nobody said, nor the same thing twice.
    let known: std::collections::HashSet<&str> = said.iter().map(String::as_str).chain([LAST]).collect();
    assert!(shown.iter().all(|text| known.contains(text.as_str())));
    shown.sort_unstable();
    assert!(shown.is_sorted_by(|a, b| a < b), "no danmaku came twice");
}

async fn all_of(followers: JoinSet<Followed>) -> Vec<Followed> {
    in_time(Duration::from_secs(60), "the followers see the last word", followers.join_all()).await
}
