//! Lotteries of a room that viewers who come later are told of: those that are on, and those
//! that were decided lately. Old ones go with the next event: in a quiet room they stay a
//! little longer, and whoever shows them has the time of the decision.

use std::collections::BTreeMap;

use idl::LotteryId;
use idl::event::LotteryState;

/// So long after the decision a lottery is of no more interest.
const KEPT_AFTER_MS: i64 = 180_000;
/// Full: the one that was decided first goes, and if none was, the one with the lowest id. A
/// room has no more than a few open at once.
const MAX_LOTTERIES: usize = 16;

/// The latest state of each, by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lotteries(BTreeMap<LotteryId, LotteryState>);

impl Lotteries {
    /// Whether `state` says more than what is known.
    pub(crate) fn is_news(&self, state: &LotteryState) -> bool {
        self.0.get(&state.id).is_none_or(|known| rank(state) > rank(known))
    }

    /// Takes in what is news.
    pub(crate) fn take(&mut self, state: LotteryState) {
        if !self.is_news(&state) {
            return;
        }
        self.0.insert(state.id, state);
        if self.0.len() > MAX_LOTTERIES {
            let oldest = self.0.values().min_by_key(|state| (state.decided_at_ms.unwrap_or(i64::MAX), state.id));
            if let Some(id) = oldest.map(|state| state.id) {
                self.0.remove(&id);
            }
        }
    }

    /// All of them once these are taken in, too.
    pub(crate) fn with(&self, news: &[LotteryState]) -> Vec<LotteryState> {
        let mut both = self.clone();
        news.iter().cloned().for_each(|state| both.take(state));
        both.all()
    }

    /// Lets go of those that were decided long ago.
    pub(crate) fn forget_old(&mut self, now_ms: i64) {
        let is_old = |at: i64| now_ms >= at.saturating_add(KEPT_AFTER_MS);
        self.0.retain(|_, state| !state.decided_at_ms.is_some_and(is_old));
    }

    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> Vec<LotteryState> {
        self.0.values().cloned().collect()
    }
}

impl FromIterator<LotteryState> for Lotteries {
    fn from_iter<T: IntoIterator<Item = LotteryState>>(states: T) -> Self {
        let mut lotteries = Self::default();
        states.into_iter().for_each(|state| lotteries.take(state));
        lotteries
    }
}

/// Of two states of a lottery the one that ranks higher is newer.
const fn rank(state: &LotteryState) -> (u64, u64) {
    (state.version, state.entrants)
}

#[cfg(test)]
pub(crate) mod tests {
    use idl::draw::{Hash, Opened, Signature};
    use idl::event::LotteryPhase;

    use super::*;

    pub(crate) fn state(id: u64, version: u64, entrants: u64) -> LotteryState {
        LotteryState {
            id: LotteryId(id),
            version,
            phase: LotteryPhase::Open,
            test: false,
            title: "Midnight draw".to_owned(),
            prizes: Vec::new(),
            keyword: None,
            posted_in: None,
            claim_ms: 0,
            opens_at_ms: 0,
            draw_at_ms: 60_000,
            entrants,
            opened: Opened { spec: String::new(), commitment: Hash([0; 32]), signature: Signature([0; 64]) },
            closed: None,
            cancelled: None,
            decided_at_ms: None,
        }
    }

    fn decided(id: u64, at_ms: i64) -> LotteryState {
        LotteryState { phase: LotteryPhase::Drawn, decided_at_ms: Some(at_ms), ..state(id, 3, 9) }
    }

    fn kept(lotteries: &Lotteries) -> Vec<(u64, u64)> {
        lotteries.0.values().map(|state| (state.id.0, state.entrants)).collect()
    }

    #[test]
    fn only_what_is_newer_is_taken() {
        let mut lotteries: Lotteries = [state(1, 1, 5), state(1, 1, 7), state(1, 1, 6)].into_iter().collect();
        assert_eq!(kept(&lotteries), [(1, 7)]);
        lotteries.take(decided(1, 100));
        lotteries.take(state(1, 1, 50));
        assert_eq!(kept(&lotteries), [(1, 9)], "what was decided is not open again");
    }

    #[test]
    fn what_was_decided_is_kept_for_three_minutes() {
        let mut lotteries: Lotteries = [decided(1, 1_000), state(2, 1, 0)].into_iter().collect();
        lotteries.forget_old(180_999);
        assert_eq!(kept(&lotteries), [(1, 9), (2, 0)]);
        lotteries.forget_old(181_000);
        assert_eq!(kept(&lotteries), [(2, 0)]);
    }

    #[test]
    fn when_there_are_too_many_the_first_decided_goes() {
        let most = MAX_LOTTERIES as u64;
        let mut lotteries: Lotteries = (1..=most).map(|id| state(id, 1, 0)).collect();
        lotteries.take(decided(most / 2, 1_000));
        lotteries.take(decided(3, 500));
        lotteries.take(state(most + 1, 1, 0));
        let left: Vec<u64> = lotteries.all().iter().map(|state| state.id.0).collect();
        assert_eq!((left.len(), left.contains(&3)), (MAX_LOTTERIES, false));
        (2..=20).for_each(|n| lotteries.take(state(most + n, 1, 0)));
        assert_eq!(lotteries.all().len(), MAX_LOTTERIES);
    }
}
