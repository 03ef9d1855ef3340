//! What goes to Redis and comes back: keys, the scripts with their arguments and answers,
//! and the news that an append publishes.
//!
//! Of each room: a hash `head` (epoch, number of the last change and of the last event, the
//! tag of the last change, running totals, retained states), a stream `events` (id `seq-0`),
//! a sorted set `gone` (deleted sources by the change that deleted them) and a list `marks`.
//! The events and states are encoded as in the log of one process.

use std::sync::LazyLock;

use anyhow::{Context as _, ensure};
use idl::RoomId;
use idl::event::{LotteryState, RoomState, SuppressedEvent};
use redis::{FromRedisValue, Script, ScriptInvocation, Value};

use super::link::Link;
use crate::feed::{Feed, Followed};
use crate::record::{Change, Event, Revision};

/// Rooms share so many channels.
pub(crate) const BUCKETS: u64 = 1_024;

static READ: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("read.lua"), "return read(ARGV[1], ARGV[2], ARGV[3])")));
static APPEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("read.lua"), include_str!("append.lua"))));

/// Names of what belongs to a room.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) room: RoomId,
    pub(crate) head: String,
    events: String,
    gone: String,
    marks: String,
    channel: String,
}

impl Keys {
    pub(crate) fn of(link: &Link, room: RoomId) -> Self {
        let name = |what: &str| link.name(&format!("feed:{{{room}}}:{what}"));
        let channel = channel(link, room.0 % BUCKETS);
        Self { room, head: name("head"), events: name("events"), gone: name("gone"), marks: name("marks"), channel }
    }
}

/// The channel of a bucket.
pub(crate) fn channel(link: &Link, bucket: u64) -> String {
    link.name(&format!("news:{bucket}"))
}

/// A place in a feed as a process has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: u64,
    pub(crate) at: Revision,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// What to append, and upon what.
pub(crate) struct Append<'c> {
    pub(crate) upon: Place,
    /// What Redis has as the latest tag; not that of `upon` when a new epoch begins.
    pub(crate) expected: u64,
    pub(crate) tag: u64,
    /// Of a feed that does not exist yet, or begins anew.
    pub(crate) epoch: u64,
    pub(crate) anew: bool,
    pub(crate) change: &'c Change,
    /// All lotteries after the change, if it changes any.
    pub(crate) lotteries: Option<Vec<LotteryState>>,
    pub(crate) keep_events: usize,
}

/// What came of it.
pub(crate) enum Appended {
    /// It is there, as this change.
    At { rev: u64, after: u64 },
    /// Others wrote before; this is what is new.
    Stale(Box<Page>),
}

/// A piece of a feed.
#[derive(Debug)]
pub(crate) struct Page {
    /// `None`: there is no such feed.
    pub(crate) head: Option<Head>,
    pub(crate) events: Vec<(u64, Event)>,
    pub(crate) gone: Vec<String>,
    pub(crate) marks: Vec<(u64, i64)>,
}

/// Where it is.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) epoch: u64,
    pub(crate) at: Revision,
    pub(crate) last: u64,
    pub(crate) totals: SuppressedEvent,
    pub(crate) state: Option<RoomState>,
    pub(crate) lotteries: Vec<LotteryState>,
}

/// Events of which the mark is kept longer than they are.
const EVENTS_PER_MARK: u64 = 64;

/// Reads what is new since a place; all there is, if the epoch is another one.
pub(crate) async fn read(link: &Link, keys: &Keys, since: &Place) -> anyhow::Result<Page> {
    let mut script = READ.prepare_invoke();
    add_keys(&mut script, keys);
    script.arg(since.epoch).arg(since.last).arg(since.at.rev);
    let value: Value = link.script(&script).await?;
    Page::parse(value)
}

/// Appends in one round trip.
pub(crate) async fn append(link: &Link, keys: &Keys, append: &Append<'_>) -> anyhow::Result<Appended> {
    let script = append.invocation(keys)?;
    let value: Value = link.script(&script).await?;
    let Value::Array(answer) = value else { anyhow::bail!("an append was answered with something else") };
    let mut answer = answer.into_iter();
    let (Some(outcome), Some(first)) = (answer.next(), answer.next()) else {
        anyhow::bail!("an append's answer is short")
    };
    if u64::from_redis_value(outcome)? == 0 {
        return Ok(Appended::Stale(Box::new(Page::parse(first)?)));
    }
    let after = answer.next().context("an append's answer is short")?;
    Ok(Appended::At { rev: u64::from_redis_value(first)?, after: u64::from_redis_value(after)? })
}

impl Append<'_> {
    fn invocation(&self, keys: &Keys) -> anyhow::Result<ScriptInvocation<'static>> {
        let Change { events, tombstones, state, totals, .. } = self.change;
        let mut script = APPEND.prepare_invoke();
        add_keys(&mut script, keys);
        let state = state.as_ref().map_or(Ok(Vec::new()), rmp_serde::to_vec_named)?;
        let lotteries = self.lotteries.as_ref().map_or(Ok(Vec::new()), rmp_serde::to_vec_named)?;
        let mut rest = Change { totals: *totals, tombstones: tombstones.clone(), ..Change::default() };
        (rest.state, rest.lotteries) = (self.change.state.clone(), self.change.lotteries.clone());
        let after = if self.anew { 0 } else { self.upon.last };
        let marks: Vec<String> = (after + 1..)
            .zip(events)
            .filter(|(seq, _)| seq.is_multiple_of(EVENTS_PER_MARK))
            .map(|(seq, event)| format!("{seq} {}", event.at_ms))
            .collect();
        script
            .arg(tag(self.expected)) // 1
            .arg(tag(self.tag))
            .arg(self.epoch)
            .arg(&keys.channel)
            .arg(if self.anew { 1 } else { self.upon.first }) // 5
            .arg(self.keep_events)
            .arg(totals.accepted)
            .arg(totals.shown)
            .arg(totals.folded)
            .arg(totals.suppressed) // 10
            .arg(state)
            .arg(lotteries)
            .arg(rmp_serde::to_vec_named(&rest)?)
            .arg(tombstones.len())
            .arg(marks.len()) // 15
            .arg(events.len())
            .arg(u8::from(self.anew))
            .arg(keys.room.0)
            .arg(self.upon.epoch)
            .arg(self.upon.last) // 20
            .arg(self.upon.at.rev);
        tombstones.iter().for_each(|source| _ = script.arg(source));
        marks.iter().for_each(|mark| _ = script.arg(mark));
        for event in events {
            script.arg(rmp_serde::to_vec_named(event)?);
        }
        Ok(script)
    }
}

fn add_keys(script: &mut ScriptInvocation<'_>, keys: &Keys) {
    script.key(&keys.head).key(&keys.events).key(&keys.gone).key(&keys.marks);
}

/// 0 is no tag, and the empty one in Redis.
pub(crate) fn tag(tag: u64) -> String {
    if tag == 0 { String::new() } else { tag.to_string() }
}

impl Page {
    /// The most events of one page; `read.lua` has the same.
    pub(crate) const EVENTS: usize = 1_000;

    fn parse(value: Value) -> anyhow::Result<Self> {
        type Parts = (Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<String>, Vec<String>);
        let (head, events, gone, marks) = Parts::from_redis_value(value).context("a feed can't be read")?;
        let (pairs, _) = events.as_chunks::<2>();
        let event = |[id, body]: &[Vec<u8>; 2]| {
            let seq = std::str::from_utf8(id)?.strip_suffix("-0").context("an event's id is not one of ours")?;
            anyhow::Ok((seq.parse()?, rmp_serde::from_slice(body)?))
        };
        let mark = |mark: String| {
            let (seq, at_ms) = mark.split_once(' ')?;
            Some((seq.parse().ok()?, at_ms.parse().ok()?))
        };
        Ok(Self {
            head: if head.is_empty() { None } else { Some(Head::parse(&head)?) },
            events: pairs.iter().map(event).collect::<anyhow::Result<_>>().context("reading an event")?,
            gone,
            marks: marks.into_iter().filter_map(mark).collect(),
        })
    }
}

impl Head {
    fn parse(fields: &[Vec<u8>]) -> anyhow::Result<Self> {
        let [epoch, rev, last, tag, accepted, shown, folded, suppressed, state, lotteries] = fields else {
            anyhow::bail!("a feed's head has {} fields", fields.len());
        };
        let totals = SuppressedEvent {
            accepted: number(accepted)?,
            shown: number(shown)?,
            folded: number(folded)?,
            suppressed: number(suppressed)?,
        };
        let state = if state.is_empty() { None } else { Some(rmp_serde::from_slice(state)?) };
        let lotteries = if lotteries.is_empty() { Vec::new() } else { rmp_serde::from_slice(lotteries)? };
        let at = Revision { rev: number(rev)?, tag: number(tag)? };
        Ok(Self { epoch: number(epoch)?, at, last: number(last)?, totals, state, lotteries })
    }
}

fn number(text: &[u8]) -> anyhow::Result<u64> {
    Ok(std::str::from_utf8(text)?.parse()?)
}

/// A change as its append published it.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) epoch: u64,
    pub(crate) at: Revision,
    /// The tag of the change before.
    pub(crate) upon: u64,
    /// The number of the last event before.
    pub(crate) after: u64,
    pub(crate) change: Change,
}

/// The same, with a body that is decoded only if somebody needs it.
pub(crate) struct Message<'m> {
    pub(crate) room: RoomId,
    pub(crate) epoch: u64,
    pub(crate) at: Revision,
    upon: u64,
    after: u64,
    body: Vec<&'m [u8]>,
}

impl<'m> Message<'m> {
    pub(crate) fn parse(mut bytes: &'m [u8]) -> anyhow::Result<Self> {
        let mut fields = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let (field, rest) =
                rest.split_at_checked(u32::from_le_bytes(*length) as usize).context("a field is cut off")?;
            fields.push(field);
            bytes = rest;
        }
        ensure!(bytes.is_empty() && fields.len() >= 7, "a message has {} fields", fields.len());
        let body = fields.split_off(6);
        let [room, epoch, rev, after, upon, tag] = fields[..] else { anyhow::bail!("a message has another head") };
        let upon = if upon.is_empty() { 0 } else { number(upon)? };
        let at = Revision { rev: number(rev)?, tag: number(tag)? };
        Ok(Self { room: RoomId(number(room)?), epoch: number(epoch)?, at, upon, after: number(after)?, body })
    }

    /// Whether it comes next in a feed.
    pub(crate) fn awaited_by(&self, feed: &Feed) -> Followed {
        feed.awaits(self.epoch, self.at, self.upon, self.after)
    }

    pub(crate) fn decode(self) -> anyhow::Result<News> {
        let (rest, events) = self.body.split_first().context("a message has no body")?;
        let mut change: Change = rmp_serde::from_slice(rest)?;
        change.events = events.iter().map(|event| rmp_serde::from_slice(event)).collect::<Result<_, _>>()?;
        Ok(News { epoch: self.epoch, at: self.at, upon: self.upon, after: self.after, change })
    }
}
