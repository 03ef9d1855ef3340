//! A push service on a folder of its own, and a viewer that reads its streams.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use common::buckets::Rate;
use common::http::admission::Networks;
use common::rpc::PushClient;
use common::rpc::{answer, within};
use common::token::Signer;
use common::{Clock, Dynamic, Lifecycle, Platform};
use http::Request;
use http_body_util::BodyExt as _;
use idl::event::{EventType, Owner, RoomRules, RoomState};
use idl::push::{Lane, Outcome, Publication, Publish, Retain};
use idl::{Refusal, RoomId, Timestamp, UserId};
use push::{FlowRate, Push, Settings};
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) const ROOM: RoomId = RoomId(7);
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A push service.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) platform: Platform,
    pub(crate) signer: Arc<Signer>,
    pub(crate) push: PushClient,
    router: Router,
}

/// Everything passes, nothing waits long.
pub(crate) fn settings() -> Settings {
    Settings {
        feeds: crate::stores::feeds().as_str().into(),
        rate_per_s: 100_000.try_into().unwrap(),
        burst: 100_000.try_into().unwrap(),
        tick_ms: 1,
        keep_events: 1_000,
        keep_ms: 600_000,
        keep_bytes: 1 << 20,
        heartbeat_ms: 60_000,
        lease_min_ms: 60_000,
        lease_max_ms: 60_000,
        reconnect_spread_ms: 100,
        drain_ms: 50,
        max_streams: 100,
        egress_mbps: 0,
        max_streams_per_address: 3,
        opens_per_address: Rate { burst: 1_000.try_into().unwrap(), per_minute: 1.try_into().unwrap() },
    }
}

impl Bench {
    /// A service with a room.
    pub(crate) async fn start(settings: Settings) -> Self {
        let flow = Dynamic::fixed(settings.flow_rate());
        Self::following(settings, flow).await
    }

    /// A service with a room, that follows this flow rate.
    pub(crate) async fn following(settings: Settings, flow: Dynamic<FlowRate>) -> Self {
        let bench = Self::on(tempfile::tempdir().unwrap(), settings, flow).await;
        bench.retain(1, RoomRules::default()).await;
        bench
    }

    async fn on(folder: tempfile::TempDir, settings: Settings, flow: Dynamic<FlowRate>) -> Self {
        let (platform, signer) = Self::platform(&folder);
        let push = Push::start(settings, flow, &platform, Networks::default()).await.unwrap();
        Self { push: push.serve_in_process(), router: push.router(), folder, platform, signer }
    }

    /// Why a service does not start with these settings.
    pub(crate) async fn refused(settings: Settings) -> String {
        let (platform, _) = Self::platform(&tempfile::tempdir().unwrap());
        let flow = Dynamic::fixed(settings.flow_rate());
        let refused = Push::start(settings, flow, &platform, Networks::default()).await;
        format!("{:#}", refused.unwrap_err())
    }

    fn platform(folder: &tempfile::TempDir) -> (Platform, Arc<Signer>) {
        let clock = Clock::manual(Timestamp(1_700_000_000_000));
        let signer = Arc::new(Signer::load_or_create(folder.path(), clock.clone()).unwrap());
        let platform = common::native::platform(folder.path(), &clock, &Lifecycle::new(), &signer);
        (platform, signer)
    }

    /// Another service on what the disk holds of this one now, as after `kill -9`.
    pub(crate) async fn killed_and_restarted(&self, settings: Settings) -> Self {
        // A shared store is what others have, too; this one hears and tells no more.
        self.platform.lifecycle.hard().cancel();
        let copy = tempfile::tempdir().unwrap();
        let from = self.folder.path();
        std::fs::create_dir_all(from.join("feeds")).unwrap();
        let copied = std::process::Command::new("cp")
            .arg("-r")
            .arg(from.join("feeds"))
            .arg(from.join("keys"))
            .arg(copy.path())
            .status();
        assert!(copied.unwrap().success());
        let flow = Dynamic::fixed(settings.flow_rate());
        Self::on(copy, settings, flow).await
    }

    pub(crate) async fn retain(&self, version: u64, rules: RoomRules) {
        self.retain_in(ROOM, version, rules).await;
    }

    pub(crate) async fn retain_in(&self, id: RoomId, version: u64, rules: RoomRules) {
        let state = RoomState {
            id,
            version,
            title: "a room".to_owned(),
            owner: Owner { id: UserId(1), name: "mei".to_owned() },
            cover_url: None,
            session: None,
            rules,
        };
        answer(self.push.retain(within(PATIENCE), Retain { states: vec![state], lotteries: Vec::new() }).await)
            .unwrap();
    }

    pub(crate) async fn publish(&self, publications: Vec<Publication>) -> Result<Vec<Outcome>, Refusal> {
        let request = Publish { room: ROOM, publications };
        answer(self.push.publish(within(PATIENCE), request).await).map(|published| published.outcomes)
    }

    /// Publishes danmaku with these numbers, each in a call of its own.
    pub(crate) async fn say(&self, numbers: impl IntoIterator<Item = u64>) {
        for n in numbers {
            self.publish(vec![danmaku(n)]).await.unwrap();
        }
    }

    pub(crate) async fn open(&self, request: http::request::Builder) -> http::Response<Body> {
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    /// A viewer who comes with this `Last-Event-ID`, or none.
    pub(crate) async fn watch(&self, last_event_id: &str) -> Viewer {
        let request = Request::get(path("")).header("last-event-id", last_event_id);
        Viewer::of(self.open(request).await)
    }
}

pub(crate) fn path(query: &str) -> String {
    format!("/api/v1/rooms/{ROOM}/events{query}")
}

/// Two nodes on one store.
pub(crate) async fn two(settings: impl Fn() -> Settings) -> (Bench, Bench) {
    (Bench::start(settings()).await, Bench::start(settings()).await)
}

/// A danmaku that is never left out.
pub(crate) fn fact(n: u64) -> Publication {
    Publication { lane: Lane::Guaranteed, ..danmaku(n) }
}

pub(crate) fn danmaku(n: u64) -> Publication {
    Publication {
        source: format!("danmaku:{n}"),
        event: EventType::Danmaku,
        data: format!("{{\"n\":{n}}}"),
        at_ms: 1_700_000_000_000 + n.cast_signed(),
        lane: Lane::Ordinary,
        sender: Some(UserId(n)),
        tombstones: Vec::new(),
        state: None,
        lottery: None,
    }
}

/// An event of a stream; `event` is empty for a block that only has an id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// Reads one stream.
pub(crate) struct Viewer {
    body: Body,
    text: String,
}

impl Viewer {
    pub(crate) fn of(response: http::Response<Body>) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    /// The next event; `None` at the end of the stream. Waits five seconds at most.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let event = parse(block);
                self.text = rest.to_owned();
                match event {
                    Some(event) => return Some(event),
                    None => continue, // retry: and comments
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("the stream is silent")?;
            self.text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
    }

    /// Skips to the next event of this type.
    pub(crate) async fn next_of(&mut self, event: &str) -> Event {
        loop {
            let next = self.next().await.unwrap_or_else(|| panic!("the stream ended before {event}"));
            if next.event == event {
                return next;
            }
        }
    }

    /// The numbers of the next danmaku, until this one.
    pub(crate) async fn numbers_until(&mut self, last: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.last() != Some(&last) {
            numbers.push(self.next_of("danmaku").await.data["n"].as_u64().unwrap());
        }
        numbers
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let event = Event {
        id: field("id: "),
        event: field("event: ").unwrap_or_default(),
        data: field("data: ").map_or(Value::Null, |data| serde_json::from_str(&data).unwrap()),
    };
    (event.id.is_some() || !event.event.is_empty()).then_some(event)
}
