//! The receipt key is changed: what it signed stays as it is, and is signed by it again.

use common::rpc;
use common::rpc::LotteryClient;
use idl::draw::Receipt;
use idl::lottery::GetMyEntry;
use idl::{LotteryId, Refusal};
use lottery::Settings;
use lottery::protocol::keys::is_receipt_signed;
use lottery::protocol::spec::SpecText;

use crate::stage::{Stage, configured_key, minute, settings};

async fn receipt(stage: &Stage, of: &LotteryClient, lottery: LotteryId, user: u64) -> Result<Receipt, Refusal> {
    let request = GetMyEntry { caller: stage.caller(user), lottery };
    rpc::answer(of.my_entry(rpc::within(rpc::EDGE_DEADLINE), request).await).map(|entry| entry.receipt)
}

#[tokio::test]
async fn a_retired_key_goes_on_signing_for_what_it_opened() {
    let mut stage = Stage::new().await;
    let (old, new) = (stage.receipt_key(), configured_key([7; 32]));
    let decided = stage.open(minute()).await;
    let entered = stage.enter(decided, 10).await.unwrap();
    stage.clock.advance_ms(60_000);
    _ = stage.drawn(decided).await;
    let open = stage.open(minute()).await;

    let only_new = Settings { receipt_key: new.clone(), ..settings() };
    let refused = stage.start(only_new.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("lottery.retired_receipt_keys"), "{refused}");
    let empty = Settings { retired_receipt_keys: vec![Default::default()], ..settings() };
    assert!(stage.start(empty).await.unwrap_err().to_string().contains("is empty"));

    // Nobody has the old one as its own any more.
    stage.stop().await;
    let both = Settings { retired_receipt_keys: vec![old], ..only_new.clone() };
    let rotated = stage.start(both).await.unwrap();
    assert_eq!(receipt(&stage, &rotated, decided, 10).await.unwrap(), entered.receipt);
    stage.lottery = rotated;
    let entered = stage.enter(open, 11).await.unwrap();
    let spec = SpecText::parse(&stage.now(open).await.opened.spec).unwrap();
    assert!(is_receipt_signed(&spec.spec().receipt_key, &entered.receipt));
    stage.clock.advance_ms(60_000);
    _ = stage.drawn(open).await;
    _ = stage.check(open, &[entered.receipt]).await;

    // Nothing is open any more; its receipts are still to be had.
    let refused = stage.start(only_new).await.unwrap_err().to_string();
    assert!(refused.contains("earlier lotteries"), "{refused}");
}
