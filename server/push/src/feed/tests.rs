use super::*;
use proptest::prelude::*;

const KEEP: Retention = Retention { events: 20, age_ms: 1_000_000, bytes: 1 << 20 };

fn event(n: u64) -> Event {
    Event {
        source: format!("danmaku:{n}"),
        event: EventType::Danmaku,
        data: format!("{{\"n\":{n}}}"),
        at_ms: n.cast_signed(),
        appended_ms: n.cast_signed(),
        ordinary: true,
    }
}

fn change(numbers: impl IntoIterator<Item = u64>) -> Change {
    Change { events: numbers.into_iter().map(event).collect(), ..Change::default() }
}

fn feed_with(events: u64) -> Feed {
    let mut feed = Feed::new(Head { epoch: 5, first: 1, ..Head::default() });
    for n in 1..=events {
        feed.apply(change([n]), KEEP);
    }
    feed
}

/// The numbers of the events in what a reader got.
fn seqs(read: &Read) -> Vec<u64> {
    let Read::Frames { parts, .. } = read else { return Vec::new() };
    let text: String = parts.iter().map(|part| std::str::from_utf8(part).unwrap()).collect();
    text.lines().filter_map(|line| line.strip_prefix("id: 5-")).map(|seq| seq.parse().unwrap()).collect()
}

#[test]
fn events_of_one_change_leave_as_one_slice() {
    let mut feed = feed_with(0);
    feed.apply(change(1..=3), KEEP);
    feed.apply(change(4..=5), KEEP);
    let Read::Frames { parts, last, events } = feed.read(0, u64::MAX, usize::MAX, |_| true) else { panic!() };
    assert_eq!((parts.len(), last, events), (2, 5, 5));
    assert_eq!(feed.read(5, u64::MAX, usize::MAX, |_| true), Read::Nothing);
}

#[test]
fn an_expired_position_gives_the_exact_gap() {
    let feed = feed_with(50); // 31 to 50 are left
    assert_eq!(feed.resume(feed.at(50)), Resume::At(50));
    assert_eq!(feed.resume(feed.at(30)), Resume::At(30));
    assert_eq!(feed.resume(feed.at(29)), Resume::Missed { n: Some(1), at: 30 });
    assert_eq!(feed.resume(feed.at(0)), Resume::Missed { n: Some(30), at: 30 });
    assert_eq!(feed.resume(feed.at(51)), Resume::Missed { n: None, at: 30 });
    assert_eq!(feed.resume(Position { epoch: 4, seq: 50 }), Resume::Missed { n: None, at: 30 });
    assert_eq!(feed.read(29, u64::MAX, usize::MAX, |_| true), Read::Missed { first: 31 });
}

#[test]
fn a_deleted_event_keeps_its_number_and_never_comes_back() {
    let mut feed = feed_with(3);
    feed.apply(Change { tombstones: vec!["danmaku:2".into(), "danmaku:9".into()], ..Change::default() }, KEEP);
    for feed in [&feed, &Feed::from_records(feed.records(), KEEP)] {
        let read = feed.read(0, u64::MAX, usize::MAX, |_| true);
        assert_eq!(seqs(&read), [1, 2, 3]);
        assert!(!format!("{read:?}").contains("\\\"n\\\":2"), "{read:?}");
        assert_eq!(feed.latest_danmaku(50), ["{\"n\":1}", "{\"n\":3}"]);
        assert!(feed.is_deleted_ahead("danmaku:9") && feed.has("danmaku:2"));
    }
}

#[test]
fn damage_begins_a_new_epoch_and_keeps_the_numbers_apart() {
    let before = feed_with(7);
    let after = Feed::begun_anew(before.records(), 1, KEEP);
    assert!(after.epoch > before.epoch);
    assert_eq!(after.resume(before.at(7)), Resume::Missed { n: None, at: 0 });
}

proptest! {
    /// However events came and were trimmed: reading from any kept position gives exactly
    /// the events after it, once, in order; and a file gives the same feed again.
    #[test]
    fn a_reader_sees_each_event_once_in_order(
        batches in prop::collection::vec(1u64..9, 0..12), from in any::<prop::sample::Index>(), max in 1u64..7
    ) {
        let mut feed = Feed::new(Head { epoch: 5, first: 1, ..Head::default() });
        let mut n = 0;
        for batch in batches {
            feed.apply(change(n + 1..=n + batch), KEEP);
            n += batch;
        }
        let reloaded = Feed::from_records(feed.records(), KEEP);
        let kept = n.min(20);
        let start = n - kept + from.index(usize::try_from(kept + 1).unwrap()) as u64;
        for feed in [feed, reloaded] {
            let (mut at, mut seen) = (start, Vec::new());
            while let read @ Read::Frames { .. } = feed.read(at, max, 64, |_| true) {
                prop_assert!(seqs(&read).len() as u64 <= max);
                seen.extend(seqs(&read));
                at = *seen.last().unwrap();
            }
            prop_assert_eq!(seen, (start + 1..=n).collect::<Vec<_>>());
        }
    }
}
