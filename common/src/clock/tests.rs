use std::path::Path;

use super::*;

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_700_000_000_000;

fn clock() -> Clock {
    Clock::manual(Timestamp(START_MS))
}

fn at(ms: i64) -> Timestamp {
    Timestamp(START_MS + ms)
}

#[test]
fn time_passes() {
    let clock = clock();
    clock.advance_ms(HOUR_MS);
    assert_eq!(clock.read(), Reading::Certain(at(HOUR_MS)));
    let machine = Clock::system();
    let before = machine.read().certain().unwrap();
    let real = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!((before.0..before.0 + 60_000).contains(&i64::try_from(real).unwrap()));
    assert!(before <= machine.now());
}

#[test]
fn a_step_is_not_believed_until_it_is_undone() {
    for step_ms in [HOUR_MS, -HOUR_MS, 2_001, -2_001] {
        let clock = clock();
        clock.step_ms(step_ms);
        clock.advance_ms(60_000);
        let clone = clock.clone();
        assert_eq!(clone.read(), Reading::Doubtful(at(60_000)));
        assert_eq!(clock.now(), at(60_000), "and so it goes on");
        clock.step_ms(-step_ms);
        clock.advance_ms(1);
        assert_eq!(clock.read(), Reading::Certain(at(60_001)));
    }
}

#[test]
fn a_slewed_clock_is_followed() {
    for slewed_ms in [100, -100, 2_000, -2_000] {
        let clock = clock();
        for n in 1..=100 {
            clock.advance_ms(5_000);
            clock.step_ms(slewed_ms);
            assert_eq!(clock.read(), Reading::Certain(at(n * (5_000 + slewed_ms))));
        }
    }
}

#[test]
fn clones_doubt_the_same_and_another_process_knows_nothing_of_it() {
    let first = clock();
    let second = first.clone();
    assert_eq!(first.read(), Reading::Certain(at(0)));
    first.step_ms(HOUR_MS);
    assert_eq!(first.read().certain(), None);
    second.advance_ms(600_000);
    assert_eq!(second.of_next_process().read(), Reading::Certain(at(HOUR_MS + 600_000)));
    assert_eq!(second.read(), Reading::Certain(at(HOUR_MS + 600_000)), "doubted since the first of them saw it");
}

#[test]
fn what_stays_for_ten_minutes_is_believed_and_a_new_step_begins_anew() {
    let clock = clock();
    clock.step_ms(HOUR_MS);
    assert_eq!(clock.read(), Reading::Doubtful(at(0)));
    clock.advance_ms(599_000);
    assert_eq!(clock.read().certain(), None);
    clock.step_ms(HOUR_MS);
    assert_eq!(clock.read().certain(), None);
    clock.advance_ms(599_999);
    assert_eq!(clock.read(), Reading::Doubtful(at(1_198_999)));
    clock.advance_ms(1);
    assert_eq!(clock.read(), Reading::Certain(at(2 * HOUR_MS + 1_199_000)));
}

/// What a process knows that read this clock, kept and read again.
fn kept(clock: &Clock, boot: Option<&str>) -> kept::Kept {
    _ = clock.read();
    let known = lock(&clock.anchor).moved_to(hands(clock.by_hand.as_deref()));
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(kept::Keeper::new(folder.path(), boot.map(str::to_owned)).keep(known));
    kept::load(folder.path()).unwrap()
}

/// The clock of a process that begins now with what another one kept.
fn resumed(clock: &Clock, kept: &kept::Kept, boot: Option<&str>) -> Clock {
    let next = clock.of_next_process();
    *lock(&next.anchor) = kept.resume(boot, hands(next.by_hand.as_deref()));
    next
}

#[test]
fn a_process_that_begins_goes_on_as_if_it_had_run() {
    for step_ms in [HOUR_MS, -HOUR_MS] {
        let before = clock();
        before.advance_ms(SECOND_MS);
        let kept = kept(&before, Some("a"));
        before.step_ms(step_ms);
        before.advance_ms(HOUR_MS);
        assert_eq!(before.of_next_process().read(), Reading::Certain(at(step_ms + HOUR_MS + SECOND_MS)));
        let next = resumed(&before, &kept, Some("a"));
        assert_eq!(next.read(), Reading::Doubtful(at(HOUR_MS + SECOND_MS)));
        next.advance_ms(600_000);
        assert_eq!(next.read(), Reading::Certain(at(step_ms + HOUR_MS + SECOND_MS + 600_000)), "it stayed");
    }
    let before = clock();
    let kept = kept(&before, Some("a"));
    before.advance_ms(HOUR_MS);
    assert_eq!(resumed(&before, &kept, Some("a")).read(), Reading::Certain(at(HOUR_MS)), "nothing was wrong");
}

#[test]
fn a_doubt_outlives_the_process() {
    let before = clock();
    before.step_ms(HOUR_MS);
    assert_eq!(before.read().certain(), None);
    before.advance_ms(599_999);
    let kept = kept(&before, Some("a"));
    let next = resumed(&before, &kept, Some("a"));
    assert_eq!(next.read(), Reading::Doubtful(at(599_999)));
    next.advance_ms(1);
    assert_eq!(next.read(), Reading::Certain(at(HOUR_MS + 600_000)), "restarts do not put it off");
    let right = resumed(&before, &kept, Some("a"));
    right.step_ms(-HOUR_MS);
    assert_eq!(right.read(), Reading::Certain(at(600_000)));
}

#[test]
fn after_another_boot_time_does_not_go_back_and_a_clock_ahead_is_believed() {
    for (then, now) in [(Some("a"), Some("b")), (None, None), (Some("a"), None), (None, Some("a"))] {
        let before = clock();
        before.advance_ms(5 * HOUR_MS);
        let kept = kept(&before, then);
        for (step_ms, expected_ms) in [(HOUR_MS, 6 * HOUR_MS), (-2_000, 5 * HOUR_MS - 2_000)] {
            before.step_ms(step_ms);
            assert_eq!(resumed(&before, &kept, now).read(), Reading::Certain(at(expected_ms)));
            before.step_ms(-step_ms);
        }
        before.step_ms(-HOUR_MS);
        let next = resumed(&before, &kept, now);
        assert_eq!(next.read(), Reading::Doubtful(at(5 * HOUR_MS)), "on from where it was");
        next.advance_ms(60_000);
        assert_eq!(next.read(), Reading::Doubtful(at(5 * HOUR_MS + 60_000)));
        next.step_ms(4 * HOUR_MS);
        assert_eq!(next.read(), Reading::Certain(at(8 * HOUR_MS + 60_000)), "put right: the machine was off for long");
        next.step_ms(HOUR_MS);
        assert_eq!(next.read().certain(), None, "from then on as ever");
        next.step_ms(-5 * HOUR_MS);

        let stays = resumed(&before, &kept, now);
        assert_eq!(stays.read().certain(), None);
        stays.advance_ms(600_000);
        assert_eq!(stays.read(), Reading::Certain(at(4 * HOUR_MS + 660_000)));
    }
}

#[test]
fn a_steady_clock_that_began_anew_is_another_boot() {
    let before = clock();
    before.advance_ms(HOUR_MS);
    let kept = kept(&before, Some("a"));
    let next = Clock::manual(at(2 * HOUR_MS));
    assert_eq!(resumed(&next, &kept, Some("a")).read(), Reading::Certain(at(2 * HOUR_MS)));
}

#[test]
fn the_machine_says_under_which_boot_it_is() {
    assert_eq!(boot_id(), boot_id());
    assert!(boot_id().is_none_or(|id| id.len() > 30));
}

async fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// A process that watches a clock; it ends when it is stopped.
fn begin(clock: &Clock, folder: &Path) -> (Clock, Lifecycle) {
    let (clock, lifecycle) = (clock.of_next_process(), Lifecycle::new());
    clock.watch(folder, &lifecycle);
    (clock, lifecycle)
}

#[tokio::test]
async fn it_is_kept_at_once_and_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock.json");
    let machine = clock();
    let (first, lifecycle) = begin(&machine, folder.path());
    wait_until("it is kept", || file.exists()).await;
    // Without a stop, as after a kill.
    machine.step_ms(HOUR_MS);
    let (second, stopped) = begin(&machine, folder.path());
    assert_eq!((first.read(), second.read()), (Reading::Doubtful(at(0)), Reading::Doubtful(at(0))));
    machine.step_ms(1_000 - HOUR_MS);
    assert_eq!(second.read(), Reading::Certain(at(1_000)));
    lifecycle.stop(Duration::from_secs(20)).await;
    stopped.stop(Duration::from_secs(20)).await;
    machine.step_ms(1_500);
    let (third, lifecycle) = begin(&machine, folder.path());
    assert_eq!(third.read(), Reading::Certain(at(2_500)), "held against what was known at the end");
    lifecycle.stop(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn a_file_that_says_nothing_or_cannot_be_written_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock.json");
    for garbage in ["", "{}", "null", r#"{"boot_id":"by hand","known":{"wall_ms":"1"}}"#] {
        std::fs::write(&file, garbage).unwrap();
        assert_eq!(kept::load(folder.path()), None, "{garbage:?}");
        let (clock, lifecycle) = begin(&clock(), folder.path());
        assert_eq!(clock.read(), Reading::Certain(at(0)));
        lifecycle.stop(Duration::from_secs(20)).await;
        assert!(kept::load(folder.path()).is_some(), "and is replaced");
    }
    let far = r#"{"boot_id":"by hand","known":{"wall_ms":9223372036854775807,"steady_ms":-9223372036854775808,"at_least":false,"doubt":null}}"#;
    std::fs::write(&file, far).unwrap();
    let (far, lifecycle) = begin(&clock(), folder.path());
    assert_eq!(far.read().certain(), None);
    lifecycle.stop(Duration::from_secs(20)).await;
    let nowhere = folder.path().join("nowhere");
    let (clock, lifecycle) = begin(&clock(), &nowhere);
    lifecycle.stop(Duration::from_secs(20)).await;
    assert_eq!((clock.read(), nowhere.exists()), (Reading::Certain(at(0)), false));
}

#[tokio::test(start_paused = true)]
async fn it_is_read_though_nobody_asks() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, lifecycle) = begin(&clock(), folder.path());
    // Each is no step, all of them together would be one.
    for _ in 0..10 {
        clock.step_ms(1_500);
        tokio::time::sleep(2 * READ_EVERY).await;
    }
    assert_eq!(clock.read(), Reading::Certain(at(15_000)));
    lifecycle.stop(Duration::from_secs(20)).await;
}
