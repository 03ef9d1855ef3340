//! What a room's streams count, for those who operate the site: where it happens in an
//! atomic each, and from there by house keeping into the metrics of the process.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use common::telemetry::tally;
use idl::event::SuppressedEvent;
use tokio::time::Instant;

use crate::record::{Retention, Totals as _};
use crate::room::Room;

/// How long after its append an event is handed to a viewer's connection, in buckets.
const LAG_BOUNDS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
const LAG_BUCKETS: usize = LAG_BOUNDS_MS.len() + 1;
/// What is told of a room is of this time, or since it was read into memory.
const WINDOW: Duration = Duration::from_secs(60);
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
const MAX_SAMPLES: usize = 13;

/// A room's counts since it was read into memory.
#[derive(Debug)]
pub(crate) struct Statistics {
    /// Events that were handed to viewers, by how late. What is behind by more than one
    /// event counts like its oldest.
    delivered: [AtomicU64; LAG_BUCKETS],
    lag_ms: AtomicU64,
    gaps: AtomicU64,
    missed: AtomicU64,
    /// The limiter's totals, which outlive a process, when this began.
    totals_before: SuppressedEvent,
    began: Instant,
    /// When the latest write was done (from `began` on), and the time it put on its events;
    /// `i64::MAX` before the first.
    wrote_us: AtomicU64,
    wrote_ms: AtomicI64,
    told: Mutex<Told>,
}

/// Counts of events and of danmaku.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) deliveries: u64,
    pub(crate) danmaku: SuppressedEvent,
    pub(crate) gaps: u64,
    pub(crate) missed: u64,
}

/// What was told of a room so far.
#[derive(Debug)]
struct Told {
    delivered: [u64; LAG_BUCKETS],
    lag_ms: u64,
    counts: Counts,
    /// The oldest first; never empty.
    samples: VecDeque<(Instant, Counts)>,
}

/// What the metrics have not been told yet.
#[derive(Debug, Default)]
pub(crate) struct News {
    delivered: [u64; LAG_BUCKETS],
    lag_ms: u64,
    counts: Counts,
}

impl Statistics {
    /// Of a room whose limiter has counted so much before.
    pub(crate) fn since(totals_before: SuppressedEvent) -> Self {
        let began = Instant::now();
        let samples = VecDeque::from([(began, Counts::default())]);
        let told = Told { delivered: [0; LAG_BUCKETS], lag_ms: 0, counts: Counts::default(), samples };
        Self {
            delivered: Default::default(),
            lag_ms: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            totals_before,
            began,
            wrote_us: AtomicU64::new(0),
            wrote_ms: AtomicI64::new(i64::MAX),
            told: Mutex::new(told),
        }
    }

    /// Events were written that are stamped with this time. Called while nobody reads the feed.
    pub(crate) fn wrote(&self, appended_ms: i64) {
        let since_began = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.wrote_us.store(since_began, Ordering::Relaxed);
        self.wrote_ms.store(appended_ms, Ordering::Relaxed);
    }

    /// How long ago an event was appended that has this stamp, or, if that was before, how
    /// long ago its viewer came (`came_ms`): catching up is not being late. 0 for what an
    /// earlier process wrote.
    pub(crate) fn lag_ms(&self, now: Instant, appended_ms: i64, came_ms: i64) -> u64 {
        let wrote_at = self.began + Duration::from_micros(self.wrote_us.load(Ordering::Relaxed));
        let since_write_ms = i64::try_from(now.saturating_duration_since(wrote_at).as_millis()).unwrap_or(i64::MAX);
        let stamp_ms = appended_ms.max(came_ms);
        let until_write_ms = match self.wrote_ms.load(Ordering::Relaxed) {
            i64::MAX => return 0,
            wrote_ms => wrote_ms.saturating_sub(stamp_ms),
        };
        u64::try_from(since_write_ms.saturating_add(until_write_ms)).unwrap_or(0)
    }

    /// Events were handed to one viewer, the oldest of them so late.
    pub(crate) fn delivered(&self, events: u64, lag_ms: u64) {
        let bucket = LAG_BOUNDS_MS.iter().position(|bound| lag_ms <= *bound).unwrap_or(LAG_BOUNDS_MS.len());
        self.delivered[bucket].fetch_add(events, Ordering::Relaxed);
        if lag_ms > 0 {
            self.lag_ms.fetch_add(lag_ms.saturating_mul(events), Ordering::Relaxed);
        }
    }

    /// A viewer fell out of the feed, by so many events.
    pub(crate) fn skipped(&self, events: u64) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
        self.missed.fetch_add(events, Ordering::Relaxed);
    }

    /// What was counted since this was last asked; `totals` are the limiter's now.
    pub(crate) fn news(&self, totals: SuppressedEvent) -> News {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let delivered = std::array::from_fn(|bucket| self.delivered[bucket].load(Ordering::Relaxed));
        let (lag_ms, counts) = (self.lag_ms.load(Ordering::Relaxed), self.counts(totals));
        let news = News {
            delivered: std::array::from_fn(|bucket| delivered[bucket] - told.delivered[bucket]),
            lag_ms: lag_ms - told.lag_ms,
            counts: counts.less(&told.counts),
        };
        (told.delivered, told.lag_ms, told.counts) = (delivered, lag_ms, counts);
        told.sample(Instant::now(), counts);
        news
    }

    /// What was counted within the last minute, or since the room was read into memory, and
    /// within how long exactly.
    pub(crate) fn recent(&self, totals: SuppressedEvent) -> (Duration, Counts) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, before) = told.samples.front().copied().unwrap_or((self.began, Counts::default()));
        (since.elapsed(), self.counts(totals).less(&before))
    }

    fn counts(&self, totals: SuppressedEvent) -> Counts {
        Counts {
            deliveries: self.delivered.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum(),
            danmaku: totals.minus(&self.totals_before),
            gaps: self.gaps.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }
}

impl Told {
    fn sample(&mut self, now: Instant, counts: Counts) {
        if self.samples.back().is_none_or(|(at, _)| now.duration_since(*at) >= SAMPLE_EVERY) {
            self.samples.push_back((now, counts));
        }
        let is_old = |(at, _): &(Instant, Counts)| now.duration_since(*at) >= WINDOW;
        while self.samples.len() > MAX_SAMPLES || self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
    }
}

impl Counts {
    fn less(&self, before: &Self) -> Self {
        Self {
            deliveries: self.deliveries.saturating_sub(before.deliveries),
            danmaku: self.danmaku.minus(&before.danmaku),
            gaps: self.gaps.saturating_sub(before.gaps),
            missed: self.missed.saturating_sub(before.missed),
        }
    }
}

impl News {
    fn and(&mut self, more: &Self) {
        for (mine, more) in self.delivered.iter_mut().zip(more.delivered) {
            *mine += more;
        }
        self.lag_ms += more.lag_ms;
        self.counts.deliveries += more.counts.deliveries;
        self.counts.danmaku.accepted += more.counts.danmaku.accepted;
        self.counts.danmaku.shown += more.counts.danmaku.shown;
        self.counts.danmaku.folded += more.counts.danmaku.folded;
        self.counts.danmaku.suppressed += more.counts.danmaku.suppressed;
        self.counts.gaps += more.counts.gaps;
        self.counts.missed += more.counts.missed;
    }

    /// Tells the metrics of the process.
    pub(crate) fn tell(&self) {
        let Counts { deliveries, danmaku, gaps, missed } = self.counts;
        tally("goligoli_push_lag_seconds", &LAG_BOUNDS_MS).add(&self.delivered, self.lag_ms);
        metrics::counter!("goligoli_push_deliveries_total").increment(deliveries);
        metrics::counter!("goligoli_push_gaps_total").increment(gaps);
        metrics::counter!("goligoli_push_missed_total").increment(missed);
        for (outcome, n) in [("shown", danmaku.shown), ("folded", danmaku.folded), ("suppressed", danmaku.suppressed)] {
            metrics::counter!("goligoli_push_danmaku_total", "outcome" => outcome).increment(n);
        }
    }
}

/// Tells the metrics how the rooms of the process are, and what they counted since the last time.
pub(crate) fn survey<'r>(rooms: impl IntoIterator<Item = &'r Room>, keep: Retention) {
    let mut news = News::default();
    let (mut open, mut events, mut bytes, mut fullest) = (0, 0, 0, 0.0_f64);
    for room in rooms {
        let feed = room.feed();
        news.and(&room.statistics.news(room.totals_here(&feed)));
        let full_by_events = feed.len() as f64 / keep.events.max(1) as f64;
        let full_by_bytes = feed.bytes() as f64 / keep.bytes.max(1) as f64;
        fullest = fullest.max(full_by_events).max(full_by_bytes);
        events += feed.len();
        bytes += feed.bytes();
        open += 1;
    }
    news.tell();
    metrics::gauge!("goligoli_push_rooms").set(f64::from(open));
    metrics::gauge!("goligoli_push_ring_events").set(events as f64);
    metrics::gauge!("goligoli_push_ring_bytes").set(bytes as f64);
    metrics::gauge!("goligoli_push_fullest_ring_ratio").set(fullest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(shown: u64, folded: u64, suppressed: u64) -> SuppressedEvent {
        SuppressedEvent { accepted: shown + folded + suppressed, shown, folded, suppressed }
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_told_once_and_the_totals_of_an_earlier_process_never() {
        let statistics = Statistics::since(totals(100, 10, 1));
        statistics.delivered(7, 0);
        statistics.delivered(2, 600);
        statistics.delivered(1, 60_000);
        statistics.skipped(40);
        let news = statistics.news(totals(103, 12, 2));
        let expected = Counts { deliveries: 10, danmaku: totals(3, 2, 1), gaps: 1, missed: 40 };
        assert_eq!((news.counts, news.lag_ms), (expected, 61_200));
        assert_eq!(news.delivered, [7, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]);
        assert_eq!(statistics.news(totals(103, 12, 2)).counts, Counts::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_room_is_told_of_for_a_minute() {
        let statistics = Statistics::since(totals(0, 0, 0));
        statistics.delivered(5, 0);
        tokio::time::advance(Duration::from_secs(3)).await;
        let (window, counts) = statistics.recent(totals(1, 0, 0));
        assert_eq!((window.as_secs(), counts.deliveries, counts.danmaku), (3, 5, totals(1, 0, 0)));
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(2)).await;
            statistics.delivered(1, 0);
            _ = statistics.news(totals(1, 0, 0));
        }
        let (window, counts) = statistics.recent(totals(1, 0, 0));
        assert!((60..66).contains(&window.as_secs()), "{window:?}");
        assert_eq!((counts.deliveries, counts.danmaku.shown), (window.as_secs() / 2, 0));
        assert!(statistics.told.lock().unwrap().samples.len() <= MAX_SAMPLES);
    }

    #[tokio::test(start_paused = true)]
    async fn lag_is_since_the_append_and_catching_up_is_none() {
        const STAMP: i64 = 1_700_000_000_000;
        let statistics = Statistics::since(totals(0, 0, 0));
        assert_eq!(statistics.lag_ms(Instant::now(), STAMP, 0), 0, "an earlier process wrote it");
        tokio::time::advance(Duration::from_secs(5)).await;
        let before = Instant::now();
        statistics.wrote(STAMP);
        assert_eq!(statistics.lag_ms(before, STAMP, 0), 0);
        tokio::time::advance(Duration::from_millis(30)).await;
        let lag_ms = |appended_ms, came_ms| statistics.lag_ms(Instant::now(), appended_ms, came_ms);
        assert_eq!((lag_ms(STAMP, 0), lag_ms(STAMP - 200, 0)), (30, 230));
        assert_eq!(lag_ms(STAMP - 600_000, STAMP - 7), 37, "it came only then");
        assert_eq!((lag_ms(STAMP, STAMP + 25), lag_ms(STAMP, STAMP + 90)), (5, 0));
    }
}
