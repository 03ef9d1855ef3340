//! Forty times as much is said as anybody can read: what passes, and who learns what of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use goligoli_tests::sse::Event;
use goligoli_tests::swarm::{Position, Stamp};
use goligoli_tests::{Account, Scene, Setup, Viewer, Watch, http, until};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::appended::{Appended, feed, too_full_window};
use crate::flood::{all_created, begin, flood};

const RATE: f64 = 50.0;
const BURST: f64 = 100.0;
const POSTS_PER_S: f64 = 2_000.0;
/// On a busy machine it may be less, but never less than ten times the rate.
const FEWEST_POSTS_PER_S: f64 = 10.0 * RATE;
const FLOOD: Duration = Duration::from_secs(20);
const ACCOUNTS: usize = 1_000;
const VIEWERS: usize = 24;
/// Of what may pass, so much does.
const LEAST_PART_SHOWN: f64 = 0.95;
/// Between two lines of the streamer: less than the guaranteed lane takes.
const BETWEEN_STREAMERS_LINES: Duration = Duration::from_millis(70);
const LAST: &str = "good night";
/// Totals are told at most once a second, in a write, and danmaku gather for it this long.
const TOTALS_EVERY: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(25);
/// After the last answer the server and the viewers still have the flood's end before them,
/// and this test a core to wait for, on a machine that all of them keep busy.
const MACHINE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_flood_exactly_what_may_pass_does() {
    let evening = Evening::spend(|stamp| stamp.to_string()).await;
    let totals = evening.check();
    assert_eq!(totals["folded"], 0, "no two lines are the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_flood_of_the_same_words_one_stands_for_many() {
    // Every other line is one of three that everybody says.
    let same = ["哈哈哈哈", "666", "first!"];
    let text = move |stamp: Stamp<'_>| match usize::try_from(stamp.n).unwrap() {
        even if even.is_multiple_of(2) => same[even / 2 % same.len()].to_owned(),
        _ => stamp.to_string(),
    };
    let evening = Evening::spend(text).await;
    let totals = evening.check();
    let folded = totals["folded"].as_u64().unwrap();
    assert!(folded > totals["shown"].as_u64().unwrap(), "half of all lines are the same three: {totals}");
}

/// What happened, as everybody saw it.
struct Evening {
    owner: String,
    /// The flood's posts, all of them accepted, and how long it went on.
    posts: u64,
    flooded: Duration,
    /// Ids of the streamer's lines, in order.
    streamers: Vec<String>,
    /// From the last answer until the first viewer was told of all posts.
    told_after: Duration,
    /// What each viewer saw, from the same position on.
    seen: Vec<Vec<Event>>,
    /// What the server says it appended.
    appended: Vec<Appended>,
    /// Ids of what the history has.
    history: BTreeSet<String>,
}

impl Evening {
    async fn spend(text: impl Fn(Stamp<'_>) -> String + Send + Sync + 'static) -> Self {
        let setup = Setup::new().set("PUSH__RATE_PER_S", "50").set("PUSH__BURST", "100");
        let server = setup.start().await;
        let scene = Scene::open(&server).await;
        let accounts = Account::seed(&server, ACCOUNTS).await;
        let told = Arc::new(Mutex::new(Told::default()));
        let mut viewers = JoinSet::new();
        for (n, account) in accounts.iter().take(VIEWERS).enumerate() {
            let watch = if n.is_multiple_of(2) { Watch::guest() } else { Watch::by(account) };
            viewers.spawn(see_all(watch.open(&server, &scene.room).await, Arc::clone(&told)));
        }

        let mut plan = flood(&server, &scene.room, &accounts, POSTS_PER_S);
        let path = scene.path("/danmaku");
        let bearer: Vec<String> = accounts.iter().map(|account| format!("Bearer {}", account.token)).collect();
        plan.request = Arc::new(move |stamp| {
            let bearer = &bearer[usize::try_from(stamp.n).unwrap() % ACCOUNTS];
            let body = json!({"text": text(stamp)}).to_string();
            http::post(&path, &[("Authorization", bearer), ("Content-Type", "application/json")], &body)
        });
        let (flood, began) = (begin(plan), Instant::now());
        let mut streamer = JoinSet::new();
        streamer.spawn(speak(scene.owner.clone(), scene.room.clone()));
        sleep(FLOOD).await;
        let (posted, flooded) = (flood.stop(), began.elapsed());
        let posts = all_created(&posted);
        let mut streamers = streamer.join_all().await.concat();
        let counts_all = async || told.lock().unwrap().get(&posts).copied();
        let told_at = until("the last totals count every 201", counts_all).await;
        let told_after = told_at.saturating_duration_since(posted.last_answer.unwrap().into());
        streamers.push(id_of(&scene.owner.say(&scene.room, LAST).await.expect(201)));
        let mut seen = viewers.join_all().await;
        // They came one after the other: what all of them saw begins where the last one did.
        let begin: Position = seen.iter().map(|(begin, _)| *begin).max().unwrap();
        let seen = seen.iter_mut().map(|(_, events)| {
            events.retain(|event| event.id.as_ref().unwrap().parse::<Position>().unwrap() > begin);
            std::mem::take(events)
        });
        let seen = seen.collect();
        let history = scene.history(&server).await.iter().map(id_of).collect();
        let appended = feed(&server, &scene.room).await;
        Self { owner: scene.owner.id.clone(), posts, flooded, streamers, told_after, seen, appended, history }
    }

    /// Holds it against everything that was promised; returns the last totals.
    fn check(&self) -> Value {
        let (posts, span_s) = (self.posts, self.flooded.as_secs_f64());
        assert!(posts as f64 >= FEWEST_POSTS_PER_S * span_s, "that is no flood: {posts} posts in {span_s} s");
        let seen = &self.seen[0];
        for (n, other) in self.seen.iter().enumerate() {
            assert!(other == seen, "viewer {n} of {VIEWERS} saw something else than the first");
        }
        let payloads: Vec<Value> = seen.iter().map(Event::json).collect();
        let danmaku = of_type(seen, &payloads, "danmaku");
        let (streamers, ordinary): (Vec<&Value>, Vec<&Value>) =
            danmaku.partition(|danmaku| danmaku["sender"]["id"] == self.owner.as_str());
        let streamers: Vec<String> = streamers.into_iter().map(id_of).collect();
        assert_eq!(streamers, self.streamers, "every guaranteed line, in order");
        let shown: Vec<String> = ordinary.iter().map(|danmaku| id_of(danmaku)).collect();
        assert_eq!(self.history.len(), posts as usize + streamers.len(), "history has all, once");
        assert!(shown.iter().all(|id| self.history.contains(id)), "nothing is shown that nobody said");
        assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), shown.len(), "nothing is shown twice");

        let totals: Vec<&Value> = of_type(seen, &payloads, "suppressed").collect();
        for one in &totals {
            let sum = count(one, "shown") + count(one, "folded") + count(one, "suppressed");
            assert_eq!(count(one, "accepted"), sum, "{one}");
        }
        let last = totals[totals.len() - 1];
        assert_eq!(count(last, "accepted"), posts, "as many as the client counted");
        let most = TOTALS_EVERY + TICK + MACHINE;
        assert!(self.told_after <= most, "the last totals came {:?} after the last answer", self.told_after);
        assert_eq!(count(last, "shown"), shown.len() as u64, "what is said to be shown was shown");
        let people: u64 = ordinary.iter().map(|danmaku| danmaku["count"].as_u64().unwrap_or(1)).sum();
        assert_eq!(people, count(last, "shown") + count(last, "folded"), "an event stands for all that it says");

        self.check_stamps(&shown);
        last.clone()
    }

    /// By the server's own stamps: never too much, and nearly all that may pass.
    fn check_stamps(&self, shown: &[String]) {
        let appended = self.appended.iter().map(|event| (event.id.as_str(), event.event.as_str()));
        let seen = self.seen[0].iter().map(|event| (event.id.as_deref().unwrap(), event.kind.as_str()));
        let since = appended.clone().position(|one| Some(one) == seen.clone().next()).unwrap();
        assert!(appended.skip(since).take(self.seen[0].len()).eq(seen), "what is appended is what is seen");
        let ordinary = self.appended.iter().filter(|event| event.lane == "ordinary");
        let sources = shown.iter().map(|id| format!("danmaku:{id}"));
        assert!(ordinary.clone().map(|event| event.source.clone()).eq(sources), "the lanes are whose they should be");

        let stamps_ms: Vec<i64> = ordinary.map(|event| event.appended_ms).collect();
        assert_eq!(too_full_window(&stamps_ms, RATE, BURST), None);
        let span_s = self.flooded.as_secs_f64();
        let part = stamps_ms.len() as f64 / (BURST + RATE * span_s);
        println!(
            "{:.0} posts/s for {span_s:.1} s: {} shown, {part:.4} of what may pass; {VIEWERS} viewers saw the same, and \
             {} guaranteed lines; the last totals came {:?} after the last answer",
            self.posts as f64 / span_s,
            stamps_ms.len(),
            self.streamers.len(),
            self.told_after
        );
        assert!(part >= LEAST_PART_SHOWN, "too little was shown");
    }
}

fn count(totals: &Value, field: &str) -> u64 {
    totals[field].as_u64().unwrap()
}

fn of_type<'e>(events: &'e [Event], payloads: &'e [Value], kind: &'e str) -> impl Iterator<Item = &'e Value> {
    events.iter().zip(payloads).filter(move |(event, _)| event.kind == kind).map(|(_, data)| data)
}

fn id_of(danmaku: &Value) -> String {
    danmaku["id"].as_str().unwrap().to_owned()
}

/// When anybody first saw totals that count so many posts.
type Told = BTreeMap<u64, Instant>;

/// Where a viewer begins, and every event with an id that it sees after that, up to the
/// last word. What the totals count is noted in `told`.
async fn see_all(mut viewer: Viewer, told: Arc<Mutex<Told>>) -> (Position, Vec<Event>) {
    let begin = viewer.next("hello").await.id.unwrap().parse().unwrap();
    let is_last = |event: &Event| {
        if event.kind == "suppressed" {
            _ = told.lock().unwrap().entry(count(&event.json(), "accepted")).or_insert_with(Instant::now);
        }
        event.text().as_deref() == Some(LAST)
    };
    let mut events = viewer.through(is_last).await;
    events.retain(|event| event.id.is_some());
    (begin, events)
}

/// The streamer speaks until the flood is over; returns the ids.
async fn speak(owner: Account, room: String) -> Vec<String> {
    let mut ids = Vec::new();
    let began = Instant::now();
    while began.elapsed() < FLOOD {
        ids.push(id_of(&owner.say(&room, &format!("everybody, line {}", ids.len())).await.expect(201)));
        sleep(BETWEEN_STREAMERS_LINES).await;
    }
    ids
}
