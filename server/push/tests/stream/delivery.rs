use idl::Code;
use idl::push::{Lane, Outcome};

use crate::bench::{Bench, danmaku, fact, settings};

crate::stores::on_every_store!(
    a_viewer_gets_the_state_then_every_event_in_order,
    a_repeated_source_is_appended_once_and_answered_alike,
    what_the_bucket_holds_back_is_counted_and_the_guaranteed_lane_passes,
    the_last_totals_come_by_themselves,
    a_deleted_danmaku_never_comes_back_and_never_comes_late,
    an_event_can_not_smuggle_fields,
);

async fn a_viewer_gets_the_state_then_every_event_in_order() {
    let bench = Bench::start(settings()).await;
    bench.say(1..=3).await;
    let mut viewer = bench.watch("").await;
    assert_eq!(viewer.next().await.unwrap().event, "welcome");
    let hello = viewer.next().await.unwrap();
    assert_eq!(hello.event, "hello");
    assert_eq!(hello.data["room"]["title"], "a room");
    assert_eq!(hello.data["danmaku"].as_array().unwrap().len(), 3);
    bench.say(4..=20).await;
    assert_eq!(viewer.numbers_until(20).await, (4..=20).collect::<Vec<_>>());
}

async fn a_repeated_source_is_appended_once_and_answered_alike() {
    let bench = Bench::start(settings()).await;
    let mut viewer = bench.watch("").await;
    let twice = vec![danmaku(1), danmaku(1), danmaku(2)];
    assert_eq!(bench.publish(twice.clone()).await.unwrap(), [Outcome::Appended; 3]);
    assert_eq!(bench.publish(twice).await.unwrap(), [Outcome::Appended; 3]);
    bench.say([3]).await;
    assert_eq!(viewer.numbers_until(3).await, [1, 2, 3]);
}

async fn what_the_bucket_holds_back_is_counted_and_the_guaranteed_lane_passes() {
    let (rate_per_s, burst) = (1.try_into().unwrap(), 5.try_into().unwrap());
    let bench = Bench::start(push::Settings { rate_per_s, burst, ..settings() }).await;
    let mut viewer = bench.watch("").await;
    let mut sent: Vec<_> = (1..=100).map(danmaku).collect();
    sent.extend((101..=120).map(fact));
    let outcomes = bench.publish(sent).await.unwrap();
    let shown = outcomes[..100].iter().filter(|outcome| **outcome == Outcome::Appended).count();
    assert!((5..=6).contains(&shown), "{shown} of a burst of 5 passed");
    assert_eq!(outcomes[100..], [Outcome::Appended; 20]);
    let numbers = viewer.numbers_until(120).await;
    assert_eq!(numbers.len(), shown + 20);
    let totals = viewer.next_of("suppressed").await.data;
    assert_eq!(totals["accepted"], 100);
    assert_eq!(totals["shown"], shown);
    assert_eq!(totals["suppressed"], 100 - shown);
}

async fn the_last_totals_come_by_themselves() {
    let bench = Bench::start(settings()).await;
    let mut viewer = bench.watch("").await;
    bench.say(1..=10).await;
    loop {
        let totals = viewer.next_of("suppressed").await.data;
        assert_eq!(totals["accepted"], totals["shown"]);
        if totals["accepted"] == 10 {
            break;
        }
    }
}

async fn a_deleted_danmaku_never_comes_back_and_never_comes_late() {
    let bench = Bench::start(settings()).await;
    bench.say(1..=3).await;
    let mut first = bench.watch("").await;
    let position = first.next_of("hello").await.id.unwrap();
    let start = format!("{}-0", position.split_once('-').unwrap().0);
    let deletion = idl::push::Publication {
        source: "deletion:2".to_owned(),
        event: idl::event::EventType::Moderation,
        data: "{\"deleted\":[\"2\"]}".to_owned(),
        lane: Lane::Guaranteed,
        // 9 is deleted before push has heard of it.
        tombstones: vec!["danmaku:2".to_owned(), "danmaku:9".to_owned()],
        ..danmaku(0)
    };
    bench.publish(vec![deletion]).await.unwrap();
    assert_eq!(bench.publish(vec![danmaku(9)]).await.unwrap(), [Outcome::Suppressed]);
    bench.say([4]).await;
    let mut again = bench.watch(&start).await;
    assert_eq!(again.numbers_until(4).await, [1, 3, 4]);
    let hello = bench.watch("").await.next_of("hello").await.data.to_string();
    assert!(hello.contains("\"n\":3") && !hello.contains("\"n\":2"), "{hello}");
}

async fn an_event_can_not_smuggle_fields() {
    let bench = Bench::start(settings()).await;
    for data in ["", "{}\nevent: lottery", "{}\rid: 9-9"] {
        let smuggled = idl::push::Publication { data: data.to_owned(), ..danmaku(1) };
        assert_eq!(bench.publish(vec![smuggled]).await.unwrap_err().code, Code::InvalidField);
    }
    let too_many = (0..501).map(danmaku).collect();
    assert_eq!(bench.publish(too_many).await.unwrap_err().code, Code::TooLarge);
}
