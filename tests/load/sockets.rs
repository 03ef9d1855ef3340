//! Looks at the server's ends of connections all the time: when each is filled, and when it
//! is let go.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use goligoli_tests::tcp_table::held_by;

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks at the server's connections until it is asked for what it saw.
pub(crate) struct Lookout {
    stop: Sender<()>,
    looking: JoinHandle<(Vec<Let>, Duration)>,
}

/// A connection that was let go while bytes waited in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Let {
    /// From the last byte that went in to the end: not less than this,
    pub(crate) at_least: Duration,
    /// and not more. Between two looks nobody knows.
    pub(crate) at_most: Duration,
}

struct Queue {
    bytes: u64,
    /// The last look that found less in it, and the first that found as much.
    filled: (Instant, Instant),
    seen: Instant,
}

impl Lookout {
    /// Begins to look at the connections of the server that listens here.
    pub(crate) fn begin(server: SocketAddr) -> Self {
        let (stop, stopped) = channel();
        Self { stop, looking: std::thread::spawn(move || look(server, &stopped)) }
    }

    /// The connections that were let go with bytes in them, and by how much a look came too
    /// late at worst: what a timer on this machine overshoots at this load.
    pub(crate) fn end(self) -> (Vec<Let>, Duration) {
        _ = self.stop.send(());
        self.looking.join().unwrap()
    }
}

fn look(server: SocketAddr, stopped: &Receiver<()>) -> (Vec<Let>, Duration) {
    let mut queues: HashMap<SocketAddr, Queue> = HashMap::new();
    let (mut ended, mut overshoot) = (Vec::new(), Duration::ZERO);
    let mut last_look = Instant::now();
    loop {
        let due = Instant::now() + LOOK_EVERY;
        match stopped.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => overshoot = overshoot.max(due.elapsed()),
            _ => return (ended, overshoot),
        }
        let before = Instant::now();
        let held = held_by(server).unwrap();
        let now = Instant::now();
        for (client, bytes) in &held {
            match queues.get_mut(client) {
                // Less in it is no filling: the client's kernel took some, or made room for it.
                Some(queue) if queue.bytes >= *bytes => (queue.bytes, queue.seen) = (*bytes, before),
                _ => _ = queues.insert(*client, Queue { bytes: *bytes, filled: (last_look, now), seen: before }),
            }
        }
        queues.retain(|client, queue| {
            let is_gone = !held.contains_key(client);
            if is_gone && queue.bytes > 0 {
                let at_least = queue.seen.saturating_duration_since(queue.filled.1);
                ended.push(Let { at_least, at_most: now - queue.filled.0 });
            }
            !is_gone
        });
        last_look = before;
    }
}

#[test]
fn what_waits_and_when_it_is_let_go() {
    use std::io::Write as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let lookout = Lookout::begin(listener.local_addr().unwrap());
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut server = listener.accept().unwrap().0;
    server.set_nonblocking(true).unwrap();
    while server.write(&[7; 4_096]).is_ok() {}
    std::thread::sleep(Duration::from_millis(300));
    server.shutdown(std::net::Shutdown::Both).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let (ended, _) = lookout.end();
    drop((client, server));
    assert!(ended.len() == 1 && ended[0].at_most >= Duration::from_millis(300), "{ended:?}");
    assert!(ended[0].at_least <= ended[0].at_most);
}
