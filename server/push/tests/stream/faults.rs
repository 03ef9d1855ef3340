//! A Redis that goes away, hangs, forgets, or loses its listeners.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::rpc::{answer, within};
use idl::push::{FollowRevocations, Publish, Revocation, RevocationPage, Revoke};
use idl::{Code, DeviceId, Refusal, UserId};
use push::Settings;

use crate::bench::{Bench, Event, ROOM, Viewer, danmaku, fact, settings, two};
use crate::stores::{on_redis, on_this_redis};

/// A Redis of the test's own.
struct Redis {
    folder: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Redis {
    /// `None`, said on the terminal, where none is installed.
    fn start() -> Option<Self> {
        common::native::server("NATIVE_REDIS_URL")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let process = Self::run(&folder, port);
        Some(Self { folder, port, process })
    }

    fn run(folder: &tempfile::TempDir, port: u16) -> Child {
        let mut process =
            Command::new("redis-server").arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let dir = folder.path().display();
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nrequirepass s3cret\nappendonly yes\nappendfsync everysec\nsave \"\"\ndir {dir}\n"
        );
        process.stdin.take().unwrap().write_all(settings.as_bytes()).unwrap();
        process
    }

    fn url(&self) -> String {
        format!("redis://:s3cret@127.0.0.1:{}/0", self.port)
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = Self::run(&self.folder, self.port);
    }

    fn forget(&self) {
        std::fs::remove_dir_all(self.folder.path().join("appendonlydir")).unwrap();
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Publishes until it is taken; returns how long that took.
async fn insist(bench: &Bench, n: u64) -> Duration {
    let began = Instant::now();
    while bench.publish(vec![danmaku(n)]).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(8), "it does not heal");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    began.elapsed()
}

async fn revocations(bench: &Bench, after: Option<String>) -> Result<RevocationPage, Refusal> {
    let ask = FollowRevocations { after, wait_ms: 1_000 };
    answer(bench.push.revocations(within(Duration::from_secs(2)), ask).await)
}

/// The next event that is not about the totals or the position.
async fn next(viewer: &mut Viewer) -> Event {
    loop {
        let event = viewer.next().await.expect("viewers stay connected");
        if !["suppressed", "viewers", ""].contains(&event.event.as_str()) {
            return event;
        }
    }
}

#[tokio::test]
async fn news_that_are_lost_are_read_within_a_second() {
    on_redis(async {
        let (one, two) = two(settings).await;
        let mut viewer = two.watch("").await;
        one.publish(vec![fact(1)]).await.unwrap();
        viewer.numbers_until(1).await;
        let url = common::native::server("NATIVE_REDIS_URL").unwrap();
        let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
        for n in 2..=6 {
            redis::cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]).exec_async(&mut connection).await.unwrap();
            let began = Instant::now();
            // A fact: ordinary danmaku are followed by their totals, which would bring it along.
            one.publish(vec![fact(n)]).await.unwrap();
            viewer.numbers_until(n).await;
            let took = began.elapsed();
            assert!(took < Duration::from_millis(1_500), "{took:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_costs_nothing_that_was_accepted() {
    let Some(mut redis) = Redis::start() else { return };
    let url = redis.url();
    on_this_redis(&url, async {
        let (one, two) = two(settings).await;
        let mut viewers = [one.watch("").await, two.watch("").await];
        one.say(1..=5).await;
        for viewer in &mut viewers {
            assert_eq!(viewer.numbers_until(5).await, [1, 2, 3, 4, 5]);
        }
        let ended = revocations(&one, None).await.unwrap();
        redis.kill();
        for bench in [&one, &two] {
            let began = Instant::now();
            let refusal = bench.publish(vec![danmaku(6)]).await.unwrap_err();
            assert_eq!(refusal.code, Code::Unavailable);
            assert!(refusal.retry_after_ms.is_some() && began.elapsed() < Duration::from_secs(2));
        }
        let known = revocations(&one, Some(ended.next.clone())).await.unwrap();
        assert_eq!((known.revocations.len(), known.next), (0, ended.next), "who knows some goes on with them");
        assert_eq!(revocations(&two, None).await.unwrap_err().code, Code::Unavailable);
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert!(one.platform.health.degraded().contains_key("feeds") && one.platform.health.parts().is_empty());
        redis.restart();
        let healed = insist(&two, 6).await;
        assert!(healed < Duration::from_secs(3), "{healed:?}");
        two.say(7..=9).await;
        for viewer in &mut viewers {
            assert_eq!(viewer.numbers_until(9).await, [6, 7, 8, 9], "no gap, no repetition, and still connected");
        }
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_has_forgotten_all_gives_a_gap_and_goes_on() {
    let Some(mut redis) = Redis::start() else { return };
    let url = redis.url();
    on_this_redis(&url, async {
        let (one, two) = two(settings).await;
        let mut viewers = [one.watch("").await, two.watch("").await];
        one.say(1..=5).await;
        let mut seen = String::new();
        for viewer in &mut viewers {
            viewer.numbers_until(4).await;
            seen = viewer.next_of("danmaku").await.id.unwrap();
        }
        let revocation = Revocation {
            source: "device:1".to_owned(),
            user: UserId(1),
            device: DeviceId(1),
            until_ms: 1_700_000_900_000,
        };
        let revoke = Revoke { revocations: vec![revocation.clone()] };
        answer(one.push.revoke(within(Duration::from_secs(2)), revoke).await).unwrap();
        let ended = revocations(&two, None).await.unwrap();
        redis.kill();
        redis.forget();
        redis.restart();
        insist(&two, 6).await;
        for (bench, after) in [(&two, Some(ended.next)), (&one, None), (&one, Some("1-1".to_owned()))] {
            let page = revocations(bench, after).await.unwrap();
            assert_eq!(page.revocations, std::slice::from_ref(&revocation), "whoever knew it has told it again");
        }
        for viewer in &mut viewers {
            let gap = next(viewer).await;
            assert_eq!((gap.event.as_str(), gap.data["n"].as_u64()), ("gap", None));
            let hello = next(viewer).await;
            assert_eq!((hello.event.as_str(), &hello.data["room"]["title"]), ("hello", &"a room".into()));
        }
        one.say([7]).await;
        for viewer in &mut viewers {
            assert_eq!(viewer.numbers_until(7).await.last(), Some(&7));
        }
        let fresh = Bench::start(settings()).await;
        for bench in [&one, &two, &fresh] {
            let mut viewer = bench.watch(&seen).await;
            assert_eq!(viewer.next_of("gap").await.data["n"].as_u64(), None, "an id of before is of another epoch");
            viewer.next_of("hello").await;
        }
    })
    .await;
}

/// As a failover does: others have written on before it is noticed.
#[tokio::test]
async fn a_history_that_has_forked_is_noticed_by_who_showed_the_other() {
    on_redis(async {
        let (one, two) = two(settings).await;
        let mut viewer = one.watch("").await;
        one.say(1..=5).await;
        viewer.numbers_until(5).await;
        let (url, prefix) =
            crate::stores::feeds().split_once("?prefix=").map(|(u, p)| (u.to_owned(), p.to_owned())).unwrap();
        let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
        let key = |what: &str| format!("{prefix}:feed:{{{ROOM}}}:{what}");
        let state: Vec<u8> = redis::cmd("DUMP").arg(key("head")).query_async(&mut connection).await.unwrap();
        let events: Vec<u8> = redis::cmd("DUMP").arg(key("events")).query_async(&mut connection).await.unwrap();
        one.say(6..=8).await;
        viewer.numbers_until(8).await;
        let restored = redis::pipe()
            .atomic()
            .cmd("RESTORE")
            .arg(key("head"))
            .arg(0)
            .arg(state)
            .arg("REPLACE")
            .cmd("RESTORE")
            .arg(key("events"))
            .arg(0)
            .arg(events)
            .arg("REPLACE")
            .exec_async(&mut connection)
            .await;
        restored.unwrap();
        drop(two);
        let other = Bench::start(settings()).await;
        other.say(11..=20).await;
        assert_eq!(next(&mut viewer).await.event, "gap", "what it showed is not in the feed any more");
        assert_eq!(next(&mut viewer).await.event, "hello");
        other.say([30]).await;
        assert_eq!(viewer.numbers_until(30).await.last(), Some(&30));
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_hangs_costs_a_caller_its_time_and_no_more() {
    let Some(redis) = Redis::start() else { return };
    let url = redis.url();
    on_this_redis(&url, async {
        let quick = || Settings { heartbeat_ms: 500, ..settings() };
        let (one, two) = (Bench::start(quick()).await, Bench::start(quick()).await);
        let mut viewers = [one.watch("").await, two.watch("").await];
        one.say(1..=3).await;
        for viewer in &mut viewers {
            viewer.numbers_until(3).await;
        }
        redis.signal("-STOP");
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3) {
            for (bench, deadline) in [(&one, Duration::from_millis(250)), (&two, Duration::from_secs(2))] {
                let asked = Instant::now();
                let request = Publish { room: ROOM, publications: vec![danmaku(4)] };
                let refusal = answer(bench.push.publish(within(deadline), request).await).unwrap_err();
                assert_eq!(refusal.code, Code::Unavailable);
                assert!(asked.elapsed() < deadline + Duration::from_millis(100), "{:?}", asked.elapsed());
            }
            // A heartbeat: an id and nothing else.
            while !viewers[0].next().await.expect("viewers stay connected").event.is_empty() {}
        }
        redis.signal("-CONT");
        let healed = insist(&one, 4).await;
        assert!(healed < Duration::from_secs(3), "{healed:?}");
        insist(&two, 5).await;
        for viewer in &mut viewers {
            assert_eq!(viewer.numbers_until(5).await, [4, 5], "once, in spite of all the tries");
        }
    })
    .await;
}

#[tokio::test]
async fn what_can_not_be_used_is_refused_in_one_line_without_the_password() {
    let Some(redis) = Redis::start() else { return };
    let right = redis.url();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wrong = [
        right.replace("s3cret", "s3cre7"),
        right.replace(":s3cret@", ""),
        right.replace("/0", "/77"),
        right.replace("redis:", "rediss:"),
        format!("redis://:s3cret@127.0.0.1:{port}"),
        "file:".to_owned(),
    ];
    on_this_redis(&right, async {
        // It is up.
        drop(Bench::start(settings()).await);
        for feeds in wrong {
            let error = Bench::refused(Settings { feeds: feeds.as_str().into(), ..settings() }).await;
            assert!(error.starts_with("push.feeds: "), "{error}");
            assert!(!error.contains("s3cre") && !error.contains('\n'), "{error}");
        }
    })
    .await;
}
