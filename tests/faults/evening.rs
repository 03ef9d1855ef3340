//! An evening on a site: viewers on both push nodes, people who speak, and what became of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use goligoli_tests::lottery::{Lottery, receipt};
use goligoli_tests::replay::list;
use goligoli_tests::swarm::{Options, Position, Report, Swarm, Target};
use goligoli_tests::{Account, Answer, DEADLINE, Scene, Server, Setup, follow, in_time, until};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

const PEOPLE: usize = 10;
const BETWEEN_LINES: Duration = Duration::from_millis(200);
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// What a request may take in all (2 s), with what a busy machine and the ingress add.
const DEADLINE_AT_THE_EDGE: Duration = Duration::from_millis(3_500);
/// What carries no `Idempotency-Key` the ingress gives to another gateway only after 5 s.
const DEADLINE_OF_OTHERS: Duration = Duration::from_millis(6_500);
/// After this nobody waits any more for things to be well again.
pub(crate) const HEALED: Duration = Duration::from_secs(15);
pub(crate) const LONG: Duration = Duration::from_secs(90);

/// One request: when it was sent, how long it took, and the status of the answer, if any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    pub(crate) status: Option<u16>,
}

impl Asked {
    fn none() -> AllAsked {
        Arc::default()
    }

    fn slowest(all: &AllAsked) -> Duration {
        all.lock().unwrap().iter().map(|asked| asked.took).max().unwrap_or_default()
    }
}

type AllAsked = Arc<Mutex<Vec<Asked>>>;

pub(crate) struct Evening {
    pub(crate) server: Server,
    pub(crate) scene: Scene,
    pub(crate) people: Vec<Account>,
    swarm: Swarm,
    words: AtomicUsize,
    stop: Arc<AtomicBool>,
    asked: AllAsked,
    /// What else was asked than posts.
    others: AllAsked,
    speaking: JoinSet<Vec<(String, String)>>,
}

impl Evening {
    pub(crate) async fn begin(setup: Setup, viewers: usize) -> Self {
        let server = setup.start().await;
        let scene = Scene::open(&server).await;
        let people = Account::seed(&server, PEOPLE).await;
        let swarm = Swarm::start(Target::room(server.address(), &scene.room), &Options::viewers(viewers)).unwrap();
        _ = swarm.wait_until_all_watch(LONG);
        let (stop, asked, others) = (Arc::new(AtomicBool::new(false)), Asked::none(), Asked::none());
        let (words, speaking) = (AtomicUsize::new(0), JoinSet::new());
        let mut evening = Self { server, scene, people, swarm, words, stop, asked, others, speaking };
        for person in evening.people.clone() {
            evening.speak(person);
        }
        sleep(Duration::from_secs(1)).await;
        evening
    }

    /// Each line is repeated under its key until it is acknowledged.
    fn speak(&mut self, person: Account) {
        let (stop, asked, room) = (Arc::clone(&self.stop), Arc::clone(&self.asked), self.scene.room.clone());
        self.speaking.spawn(async move {
            let mut pace = interval(BETWEEN_LINES);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut said = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                pace.tick().await;
                let (text, key) = (format!("{} {}", person.name, said.len()), said.len().to_string());
                let first = Instant::now();
                loop {
                    let at = Instant::now();
                    let answer = person.try_say(&room, &text, &key).await;
                    let status = answer.as_ref().ok().map(|answer| answer.status);
                    asked.lock().unwrap().push(Asked { at, took: at.elapsed(), status });
                    match answer {
                        Ok(answer) if answer.status == 201 => {
                            said.push((text, answer.json()["id"].as_str().unwrap().to_owned()));
                            break;
                        }
                        Ok(answer) if answer.status == 503 => answer.refused(503, "unavailable"),
                        // The ingress says so of a gateway that died with the request in its hands.
                        Ok(answer) => {
                            assert!(matches!(answer.status, 502 | 504), "{} {}", answer.status, answer.text());
                        }
                        Err(_) => {}
                    }
                    assert!(first.elapsed() < LONG, "{text} is not acknowledged after {LONG:?}");
                    sleep(AGAIN_AFTER).await;
                }
            }
            said
        });
    }

    /// Waits until people are acknowledged again and all viewers are shown what is said: gives
    /// how long that took from `since` on, by the first line that was shown to all.
    pub(crate) async fn healed(&self, what: &str, since: Instant) -> Duration {
        let position = self.word(what).await;
        let report = self.swarm.try_wait_until(HEALED, |report| report.all_at(position));
        assert!(report.is_some(), "{what}: not all viewers have it after {HEALED:?}: {:?}", self.swarm.report());
        let took = since.elapsed();
        println!("{what}: well again after {:.1} s", took.as_secs_f64());
        assert!(took < HEALED, "{what}: well again only after {took:?}");
        took
    }

    /// Says something for certain, and gives its position in the stream: as a viewer saw it who was
    /// there before. A `hello` may no longer have it among its latest danmaku.
    async fn word(&self, text: &str) -> Position {
        let number = self.words.fetch_add(1, Ordering::Relaxed);
        let (text, key) = (format!("{number}: {text}"), format!("word-{number}"));
        let (url, word) = (self.server.url(&self.scene.path("/events")), text.clone());
        let (began, has_begun) = oneshot::channel();
        let mut following = JoinSet::new();
        following.spawn(follow(url, began, move |event| event.text().as_ref() == Some(&word)));
        in_time(DEADLINE, "somebody watches", has_begun).await.unwrap();
        until("the owner's word is acknowledged", async || {
            let answer = self.scene.owner.try_say(&self.scene.room, &text, &key).await.ok()?;
            assert!(answer.status == 201 || answer.status > 500, "{} {}", answer.status, answer.text());
            (answer.status == 201).then_some(())
        })
        .await;
        let followed = in_time(DEADLINE, "the word is in the stream", following.join_next()).await;
        followed.unwrap().unwrap().ids.last().unwrap().parse().unwrap()
    }

    /// Opens a lottery for so many seconds and enters half of the people; the others enter with
    /// [`Evening::enter_late`].
    pub(crate) async fn raffle(&self, duration_s: u64) -> (Lottery, Vec<Value>) {
        let body = json!({"title": "The draw", "prizes": [{"name": "a book", "count": 1}], "duration_s": duration_s});
        let lottery = Lottery::open(&self.scene, &body).await;
        let receipts = enter(&self.others, &lottery, &self.people[..PEOPLE / 2]).await;
        assert_eq!(receipts.len(), PEOPLE / 2, "it has just opened");
        (lottery, receipts)
    }

    /// The other half enters, at once and for so long as it takes until each is told that it is
    /// in, or that it came too late.
    pub(crate) fn enter_late(&self, lottery: &Lottery) -> JoinSet<Vec<Value>> {
        let (lottery, people) = (lottery.clone(), self.people[PEOPLE / 2..].to_vec());
        let (asked, mut entering) = (Arc::clone(&self.others), JoinSet::new());
        entering.spawn(async move { enter(&asked, &lottery, &people).await });
        entering
    }

    /// The lottery was drawn, and every acknowledged entry is in it once. Gives it.
    pub(crate) async fn drawn_well(&self, lottery: &Lottery, receipts: &[Value]) -> Value {
        let drawn = lottery.drawn(&self.server).await;
        let entries = lottery.entries(&self.server).await;
        let people: HashSet<&str> = entries.iter().map(|entry| entry["user_id"].as_str().unwrap()).collect();
        assert_eq!(people.len(), entries.len(), "nobody is in twice");
        assert!(entries.len() >= receipts.len(), "who was acknowledged is in");
        lottery.audit(&self.server, &drawn["opened"], &drawn["closed"], receipts).await;
        drawn
    }

    /// What was asked so far, since a moment.
    pub(crate) fn asked_since(&self, since: Instant) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.at >= since).copied().collect()
    }

    /// The viewers.
    pub(crate) fn report(&self) -> Report {
        self.swarm.report()
    }

    /// Ends the evening: everything acknowledged is there, once, under the id that was told; all
    /// viewers saw one order without a hole; nobody waited longer than a request may take.
    pub(crate) async fn end(mut self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut said = Vec::new();
        while let Some(of_one) = self.speaking.join_next().await {
            said.extend(of_one.unwrap());
        }
        let last = self.word("good night").await;
        let report = self.swarm.wait_until("all have seen the last word", LONG, |report| report.all_at(last));
        report.assert_whole();
        assert_eq!(report.tally.gaps, 0, "the feed holds all of it");

        let mut stored: HashMap<String, Vec<String>> = HashMap::new();
        let of = |danmaku: &Value, field: &str| danmaku[field].as_str().unwrap().to_owned();
        for danmaku in self.scene.history(&self.server).await {
            stored.entry(of(&danmaku, "text")).or_default().push(of(&danmaku, "id"));
        }
        for (text, id) in &said {
            assert_eq!(stored.get(text), Some(&vec![id.clone()]), "{text}: acknowledged, so there, once");
        }
        let asked = self.asked.lock().unwrap().clone();
        let (slowest, of_others) = (Asked::slowest(&self.asked), Asked::slowest(&self.others));
        let mut by_status: BTreeMap<Option<u16>, usize> = BTreeMap::new();
        asked.iter().for_each(|asked| *by_status.entry(asked.status).or_default() += 1);
        self.becomes_a_replay(said.len()).await;
        println!(
            "{} lines; answers {by_status:?}; the slowest after {} ms, of entries and reads {} ms",
            said.len(),
            slowest.as_millis(),
            of_others.as_millis()
        );
        assert!(slowest < DEADLINE_AT_THE_EDGE, "a request hung for {slowest:?}");
        assert!(of_others < DEADLINE_OF_OTHERS, "an entry or a read hung for {of_others:?}");
        report
    }

    /// The broadcast is closed, and its replay has all that was said.
    async fn becomes_a_replay(&self, said: usize) {
        let close = self.scene.path(&format!("/sessions/{}/close", self.scene.session));
        _ = self.scene.owner.post(&close, &Value::Null).await.expect(200);
        let replay = until("the replay is ready", async || {
            let listed = list(&self.scene.owner, &self.scene.room).await;
            listed.into_iter().find(|replay| replay["state"] == "ready")
        });
        let held = replay.await["danmaku_count"].as_u64().unwrap();
        assert!(held >= said as u64, "the replay has {held} of {said} danmaku");
    }

    /// Reads the room, which needs nothing but live and its database.
    pub(crate) async fn room(&self) -> u16 {
        let url = self.server.url(&self.scene.path(""));
        ask(&self.others, self.server.client().get(url)).await.map_or(0, |answer| answer.status)
    }
}

/// Sends a request, and notes how long the answer took. `None`: there was none.
async fn ask(asked: &AllAsked, request: RequestBuilder) -> Option<Answer> {
    let at = Instant::now();
    let answer = Answer::attempt(request).await.ok();
    let status = answer.as_ref().map(|answer| answer.status);
    asked.lock().unwrap().push(Asked { at, took: at.elapsed(), status });
    answer
}

/// All enter, each again and again until it is told that it is in, or that it came too late.
/// Gives the receipts.
async fn enter(asked: &AllAsked, lottery: &Lottery, people: &[Account]) -> Vec<Value> {
    let enter = async |person: &Account| {
        let since = Instant::now();
        loop {
            match ask(asked, person.request(Method::PUT, &lottery.path("/entries/me"))).await {
                Some(answer) if matches!(answer.status, 200 | 201) => return Some(receipt(&answer)),
                Some(answer) if answer.status == 409 => {
                    answer.refused(409, "lottery-closed");
                    return None;
                }
                Some(answer) => answer.refused(503, "unavailable"),
                None => {}
            }
            assert!(since.elapsed() < LONG, "nobody says whether {} is in", person.name);
            sleep(AGAIN_AFTER).await;
        }
    };
    futures::future::join_all(people.iter().map(enter)).await.into_iter().flatten().collect()
}
