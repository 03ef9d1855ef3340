//! The reserved feed of ended log-ins, where several push processes share it.
//!
//! What Redis loses, whoever has read it appends again: `user` has forgotten it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use common::Clock;
use idl::push::{Revocation, RevocationPage};
use redis::Script;
use tokio::sync::watch;
use tokio::time::Instant;

use super::link::Link;
use crate::frame::Position;

/// Who waits looks for itself this often: a message may have been lost.
const LOOK_EVERY: Duration = Duration::from_millis(500);

static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("revocations.lua")));
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "local head = redis.call('HMGET', KEYS[1], 'epoch', 'last') ",
        "if not head[1] then return {'0', '0', {}, {}} end ",
        "local from = '(' .. ARGV[2] .. '-0' ",
        "if head[1] ~= ARGV[1] or tonumber(head[2]) < tonumber(ARGV[2]) then from = '-' end ",
        "local ids, bodies = {}, {} ",
        "for _, entry in ipairs(redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', 1000)) do ",
        "ids[#ids + 1] = entry[1] bodies[#bodies + 1] = entry[2][2] ",
        "end ",
        "return {head[1], head[2], ids, bodies}",
    ))
});

/// The feed. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct SharedRevocations {
    link: Link,
    clock: Clock,
    bell: watch::Sender<()>,
    known: Arc<Mutex<Known>>,
}

/// What this process has seen of it. Bounded by the log-ins that end within a token's life.
#[derive(Debug, Default)]
struct Known {
    epoch: u64,
    last: u64,
    ended: HashMap<String, Revocation>,
}

impl SharedRevocations {
    pub(crate) fn new(link: Link, clock: Clock) -> Self {
        Self { link, clock, bell: watch::Sender::new(()), known: Arc::default() }
    }

    /// Where Redis says that there is something new.
    pub(super) fn channel(&self) -> String {
        self.link.name("revocations")
    }

    /// Wakes those who wait for something new.
    pub(super) fn ring(&self) {
        self.bell.send_replace(());
    }

    /// Appends what is not there yet. When this returns Redis has it.
    pub(crate) async fn append(&self, revocations: &[Revocation]) -> anyhow::Result<()> {
        let now_ms = self.clock.now().0;
        let mut append = APPEND.prepare_invoke();
        self.keys().iter().for_each(|key| _ = append.key(key));
        {
            let known = self.known();
            append.arg(now_ms).arg(now_ms).arg(known.epoch).arg(known.last);
        }
        for revocation in revocations {
            append.arg(&revocation.source).arg(revocation.until_ms).arg(rmp_serde::to_vec_named(revocation)?);
        }
        self.link.script::<()>(&append).await?;
        let known = revocations.iter().map(|revocation| (revocation.source.clone(), revocation.clone()));
        self.known().ended.extend(known);
        Ok(())
    }

    /// What comes after `after`; waits up to `wait` for something new, or for Redis.
    ///
    /// # Errors
    /// Redis is away, and the caller does not know anything yet. Who does may go on with it:
    /// nobody can end a log-in meanwhile.
    pub(crate) async fn follow(&self, after: Option<&str>, wait: Duration) -> anyhow::Result<RevocationPage> {
        let deadline = Instant::now() + wait;
        let seen = after.and_then(|position| position.parse().ok());
        let mut news = self.bell.subscribe();
        loop {
            news.mark_unchanged();
            let page = self.page(seen).await;
            if page.as_ref().is_ok_and(|page| !page.revocations.is_empty()) || Instant::now() >= deadline {
                return match (page, after) {
                    (Err(_), Some(after)) => Ok(RevocationPage { revocations: Vec::new(), next: after.to_owned() }),
                    (page, _) => page,
                };
            }
            _ = tokio::time::timeout_at(deadline.min(Instant::now() + LOOK_EVERY), news.changed()).await;
        }
    }

    async fn page(&self, seen: Option<Position>) -> anyhow::Result<RevocationPage> {
        let mut page = self.read(seen).await?;
        if self.has_lost(&page.1) {
            let now_ms = self.clock.now().0;
            let known: Vec<Revocation> = self.known().ended.values().filter(|r| r.until_ms > now_ms).cloned().collect();
            tracing::warn!(ended = known.len(), "Redis has lost ended log-ins; they are appended again");
            self.append(&[]).await?; // begins another epoch, if nobody has
            for known in known.chunks(500) {
                self.append(known).await?;
            }
            page = self.read(seen).await?;
        }
        let (revocations, head, next) = page;
        let mut known = self.known();
        (known.epoch, known.last) = (head.epoch, head.seq);
        let now_ms = self.clock.now().0;
        if !revocations.is_empty() {
            known.ended.retain(|_, r| r.until_ms > now_ms);
            known.ended.extend(revocations.iter().map(|r| (r.source.clone(), r.clone())));
        }
        Ok(RevocationPage { revocations, next: next.to_string() })
    }

    fn has_lost(&self, head: &Position) -> bool {
        let known = self.known();
        // Also in an epoch that another process has begun: it may have known less.
        known.epoch != 0 && (head.epoch != known.epoch || head.seq < known.last)
    }

    /// What comes after `seen`, where the feed is now, and the position after the last of them.
    async fn read(&self, seen: Option<Position>) -> anyhow::Result<(Vec<Revocation>, Position, Position)> {
        let mut read = READ.prepare_invoke();
        self.keys().iter().for_each(|key| _ = read.key(key));
        let seen = seen.unwrap_or(Position { epoch: 0, seq: 0 });
        read.arg(seen.epoch).arg(seen.seq);
        let (epoch, last, ids, bodies): (u64, u64, Vec<String>, Vec<Vec<u8>>) = self.link.script(&read).await?;
        let head = Position { epoch, seq: last };
        let bodies = bodies.iter().map(|body| rmp_serde::from_slice(body));
        let revocations: Vec<Revocation> = bodies.collect::<Result<_, _>>().context("reading ended log-ins")?;
        let seq = match ids.last() {
            Some(id) => id.strip_suffix("-0").and_then(|seq| seq.parse().ok()).context("reading ended log-ins")?,
            None => last,
        };
        Ok((revocations, head, Position { epoch, seq }))
    }

    fn keys(&self) -> [String; 3] {
        ["revocations", "revocations:entries", "revocations:sources"].map(|name| self.link.name(name))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
