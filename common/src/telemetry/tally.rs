//! Histograms that are counted where things happen: for paths where a sample each, kept
//! until somebody drains it, would cost more than what it measures.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// All of the process, by name.
static TALLIES: Mutex<Vec<Arc<Tally>>> = Mutex::new(Vec::new());

/// A histogram of times.
#[derive(Debug)]
pub struct Tally {
    name: &'static str,
    bounds_ms: &'static [u64],
    /// One per bound, and one for what is above all of them.
    counts: Vec<AtomicU64>,
    sum_ms: AtomicU64,
}

/// The process's histogram of this name (`…_seconds`), made at the first call. The bounds
/// ascend.
pub fn tally(name: &'static str, bounds_ms: &'static [u64]) -> Arc<Tally> {
    let mut tallies = TALLIES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = tallies.iter().find(|tally| tally.name == name) {
        return Arc::clone(known);
    }
    let counts = (0..=bounds_ms.len()).map(|_| AtomicU64::new(0)).collect();
    let new = Arc::new(Tally { name, bounds_ms, counts, sum_ms: AtomicU64::new(0) });
    tallies.push(Arc::clone(&new));
    new
}

/// All of them, in Prometheus' text format.
pub(super) fn render(out: &mut String) {
    let tallies = TALLIES.lock().unwrap_or_else(PoisonError::into_inner);
    tallies.iter().for_each(|tally| tally.render(out));
}

impl Tally {
    /// Adds what was counted elsewhere: by bucket, each for what is at most its bound, the
    /// last for the rest; and the sum of all times.
    pub fn add(&self, counts: &[u64], sum_ms: u64) {
        for (mine, more) in self.counts.iter().zip(counts) {
            mine.fetch_add(*more, Ordering::Relaxed);
        }
        self.sum_ms.fetch_add(sum_ms, Ordering::Relaxed);
    }

    fn render(&self, out: &mut String) {
        let name = self.name;
        let bounds = self.bounds_ms.iter().map(|ms| (*ms as f64 / 1_000.0).to_string());
        let mut sum = 0;
        // Writing to a string never fails.
        _ = writeln!(out, "# TYPE {name} histogram");
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&self.counts) {
            sum += count.load(Ordering::Relaxed);
            _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {sum}");
        }
        let sum_s = self.sum_ms.load(Ordering::Relaxed) as f64 / 1_000.0;
        _ = writeln!(out, "{name}_sum {sum_s}\n{name}_count {sum}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_as_prometheus_wants_them() {
        let tally = tally("a_test_seconds", &[5, 250, 10_000]);
        tally.add(&[3, 0, 1, 2], 40_015);
        super::tally("a_test_seconds", &[5, 250, 10_000]).add(&[1, 1, 0, 0], 200);
        let mut out = String::new();
        render(&mut out);
        let expected = "# TYPE a_test_seconds histogram\n\
            a_test_seconds_bucket{le=\"0.005\"} 4\n\
            a_test_seconds_bucket{le=\"0.25\"} 5\n\
            a_test_seconds_bucket{le=\"10\"} 6\n\
            a_test_seconds_bucket{le=\"+Inf\"} 8\n\
            a_test_seconds_sum 40.215\n\
            a_test_seconds_count 8\n\n";
        assert_eq!(out, expected);
    }
}
