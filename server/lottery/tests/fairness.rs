//! That draws are fair: over 10,000 of them the winners' frequencies fit what the protocol
//! promises, by Pearson's chi-squared test.
//!
//! The seeds are fixed, so each test passes always or never. Its threshold is the value that
//! a fair draw exceeds for one set of seeds in a thousand: low enough that a draw which
//! favours anyone by some percent fails, and high enough that no seeds had to be searched for
//! that pass.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use idl::UserId;
use idl::draw::{Entry, Hash};
use lottery::protocol::merkle;
use lottery::protocol::rank::{DrawKey, Ranked, Ranking};
use sha2::{Digest as _, Sha256};

const DRAWS: u32 = 10_000;

/// How often each pair of entries came first and second, over all draws.
fn pairs(weights: &[u32], name: &str) -> Vec<Vec<u32>> {
    let entries = weights.len();
    let leaf = |n: usize| {
        let (n, weight) = (n as u64, weights[n].into());
        merkle::leaf(&Entry { n, user_id: UserId(n + 1), entered_at_ms: 1, weight })
    };
    let leaves: Vec<Hash> = (0..entries).map(leaf).collect();
    let (spec_hash, root) = (Hash([1; 32]), merkle::root(leaves.iter().copied()));
    let mut counts = vec![vec![0; entries]; entries];
    for draw in 0..DRAWS {
        let seed = Hash(Sha256::digest(format!("{name} {draw}")).into());
        let key = DrawKey::derive(&seed, &spec_hash, &root, entries as u64, None);
        let mut ranking = Ranking::of(2);
        for (n, (leaf, weight)) in leaves.iter().zip(weights).enumerate() {
            ranking.offer(Ranked { key: key.key(leaf, *weight), n: n as u64, user_id: UserId(n as u64 + 1) });
        }
        let first = ranking.in_order();
        counts[usize::try_from(first[0].n).unwrap()][usize::try_from(first[1].n).unwrap()] += 1;
    }
    counts
}

/// The probability of each pair when two are drawn one after the other, each among those who
/// are left, in proportion to the weights.
fn one_after_the_other(weights: &[u32]) -> Vec<Vec<f64>> {
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let of = |first: usize, second: usize| {
        let (first_weight, second_weight) = (f64::from(weights[first]), f64::from(weights[second]));
        if first == second { 0.0 } else { first_weight / total * second_weight / (total - first_weight) }
    };
    (0..weights.len()).map(|first| (0..weights.len()).map(|second| of(first, second)).collect()).collect()
}

/// Pearson's statistic in units of the threshold for as many cells as are possible.
fn misfit(counts: &[u32], probabilities: &[f64]) -> f64 {
    let possible: Vec<(f64, f64)> = counts
        .iter()
        .zip(probabilities)
        .inspect(|(count, probability)| assert!(**probability > 0.0 || **count == 0, "what can't happen did not"))
        .filter(|(_, probability)| **probability > 0.0)
        .map(|(count, probability)| (f64::from(*count), probability * f64::from(DRAWS)))
        .collect();
    assert!(possible.iter().all(|(_, expected)| *expected > 10.0), "enough draws for the test to hold");
    let statistic: f64 = possible.iter().map(|(count, expected)| (count - expected).powi(2) / expected).sum();
    statistic / exceeded_once_in_a_thousand(possible.len() - 1)
}

/// The 99.9 % quantile of the chi-squared distribution, by Wilson and Hilferty; right within 3 %.
fn exceeded_once_in_a_thousand(degrees: usize) -> f64 {
    const NORMAL_QUANTILE: f64 = 3.0902;
    let degrees = f64::from(u32::try_from(degrees).unwrap());
    let variance = 2.0 / (9.0 * degrees);
    degrees * (1.0 - variance + NORMAL_QUANTILE * variance.sqrt()).powi(3)
}

fn firsts<T: Copy + std::iter::Sum>(pairs: &[Vec<T>]) -> Vec<T> {
    pairs.iter().map(|seconds| seconds.iter().copied().sum()).collect()
}

#[track_caller]
fn assert_fair(weights: &[u32], name: &str) -> Vec<Vec<u32>> {
    let (counts, probabilities) = (pairs(weights, name), one_after_the_other(weights));
    let first = misfit(&firsts(&counts), &firsts(&probabilities));
    let both = misfit(&counts.concat(), &probabilities.concat());
    assert!(first < 1.0 && both < 1.0, "{name}: {first} and {both} of what is allowed, {counts:?}");
    counts
}

#[test]
fn the_threshold_is_that_of_the_tables() {
    for (degrees, tabulated) in [(2, 13.816), (9, 27.877), (29, 58.301), (89, 135.978)] {
        let error = exceeded_once_in_a_thousand(degrees) / tabulated - 1.0;
        assert!(error.abs() < 0.03, "{degrees}: {error}");
    }
}

#[test]
fn everyone_wins_equally_often() {
    assert_fair(&[1; 10], "ten equal entries");
    assert_fair(&[3; 5], "five equal entries of more chances");
}

#[test]
fn weights_are_chances_without_replacement() {
    let counts = assert_fair(&[1, 2, 3], "weights 1, 2 and 3");
    assert_fair(&[1, 2, 3, 1, 2, 3], "weights 1, 2 and 3 twice");

    // The test would notice: the same draws fit neither equal weights nor slightly other ones.
    for other in [[1, 1, 1], [10, 20, 33]] {
        assert!(misfit(&counts.concat(), &one_after_the_other(&other).concat()) > 1.0, "{other:?}");
    }
}
