//! Drawing: the entries are frozen, then their root is signed and announced, then the seed
//! decides. Each step is one conditional update, so that it happens once, whoever takes it
//! up again after a crash; what lies between two steps always gives the same.
//!
//! A million entries are read in pages; of each only the hash and the account stay in
//! memory, and of the ranking only its first places.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use common::outbox::Slot;
use common::{Outcome, failpoint};
use idl::draw::{Entry, Hash};
use idl::event::{LotteryChange, LotteryPhase};
use idl::live::ReplayMarkKind;
use idl::lottery::ENTRIES_PER_PAGE;
use idl::{LotteryId, Timestamp, UserId};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::protocol::merkle::{self, PagedTree};
use crate::protocol::prizes;
use crate::protocol::rank::{DrawKey, Ranked, Ranking};
use crate::row::Row;
use crate::seal::Seed;
use crate::store::results::Place;
use crate::store::{self, entries, results};
use crate::{Core, announce};

mod lease;

use lease::Lease;

/// Whoever draws has so long, and so much longer for each entry; then it is begun again.
/// A million entries take two seconds.
const LONGEST: Duration = Duration::from_secs(30);
const LONGEST_PER_ENTRY: Duration = Duration::from_micros(50);
/// Viewers have the frozen root so long before the seed is revealed, at most.
const TELL_WITHIN: Duration = Duration::from_millis(800);
/// …and so long while push is away, which it may no longer be.
const TELL_WITHIN_WHILE_AWAY: Duration = Duration::from_millis(50);
/// Push counts as away for so long after viewers could not be told of a root.
const AWAY: Duration = Duration::from_secs(5);
/// Places of the ranking that are kept for replacements. When they are used up the ranking
/// is computed again.
const SPARE_PLACES: usize = 100;

/// The entries of a closed lottery, as far as the draw needs them.
struct Leaves {
    hashes: Vec<Hash>,
    users: Vec<UserId>,
    /// The tree's pages.
    pages: Vec<Hash>,
}

impl Core {
    /// Draws a lottery that is due, from wherever it stands. Nothing happens if it is not
    /// due, is decided, or somebody else is at it.
    pub(crate) async fn draw(&self, id: LotteryId) -> Outcome<()> {
        let Some(now) = self.platform.clock.read().certain() else { return Ok(()) };
        let within = longest(self.find(id).await?.entries);
        let (db, clock) = (&self.db, &self.platform.clock);
        let Some(mut lease) = Lease::take(db, clock, id, now.0.cast_unsigned()).await? else { return Ok(()) };
        let drawn = lease.hold(within, self.draw_leased(id)).await;
        match drawn {
            Ok(Some(true)) => {}
            Ok(Some(false)) | Err(_) => lease.give_back().await,
            Ok(None) => tracing::warn!(lottery.id = %id, "a draw was left to who has its lease by now"),
        }
        drawn.map(drop)
    }

    /// `false` if it turns out not to be due.
    async fn draw_leased(&self, id: LotteryId) -> Outcome<bool> {
        let row = self.find(id).await?;
        if row.phase == LotteryPhase::Open {
            self.enter_last_keywords(&row.facts).await;
            failpoint::reached("lottery.before-freeze");
            // The clock may have been set meanwhile: then somebody tries again later.
            let Some(now) = self.platform.clock.read().certain() else { return Ok(false) };
            store::freeze(&self.db, id, now.0.cast_unsigned()).await?;
            failpoint::reached("lottery.after-freeze");
        }
        let row = self.find(id).await?;
        if row.phase == LotteryPhase::Open {
            // By the clock as it is now it was not due yet: the next look finds it.
            return Ok(false);
        }
        if row.phase != LotteryPhase::Closed {
            return Ok(true);
        }
        let place = self.place().await?;
        let leaves = self.leaves(&row).await?;
        let (row, told) = match row.closed {
            Some(_) => (row, None),
            None => self.close(row, &leaves).await?,
        };
        self.tell_root(&row, told).await?;
        failpoint::reached("lottery.after-closed");
        self.decide(&row, leaves, place).await?;
        Ok(true)
    }

    /// A place among those that are drawn at the same time.
    async fn place(&self) -> Outcome<OwnedSemaphorePermit> {
        Ok(Arc::clone(&self.drawing).acquire_owned().await.map_err(anyhow::Error::from)?)
    }

    /// Waits until whoever watches has the root: nobody has the seed before. If push is away
    /// nobody watches, and the result does not wait for it; nor do the next ones.
    async fn tell_root(&self, row: &Row, told: Option<Slot>) -> Outcome<()> {
        let untold = || self.untold_since.lock().unwrap_or_else(PoisonError::into_inner);
        let is_away = untold().is_some_and(|since| since.elapsed() < AWAY);
        let within = if is_away { TELL_WITHIN_WHILE_AWAY } else { TELL_WITHIN };
        if self.outbox.drained(row.facts.room.0, told, within).await? {
            return Ok(());
        }
        if !is_away {
            *untold() = Some(Instant::now());
        }
        tracing::warn!(lottery.id = %row.facts.id, "viewers learn of the freeze after the draw: they could not be told");
        Ok(())
    }

    /// Reads all entries, and hashes them.
    async fn leaves(&self, row: &Row) -> Outcome<Leaves> {
        let (id, count) = (row.facts.id, row.entries);
        let room = usize::try_from(count).unwrap_or_default();
        let (mut hashes, mut users) = (Vec::with_capacity(room), Vec::with_capacity(room));
        let mut tree = PagedTree::default();
        for first in (0..count).step_by(ENTRIES_PER_PAGE as usize) {
            for entry in entries::range(&self.db, id, first, first + ENTRIES_PER_PAGE).await? {
                expect(&entry, hashes.len())?;
                let leaf = merkle::leaf(&entry);
                tree.push(leaf);
                hashes.push(leaf);
                users.push(entry.user_id);
            }
        }
        if hashes.len() as u64 != count {
            Err(anyhow::anyhow!("lottery {id} has {count} entries, but {} were found", hashes.len()))?;
        }
        Ok(Leaves { hashes, users, pages: tree.into_pages() })
    }

    /// Signs and announces what was frozen; also gives the place of the announcement.
    async fn close(&self, row: Row, leaves: &Leaves) -> Outcome<(Row, Option<Slot>)> {
        let id = row.facts.id;
        let closed_at_ms = row.closed_at_ms.ok_or_else(|| anyhow::anyhow!("lottery {id} was closed at no time"))?;
        let root = merkle::root(leaves.pages.iter().copied());
        let closed = self.keys.of(&row.facts)?.close(&row.facts.spec, root, row.entries, closed_at_ms);
        let slot = self.outbox.slots(1).await?[0];
        let mut tx = self.db.begin().await?;
        if store::set_root(&mut tx, &closed).await? {
            entries::keep_pages(&self.db, &mut tx, id, &leaves.pages).await?;
            let row = store::find(&mut *tx, id).await?.ok_or_else(|| vanished(id))?;
            let fact = announce::changed(&row, LotteryChange::Closed, &[], self.platform.clock.now())?;
            self.outbox.add(&mut tx, slot, row.facts.room.0, &fact).await?;
            tx.commit().await?;
            self.outbox.committed();
            return Ok((row, Some(slot)));
        }
        drop(tx);
        Ok((self.find(id).await?, None))
    }

    /// Finds the winners, stores them and reveals the seed.
    async fn decide(&self, row: &Row, leaves: Leaves, place: OwnedSemaphorePermit) -> Outcome<()> {
        let id = row.facts.id;
        let seed = self.seal.open(id, &row.sealed_seed)?;
        let places = self.places(row, &seed, leaves, SPARE_PLACES, place).await?;
        let slots = self.outbox.slots(2).await?;
        failpoint::reached("lottery.before-decision");
        let now = self.platform.clock.now();
        let decided_ms = now.0.cast_unsigned().max(row.closed_at_ms.unwrap_or_default());
        let mut tx = self.db.begin().await?;
        if !store::decide(&mut tx, id, seed.reveal(), decided_ms).await? {
            return Ok(());
        }
        results::keep_places(&self.db, &mut tx, id, 0, &places).await?;
        store::give_place_back(&mut tx, row.facts.room).await?;
        let row = store::find(&mut *tx, id).await?.ok_or_else(|| vanished(id))?;
        let winners = crate::prizes::winners(&row, &results::of(&mut tx, id).await?)?;
        let fact = announce::changed(&row, LotteryChange::Drawn, &winners, now)?;
        self.outbox.add(&mut tx, slots[0], row.facts.room.0, &fact).await?;
        if let Some(mark) = announce::marked(&row, ReplayMarkKind::LotteryDrawn, Timestamp(decided_ms.cast_signed())) {
            self.outbox.add(&mut tx, slots[1], row.facts.room.0, &mark).await?;
        }
        tx.commit().await?;
        failpoint::reached("lottery.after-decision");
        self.outbox.committed();
        let late_ms = decided_ms.saturating_sub(row.facts.spec.spec().draw_at_ms);
        metrics::histogram!("goligoli_lottery_draw_delay_seconds").record(Duration::from_millis(late_ms));
        tracing::info!(lottery.id = %id, entries = row.entries, winners = winners.len(), late_ms, "a lottery was drawn");
        Ok(())
    }

    /// The first places of the ranking: one for each prize and each replacement so far, and
    /// `spare` more. The place among the draws is free when the leaves are, whoever still waits.
    async fn places(
        &self,
        row: &Row,
        seed: &Seed,
        leaves: Leaves,
        spare: usize,
        place: OwnedSemaphorePermit,
    ) -> Outcome<Vec<Place>> {
        let id = row.facts.id;
        let closed = row.closed.as_ref().ok_or_else(|| anyhow::anyhow!("lottery {id} has no root"))?;
        let spec = &row.facts.spec;
        let key = DrawKey::derive(seed.reveal(), spec.hash(), &closed.root, closed.count, None);
        let places = prizes::places(&spec.spec().prizes, spare, closed.count);
        let ranking = tokio::task::spawn_blocking(move || {
            let mut ranking = Ranking::of(places);
            for ((n, leaf), user_id) in (0..).zip(&leaves.hashes).zip(&leaves.users) {
                let user_id = *user_id;
                ranking.offer(Ranked { key: key.key(leaf, 1), n, user_id });
            }
            drop((leaves, place));
            ranking.in_order()
        });
        let ranking = ranking.await.map_err(anyhow::Error::from)?;
        let numbers: Vec<u64> = ranking.iter().map(|ranked| ranked.n).collect();
        let mut names = entries::names(&self.db, id, &numbers).await?;
        let place = |ranked: Ranked| Place { user_name: names.remove(&ranked.n).unwrap_or_default(), ranked };
        Ok(ranking.into_iter().map(place).collect())
    }

    /// Makes sure that the ranking is kept as far as one more replacement needs it.
    pub(crate) async fn keep_enough_places(&self, row: &Row, replaced: usize) -> Outcome<()> {
        let id = row.facts.id;
        let kept = results::of(&mut self.db.reader().acquire().await?, id).await?.places.len();
        if kept >= prizes::places(&row.facts.spec.spec().prizes, replaced + 1, row.entries) {
            return Ok(());
        }
        let place = self.place().await?;
        let leaves = self.leaves(row).await?;
        let seed = self.seal.open(id, &row.sealed_seed)?;
        let places = self.places(row, &seed, leaves, replaced + SPARE_PLACES, place).await?;
        let mut tx = self.db.begin().await?;
        results::keep_places(&self.db, &mut tx, id, kept, &places[kept.min(places.len())..]).await?;
        Ok(tx.commit().await?)
    }
}

/// How long whoever draws so many entries may take.
fn longest(entries: u64) -> Duration {
    LONGEST + LONGEST_PER_ENTRY * u32::try_from(entries).unwrap_or(u32::MAX)
}

/// Numbers have no holes; if one had, the root would be of something else than was signed.
fn expect(entry: &Entry, n: usize) -> Outcome<()> {
    if entry.n != n as u64 {
        Err(anyhow::anyhow!("entry {n} is missing: the next one is {}", entry.n))?;
    }
    Ok(())
}

pub(crate) fn vanished(id: LotteryId) -> anyhow::Error {
    anyhow::anyhow!("lottery {id} should be in the database, but is not")
}
