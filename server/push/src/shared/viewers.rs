//! How many connections a room has in all processes. Each tells its own every two seconds,
//! in a key that lives for ten: who dies is not counted any more then, and who has just
//! started is from its first report on.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use idl::RoomId;
use rand::RngExt as _;
use redis::Script;

use super::link::Link;
use crate::room::Room;

const LIFETIME: Duration = Duration::from_secs(10);
/// So many rooms go into one report; the rest into the next commands.
const AT_ONCE: usize = 1_000;

/// Tells this process's counts and answers who else lives.
/// KEYS: the processes, this one's counts. ARGV: this one, lifetime in ms, `1` if these are
/// all, then pairs of room and count. Answers whether the counts from before were there.
static REPORT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "local time = redis.call('TIME') ",
        "local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) ",
        "local known = redis.call('EXISTS', KEYS[2]) ",
        "if ARGV[3] == '1' then redis.call('DEL', KEYS[2]) end ",
        "redis.call('HSET', KEYS[2], 'alive', '1') ",
        "for i = 4, #ARGV, 2 do ",
        "if ARGV[i + 1] == '0' then redis.call('HDEL', KEYS[2], ARGV[i]) else redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end ",
        "end ",
        "redis.call('PEXPIRE', KEYS[2], ARGV[2]) ",
        "redis.call('ZADD', KEYS[1], now, ARGV[1]) ",
        "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 2 * tonumber(ARGV[2])) ",
        "redis.call('PEXPIRE', KEYS[1], 10 * ARGV[2]) ",
        "return {known, redis.call('ZRANGE', KEYS[1], 0, -1)}",
    ))
});

/// The counts of all processes. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct ViewerCounts {
    link: Link,
    inner: Arc<Mutex<Inner>>,
    /// This process.
    node: Arc<str>,
}

#[derive(Debug, Default)]
struct Inner {
    told: HashMap<RoomId, u64>,
    others: Vec<String>,
    /// What was told before is not there any more, or never was.
    tell_all: bool,
}

impl ViewerCounts {
    pub(crate) fn new(link: Link) -> Self {
        let node = format!("{:016x}", rand::rng().random::<u64>()).into();
        let inner = Inner { tell_all: true, ..Inner::default() };
        Self { link, inner: Arc::new(Mutex::new(inner)), node }
    }

    /// Tells what changed here, and sets what the rooms have elsewhere.
    ///
    /// # Errors
    /// Redis is away; the counts of the others stay what they were.
    pub(crate) async fn exchange(&self, rooms: &[Arc<Room>]) -> anyhow::Result<()> {
        self.report(rooms).await?;
        for rooms in rooms.chunks(AT_ONCE) {
            let ids: Vec<RoomId> = rooms.iter().map(|room| room.id).collect();
            for (room, elsewhere) in rooms.iter().zip(self.elsewhere(&ids).await?) {
                room.counted_elsewhere(elsewhere);
            }
        }
        Ok(())
    }

    /// Connections of rooms in the other processes.
    ///
    /// # Errors
    /// Redis is away.
    pub(crate) async fn elsewhere(&self, rooms: &[RoomId]) -> anyhow::Result<Vec<u64>> {
        let others = self.inner().others.clone();
        let mut sums = vec![0; rooms.len()];
        if others.is_empty() || rooms.is_empty() {
            return Ok(sums);
        }
        let mut ask = redis::pipe();
        for other in &others {
            ask.cmd("HMGET").arg(self.key(other));
            rooms.iter().for_each(|room| _ = ask.arg(room.0));
        }
        let counts: Vec<Vec<Option<u64>>> = self.link.pipeline(&ask).await?;
        for counts in counts {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.unwrap_or(0));
        }
        Ok(sums)
    }

    /// Takes this process's counts away: its streams have ended.
    pub(crate) async fn leave(&self) {
        let mut leave = redis::pipe();
        leave.cmd("DEL").arg(self.key(&self.node)).cmd("ZREM").arg(self.link.name("nodes")).arg(&*self.node);
        _ = self.link.pipeline::<()>(&leave).await;
    }

    async fn report(&self, rooms: &[Arc<Room>]) -> anyhow::Result<()> {
        let now: HashMap<RoomId, u64> = rooms.iter().map(|room| (room.id, room.connections_here())).collect();
        let (changed, tell_all) = {
            let inner = self.inner();
            let told = |room: &RoomId| if inner.tell_all { 0 } else { inner.told.get(room).copied().unwrap_or(0) };
            let mut changed: Vec<(RoomId, u64)> =
                now.iter().filter(|(room, count)| told(room) != **count).map(|(room, count)| (*room, *count)).collect();
            changed.extend(inner.told.keys().filter(|room| !now.contains_key(room)).map(|room| (*room, 0)));
            (changed, inner.tell_all)
        };
        let mut first = tell_all;
        let mut chunks = changed.chunks(AT_ONCE);
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let mut report = REPORT.prepare_invoke();
            report.key(self.link.name("nodes")).key(self.key(&self.node));
            report.arg(&*self.node).arg(LIFETIME.as_millis() as u64).arg(u8::from(first));
            chunk.iter().for_each(|(room, count)| _ = report.arg(room.0).arg(*count));
            let (known, nodes): (bool, Vec<String>) = self.link.script(&report).await?;
            let mut inner = self.inner();
            // Nobody knows what was told before, if the key had gone.
            inner.tell_all = !known && !first && !inner.told.is_empty();
            inner.others = nodes.into_iter().filter(|node| **node != *self.node).collect();
            drop(inner);
            first = false;
            if chunks.len() == 0 {
                break;
            }
        }
        let mut inner = self.inner();
        inner.told = now.into_iter().filter(|(_, count)| *count > 0).collect();
        Ok(())
    }

    fn key(&self, node: &str) -> String {
        self.link.name(&format!("viewers:{node}"))
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
