//! A viewer who stays: comes back with the last event id whenever the stream ends.

use std::time::{Duration, Instant};

use crate::sse::{Event, Item};
use crate::{DEADLINE, Server, Viewer};

const COME_BACK_AFTER: Duration = Duration::from_millis(30);

/// What a follower saw.
#[derive(Debug, Default)]
pub struct Followed {
    /// The position that the first `hello` gave.
    pub begin: String,
    /// Every id that moved the position after that, in the order it came.
    pub ids: Vec<String>,
    /// Every event with an id, but no `hello`.
    pub events: Vec<Event>,
    /// Every event without one (`welcome`, `gap`, `bye`, …), and every `hello`.
    pub words: Vec<Event>,
    /// How often a stream was opened.
    pub streams: usize,
}

impl Followed {
    /// The words of this type.
    #[must_use]
    pub fn words(&self, kind: &str) -> Vec<serde_json::Value> {
        self.words.iter().filter(|word| word.kind == kind).map(Event::json).collect()
    }

    /// The texts of the danmaku, in order.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.events.iter().filter_map(Event::text).collect()
    }
}

/// Follows a room, however often the server goes away, up to and with the first event
/// that `ends` says is the last. A heartbeat, which repeats the position, is left out.
/// `began` is told when the first `hello` is there.
pub async fn follow(
    url: String,
    began: tokio::sync::oneshot::Sender<()>,
    mut ends: impl FnMut(&Event) -> bool,
) -> Followed {
    let (mut seen, mut began) = (Followed::default(), Some(began));
    let mut position = String::new();
    let client = Server::streaming_client();
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < 4 * DEADLINE, "the last event did not come; so far: {} events", seen.events.len());
        let mut request = client.get(&url);
        if !position.is_empty() {
            request = request.header("Last-Event-ID", &position);
        }
        if let Ok(mut viewer) = Viewer::begin(request).await {
            seen.streams += 1;
            while let Some(item) = viewer.item().await {
                // An ingress that finds no push node says only when to come back.
                if !viewer.position().is_empty() {
                    viewer.position().clone_into(&mut position);
                }
                match item {
                    Item::Event(event) if event.kind == "hello" => {
                        if let Some(began) = began.take() {
                            seen.begin = event.id.clone().expect("a hello has the position");
                            _ = began.send(());
                        }
                        seen.words.push(event);
                    }
                    Item::Event(event) if event.id.is_some() => {
                        seen.ids.extend(event.id.clone());
                        let last = ends(&event);
                        seen.events.push(event);
                        if last {
                            return seen;
                        }
                    }
                    Item::Event(event) => seen.words.push(event),
                    Item::Position(id) if seen.ids.last().unwrap_or(&seen.begin) != &id => seen.ids.push(id),
                    Item::Position(_) | Item::Retry(_) => {}
                }
            }
        }
        tokio::time::sleep(COME_BACK_AFTER).await;
    }
}
