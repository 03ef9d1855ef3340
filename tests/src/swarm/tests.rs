//! The swarm against a small server in the same process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use super::*;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const SOON: Duration = Duration::from_secs(10);

struct Server {
    listener: TcpListener,
    target: Target,
}

/// A viewer's connection, and the id that it came with.
struct Accepted {
    socket: TcpStream,
    last_event_id: Option<String>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::room(listener.local_addr().unwrap(), "7");
        Self { listener, target }
    }

    fn accept(&self) -> Accepted {
        let socket = self.listener.accept().unwrap().0;
        let mut last_event_id = None;
        for line in BufReader::new(&socket).lines().map(Result::unwrap).take_while(|line| !line.is_empty()) {
            if let Some(id) = line.strip_prefix("Last-Event-ID: ") {
                last_event_id = Some(id.to_owned());
            }
        }
        Accepted { socket, last_event_id }
    }

    fn accept_all(&self, many: usize, words: &str) -> Vec<Accepted> {
        let mut accepted: Vec<_> = (0..many).map(|_| self.accept()).collect();
        accepted.iter_mut().for_each(|viewer| viewer.say(&format!("{HEAD}{words}")));
        accepted
    }
}

impl Accepted {
    fn say(&mut self, words: &str) {
        self.socket.write_all(words.as_bytes()).unwrap();
    }
}

fn hello(seq: u64) -> String {
    format!("id: 1-{seq}\nevent: hello\ndata: {{}}\n\n")
}

fn danmaku(seq: u64, class: &str) -> String {
    format!("id: 1-{seq}\nevent: danmaku\ndata: {{\"text\":\"{}\"}}\n\n", Stamp::now(seq, class))
}

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

#[test]
fn all_that_comes_is_counted_and_timed() {
    let server = Server::new();
    let swarm = Swarm::start(server.target.clone(), &Options { threads: 2, ..Options::viewers(5) }).unwrap();
    let mut accepted = server.accept_all(5, &hello(4));
    swarm.wait_until_all_watch(SOON);
    let words = danmaku(5, "") + &danmaku(6, "guaranteed");
    accepted.iter_mut().for_each(|viewer| viewer.say(&words));
    let report = swarm.wait_until_all_at(at(6), SOON);
    report.assert_whole();
    assert_eq!((report.tally.deliveries, report.each_saw("danmaku/guaranteed")), (10, Some(1)));
    assert_eq!((report.latency_us().len(), report.positions), (10, Some((at(6), at(6)))));
    assert!(report.all_at_one(at(6)) && !report.all_at_one(at(7)));
    assert!(report.latency_ms(1.0) < 1e4, "{}", report.latency_ms(1.0));

    swarm.mark();
    accepted[0].say(&danmaku(7, ""));
    let report = swarm.wait_until("one has it", SOON, |report| report.tally.deliveries == 1);
    assert_eq!((report.each_saw("danmaku"), report.by_label["danmaku"].all), (None, 1));
    assert_eq!(report.positions, Some((at(6), at(7))));
    assert_eq!((report.all_at(at(6)), report.all_at_one(at(6))), (true, false), "they are not equally far");
}

#[test]
fn another_content_under_the_same_id_is_noticed() {
    let server = Server::new();
    let swarm = Swarm::start(server.target.clone(), &Options { threads: 2, ..Options::viewers(2) }).unwrap();
    let mut accepted = server.accept_all(2, &hello(4));
    accepted[0].say(&danmaku(5, "one"));
    accepted[1].say(&danmaku(5, "other"));
    let report = swarm.wait_until_all_at(at(5), SOON);
    assert_eq!((report.tally.differing, report.tally.violations()), (1, 1));
}

#[test]
fn viewers_come_back_with_their_last_ids() {
    let server = Server::new();
    let swarm = Swarm::start(server.target.clone(), &Options::viewers(3)).unwrap();
    let mut accepted = server.accept_all(3, &hello(4));
    swarm.wait_until_all_watch(SOON);
    accepted[0].say(&danmaku(5, ""));
    swarm.wait_until("one is ahead", SOON, |report| report.tally.deliveries == 1);
    drop(accepted);
    let mut accepted: Vec<_> = (0..3).map(|_| server.accept()).collect();
    let mut ids: Vec<_> = accepted.iter().map(|viewer| viewer.last_event_id.clone().unwrap()).collect();
    ids.sort();
    assert_eq!(ids, ["1-4", "1-4", "1-5"]);
    for viewer in &mut accepted {
        let missed = if viewer.last_event_id.as_deref() == Some("1-4") { danmaku(5, "") } else { String::new() };
        viewer.say(&format!("{HEAD}{missed}"));
    }
    let report = swarm.wait_until_all_at(at(5), SOON);
    assert_eq!((report.opened, report.ended, report.tally.repeated), (6, 3, 0));
}

#[test]
fn all_leave_and_come_back_at_once() {
    let server = Server::new();
    let swarm = Swarm::start(server.target.clone(), &Options::viewers(4)).unwrap();
    let accepted = server.accept_all(4, &hello(4));
    swarm.wait_until_all_watch(SOON);
    swarm.leave();
    assert_eq!(swarm.report().watching, 0);
    drop(accepted);
    swarm.set_goal(at(6));
    swarm.come_back(usize::MAX);
    let words = danmaku(5, "") + &danmaku(6, "");
    let _accepted = server.accept_all(4, &words);
    let report = swarm.wait_until("all have caught up", SOON, |report| report.reached == 4);
    report.assert_whole();
    assert_eq!(report.reached_us.len(), 4);
}

#[test]
fn who_is_refused_or_cannot_be_understood_is_counted() {
    let server = Server::new();
    let options = Options { come_back: None, ..Options::viewers(2) };
    let swarm = Swarm::start(server.target.clone(), &options).unwrap();
    server.accept().say("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    server.accept().say(&format!("{HEAD}id: what\ndata: x\n\n"));
    let report = swarm.wait_until("both are gone", SOON, |report| report.gone == 2);
    assert_eq!((report.refused.get(&503), report.malformed), (Some(&1), 1));
}

#[test]
fn stalled_and_dripping_viewers_take_little_and_know_when_they_are_cut() {
    let server = Server::new();
    let options = Options { stalled: 1, dripping: 1, ..Options::viewers(2) };
    let swarm = Swarm::start(server.target.clone(), &options).unwrap();
    let mut accepted = [server.accept(), server.accept()];
    let long_head = HEAD.replace("\r\n\r\n", &format!("\r\nX-Long: {}\r\n\r\n", "x".repeat(2_000)));
    accepted.iter_mut().for_each(|viewer| viewer.say(&format!("{long_head}{}", hello(4))));
    swarm.wait_until_all_watch(SOON);
    for viewer in &accepted {
        viewer.socket.set_nonblocking(true).unwrap();
        let mut taken = 0;
        while let Ok(bytes) = (&viewer.socket).write(&[b':'; 4_096]) {
            taken += bytes;
        }
        assert!(taken < 8 << 20, "nobody reads: {taken}");
    }
    let report = swarm.report();
    assert!(report.stalled_cut.is_empty() && report.dripping_cut.is_empty(), "{report:?}");
    // What they have not read stands before the end.
    accepted.iter().for_each(|viewer| viewer.socket.shutdown(Shutdown::Both).unwrap());
    drop(accepted);
    let report = swarm.wait_until("both are cut", SOON, |report| report.gone == 2);
    assert_eq!((report.stalled_cut.len(), report.dripping_cut.len()), (1, 1));
}
