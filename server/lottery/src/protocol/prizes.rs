//! Who holds which prize: first the winners in their order, the best prizes first; then
//! whoever comes next in the ranking takes the prize of a winner that was taken out.
//!
//! A prize for which nobody is left stays open. Winners and those taken out are together
//! always the first of the ranking.

use std::collections::BTreeMap;

use idl::draw::{Prize, ReplaceReason, Winner};

use super::rank::Ranked;

/// Why a winner can't be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReplacement {
    /// That entry holds no prize: it never won, or was taken out before.
    #[error("entry {n} holds no prize")]
    NoHolder {
        /// The entry.
        n: u64,
    },
    /// It did not hold the prize yet.
    #[error("entry {n} got its prize at {since_ms} (ms since 1970), after that")]
    NotYet {
        /// The entry.
        n: u64,
        /// When it got the prize.
        since_ms: u64,
    },
    /// Prizes of this lottery need not be claimed.
    #[error("nothing needs to be claimed in this lottery")]
    NothingToClaim,
    /// There is still time to claim it.
    #[error("entry {n} has until {until_ms} (ms since 1970) to claim its prize")]
    StillTime {
        /// The entry.
        n: u64,
        /// Until then.
        until_ms: u64,
    },
}

/// A prize that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which one, as an index into the spec's.
    pub prize: usize,
    /// Since when (ms since 1970): the freeze, or the replacement that gave it.
    pub since_ms: u64,
}

/// Who holds what.
#[derive(Debug, Clone)]
pub struct Holders<'a> {
    ranking: &'a [Ranked],
    /// How many of the ranking hold a prize or held one.
    taken: usize,
    claim_ms: u64,
    held: BTreeMap<u64, Held>,
}

/// How many places of the ranking say who holds what after so many replacements, if there
/// are so many entries.
#[must_use]
pub fn places(prizes: &[Prize], replaced: usize, entries: u64) -> usize {
    let prizes = prizes.iter().fold(0_u64, |sum, prize| sum.saturating_add(prize.count));
    usize::try_from(prizes.saturating_add(replaced as u64).min(entries)).unwrap_or(usize::MAX)
}

impl<'a> Holders<'a> {
    /// Right after the draw. The ranking must have [`places`] for the replacements that will
    /// come, or be whole.
    #[must_use]
    pub fn first(prizes: &[Prize], claim_ms: u64, ranking: &'a [Ranked], closed_at_ms: u64) -> Self {
        let tiers = prizes.iter().enumerate();
        let each = tiers.flat_map(|(prize, tier)| (0..tier.count).map(move |_| prize));
        let held: BTreeMap<u64, Held> =
            ranking.iter().zip(each).map(|(entry, prize)| (entry.n, Held { prize, since_ms: closed_at_ms })).collect();
        Self { ranking, taken: held.len(), claim_ms, held }
    }

    /// What an entry holds.
    #[must_use]
    pub fn held_by(&self, n: u64) -> Option<Held> {
        self.held.get(&n).copied()
    }

    /// Takes a winner out. Returns who has the prize now; `None` if nobody is left.
    ///
    /// A declined prize has no deadline.
    ///
    /// # Errors
    /// It holds no prize, or got it only after `at_ms`, or has still time to claim it.
    pub fn replace(&mut self, n: u64, reason: ReplaceReason, at_ms: u64) -> Result<Option<Ranked>, BadReplacement> {
        let held = self.held_by(n).ok_or(BadReplacement::NoHolder { n })?;
        if at_ms < held.since_ms {
            return Err(BadReplacement::NotYet { n, since_ms: held.since_ms });
        }
        if reason == ReplaceReason::Unclaimed {
            let until_ms = held.since_ms.saturating_add(self.claim_ms);
            if self.claim_ms == 0 {
                return Err(BadReplacement::NothingToClaim);
            } else if at_ms < until_ms {
                return Err(BadReplacement::StillTime { n, until_ms });
            }
        }
        self.held.remove(&n);
        let next = self.ranking.get(self.taken).copied();
        if let Some(next) = next {
            self.taken += 1;
            self.held.insert(next.n, Held { since_ms: at_ms, ..held });
        }
        Ok(next)
    }

    /// Those that hold a prize, in the order of the ranking.
    #[must_use]
    pub fn winners(&self) -> Vec<Winner> {
        let winner = |entry: &Ranked| {
            let prize = self.held_by(entry.n)?.prize as u64;
            Some(Winner { n: entry.n, user_id: entry.user_id, key: entry.key, prize })
        };
        self.ranking[..self.taken].iter().filter_map(winner).collect()
    }
}

#[cfg(test)]
mod tests {
    use idl::UserId;
    use idl::draw::Hash;
    use proptest::prelude::*;

    use super::*;

    const CLOSED: u64 = 1_000;
    const CLAIM: u64 = 60;

    fn ranking(count: u64) -> Vec<Ranked> {
        (0..count).map(|place| Ranked { key: Hash([0; 32]), n: 100 + place, user_id: UserId(1 + place) }).collect()
    }

    fn prizes(counts: &[u64]) -> Vec<Prize> {
        counts.iter().map(|count| Prize { name: "p".to_owned(), count: *count }).collect()
    }

    fn of(holders: &Holders<'_>) -> Vec<(u64, u64)> {
        holders.winners().iter().map(|winner| (winner.n, winner.prize)).collect()
    }

    #[test]
    fn tiers_are_filled_in_order_and_the_rest_stays_open() {
        let (ranking, prizes) = (ranking(4), prizes(&[1, 2, 5]));
        assert_eq!(places(&prizes, 1, 100), 9);
        assert_eq!(places(&prizes, 1, 4), 4);
        let holders = Holders::first(&prizes, CLAIM, &ranking, CLOSED);
        assert_eq!(of(&holders), [(100, 0), (101, 1), (102, 1), (103, 2)]);
        assert_eq!(holders.held_by(101), Some(Held { prize: 1, since_ms: CLOSED }));
        assert_eq!(places(&self::prizes(&[1 << 52; 5000]), usize::MAX, 3), 3);
    }

    #[test]
    fn the_next_takes_the_prize_until_nobody_is_left() {
        let (ranking, prizes) = (ranking(4), prizes(&[1, 2]));
        let mut holders = Holders::first(&prizes, CLAIM, &ranking, CLOSED);
        let next = holders.replace(100, ReplaceReason::Declined, CLOSED + 1).unwrap();
        assert_eq!(next.unwrap().n, 103);
        assert_eq!(of(&holders), [(101, 1), (102, 1), (103, 0)]);
        assert_eq!(holders.replace(101, ReplaceReason::Unclaimed, CLOSED + CLAIM), Ok(None));
        assert_eq!(of(&holders), [(102, 1), (103, 0)]);
        for n in [100, 101, 7] {
            assert_eq!(holders.replace(n, ReplaceReason::Declined, 9_999), Err(BadReplacement::NoHolder { n }));
        }
    }

    #[test]
    fn there_is_time_to_claim_from_when_one_got_the_prize() {
        let (ranking, prizes) = (ranking(3), prizes(&[1]));
        let mut holders = Holders::first(&prizes, CLAIM, &ranking, CLOSED);
        let still = |n, until_ms| Err(BadReplacement::StillTime { n, until_ms });
        assert_eq!(holders.replace(100, ReplaceReason::Unclaimed, CLOSED + CLAIM - 1), still(100, CLOSED + CLAIM));
        holders.replace(100, ReplaceReason::Unclaimed, CLOSED + CLAIM + 5).unwrap();
        let until = CLOSED + CLAIM + 5 + CLAIM;
        assert_eq!(holders.replace(101, ReplaceReason::Unclaimed, until - 1), still(101, until));
        holders.replace(101, ReplaceReason::Unclaimed, until).unwrap();
        let mut holders = Holders::first(&prizes, 0, &ranking, CLOSED);
        assert_eq!(holders.replace(100, ReplaceReason::Unclaimed, 9_999), Err(BadReplacement::NothingToClaim));
    }

    #[test]
    fn a_prize_is_not_taken_before_it_was_got() {
        let (ranking, prizes) = (ranking(3), prizes(&[1]));
        let mut holders = Holders::first(&prizes, CLAIM, &ranking, CLOSED);
        let not_yet = |n, since_ms| Err(BadReplacement::NotYet { n, since_ms });
        for reason in [ReplaceReason::Declined, ReplaceReason::Unclaimed] {
            assert_eq!(holders.replace(100, reason, CLOSED - 1), not_yet(100, CLOSED));
        }
        holders.replace(100, ReplaceReason::Declined, CLOSED + 7).unwrap();
        assert_eq!(holders.replace(101, ReplaceReason::Declined, CLOSED + 6), not_yet(101, CLOSED + 7));
        holders.replace(101, ReplaceReason::Declined, CLOSED + 7).unwrap();
    }

    proptest! {
        #[test]
        fn winners_and_replaced_are_the_first_of_the_ranking(
            entries in 0_u64..20,
            counts in prop::collection::vec(1_u64..4, 1..4),
            out in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let (ranking, prizes) = (ranking(entries), prizes(&counts));
            let mut holders = Holders::first(&prizes, CLAIM, &ranking, CLOSED);
            let mut replaced = Vec::new();
            for index in out {
                let winners = holders.winners();
                if winners.is_empty() {
                    break;
                }
                let n = winners[index.index(winners.len())].n;
                holders.replace(n, ReplaceReason::Declined, CLOSED).unwrap();
                replaced.push(n);
            }
            let mut all: Vec<u64> = holders.winners().iter().map(|winner| winner.n).chain(replaced.clone()).collect();
            all.sort_unstable();
            let first = places(&prizes, replaced.len(), entries) as u64;
            prop_assert_eq!(all, (100..100 + first).collect::<Vec<_>>());
            for (tier, count) in (0..).zip(&counts) {
                let held = holders.winners().iter().filter(|winner| winner.prize == tier).count() as u64;
                prop_assert!(held <= *count);
            }
        }
    }
}
