//! Pages of a room's history, by (time, id). Why a forward page needs no waiting and
//! misses nothing is told in [`crate::writer`]. Where several instances write, one may
//! commit a batch of an earlier time after another's: there a forward page, and the position
//! that one goes on from, stop at [`SETTLED_AFTER_MS`] before now, when all have.

use common::Outcome;
use idl::message::{Cursor, Danmaku, History, HistoryFrom, ReadHistory};
use idl::{DanmakuId, Refusal, Timestamp};

use crate::store::{Filter, Side, Store};

/// A batch is committed so long after its time, or never: the writer does not begin to commit
/// one later than a second after it. What is left, a second, is for the commit itself and for
/// the difference of the instances' clocks, which has to be well below that.
const SETTLED_AFTER_MS: i64 = 2_000;
/// The most danmaku on a page.
const MAX_LIMIT: u32 = 200;

/// Where a page starts, checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    filter: Filter,
    side: Side,
    limit: u32,
}

impl Page {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// `bad-cursor`, or `invalid-field` for the limit.
    pub(crate) fn parse(request: &ReadHistory) -> Result<Self, Refusal> {
        if !(1..=MAX_LIMIT).contains(&request.limit) {
            return Err(Refusal::field("/limit", format!("the limit is 1 to {MAX_LIMIT}")));
        }
        let side = match &request.from {
            HistoryFrom::Latest => Side::Latest,
            HistoryFrom::Before(cursor) => Side::Before(cursor.parse()?),
            HistoryFrom::After(cursor) => Side::After(cursor.parse()?),
        };
        let filter = Filter { room: request.room, session: request.session, sender: request.sender };
        Ok(Self { filter, side, limit: request.limit })
    }

    pub(crate) async fn read(self, store: &Store, now: Timestamp) -> Outcome<History> {
        let settled = settled(store, now);
        match self.side {
            Side::Latest | Side::Before(_) => self.read_back(store, settled).await,
            Side::After(at) => self.read_on(store, at, settled).await,
        }
    }

    async fn read_back(self, store: &Store, settled: Timestamp) -> Outcome<History> {
        // One more than asked for: it tells whether there is something older.
        let mut items = store.read(&self.filter, self.side, self.limit + 1).await?;
        let older = items.len() > as_usize(self.limit);
        items.truncate(as_usize(self.limit));
        items.reverse();
        let before_cursor = items.first().filter(|_| older).map(|first| at(first).to_string());
        let end = match (items.last(), self.side) {
            (Some(last), _) => at(last),
            (None, Side::Before(cursor)) => just_before(cursor),
            (None, _) => Cursor { sent_at_ms: 0, id: 0 },
        };
        let end = settled_until(end, settled);
        Ok(History { items, before_cursor, after_cursor: Some(end.to_string()) })
    }

    async fn read_on(self, store: &Store, from: Cursor, settled: Timestamp) -> Outcome<History> {
        let mut items = store.read(&self.filter, self.side, self.limit).await?;
        items.retain(|danmaku| danmaku.sent_at <= settled);
        let begin = items.first().map_or_else(|| just_after(from), at);
        let older = !store.read(&self.filter, Side::Before(begin), 1).await?.is_empty();
        let end = items.last().map_or(from, at);
        let before_cursor = older.then(|| begin.to_string());
        Ok(History { items, before_cursor, after_cursor: Some(end.to_string()) })
    }
}

/// The time up to which all is committed that ever will be.
pub(crate) const fn settled(store: &Store, now: Timestamp) -> Timestamp {
    if store.db.is_shared() { Timestamp(now.0 - SETTLED_AFTER_MS) } else { Timestamp(i64::MAX) }
}

/// The position, or the end of what is settled if that is before.
pub(crate) const fn settled_until(end: Cursor, settled: Timestamp) -> Cursor {
    if end.sent_at_ms > settled.0 { just_after_time(settled) } else { end }
}

fn at(danmaku: &Danmaku) -> Cursor {
    let DanmakuId(id) = danmaku.id;
    Cursor { sent_at_ms: danmaku.sent_at.0, id }
}

/// What comes after this begins with what stands at `cursor`.
const fn just_before(cursor: Cursor) -> Cursor {
    Cursor { sent_at_ms: cursor.sent_at_ms, id: cursor.id.saturating_sub(1) }
}

/// What comes after this begins after all of a moment.
const fn just_after_time(at: Timestamp) -> Cursor {
    Cursor { sent_at_ms: at.0, id: i64::MAX.cast_unsigned() }
}

/// What comes before this ends with what stands at `cursor`.
fn just_after(cursor: Cursor) -> Cursor {
    Cursor { sent_at_ms: cursor.sent_at_ms, id: cursor.id.saturating_add(1).min(i64::MAX.cast_unsigned()) }
}

fn as_usize(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
