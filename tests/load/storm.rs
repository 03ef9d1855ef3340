//! All viewers of a large room lose their connections and come back at the same moment.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use goligoli_tests::process::cpu_seconds;
use goligoli_tests::swarm::{Ids, Options, Swarm, Target};
use goligoli_tests::{Account, Scene, Setup, Watch};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::asked::LONG;

const VIEWERS: usize = 10_000;
/// What is said while they are away.
const BEHIND: usize = 100;
/// Neither side may need more: a common hard limit.
const MOST_DESCRIPTORS: usize = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_catch_up_when_all_come_back_at_once() {
    let viewers = as_many_as_may_be();
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let speaker = Account::register(&server, "mei").await;
    let swarm = Swarm::start(Target::room(server.address(), &scene.room), &Options::viewers(viewers)).unwrap();
    _ = swarm.wait_until_all_watch(LONG);
    let mut witness = Watch::guest().open(&server, &scene.room).await;
    let came = witness.next("hello").await.id.unwrap();
    _ = swarm.wait_until_all_at(came.parse().unwrap(), LONG);

    swarm.leave();
    _ = swarm.mark();
    for n in 0..BEHIND {
        _ = speaker.say(&scene.room, &format!("line {n}")).await.expect(201);
    }
    let last = witness.through_text(&format!("line {}", BEHIND - 1)).await.pop().unwrap().id.unwrap();
    swarm.set_goal(last.parse().unwrap());
    let cpu_before = cpu_seconds(server.pid());
    let begin = Instant::now();
    swarm.come_back(usize::MAX);
    let report = swarm.wait_until("all have caught up", LONG, |report| report.reached == viewers);
    let (took, cpu) = (begin.elapsed(), cpu_seconds(server.pid()) - cpu_before);
    let descriptors = [descriptors("self"), descriptors(&server.pid().to_string())];
    drop(swarm);
    let floor = floor(viewers, report.bytes / viewers as u64);
    println!(
        "{viewers} viewers, each {BEHIND} events behind: all caught up in {:.2} s (half of them in {:.2} s), \
         {cpu:.2} s of the server's CPU; a loop that only accepts and sends as much: {:.2} s; descriptors: {descriptors:?} \
         here and there",
        took.as_secs_f64(),
        report.reached_us.value_at_quantile(0.5) as f64 / 1e6,
        floor.as_secs_f64(),
    );
    report.assert_whole();
    assert_eq!(report.each_saw("danmaku"), Some(BEHIND as u32), "each sees what it missed, once");
    assert_eq!((report.each_saw("hello"), report.tally.gaps), (Some(0), 0), "who resumes needs neither");
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    assert!(descriptors.iter().all(|count| *count <= MOST_DESCRIPTORS), "{descriptors:?}");
}

/// How long as many viewers take to get so many bytes each from the least that a server can
/// be: a loop that accepts, reads the request, and writes.
fn floor(viewers: usize, bytes: u64) -> Duration {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut loop_only = Command::new(env!("CARGO_BIN_EXE_bench-fanout"));
    loop_only.args(["serve-bare", &address.to_string(), "--greeting-bytes", &bytes.to_string()]);
    let mut serving = Killed(loop_only.spawn().unwrap());
    while TcpStream::connect(address).is_err() {
        assert!(serving.0.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    let target = Target { address, path: "/".to_owned(), headers: Vec::new(), ids: Ids::Opaque };
    let begin = Instant::now();
    let options = Options { opening_at_once: usize::MAX, ..Options::viewers(viewers) };
    let swarm = Swarm::start(target, &options).unwrap();
    // But for the part of an event that is left over.
    let expected = (bytes - 300) * viewers as u64;
    _ = swarm.wait_until("all have got it", LONG, |report| report.bytes >= expected);
    begin.elapsed()
}

/// A process that does not outlive this.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Many systems let a process hold a thousand descriptors until it asks for more. Where it
/// may not have enough, fewer come, and the output says so.
fn as_many_as_may_be() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    // The server keeps some of them for other things than streams.
    let most = limit.maximum.map_or(u64::MAX, |most| most / 2);
    VIEWERS.min(usize::try_from(most).unwrap_or(usize::MAX))
}

fn descriptors(process: &str) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}
