//! Who holds which prize, and how that changes after the draw: a winner claims, or declines,
//! or is replaced because it did not claim in time.

use common::{Outcome, failpoint};
use idl::access::Identity;
use idl::draw::{Closed, ReplaceReason};
use idl::event::{LotteryPhase, LotteryWinner};
use idl::lottery::{EntryResult, WonPrize};
use idl::{Code, LotteryId, Refusal, Timestamp};
use tarpc::context::Context;

use crate::Core;
use crate::protocol::messages::ReplacementChain;
use crate::protocol::prizes::{BadReplacement, Held, Holders, places};
use crate::protocol::rank::Ranked;
use crate::row::Row;
use crate::store::results::{self, Results};
use crate::store::{self, entries};

/// The ranking that holders are made from.
fn ranking(results: &Results) -> Vec<Ranked> {
    results.places.iter().map(|place| place.ranked).collect()
}

fn signed(row: &Row) -> Outcome<&Closed> {
    Ok(row.closed.as_ref().ok_or_else(|| anyhow::anyhow!("lottery {} is drawn without a root", row.facts.id))?)
}

/// Who holds what now: the first draw, and all replacements since.
pub(crate) fn holders<'a>(row: &Row, ranking: &'a [Ranked], results: &Results) -> Outcome<Holders<'a>> {
    let spec = row.facts.spec.spec();
    let mut holders = Holders::first(&spec.prizes, spec.claim_ms, ranking, signed(row)?.closed_at_ms);
    for record in &results.replaced {
        holders
            .replace(record.n, record.reason, record.at_ms)
            .map_err(|error| anyhow::anyhow!("lottery {} has a replacement that was not one: {error}", row.facts.id))?;
    }
    Ok(holders)
}

/// Those who hold a prize, by rank, with their names.
pub(crate) fn winners(row: &Row, results: &Results) -> Outcome<Vec<LotteryWinner>> {
    let ranking = ranking(results);
    let holders = holders(row, &ranking, results)?;
    let winner = |place: &results::Place| {
        let held = holders.held_by(place.ranked.n)?;
        Some(LotteryWinner {
            n: place.ranked.n,
            user_id: place.ranked.user_id,
            name: place.user_name.clone(),
            prize: held.prize as u64,
            claimed: results.claimed.contains(&place.ranked.n),
            claim_by_ms: claim_by_ms(row, held).map(u64::cast_signed),
        })
    };
    Ok(results.places.iter().filter_map(winner).collect())
}

/// Those who hold a prize, as the proof names them.
pub(crate) fn proved(row: &Row, results: &Results) -> Outcome<Vec<idl::draw::Winner>> {
    Ok(holders(row, &ranking(results), results)?.winners())
}

/// How an entry of a drawn lottery stands.
pub(crate) fn standing(row: &Row, results: &Results, n: u64) -> Outcome<(EntryResult, Option<Held>)> {
    Ok(match holders(row, &ranking(results), results)?.held_by(n) {
        Some(held) => (EntryResult::Won, Some(held)),
        None if results.replaced.iter().any(|record| record.n == n) => (EntryResult::Replaced, None),
        None => (EntryResult::Lost, None),
    })
}

/// The prize as its winner sees it.
pub(crate) fn won(row: &Row, held: Held, claimed_at: Option<Timestamp>) -> WonPrize {
    let spec = row.facts.spec.spec();
    let claim_by = claim_by_ms(row, held).map(|ms| Timestamp(ms.cast_signed()));
    let name = spec.prizes.get(held.prize).map(|prize| prize.name.clone()).unwrap_or_default();
    WonPrize { prize: held.prize as u64, name, claim_by, claimed_at }
}

/// Until when only the winner can have it; `None` if it need not be claimed.
fn claim_by_ms(row: &Row, held: Held) -> Option<u64> {
    let claim_ms = row.facts.spec.spec().claim_ms;
    (claim_ms > 0).then(|| held.since_ms.saturating_add(claim_ms))
}

/// What is done about a prize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Claim,
    Decline,
    Redraw,
}

impl Core {
    /// The winner takes the prize, or does not want it.
    pub(crate) async fn answer_prize(&self, who: &Identity, id: LotteryId, deed: Deed) -> Outcome<()> {
        let row = self.find(id).await?;
        let none = || Refusal::new(Code::NoSuchEntry, "this account is not in this lottery");
        let entry = entries::of_user(&self.db, id, who.user).await?.ok_or_else(none)?;
        self.settle(&row, entry.n, deed).await
    }

    /// Takes a winner out who has not claimed in time.
    pub(crate) async fn redraw(&self, context: Context, who: &Identity, id: LotteryId, n: u64) -> Outcome<Row> {
        let row = self.find(id).await?;
        self.require_host(context, who, &row.facts).await?;
        self.settle(&row, n, Deed::Redraw).await?;
        self.find(id).await
    }

    /// One change of who holds what, in one transaction.
    async fn settle(&self, row: &Row, n: u64, deed: Deed) -> Outcome<()> {
        let id = row.facts.id;
        self.platform.space.check()?;
        if row.phase != LotteryPhase::Drawn {
            return Err(not_drawn(row).into());
        }
        if deed != Deed::Claim {
            let replaced = results::of(&mut self.db.reader().acquire().await?, id).await?.replaced.len();
            self.keep_enough_places(row, replaced).await?;
        }
        let mut tx = self.db.begin().await?;
        if !store::lock_drawn(&mut tx, id).await? {
            return Err(not_drawn(row).into());
        }
        let results = results::of(&mut tx, id).await?;
        let needed = places(&row.facts.spec.spec().prizes, results.replaced.len() + 1, row.entries);
        if deed != Deed::Claim && results.places.len() < needed {
            // Others were replaced since the places were counted: nobody may be passed over.
            let detail = "other prizes of this lottery are being drawn again";
            return Err(Refusal::new(Code::Unavailable, detail).retry_after_ms(1_000).into());
        }
        let reading = self.platform.clock.read();
        if deed == Deed::Redraw && reading.certain().is_none() {
            let detail = "the server's clock was set: nobody's time is over until that is right";
            return Err(Refusal::new(Code::Unavailable, detail).retry_after_ms(60_000).into());
        }
        let now = reading.now();
        let outcome = judge(row, &results, n, deed, now.0.cast_unsigned())?;
        match outcome {
            Verdict::Nothing => return Ok(()),
            Verdict::Claim => results::claim(&self.db, &mut tx, id, n, now).await?,
            Verdict::Replace(reason, at_ms) => {
                let mut chain = ReplacementChain::after(row.facts.spec.hash(), signed(row)?, &results.replaced);
                let record = self.keys.of(&row.facts)?.replace(&mut chain, n, reason, at_ms);
                results::replace(&mut tx, id, results.replaced.len(), &record).await?;
                results::change_hands(&self.db, &mut tx, id).await?;
            }
        }
        failpoint::reached("lottery.settling");
        Ok(tx.commit().await?)
    }
}

fn not_drawn(row: &Row) -> Refusal {
    match row.phase {
        LotteryPhase::Cancelled => Refusal::new(Code::LotteryCancelled, "this lottery was called off"),
        _ => Refusal::new(Code::LotteryOpen, "this lottery is not drawn yet"),
    }
}

/// What becomes of a deed.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It was done before.
    Nothing,
    Claim,
    Replace(ReplaceReason, u64),
}

/// Whether something may be done about the prize of entry `n` now.
fn judge(row: &Row, results: &Results, n: u64, deed: Deed, now_ms: u64) -> Outcome<Verdict> {
    let ranking = ranking(results);
    let mut holders = holders(row, &ranking, results)?;
    let record = results.replaced.iter().find(|record| record.n == n);
    let Some(held) = holders.held_by(n) else {
        return match (deed, record.map(|record| record.reason)) {
            (Deed::Decline, Some(ReplaceReason::Declined)) | (Deed::Redraw, Some(_)) => Ok(Verdict::Nothing),
            _ => Err(Refusal::new(Code::NoPrize, "this entry holds no prize").into()),
        };
    };
    let is_claimed = results.claimed.contains(&n);
    // Also where the clock was set back since.
    let at_ms = now_ms.max(held.since_ms);
    let reason = match deed {
        Deed::Claim if is_claimed => return Ok(Verdict::Nothing),
        Deed::Claim if claim_by_ms(row, held).is_some_and(|claim_by_ms| now_ms >= claim_by_ms) => {
            return Err(Refusal::new(Code::ClaimExpired, "the time for claiming this prize has passed").into());
        }
        Deed::Claim => return Ok(Verdict::Claim),
        Deed::Decline | Deed::Redraw if is_claimed => {
            return Err(Refusal::new(Code::PrizeClaimed, "this prize was claimed").into());
        }
        Deed::Decline => ReplaceReason::Declined,
        Deed::Redraw => ReplaceReason::Unclaimed,
    };
    match holders.replace(n, reason, at_ms) {
        Ok(_) => Ok(Verdict::Replace(reason, at_ms)),
        Err(BadReplacement::StillTime { until_ms, .. }) => {
            let detail = "the winner still has time to claim this prize";
            Err(Refusal::new(Code::ClaimOpen, detail).until(Timestamp(until_ms.cast_signed())).into())
        }
        Err(error @ BadReplacement::NothingToClaim) => Err(Refusal::new(Code::ClaimOpen, error.to_string()).into()),
        Err(error @ BadReplacement::NoHolder { .. }) => Err(Refusal::new(Code::NoPrize, error.to_string()).into()),
        // `at_ms` is not before it.
        Err(error @ BadReplacement::NotYet { .. }) => Err(anyhow::Error::from(error).into()),
    }
}
