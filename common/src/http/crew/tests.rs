use std::sync::atomic::AtomicBool;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// What the clients of a crew are sent: so many bytes each, when the bell rings.
#[derive(Debug, Default)]
struct Stock {
    bytes: AtomicUsize,
    is_closed: AtomicBool,
}

struct Client {
    stock: Arc<Stock>,
    sent: usize,
    /// Dropped with the script.
    _here: Arc<()>,
}

impl Script for Client {
    fn fill(&mut self, _: Instant, ready: &mut Ready) -> Filled {
        let all = self.stock.bytes.load(Ordering::SeqCst);
        while self.sent < all {
            if ready.is_full() {
                return Filled::Some;
            }
            let n = (all - self.sent).min(1_000);
            ready.push((self.sent..self.sent + n).map(byte).collect());
            self.sent += n;
        }
        if self.stock.is_closed.load(Ordering::SeqCst) { Filled::All } else { Filled::AllForNow }
    }

    fn due(&self) -> Instant {
        Instant::now() + Duration::from_secs(3_600)
    }
}

fn byte(n: usize) -> u8 {
    b'a' + u8::try_from(n % 23).unwrap()
}

/// Crews with their bell, and sockets to sit in them.
struct Hall {
    stock: Arc<Stock>,
    bell: watch::Sender<()>,
    crews: Crews<Client>,
    lifecycle: Lifecycle,
    listener: TcpListener,
    here: Arc<()>,
}

impl Hall {
    async fn open() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(8 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (bell, lifecycle) = (watch::Sender::new(()), Lifecycle::new());
        let crews = Crews::start(|| bell.subscribe(), &lifecycle);
        Self {
            stock: Arc::default(),
            crews,
            bell,
            lifecycle,
            listener: socket.listen(64).unwrap(),
            here: Arc::default(),
        }
    }

    /// A client who is seated.
    async fn enter(&self) -> TcpStream {
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(8 << 10).unwrap();
        let connect = client.connect(self.listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(connect, self.listener.accept());
        let script = Client { stock: Arc::clone(&self.stock), sent: 0, _here: Arc::clone(&self.here) };
        self.crews.seat(script, Taken { socket: accepted.unwrap().0, places: Box::new(Arc::clone(&self.here)) }).await;
        client.unwrap()
    }

    fn give(&self, bytes: usize) {
        self.stock.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.bell.send_replace(());
    }

    fn close(&self) {
        self.stock.is_closed.store(true, Ordering::SeqCst);
        self.bell.send_replace(());
    }

    /// Waits until so many are seated.
    async fn until_seated(&self, clients: usize) {
        // A script and its connection's places count for a client.
        let wait = async {
            while Arc::strong_count(&self.here) != 1 + 2 * clients {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("so many are seated");
    }
}

/// Undoes the chunks as they come.
struct Body {
    socket: TcpStream,
    text: Vec<u8>,
}

impl Body {
    fn of(socket: TcpStream) -> Self {
        Self { socket, text: Vec::new() }
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            line.push(char::from(self.socket.read_u8().await.ok()?));
        }
        line.truncate(line.len() - 2);
        Some(line)
    }

    /// Reads until so much is there; `false` if the body ends before.
    async fn read(&mut self, bytes: usize) -> bool {
        while self.text.len() < bytes {
            let line = tokio::time::timeout(PATIENCE, self.line()).await.expect("it goes on").expect("a size");
            let size = usize::from_str_radix(&line, 16).unwrap();
            let begin = self.text.len();
            self.text.resize(begin + size, 0);
            self.socket.read_exact(&mut self.text[begin..]).await.unwrap();
            assert_eq!(self.line().await.unwrap(), "");
            if size == 0 {
                return false;
            }
        }
        assert!(self.text.iter().enumerate().all(|(n, got)| *got == byte(n)), "everything in order, once");
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_all_of_it_in_order_whenever_they_came() {
    let hall = Hall::open().await;
    let mut bodies = Vec::new();
    for n in 1..=300 {
        if n % 3 == 0 {
            hall.give(700);
        }
        bodies.push(Body::of(hall.enter().await));
    }
    // More than the sockets hold.
    hall.give(300_000);
    let mut reading = tokio::task::JoinSet::new();
    for mut body in bodies {
        reading.spawn(async move {
            assert!(body.read(370_000).await);
            body
        });
    }
    let bodies = reading.join_all().await;
    hall.until_seated(300).await;
    hall.close();
    for mut body in bodies {
        assert!(!body.read(usize::MAX).await, "the body has an end");
        assert_eq!(body.socket.read(&mut [0; 9]).await.unwrap(), 0, "and so has the connection");
    }
    hall.until_seated(0).await;
}

/// Nothing rings after the last of it: a wake-up that is lost would never be made up for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost() {
    let hall = Hall::open().await;
    let mut bodies: Vec<Body> = Vec::new();
    for _ in 0..40 {
        bodies.push(Body::of(hall.enter().await));
    }
    for round in 1..=200 {
        hall.give(1);
        if round % 7 == 0 {
            tokio::task::yield_now().await;
            hall.give(1);
        }
        let all = hall.stock.bytes.load(Ordering::SeqCst);
        for body in &mut bodies {
            assert!(body.read(all).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_loses_the_seat_and_so_does_who_takes_nothing() {
    let hall = Hall::open().await;
    let (leaves, stalls, mut stays) = (hall.enter().await, hall.enter().await, Body::of(hall.enter().await));
    let chatters = hall.enter().await;
    let mut chatters = Body::of(chatters);
    chatters.socket.write_all(b"what a client says is not for us").await.unwrap();
    hall.until_seated(4).await;
    drop(leaves);
    hall.until_seated(3).await;
    hall.give(1 << 20);
    let began = Instant::now();
    tokio::join!(stays.read(1 << 20), chatters.read(1 << 20));
    hall.until_seated(2).await;
    assert!(began.elapsed() > STALL, "it has some time");
    drop(stalls);
    hall.give(10);
    assert!(stays.read((1 << 20) + 10).await && chatters.read((1 << 20) + 10).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_who_is_seated_and_cuts_who_stays() {
    let hall = Hall::open().await;
    let mut one = Body::of(hall.enter().await);
    hall.give(10);
    assert!(one.read(10).await);
    let lifecycle = hall.lifecycle.clone();
    let mut stop = tokio::task::JoinSet::new();
    stop.spawn(async move { lifecycle.stop(Duration::from_millis(300)).await });
    hall.lifecycle.soft().cancelled().await;
    hall.give(10);
    assert!(one.read(20).await, "it goes on");
    tokio::time::timeout(PATIENCE, stop.join_all()).await.expect("it is cut");
    hall.until_seated(0).await;
    // Whoever comes now finds the door closed.
    let mut late = hall.enter().await;
    assert!(late.read(&mut [0; 9]).await.is_ok_and(|n| n == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crews_without_a_room_end_when_the_last_has_gone() {
    let hall = Hall::open().await;
    let one = hall.enter().await;
    let Hall { crews, lifecycle, here, stock: _stock, bell, .. } = hall;
    drop(crews);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(Arc::strong_count(&here), 3, "it is still seated");
    drop(one);
    lifecycle.stop(PATIENCE).await;
    assert_eq!(Arc::strong_count(&here), 1);
    drop(bell);
}
