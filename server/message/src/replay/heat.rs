//! How much was said when.

use idl::replay::HeatCurve;

/// The most steps of a curve: a day of seconds.
const MAX_STEPS: u64 = 86_400;

/// A curve in the making.
#[derive(Debug)]
pub(crate) struct Heat(HeatCurve);

impl Heat {
    /// Of a replay of this length: steps of a second, or so many seconds that they are no
    /// more than a day has.
    pub(crate) fn new(duration_ms: u64) -> Self {
        let seconds = duration_ms.div_ceil(1_000);
        let step_ms = 1_000 * seconds.div_ceil(MAX_STEPS).max(1);
        let steps = usize::try_from(duration_ms.div_ceil(step_ms)).unwrap_or_default();
        Self(HeatCurve { step_ms, counts: vec![0; steps] })
    }

    /// A danmaku appears.
    pub(crate) fn add(&mut self, at_ms: u64) {
        let step = usize::try_from(at_ms / self.0.step_ms).unwrap_or(usize::MAX);
        // What was said after the end is at the end.
        let step = step.min(self.0.counts.len().saturating_sub(1));
        if let Some(count) = self.0.counts.get_mut(step) {
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn into_curve(self) -> HeatCurve {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(duration_ms: u64, times: &[u64]) -> HeatCurve {
        let mut heat = Heat::new(duration_ms);
        times.iter().for_each(|at_ms| heat.add(*at_ms));
        heat.into_curve()
    }

    #[test]
    fn each_second_is_counted() {
        let HeatCurve { step_ms, counts } = curve(3_500, &[0, 999, 1_000, 3_499, 9_999]);
        assert_eq!((step_ms, counts), (1_000, vec![2, 1, 0, 2]));
        assert_eq!(curve(0, &[0]).counts, Vec::<u32>::new());
    }

    #[test]
    fn a_long_one_has_longer_steps() {
        let day_ms = 86_400_000;
        assert_eq!(curve(day_ms, &[]).counts.len(), 86_400);
        let HeatCurve { step_ms, counts } = curve(365 * day_ms, &[365 * day_ms - 1]);
        assert_eq!((step_ms, counts.len(), counts.last()), (365_000, 86_400, Some(&1)));
        assert_eq!(curve(day_ms + 1, &[]).step_ms, 2_000);
    }
}
