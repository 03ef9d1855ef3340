//! Whose viewers they are, how many, and how they behave.

use std::net::SocketAddr;
use std::time::Duration;

/// An event stream.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The path with its query.
    pub path: String,
    /// Further headers, `("Authorization", "Bearer …")` say.
    pub headers: Vec<(String, String)>,
    /// What the events' order is known by.
    pub ids: Ids,
}

impl Target {
    /// The events of a room of goligoli.
    #[must_use]
    pub fn room(address: SocketAddr, room: &str) -> Self {
        let path = format!("/api/v1/rooms/{room}/events");
        Self { address, path, headers: Vec::new(), ids: Ids::Goligoli }
    }

    pub(super) fn request(&self, last_event_id: Option<&str>) -> String {
        let Self { address, path, .. } = self;
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n");
        let id = last_event_id.map(|id| ("Last-Event-ID".to_owned(), id.to_owned()));
        for (name, value) in self.headers.iter().chain(&id) {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request + "\r\n"
    }
}

/// What the order of events is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// `{epoch}-{seq}` without holes, with `hello` and `gap`.
    Goligoli,
    /// The numbers in the texts ([`super::Stamp`]), which one publisher sent in order.
    Numbers,
    /// Nothing: events are only counted.
    Opaque,
}

/// How many viewers, and how they behave. All start with [`Default`].
#[derive(Debug, Clone)]
pub struct Options {
    /// All viewers, the special ones too.
    pub viewers: usize,
    /// So many open a stream at the same time; the others wait for their turn.
    pub opening_at_once: usize,
    /// They come back when a stream ends, with the last event id; `None`: they do not.
    pub come_back: Option<ComeBack>,
    /// So many never read after the head.
    pub stalled: usize,
    /// So many read one byte a second after the head.
    pub dripping: usize,
    /// The receive buffer (`SO_RCVBUF`) of the stalled and the dripping: small, so that it
    /// soon shows.
    pub special_buffer_bytes: usize,
    /// Viewers come from so many addresses, from 127.0.0.1 on: a port is used once per address.
    pub source_addresses: u8,
    /// Viewers ask for a selection (`?rate=`): that ids jump forward is no loss.
    pub selected: bool,
    /// Operating-system threads that read. The swarm shares the machine with the server.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            viewers: 1,
            opening_at_once: 200,
            come_back: Some(ComeBack::default()),
            stalled: 0,
            dripping: 0,
            special_buffer_bytes: 4 << 10,
            source_addresses: 4,
            selected: false,
            threads: 1,
        }
    }
}

impl Options {
    /// So many ordinary viewers.
    #[must_use]
    pub fn viewers(viewers: usize) -> Self {
        Self { viewers, ..Self::default() }
    }
}

/// How long a viewer waits before it opens a stream again: a random part of a time that
/// doubles with every failure.
#[derive(Debug, Clone, Copy)]
pub struct ComeBack {
    /// At first.
    pub first: Duration,
    /// At most.
    pub most: Duration,
}

impl Default for ComeBack {
    fn default() -> Self {
        Self { first: Duration::from_millis(50), most: Duration::from_secs(1) }
    }
}
