//! With servers of the test's own, which are killed.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::super::tests::topic;
use super::super::{Message, Queue};
use super::*;

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(60);

/// An nsqlookupd and an nsqd, on ports and in a folder of their own.
struct Servers {
    folder: tempfile::TempDir,
    lookupd: [u16; 2],
    nsqd: [u16; 2],
    _lookupd: Child,
    running: Option<Child>,
    /// The TCP port that nsqd says it has, if not its own.
    broadcast: Option<u16>,
}

impl Servers {
    /// `None` where the tests are not given real servers.
    async fn start() -> Option<Self> {
        crate::native::server("NATIVE_NSQD_TCP")?;
        let ports = [free_port(), free_port(), free_port(), free_port()].map(|listener| listener.1);
        let lookupd = [ports[0], ports[1]];
        let folder = tempfile::tempdir().unwrap();
        let child = spawn(
            "nsqlookupd",
            &[format!("--http-address=127.0.0.1:{}", lookupd[0]), format!("--tcp-address=127.0.0.1:{}", lookupd[1])],
        );
        let mut servers =
            Self { folder, lookupd, nsqd: [ports[2], ports[3]], _lookupd: child, running: None, broadcast: None };
        servers.start_nsqd().await;
        Some(servers)
    }

    async fn start_nsqd(&mut self) {
        self.running = Some(spawn(
            "nsqd",
            &[
                format!("--data-path={}", self.folder.path().display()),
                format!("--http-address=127.0.0.1:{}", self.nsqd[0]),
                format!("--tcp-address=127.0.0.1:{}", self.nsqd[1]),
                format!("--lookupd-tcp-address=127.0.0.1:{}", self.lookupd[1]),
                "--broadcast-address=127.0.0.1".to_owned(),
                format!("--broadcast-tcp-port={}", self.broadcast.unwrap_or(self.nsqd[1])),
                "--msg-timeout=10s".to_owned(),
            ],
        ));
        let up = async {
            while TcpStream::connect(("127.0.0.1", self.nsqd[1])).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, up).await.expect("nsqd starts");
    }

    async fn kill_nsqd(&mut self) {
        self.running.take().unwrap().kill().await.unwrap();
    }

    fn url(&self) -> String {
        self.url_by(self.nsqd[1])
    }

    fn url_by(&self, port: u16) -> String {
        format!("nsq://127.0.0.1:{}?nsqd=127.0.0.1:{port}", self.lookupd[0])
    }

    /// What nsqd says of a topic's channel.
    async fn channel(&self, topic: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/stats?format=json&topic={topic}", self.nsqd[0]);
        let stats: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        stats["topics"][0]["channels"][0].clone()
    }
}

fn free_port() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn spawn(program: &str, arguments: &[String]) -> Child {
    let folder = std::env::var("NATIVE_NSQ_BIN").map(|folder| format!("{folder}/")).unwrap_or_default();
    let mut command = Command::new(format!("{folder}{program}"));
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap_or_else(|error| panic!("{program} (from PATH, or the folder NATIVE_NSQ_BIN): {error}"))
}

/// Consumes a topic; gives what comes.
fn consume(queue: &Queue, topic: &'static str, lifecycle: &Lifecycle) -> mpsc::UnboundedReceiver<Message> {
    let (sender, seen) = mpsc::unbounded_channel();
    let handler = move |message: Message| std::future::ready(sender.send(message));
    queue.consume(topic, 4, SOON, lifecycle, handler).unwrap();
    seen
}

/// Publishes until the queue takes it, as whoever publishes does.
async fn publish(queue: &Queue, topic: &'static str, body: &str) {
    while queue.publish(topic, body.to_owned()).is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits for a message with this body, whatever comes before.
async fn comes(seen: &mut mpsc::UnboundedReceiver<Message>, body: &str, within: Duration) {
    let comes = async { while seen.recv().await.unwrap().body != body {} };
    tokio::time::timeout(within, comes).await.unwrap_or_else(|_| panic!("{body} does not come"));
}

#[tokio::test]
async fn an_nsqd_that_was_killed_is_used_again_when_it_is_back() {
    let Some(mut servers) = Servers::start().await else { return };
    let (lifecycle, topic) = (Lifecycle::new(), topic("killed"));
    let queue = Queue::connect(&servers.url(), &lifecycle).unwrap();
    let mut seen = consume(&queue, topic, &lifecycle);
    publish(&queue, topic, "before").await;
    comes(&mut seen, "before", SOON).await;
    for n in 0..2 {
        servers.kill_nsqd().await;
        // The first one finds out.
        let away = async {
            while queue.publish(topic, "while away".to_owned()).is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), away).await.expect("it says that it is away");
        assert!(queue.check().await.unwrap_err().to_string().contains("queue.url"));
        servers.start_nsqd().await;
        publish(&queue, topic, &format!("after {n}")).await;
        comes(&mut seen, &format!("after {n}"), Duration::from_secs(10)).await;
    }
    lifecycle.stop(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn what_is_published_while_a_connection_breaks_arrives_all_the_same() {
    let Some(servers) = Servers::start().await else { return };
    let proxy = Proxy::start(servers.nsqd[1]).await;
    let (lifecycle, topic) = (Lifecycle::new(), topic("breaks"));
    let queue = Queue::connect(&servers.url_by(proxy.port), &lifecycle).unwrap();
    publish(&queue, topic, "first").await;
    let mut seen = consume(&queue, topic, &lifecycle);
    comes(&mut seen, "first", SOON).await;
    // It takes what is sent, and passes nothing on: only time tells.
    proxy.swallows.store(true, Ordering::SeqCst);
    publish(&queue, topic, "swallowed").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.swallows.store(false, Ordering::SeqCst);
    comes(&mut seen, "swallowed", Duration::from_secs(20)).await;
    lifecycle.stop(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_consumer_whose_connection_went_silent_gets_a_new_one() {
    let Some(mut servers) = Servers::start().await else { return };
    let proxy = Proxy::start(servers.nsqd[1]).await;
    // So that those who look nsqd up come by the proxy, too.
    servers.kill_nsqd().await;
    servers.broadcast = Some(proxy.port);
    servers.start_nsqd().await;
    let (lifecycle, topic) = (Lifecycle::new(), topic("silent"));
    let direct = Queue::connect(&servers.url(), &lifecycle).unwrap();
    let through = Queue::connect(&servers.url_by(proxy.port), &lifecycle).unwrap();
    let (sender, mut seen) = mpsc::unbounded_channel();
    let handler = move |message: Message| std::future::ready(sender.send(message));
    through.consume(topic, 1, SOON, &lifecycle, handler).unwrap();
    publish(&direct, topic, "first").await;
    comes(&mut seen, "first", SOON).await;
    proxy.swallows.store(true, Ordering::SeqCst);
    for n in 0..8 {
        publish(&direct, topic, &format!("silent {n}")).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    proxy.swallows.store(false, Ordering::SeqCst);
    for _ in 0..8 {
        // nsqd and the client would find out in 30 s and more.
        tokio::time::timeout(Duration::from_secs(15), seen.recv()).await.expect("all come").unwrap();
    }
    lifecycle.stop(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn long_work_keeps_its_message_and_a_dead_one_is_kept() {
    let Some(servers) = Servers::start().await else { return };
    let (lifecycle, topic) = (Lifecycle::new(), topic("long"));
    let queue = Queue::connect(&servers.url(), &lifecycle).unwrap();
    let (sender, mut seen) = mpsc::unbounded_channel();
    let handler = move |message: Message| {
        sender.send(message.clone()).unwrap();
        async move {
            // Longer than nsqd waits.
            tokio::time::sleep(Duration::from_secs(if message.body == "long" { 13 } else { 0 })).await;
            if message.body == "long" { Ok(()) } else { Err("never") }
        }
    };
    queue.consume(topic, 2, SOON, &lifecycle, handler).unwrap();
    publish(&queue, topic, "long").await;
    publish(&queue, topic, "dead").await;
    let dead = topic.to_owned() + ".dead";
    let kept = async {
        loop {
            let url = format!("http://127.0.0.1:{}/stats?format=json&topic={dead}", servers.nsqd[0]);
            let stats: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
            if stats["topics"][0]["message_count"] == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(SOON, kept).await.expect("it is in the topic for dead ones");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let channel = servers.channel(topic).await;
    let left = ["depth", "in_flight_count", "deferred_count", "timeout_count"].map(|field| channel[field].clone());
    assert_eq!(left, [0, 0, 0, 0], "{channel}");
    lifecycle.stop(Duration::from_secs(10)).await;
    let mut long = 0;
    while let Ok(message) = seen.try_recv() {
        long += u32::from(message.body == "long");
    }
    assert_eq!(long, 1);
}

#[tokio::test]
async fn a_stop_gives_back_what_was_not_begun() {
    let Some(servers) = Servers::start().await else { return };
    let (lifecycle, topic) = (Lifecycle::new(), topic("stop"));
    let queue = Queue::connect(&servers.url(), &lifecycle).unwrap();
    let (sender, mut seen) = mpsc::unbounded_channel();
    let handler = move |message: Message| {
        sender.send(message.body).unwrap();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<(), &str>(())
        }
    };
    queue.consume(topic, 1, SOON, &lifecycle, handler).unwrap();
    for body in ["one", "two", "three"] {
        publish(&queue, topic, body).await;
    }
    tokio::time::timeout(SOON, seen.recv()).await.unwrap().unwrap();
    lifecycle.stop(Duration::from_secs(10)).await;
    assert!(seen.try_recv().is_err());
    let again = Lifecycle::new();
    let queue = Queue::connect(&servers.url(), &again).unwrap();
    let mut seen = consume(&queue, topic, &again);
    for _ in 0..2 {
        // Sooner than nsqd would find out by itself.
        tokio::time::timeout(Duration::from_secs(5), seen.recv()).await.expect("it was given back").unwrap();
    }
    again.stop(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_process_starts_and_stops_without_its_queue() {
    let lifecycle = Lifecycle::new();
    let queue = Queue::connect("nsq://127.0.0.1:1?nsqd=127.0.0.1:1", &lifecycle).unwrap();
    let _seen = consume(&queue, "t", &lifecycle);
    let away = async {
        while queue.publish("t", "lost".to_owned()).is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), away).await.expect("it says that it is away");
    let began = std::time::Instant::now();
    lifecycle.stop(Duration::from_secs(10)).await;
    assert!(began.elapsed() < Duration::from_secs(8));
}

/// An nsqd that shakes hands and then breaks each connection at its first publication; counts them.
async fn refusing_nsqd() -> (u16, Arc<AtomicU32>) {
    const SETTINGS: &str = r#"{"max_rdy_count":9,"version":"1","max_msg_timeout":9,"msg_timeout":9,"tls_v1":false,
        "deflate":false,"deflate_level":0,"max_deflate_level":0,"snappy":false,"sample_rate":0,"auth_required":false,
        "output_buffer_size":9,"output_buffer_timeout":9}"#;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let refused = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&refused);
    Lifecycle::new().spawn_one_of_many(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            Lifecycle::new().spawn_one_of_many(async move {
                let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
                let mut is_known = false;
                while let Ok(n @ 1..) = near.read(&mut piece).await {
                    seen.extend_from_slice(&piece[..n]);
                    if seen.windows(4).any(|part| part == b"PUB ") {
                        count.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    if !is_known && seen.ends_with(b"}") {
                        is_known = true;
                        let bytes = u32::try_from(SETTINGS.len() + 4).unwrap();
                        let frame = [&bytes.to_be_bytes()[..], &[0; 4], SETTINGS.as_bytes()].concat();
                        near.write_all(&frame).await.unwrap();
                    }
                }
            });
        }
    });
    (port, refused)
}

#[tokio::test]
async fn an_nsqd_that_takes_nothing_is_away_and_is_not_hammered() {
    let (port, refused) = refusing_nsqd().await;
    let (lifecycle, topic) = (Lifecycle::new(), topic("refused"));
    let queue = Queue::connect(&format!("nsq://127.0.0.1:1?nsqd=127.0.0.1:{port}"), &lifecycle).unwrap();
    queue.publish(topic, "one".to_owned()).unwrap();
    queue.publish(topic, "another".to_owned()).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let (tries, told) = (refused.load(Ordering::SeqCst), queue.publish(topic, "late".to_owned()));
    assert!((2..=7).contains(&tries), "{tries} in one and a half seconds");
    assert!(told.is_err(), "whoever publishes is told");
    lifecycle.stop(Duration::from_secs(10)).await;
}

/// Passes bytes on to a server, or swallows them.
struct Proxy {
    port: u16,
    swallows: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallows = Arc::new(AtomicBool::new(false));
        let swallow = Arc::clone(&swallows);
        Lifecycle::new().spawn_one_of_many(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], to))).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                for (from, to) in [(near_in, far_out), (far_in, near_out)] {
                    Lifecycle::new().spawn_one_of_many(pass(from, to, Arc::clone(&swallow)));
                }
            }
        });
        Self { port, swallows }
    }
}

/// What has swallowed something once is broken for good, but does not show it.
async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    swallows: Arc<AtomicBool>,
) {
    let (mut piece, mut is_broken) = (vec![0; 4096], false);
    while let Ok(n @ 1..) = from.read(&mut piece).await {
        is_broken |= swallows.load(Ordering::SeqCst);
        if !is_broken && to.write_all(&piece[..n]).await.is_err() {
            return;
        }
    }
    if is_broken {
        std::future::pending::<()>().await;
    }
}
