//! What is read of lotteries: lists, results, proofs.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use common::cursor::{self, List, Position};
use common::{Outcome, rpc};
use idl::access::Identity;
use idl::draw::{Entry, Hash, InclusionProof, Proof};
use idl::event::{LotteryPhase, LotteryWinner};
use idl::live::GetRoom;
use idl::lottery::{
    ENTRIES_PER_PAGE, EntriesPage, EntryResult, Keys, ListLotteries, ListMyEntries, ListWinners, Lotteries, MyEntries,
    MyEntry, RoomLottery, Winners,
};
use idl::{Code, LotteryId, Refusal, Timestamp};
use tarpc::context::Context;

use crate::announce::MAX_WINNERS;
use crate::protocol::merkle;
use crate::row::{Facts, Row};
use crate::store::results::{self, Results};
use crate::store::{self, entries};
use crate::{Core, prizes};

const MAX_LOTTERIES: u32 = 50;
const MAX_MY_ENTRIES: u32 = 100;
const MAX_WINNERS_PAGE: u32 = 200;

impl Core {
    /// The lottery as it is now.
    pub(crate) async fn find(&self, id: LotteryId) -> Outcome<Row> {
        let none = || Refusal::new(Code::NoSuchLottery, format!("there is no lottery {id}"));
        Ok(store::find(self.db.reader(), id).await?.ok_or_else(none)?)
    }

    /// What never changes about the lottery.
    pub(crate) async fn facts(&self, id: LotteryId) -> Outcome<Arc<Facts>> {
        if let Some(facts) = self.known.get(&id) {
            return Ok(facts);
        }
        let facts = self.find(id).await?.facts;
        self.known.insert(id, Arc::clone(&facts));
        Ok(facts)
    }

    async fn results(&self, row: &Row) -> Outcome<Results> {
        if row.phase != LotteryPhase::Drawn {
            return Ok(Results::default());
        }
        // One snapshot of places, replacements and claims.
        Ok(results::of(&mut *self.db.snapshot().await?, row.facts.id).await?)
    }

    /// The lottery as everybody sees it.
    pub(crate) async fn view(&self, row: &Row) -> Outcome<RoomLottery> {
        if row.phase != LotteryPhase::Drawn {
            return self.view_anew(row).await;
        }
        let key = (row.facts.id, row.version);
        if let Some(view) = self.decided.get(&key) {
            return Ok(view);
        }
        let view = self.view_anew(row).await?;
        // A prize may have changed since the row was read: then what was read is of no version.
        if self.find(row.facts.id).await?.version == row.version {
            self.decided.insert(key, view.clone());
        }
        Ok(view)
    }

    async fn view_anew(&self, row: &Row) -> Outcome<RoomLottery> {
        let results = self.results(row).await?;
        let mut winners = match row.phase {
            LotteryPhase::Drawn => prizes::winners(row, &results)?,
            _ => Vec::new(),
        };
        let winners_total = winners.len() as u64;
        winners.truncate(MAX_WINNERS);
        let spec = row.facts.spec.spec();
        Ok(RoomLottery {
            id: row.facts.id,
            room_id: row.facts.room,
            phase: row.phase,
            test: row.facts.test,
            title: spec.title.clone(),
            prizes: spec.prizes.clone(),
            keyword: row.facts.keyword().map(str::to_owned),
            posted_in: row.facts.posted_in(),
            claim_s: spec.claim_ms / 1_000,
            opens_at: Timestamp(spec.opens_at_ms.cast_signed()),
            draw_at: Timestamp(spec.draw_at_ms.cast_signed()),
            entrants: row.entries,
            opened: row.facts.opened(),
            closed: row.closed.clone(),
            drawn_at: row.drawn_at_ms.map(Timestamp),
            winners,
            winners_total,
            replaced: results.replaced,
            cancelled: row.cancelled.clone(),
        })
    }

    /// A page of a room's lotteries.
    pub(crate) async fn list(&self, context: Context, asked: &ListLotteries) -> Outcome<Lotteries> {
        let limit = cursor::limit(asked.limit, MAX_LOTTERIES)?;
        let list = List::new(format!("lotteries room={}", asked.room));
        let from = list.read(asked.cursor.as_deref())?;
        let rows = store::of_room(self.db.reader(), asked.room, from, cursor::with_one_more(limit)).await?;
        if rows.is_empty() && asked.cursor.is_none() {
            // Either there was never a lottery, or there is no such room.
            let request = GetRoom { room: asked.room };
            rpc::answer(self.live.room(rpc::at_most(context, rpc::EDGE_DEADLINE), request).await)?;
        }
        let (rows, next_cursor) = cursor::page(rows, limit, &list, |row| Position {
            rank: row.facts.spec.spec().opens_at_ms.cast_signed(),
            id: row.facts.id.as_i64(),
        });
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            items.push(self.view(&row).await?);
        }
        Ok(Lotteries { items, next_cursor })
    }

    /// The account's entry, and what became of it.
    pub(crate) async fn my_entry(&self, who: &Identity, id: LotteryId) -> Outcome<MyEntry> {
        let row = self.find(id).await?;
        let none = || Refusal::new(Code::NoSuchEntry, "this account is not in this lottery");
        let entry = entries::of_user(&self.db, id, who.user).await?.ok_or_else(none)?;
        self.entry_of(&row, &entry).await
    }

    /// A page of the account's entries.
    pub(crate) async fn my_entries(&self, who: &Identity, asked: &ListMyEntries) -> Outcome<MyEntries> {
        let limit = cursor::limit(asked.limit, MAX_MY_ENTRIES)?;
        let list = List::new(format!("entries user={}", who.user));
        let from = list.read(asked.cursor.as_deref())?;
        let found = entries::all_of_user(&self.db, who.user, from, cursor::with_one_more(limit)).await?;
        let (found, next_cursor) = cursor::page(found, limit, &list, |(lottery, entry)| Position {
            rank: entry.entered_at_ms.cast_signed(),
            id: lottery.as_i64(),
        });
        let mut items = Vec::with_capacity(found.len());
        for (lottery, entry) in found {
            items.push(self.entry_of(&self.find(lottery).await?, &entry).await?);
        }
        Ok(MyEntries { items, next_cursor })
    }

    async fn entry_of(&self, row: &Row, entry: &Entry) -> Outcome<MyEntry> {
        let (result, held) = match row.phase {
            LotteryPhase::Drawn => prizes::standing(row, &self.results(row).await?, entry.n)?,
            LotteryPhase::Cancelled => (EntryResult::Cancelled, None),
            _ => (EntryResult::Pending, None),
        };
        let prize = match held {
            Some(held) => Some(prizes::won(row, held, results::claimed_at(&self.db, row.facts.id, entry.n).await?)),
            None => None,
        };
        let spec = row.facts.spec.spec();
        Ok(MyEntry {
            lottery_id: row.facts.id,
            room_id: row.facts.room,
            title: spec.title.clone(),
            draw_at: Timestamp(spec.draw_at_ms.cast_signed()),
            receipt: self.keys.of(&row.facts)?.receipt(row.facts.id, entry),
            result,
            prize,
        })
    }

    /// A page of those who hold a prize.
    pub(crate) async fn winners(&self, asked: &ListWinners) -> Outcome<Winners> {
        let limit = cursor::limit(asked.limit, MAX_WINNERS_PAGE)?;
        let list = List::new(format!("winners lottery={}", asked.lottery));
        // Positions descend, and winners are in order: the place counts down.
        let from = list.read(asked.cursor.as_deref())?;
        let row = self.drawn(asked.lottery).await?;
        let winners = prizes::winners(&row, &self.results(&row).await?)?;
        let rest: Vec<(i64, LotteryWinner)> =
            (0..).map(|place: i64| -place).zip(winners).filter(|(rank, _)| *rank < from.rank).collect();
        let at = |(rank, _): &(i64, LotteryWinner)| Position { rank: *rank, id: 0 };
        let (page, next_cursor) = cursor::page(rest, limit, &list, at);
        Ok(Winners { items: page.into_iter().map(|(_, winner)| winner).collect(), next_cursor })
    }

    /// Everything from which the result can be recomputed.
    pub(crate) async fn proof(&self, id: LotteryId) -> Outcome<Proof> {
        let row = self.drawn(id).await?;
        let results = self.results(&row).await?;
        let proof = row.proof().ok_or_else(|| anyhow::anyhow!("lottery {id} is drawn without a seed"))?;
        Ok(Proof { winners: prizes::proved(&row, &results)?, replaced: results.replaced, ..proof })
    }

    async fn drawn(&self, id: LotteryId) -> Outcome<Row> {
        let row = self.find(id).await?;
        match row.phase {
            LotteryPhase::Drawn => Ok(row),
            LotteryPhase::Cancelled => Err(called_off().into()),
            _ => Err(Refusal::new(Code::LotteryOpen, "this lottery is not drawn yet").into()),
        }
    }

    async fn closed(&self, id: LotteryId) -> Outcome<Row> {
        let row = self.find(id).await?;
        match (&row.closed, row.phase) {
            (Some(_), _) => Ok(row),
            (None, LotteryPhase::Cancelled) => Err(called_off().into()),
            (None, _) => Err(Refusal::new(Code::LotteryOpen, "the entries are not frozen yet").into()),
        }
    }

    /// A page of the entries as NDJSON.
    pub(crate) async fn entries(&self, id: LotteryId, page: u64) -> Outcome<EntriesPage> {
        let row = self.closed(id).await?;
        let first = page.saturating_mul(ENTRIES_PER_PAGE).min(row.entries);
        let found = entries::range(&self.db, id, first, first + ENTRIES_PER_PAGE).await?;
        let mut ndjson = String::with_capacity(found.len() * 90);
        for Entry { n, user_id, entered_at_ms, weight } in found {
            // A string takes everything.
            _ = writeln!(
                ndjson,
                r#"{{"n":{n},"user_id":"{user_id}","entered_at_ms":{entered_at_ms},"weight":{weight}}}"#
            );
        }
        Ok(EntriesPage { ndjson: Bytes::from(ndjson), count: row.entries })
    }

    /// That an entry lies under the root.
    pub(crate) async fn inclusion(&self, id: LotteryId, n: u64) -> Outcome<InclusionProof> {
        let row = self.closed(id).await?;
        let none = || Refusal::new(Code::NoSuchEntry, format!("this lottery has no entry {n}"));
        let closed = row.closed.as_ref().filter(|closed| n < closed.count).ok_or_else(none)?;
        let page = self.tree_page(id, n / ENTRIES_PER_PAGE).await?;
        let path = merkle::audit_path(n, &page.leaves, &page.pages).ok_or_else(none)?;
        let leaf = page.leaves.get((n % ENTRIES_PER_PAGE) as usize).copied().ok_or_else(none)?;
        Ok(InclusionProof { n, count: closed.count, root: closed.root, leaf, path })
    }

    /// A page of a frozen lottery's tree.
    async fn tree_page(&self, id: LotteryId, page: u64) -> Outcome<Arc<TreePage>> {
        if let Some(known) = self.tree_pages.get(&(id, page)) {
            return Ok(known);
        }
        let first = page * ENTRIES_PER_PAGE;
        let entries = entries::range(&self.db, id, first, first + ENTRIES_PER_PAGE).await?;
        let leaves = entries.iter().map(merkle::leaf).collect();
        let read = Arc::new(TreePage { leaves, pages: entries::pages(&self.db, id).await? });
        self.tree_pages.insert((id, page), Arc::clone(&read));
        Ok(read)
    }

    /// The keys that ever signed anything.
    pub(crate) async fn keys(&self) -> Outcome<Keys> {
        Ok(Keys { items: results::keys(&self.db).await? })
    }
}

/// What the proofs of all entries of a page need of the tree.
#[derive(Debug)]
pub(crate) struct TreePage {
    leaves: Vec<Hash>,
    /// The nodes over all pages.
    pages: Vec<Hash>,
}

fn called_off() -> Refusal {
    Refusal::new(Code::LotteryCancelled, "this lottery was called off")
}
