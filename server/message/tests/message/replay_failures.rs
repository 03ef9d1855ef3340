//! What goes wrong while replays are indexed leaves nothing behind, and holds up nobody else.

use std::collections::BTreeSet;
use std::time::Duration;

use idl::ReplayId;
use idl::event::RoomRole;

use crate::replay_stage::{OWNER, REPLAY};
use crate::stage::{PATIENCE, ROOM, START, Stage};

const SENDER: u64 = 3;

/// A broadcast of one danmaku, which is on.
async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.live.change(ROOM, |room| _ = room.roles.insert(idl::UserId(OWNER), RoomRole::Owner));
    stage.post(SENDER, "hello").await.expect("it is accepted");
    stage
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

impl Stage {
    /// Nothing can be stored where a version's JSON file would lie.
    async fn block(&self, version: u64) {
        let inside = format!("{}/v{version}/danmaku/all.json/x", self.prefix());
        self.objects.put(&inside, "in the way".into()).await.expect("a folder");
    }

    async fn is_idle_after(&self, attempt: i64) -> bool {
        self.row("attempt").await >= Some(attempt) && self.row("leased_until_ms").await == Some(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_fails_leaves_nothing_and_is_not_repeated_by_the_queue() {
    let stage = stage().await;
    for version in 1..=3 {
        stage.block(version).await;
    }
    stage.close();
    until("the first attempt has failed", async || stage.is_idle_after(1).await).await;
    assert_eq!(stage.versions(), ["v2".to_owned(), "v3".to_owned()].into(), "these are in the way, and no attempt's");
    // Longer than the queue takes for its second and third try.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.row("attempt").await, Some(1), "live says when it is to be tried again");
    for attempt in 2..=3 {
        stage.wake();
        until("the next one has failed", async || stage.is_idle_after(attempt).await).await;
    }
    assert_eq!(stage.versions(), BTreeSet::new());
    stage.wake();
    assert_eq!(stage.until_shown(4).await.danmaku_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dead_attempts_have_left_goes_when_the_next_one_begins() {
    let stage = stage().await;
    stage.close();
    stage.until_shown(1).await;
    // Three tries after that died; the next one fails.
    stage.meddle("UPDATE replay_index SET attempt = 4").await;
    for version in 2..=4 {
        let left = format!("{}/v{version}/danmaku/part_00001.json", stage.prefix());
        stage.objects.put(&left, "left".into()).await.unwrap();
    }
    stage.block(5).await;
    stage.live.replays.change(REPLAY, |job| job.revision = 2);
    stage.wake();
    until("the attempt has failed", async || stage.is_idle_after(5).await).await;
    assert_eq!(stage.versions(), ["v1".to_owned()].into(), "what is shown stays");
    assert_eq!(stage.lines(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_wiped_before_the_lease_is_claimed_is_not_indexed() {
    let stage = stage().await;
    // Whoever asks first waits then, until somebody else has wiped everything.
    stage.live.replays.wipe_after(1);
    stage.close();
    until("live was asked again", async || stage.live.replays.asks() >= 2).await;
    until("it is given up", async || stage.is_idle_after(1).await).await;
    assert_eq!(stage.versions(), BTreeSet::new());
    assert_eq!((stage.live.replays.told(REPLAY).len(), stage.row("due_ms IS NULL").await), (0, Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_an_attempt_that_died_if_live_has_forgotten_the_replay() {
    let stage = stage().await;
    stage.close();
    stage.until_shown(1).await;
    let until_ms = stage.clock.now().0 + 60_000;
    stage.meddle(&format!("UPDATE replay_index SET attempt = 2, leased_until_ms = {until_ms}")).await;
    let left = format!("{}/v2/danmaku/part_00001.json", stage.prefix());
    stage.objects.put(&left, "left".into()).await.unwrap();
    stage.live.replays.wipe_after(0);
    let stage = stage.restarted().await;
    stage.advance_if_shared(60_000);
    until("its objects are gone", async || stage.versions().is_empty()).await;
    until("nothing is left to do", async || stage.row("due_ms IS NULL").await == Some(1)).await;
}

/// More than are looked at together.
const STUCK: u64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn replays_that_nothing_comes_of_hold_up_no_others() {
    let stage = stage().await;
    stage.close();
    stage.until_shown(1).await;
    let sql = format!(
        "INSERT INTO replay_index (replay_id, room_id, changes, attempt, leased_until_ms, version, done_revision, \
         done_changes, danmaku_count, duration_ms, due_ms, tries) \
         WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {STUCK}) SELECT n, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0 FROM number"
    );
    (1..=STUCK).for_each(|replay| stage.live.replays.keep_unanswered(ReplayId(replay)));
    assert_eq!(stage.meddle(&sql).await, STUCK);
    let gone = stage.latest().await[0].id;
    stage.delete(stage.caller(SENDER), gone).await.unwrap();
    assert_eq!(stage.until_shown(2).await.danmaku_count, 0);
    let begun = async || stage.number("SELECT COUNT(*) FROM replay_index WHERE tries = 1").await;
    until("each was begun once", async || begun().await == Some(STUCK.cast_signed())).await;
    let now = stage.clock.now().0;
    let later = format!("SELECT COUNT(*) FROM replay_index WHERE due_ms = {now} + 2000");
    assert_eq!(stage.number(&later).await, Some(STUCK.cast_signed()));
    stage.clock.advance_ms(2_000);
    let twice = format!("SELECT COUNT(*) FROM replay_index WHERE tries = 2 AND due_ms = {now} + 6000");
    until("each is begun again, and waits longer", async || stage.number(&twice).await == Some(STUCK.cast_signed()))
        .await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_is_indexed() {
    let stage = stage().await;
    let stage = stage.restarted_on_a_full_disk().await;
    let stage = {
        stage.live.replays.of_broadcast(REPLAY, ROOM, START, 1_000);
        for asks in 1..=3 {
            stage.wake();
            until("live was asked", async || stage.live.replays.asks() >= asks).await;
            until("it is sealed", async || stage.row("attempt").await == Some(0)).await;
        }
        assert_eq!((stage.row("attempt").await, stage.versions()), (Some(0), BTreeSet::new()));
        stage.restarted().await
    };
    stage.wake();
    assert_eq!(stage.until_shown(1).await.danmaku_count, 1);
}
