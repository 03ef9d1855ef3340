//! One connection to a room's event stream.

use std::collections::VecDeque;

use reqwest::header::HeaderMap;

use crate::sse::{Event, Item, Parser};
use crate::{Account, Answer, DEADLINE, Server, in_time};

/// How a viewer comes.
#[derive(Debug, Default, Clone)]
pub struct Watch {
    token: Option<String>,
    header: Option<String>,
    query: String,
    accept_encoding: bool,
}

impl Watch {
    /// As a guest, from now on.
    #[must_use]
    pub fn guest() -> Self {
        Self::default()
    }

    /// As somebody.
    #[must_use]
    pub fn by(account: &Account) -> Self {
        Self { token: Some(account.token.clone()), ..Self::default() }
    }

    /// Goes on after this id: the `Last-Event-ID` header.
    #[must_use]
    pub fn after(mut self, id: &str) -> Self {
        self.header = Some(id.to_owned());
        self
    }

    /// With a query, `max_events=3` say.
    #[must_use]
    pub fn query(mut self, query: &str) -> Self {
        self.query = format!("?{query}");
        self
    }

    /// Would take a compressed answer.
    #[must_use]
    pub const fn accept_gzip(mut self) -> Self {
        self.accept_encoding = true;
        self
    }

    fn request(&self, server: &Server, room: &str) -> reqwest::RequestBuilder {
        let url = server.url(&format!("/api/v1/rooms/{room}/events{}", self.query));
        let mut request = Server::streaming_client().get(url).header("Accept", "text/event-stream");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = &self.header {
            request = request.header("Last-Event-ID", id);
        }
        if self.accept_encoding {
            request = request.header("Accept-Encoding", "gzip, br, zstd, deflate");
        }
        request
    }

    /// Asks for a stream that must be refused.
    pub async fn refused(&self, server: &Server, room: &str) -> Answer {
        in_time(DEADLINE, "a refusal", Answer::to(self.request(server, room))).await
    }

    /// Opens the stream.
    pub async fn open(&self, server: &Server, room: &str) -> Viewer {
        self.try_open(server, room).await.expect("a stream")
    }

    /// Opens the stream; the server may be away.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn try_open(&self, server: &Server, room: &str) -> reqwest::Result<Viewer> {
        Viewer::begin(self.request(server, room)).await
    }
}

/// An open stream.
#[derive(Debug)]
pub struct Viewer {
    response: reqwest::Response,
    parser: Parser,
    ready: VecDeque<Item>,
}

impl Viewer {
    pub(crate) async fn begin(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let response = in_time(DEADLINE, "a stream's head", request.send()).await?;
        assert_eq!(response.status(), 200, "the stream is refused");
        Ok(Self { response, parser: Parser::default(), ready: VecDeque::new() })
    }

    /// The headers that came.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// What the viewer would send as `Last-Event-ID`.
    #[must_use]
    pub fn position(&self) -> &str {
        self.parser.last_event_id()
    }

    /// The next item; `None` when the connection has ended, however it did.
    pub async fn item(&mut self) -> Option<Item> {
        self.item_or_error().await.unwrap_or(None)
    }

    /// The next item; `None` when the stream has ended properly.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn item_or_error(&mut self) -> reqwest::Result<Option<Item>> {
        while self.ready.is_empty() {
            match in_time(DEADLINE, "the next item of a stream", self.response.chunk()).await? {
                Some(bytes) => self.ready.extend(self.parser.feed(&bytes)),
                None => return Ok(None),
            }
        }
        Ok(self.ready.pop_front())
    }

    /// The next event, whatever stands before it.
    pub async fn event(&mut self) -> Event {
        loop {
            match self.item().await.expect("the stream goes on") {
                Item::Event(event) => return event,
                Item::Position(_) | Item::Retry(_) => {}
            }
        }
    }

    /// The next event of this type; others are passed over.
    pub async fn next(&mut self, kind: &str) -> Event {
        loop {
            let event = self.event().await;
            if event.kind == kind {
                return event;
            }
        }
    }

    /// The events up to and with the first that `ends` says is the last.
    pub async fn through(&mut self, mut ends: impl FnMut(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.event().await;
            let last = ends(&event);
            events.push(event);
            if last {
                return events;
            }
        }
    }

    /// The events up to and with the danmaku that says `text`.
    pub async fn through_text(&mut self, text: &str) -> Vec<Event> {
        self.through(|event| event.text().as_deref() == Some(text)).await
    }

    /// All items until the stream has ended properly.
    pub async fn to_end(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        while let Some(item) = self.item_or_error().await.expect("the stream ends properly") {
            items.push(item);
        }
        items
    }
}
