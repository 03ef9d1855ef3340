//! What viewers who come later are told of lotteries.

use idl::LotteryId;
use idl::draw::{Hash, Opened, Signature};
use idl::event::{EventType, LotteryPhase, LotteryState, RoomRules};
use idl::push::{Lane, Publication, Retain};
use serde_json::{Value, json};

use crate::bench::{Bench, PATIENCE, ROOM, danmaku, settings};
use common::rpc::{answer, within};

crate::stores::on_every_store!(
    who_comes_later_is_told_of_the_lotteries_also_after_a_kill,
    what_is_told_again_of_a_lottery_changes_nothing_that_is_newer,
);

fn state(version: u64, phase: LotteryPhase, entrants: u64) -> LotteryState {
    LotteryState {
        id: LotteryId(5),
        version,
        phase,
        test: false,
        title: "Midnight draw".to_owned(),
        prizes: Vec::new(),
        keyword: None,
        posted_in: None,
        claim_ms: 0,
        opens_at_ms: 1_700_000_000_000,
        draw_at_ms: 1_700_000_060_000,
        entrants,
        opened: Opened { spec: String::new(), commitment: Hash([0; 32]), signature: Signature([0; 64]) },
        closed: None,
        cancelled: None,
        decided_at_ms: None,
    }
}

fn news(state: LotteryState) -> Publication {
    Publication {
        source: format!("lottery:{}:{}:{}", state.id, state.version, state.entrants),
        event: EventType::Lottery,
        data: json!({ "entrants": state.entrants }).to_string(),
        lane: Lane::Guaranteed,
        lottery: Some(state),
        ..danmaku(1)
    }
}

async fn told(bench: &Bench) -> Value {
    bench.watch("").await.next_of("hello").await.data["lotteries"].clone()
}

async fn who_comes_later_is_told_of_the_lotteries_also_after_a_kill() {
    let bench = Bench::start(settings()).await;
    bench.retain(1, RoomRules::default()).await;
    assert_eq!(told(&bench).await, json!([]));
    let mut viewer = bench.watch("").await;
    bench.publish(vec![news(state(1, LotteryPhase::Open, 0))]).await.unwrap();
    bench.publish(vec![news(state(1, LotteryPhase::Open, 7))]).await.unwrap();
    assert_eq!(viewer.next_of("lottery").await.data["entrants"], 0);
    assert_eq!(viewer.next_of("lottery").await.data["entrants"], 7);
    let first = told(&bench).await;
    assert_eq!((&first[0]["id"], &first[0]["entrants"], &first[0]["phase"]), (&json!("5"), &json!(7), &json!("open")));
    let bench = bench.killed_and_restarted(settings()).await;
    assert_eq!(told(&bench).await, first);
}

async fn what_is_told_again_of_a_lottery_changes_nothing_that_is_newer() {
    let bench = Bench::start(settings()).await;
    bench.retain(1, RoomRules::default()).await;
    let retain = async |state: LotteryState| {
        let request = Retain { states: Vec::new(), lotteries: vec![(ROOM, state)] };
        answer(bench.push.retain(within(PATIENCE), request).await).unwrap();
        told(&bench).await[0]["phase"].clone()
    };
    assert_eq!(retain(state(2, LotteryPhase::Closed, 7)).await, "closed");
    assert_eq!(retain(state(1, LotteryPhase::Open, 9)).await, "closed");
    assert_eq!(retain(state(3, LotteryPhase::Drawn, 7)).await, "drawn");
}
