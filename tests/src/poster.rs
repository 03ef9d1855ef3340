//! Posts at a fixed rate, whatever the answers take: an open loop, from a thread of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::http::{self, Connection};
use crate::swarm::{Stamp, now_us};
use crate::timing::{histogram, micros};

/// Who cannot connect tries again after this; a server that is being restarted is away so long.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// What is posted, where, and how fast.
#[derive(Clone)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// Makes the n-th request, with a stamp for its text: when it was due.
    pub request: Arc<dyn Fn(Stamp<'_>) -> Vec<u8> + Send + Sync>,
    /// The class that the stamps name; empty for none.
    pub class: &'static str,
    /// Posts a second.
    pub per_second: f64,
    /// Connections; each has one post under way. With a single one the posts are answered in
    /// their order. Too few for the rate: posts are late ([`Posted::late_us`]), none is left out.
    pub connections: usize,
    /// The stamps' numbers go on from this.
    pub first: u64,
    /// Ends by itself after so many.
    pub most: Option<u64>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, per_second, connections, most, .. } = self;
        write!(f, "Plan {{ {per_second}/s to {address} by {connections} connections, at most {most:?} }}")
    }
}

impl Plan {
    /// Danmaku in a room, by these accounts (their tokens) in turn, each text different.
    #[must_use]
    pub fn danmaku(address: SocketAddr, room: &str, tokens: Vec<String>, per_second: f64) -> Self {
        assert!(!tokens.is_empty(), "somebody must post");
        let path = format!("/api/v1/rooms/{room}/danmaku");
        let bearer: Vec<String> = tokens.into_iter().map(|token| format!("Bearer {token}")).collect();
        let request = move |stamp: Stamp<'_>| {
            let account = usize::try_from(stamp.n).unwrap_or_default() % bearer.len();
            let headers = [("Authorization", bearer[account].as_str()), ("Content-Type", "application/json")];
            http::post(&path, &headers, &format!(r#"{{"text":"{stamp}"}}"#))
        };
        Self { address, request: Arc::new(request), class: "", per_second, connections: 32, first: 0, most: None }
    }
}

/// What became of the posts.
#[derive(Debug, Clone)]
pub struct Posted {
    /// Sent, and answered or not.
    pub sent: u64,
    /// Answers, by status.
    pub answered: BTreeMap<u16, u64>,
    /// Sent without an answer: they may have been taken or not.
    pub unanswered: u64,
    /// When the last answer came.
    pub last_answer: Option<Instant>,
    /// From sent to answered, in µs.
    pub latency_us: Histogram<u64>,
    /// How much later than planned posts were sent, in µs.
    pub late_us: Histogram<u64>,
}

impl Posted {
    /// Answers with 201.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.answered.get(&201).copied().unwrap_or_default()
    }
}

/// Posts until it is stopped or dropped.
#[derive(Debug)]
pub struct Poster {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    begin: Instant,
    next: AtomicU64,
    stop: AtomicBool,
    posted: Mutex<Posted>,
}

impl Poster {
    /// Begins to post.
    ///
    /// # Errors
    /// The system gives no thread or no epoll.
    pub fn start(plan: Plan) -> std::io::Result<Self> {
        let posted = Posted {
            sent: 0,
            answered: BTreeMap::new(),
            unanswered: 0,
            last_answer: None,
            latency_us: histogram(),
            late_us: histogram(),
        };
        let shared = Arc::new(Shared {
            begin: Instant::now(),
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            posted: Mutex::new(posted),
            plan,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let all = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("poster".to_owned()).spawn(move || {
            runtime.block_on(async {
                let mut posting: JoinSet<()> =
                    (0..all.plan.connections.max(1)).map(|_| Arc::clone(&all).post()).collect();
                while let Some(ended) = posting.join_next().await {
                    ended.expect("posting does not fail");
                }
            });
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What became of the posts so far.
    #[must_use]
    pub fn posted(&self) -> Posted {
        self.shared.posted().clone()
    }

    /// Sends no more, waits for the answers that are still to come, and says what became of
    /// all posts.
    pub fn stop(mut self) -> Posted {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.join();
        self.posted()
    }

    /// Waits until [`Plan::most`] posts have been answered.
    pub fn finish(mut self) -> Posted {
        assert!(self.shared.plan.most.is_some(), "it would never end");
        self.join();
        self.posted()
    }

    fn join(&mut self) {
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(!matches!(ended, Some(Err(_))), "the poster failed");
        }
    }
}

impl Drop for Poster {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.join();
    }
}

impl Shared {
    fn posted(&self) -> std::sync::MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection: takes the next place in the schedule, waits for its time, posts.
    async fn post(self: Arc<Self>) {
        let mut connection = None;
        while !self.stop.load(Ordering::Relaxed) {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            if self.plan.most.is_some_and(|most| n >= most) {
                return;
            }
            let due = self.begin + Duration::from_secs_f64(n as f64 / self.plan.per_second);
            if !self.wait_for(due).await {
                return;
            }
            while connection.is_none() && !self.stop.load(Ordering::Relaxed) {
                match Connection::to(self.plan.address).await {
                    Ok(new) => connection = Some(new),
                    Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
                }
            }
            let Some(open) = &mut connection else { return };
            let sent = Instant::now();
            let late_us = micros(sent.saturating_duration_since(due));
            // From when it was due: a server that makes its publishers wait is not the faster for it.
            let stamp =
                Stamp { sent_us: now_us().saturating_sub(late_us), n: self.plan.first + n, class: self.plan.class };
            let request = (self.plan.request)(stamp);
            let answer = tokio::time::timeout(ANSWER_DEADLINE, open.ask(&request)).await;
            let answered = Instant::now();
            let mut posted = self.posted();
            posted.sent += 1;
            posted.late_us.saturating_record(late_us);
            if let Ok(Ok((status, _))) = answer {
                *posted.answered.entry(status).or_default() += 1;
                posted.last_answer = posted.last_answer.max(Some(answered));
                posted.latency_us.saturating_record(micros(answered.duration_since(sent)));
            } else {
                posted.unanswered += 1;
                connection = None;
            }
        }
    }

    /// Whether the time came before the stop.
    async fn wait_for(&self, due: Instant) -> bool {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        while !self.stop.load(Ordering::Relaxed) {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            tokio::time::sleep(left.min(LOOK_EVERY)).await;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers every request of so many connections, after `wait`, with `status`.
    fn server(connections: usize, wait: Duration, status: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..connections {
            let listener = listener.try_clone().unwrap();
            std::thread::spawn(move || {
                let mut socket = listener.accept().unwrap().0;
                let mut buffer = [0; 4_096];
                while socket.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {
                    std::thread::sleep(wait);
                    _ = socket.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes());
                }
            });
        }
        address
    }

    #[test]
    fn every_post_is_counted_by_what_became_of_it() {
        let address = server(4, Duration::ZERO, "201 Created");
        let plan = Plan::danmaku(address, "7", vec!["token".to_owned()], 2_000.0);
        let posted = Poster::start(Plan { connections: 4, most: Some(200), ..plan }).unwrap().finish();
        assert_eq!((posted.sent, posted.created(), posted.unanswered), (200, 200, 0));
        assert_eq!(posted.latency_us.len(), 200);
    }

    #[test]
    fn slow_answers_do_not_slow_the_others() {
        let wait = Duration::from_millis(50);
        let address = server(32, wait, "503 Service Unavailable");
        let plan = Plan::danmaku(address, "7", vec!["token".to_owned()], 200.0);
        let begin = Instant::now();
        let posted = Poster::start(Plan { most: Some(100), ..plan }).unwrap().finish();
        assert!(begin.elapsed() < 100 * wait / 4, "one after the other they take {:?}", 100 * wait);
        assert_eq!((posted.answered.get(&503), posted.created()), (Some(&100), 0));
    }

    #[test]
    fn it_stops_when_it_is_told() {
        let address = server(1, Duration::ZERO, "201 Created");
        let plan = Plan::danmaku(address, "7", vec!["token".to_owned()], 0.01);
        let poster = Poster::start(Plan { connections: 1, ..plan }).unwrap();
        let begin = Instant::now();
        let posted = poster.stop();
        assert!(posted.sent <= 1 && begin.elapsed() < Duration::from_secs(20), "{posted:?}");
    }
}
