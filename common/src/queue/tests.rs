use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use opentelemetry::trace::{SpanKind, Status};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::*;
use crate::native;
use crate::telemetry::traces::{Trace, seen};

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(60);

/// A topic that no other test uses.
pub(super) fn topic(name: &str) -> &'static str {
    format!("test.{name}.{:08x}", rand::random::<u32>()).leak()
}

/// What every queue must do; each back-end's test calls it. Time may be paused.
async fn contract(queue: Queue, lifecycle: Lifecycle) {
    let _traced = seen::here();
    tokio::join!(
        a_message_is_consumed_in_the_trace_it_was_published_in(&queue, &lifecycle),
        all_are_handled_also_those_that_came_before(&queue, &lifecycle),
        what_fails_comes_again(&queue, &lifecycle),
        what_always_fails_is_given_up(&queue, &lifecycle),
        one_that_hangs_holds_up_no_other(&queue, &lifecycle),
        one_that_hangs_has_failed_after_a_while(&queue, &lifecycle),
    );
    queue.check().await.unwrap();
    a_stop_finishes_what_is_in_hand_and_takes_nothing_new(&queue, &lifecycle).await;
}

async fn all_are_handled_also_those_that_came_before(queue: &Queue, lifecycle: &Lifecycle) {
    let topic = topic("all");
    let (sender, mut seen) = mpsc::unbounded_channel();
    (0..50).for_each(|n| queue.publish(topic, n.to_string()).unwrap());
    let handler = move |message: Message| {
        let sender = sender.clone();
        async move { sender.send(message.body) }
    };
    queue.consume(topic, 4, SOON, lifecycle, handler).unwrap();
    (50..100).for_each(|n| queue.publish(topic, n.to_string()).unwrap());
    let mut all = BTreeSet::new();
    while all.len() < 100 {
        all.insert(tokio::time::timeout(SOON, seen.recv()).await.expect("all come").unwrap());
    }
}

async fn what_fails_comes_again(queue: &Queue, lifecycle: &Lifecycle) {
    let topic = topic("again");
    let (sender, mut seen) = mpsc::unbounded_channel();
    let handler = move |message: Message| {
        sender.send((message.attempt, Instant::now())).unwrap();
        assert!(message.attempt != 2, "the second one panics");
        async move { if message.attempt < 4 { Err("not yet") } else { Ok(()) } }
    };
    queue.consume(topic, 1, SOON, lifecycle, handler).unwrap();
    queue.publish(topic, "17".to_owned()).unwrap();
    let mut times = Vec::new();
    for attempt in 1..=4 {
        let (n, at) = tokio::time::timeout(SOON, seen.recv()).await.expect("it comes again").unwrap();
        assert_eq!(n, attempt);
        times.push(at);
    }
    assert!(times[1] - times[0] >= FIRST_PAUSE && times[3] - times[2] >= 4 * FIRST_PAUSE, "{times:?}");
}

async fn a_message_is_consumed_in_the_trace_it_was_published_in(queue: &Queue, lifecycle: &Lifecycle) {
    let topic = topic("traced");
    let (sender, mut consumed) = mpsc::unbounded_channel();
    let handler = move |message: Message| {
        sender.send((message.clone(), Trace::here())).unwrap();
        async move { if message.attempt == 1 { Err("not yet") } else { Ok(()) } }
    };
    queue.consume(topic, 1, SOON, lifecycle, handler).unwrap();
    let (kept, unkept) = (seen::fresh(true), seen::fresh(false));
    for trace in [&kept, &unkept] {
        let span = tracing::info_span!("a request");
        trace.go_on_in(&span);
        span.in_scope(|| queue.publish(topic, trace.to_header())).unwrap();
    }
    queue.publish(topic, "alone".to_owned()).unwrap();
    for _ in 0..6 {
        let next = tokio::time::timeout(SOON, consumed.recv()).await;
        let (message, here) = next.expect("all come, and fail once").unwrap();
        let is_kept = message.body == kept.to_header();
        assert_eq!(message.traceparent.is_some(), is_kept, "{message:?}");
        assert_eq!(here.is_some(), is_kept, "{message:?}");
    }
    let spans = async {
        loop {
            let spans = seen::ended(&kept);
            if spans.len() == 4 {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let spans = tokio::time::timeout(SOON, spans).await.expect("the request, one that publishes, two that consume");
    let request = spans.iter().find(|span| span.name == "a request").unwrap();
    let published = spans.iter().find(|span| span.name == format!("publish {topic}")).unwrap();
    let consumed = spans.iter().filter(|span| span.name == format!("process {topic}"));
    assert_eq!(published.span_kind, SpanKind::Producer);
    assert_eq!(published.parent_span_id, request.span_context.span_id());
    let mut failed = 0;
    for consumed in consumed {
        assert_eq!(consumed.span_kind, SpanKind::Consumer);
        assert_eq!(consumed.parent_span_id, published.span_context.span_id());
        let said = |name: &str| consumed.attributes.iter().find(|said| said.key.as_str() == name).unwrap();
        assert_eq!(said("messaging.system").value.as_str(), queue.system());
        assert_eq!(said("messaging.destination.name").value.as_str(), topic);
        failed += usize::from(consumed.status == Status::error("not yet"));
    }
    assert_eq!(failed, 1, "the first try failed");
    assert!(seen::ended(&unkept).is_empty());
}

async fn what_always_fails_is_given_up(queue: &Queue, lifecycle: &Lifecycle) {
    let topic = topic("never");
    let tries = Arc::new(AtomicU32::new(0));
    let (counted, done) = (Arc::clone(&tries), Arc::new(Notify::new()));
    let last = Arc::clone(&done);
    let handler = move |message: Message| {
        counted.fetch_add(1, Ordering::SeqCst);
        if message.body == "last" {
            last.notify_one();
            return std::future::ready(Ok(()));
        }
        std::future::ready(Err("never"))
    };
    queue.consume(topic, 1, SOON, lifecycle, handler).unwrap();
    queue.publish(topic, "first".to_owned()).unwrap();
    let all_tries = async {
        while tries.load(Ordering::SeqCst) < MAX_ATTEMPTS {
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        // If it were to come once more, it would be in this time.
        tokio::time::sleep(FIRST_PAUSE * 20).await;
    };
    tokio::time::timeout(SOON, all_tries).await.expect("it is tried often");
    queue.publish(topic, "last".to_owned()).unwrap();
    tokio::time::timeout(SOON, done.notified()).await.expect("the topic goes on");
    assert_eq!(tries.load(Ordering::SeqCst), MAX_ATTEMPTS + 1);
}

async fn one_that_hangs_holds_up_no_other(queue: &Queue, lifecycle: &Lifecycle) {
    let topic = topic("slow");
    let (sender, mut seen) = mpsc::unbounded_channel();
    let handler = move |message: Message| {
        let sender = sender.clone();
        async move {
            if message.body == "slow" {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            sender.send(message.body)
        }
    };
    queue.consume(topic, 2, SOON, lifecycle, handler).unwrap();
    for body in ["slow", "a", "b"] {
        queue.publish(topic, body.to_owned()).unwrap();
    }
    let mut order = Vec::new();
    while order.len() < 3 {
        order.push(tokio::time::timeout(SOON, seen.recv()).await.expect("all come").unwrap());
    }
    assert_eq!(order[2], "slow");
}

async fn one_that_hangs_has_failed_after_a_while(queue: &Queue, lifecycle: &Lifecycle) {
    let topic = topic("hangs");
    let (sender, mut seen) = mpsc::unbounded_channel();
    let handler = move |message: Message| {
        let sender = sender.clone();
        async move {
            if message.attempt == 1 {
                std::future::pending::<()>().await;
            }
            sender.send(message.attempt)
        }
    };
    queue.consume(topic, 1, Duration::from_secs(1), lifecycle, handler).unwrap();
    queue.publish(topic, "17".to_owned()).unwrap();
    assert_eq!(tokio::time::timeout(SOON, seen.recv()).await.expect("it comes again"), Some(2));
}

async fn a_stop_finishes_what_is_in_hand_and_takes_nothing_new(queue: &Queue, lifecycle: &Lifecycle) {
    let topic = topic("stop");
    let (sender, mut seen) = mpsc::unbounded_channel();
    let handler = move |message: Message| {
        let sender = sender.clone();
        async move {
            sender.send("begins").unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(message);
            sender.send("ends")
        }
    };
    queue.consume(topic, 1, SOON, lifecycle, handler).unwrap();
    queue.publish(topic, "one".to_owned()).unwrap();
    queue.publish(topic, "two".to_owned()).unwrap();
    assert_eq!(tokio::time::timeout(SOON, seen.recv()).await.unwrap(), Some("begins"));
    lifecycle.stop(Duration::from_secs(10)).await;
    assert_eq!(seen.recv().await, Some("ends"));
    assert!(seen.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn the_queue_in_the_process_keeps_the_contract() {
    contract(Queue::open("process:").unwrap(), Lifecycle::new()).await;
}

#[tokio::test]
async fn the_queue_on_nsq_keeps_the_contract() {
    let (Some(nsqd), Some(lookupd)) = (native::server("NATIVE_NSQD_TCP"), native::server("NATIVE_LOOKUPD_HTTP")) else {
        return;
    };
    let lifecycle = Lifecycle::new();
    let url = format!("nsq://{}?nsqd={nsqd}&prefix=test-site.", lookupd.trim_start_matches("http://"));
    contract(Queue::connect(&url, &lifecycle).unwrap(), lifecycle).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_topic_says_so_and_a_second_consumer_is_refused() {
    let (queue, lifecycle) = (Queue::open("process:").unwrap(), Lifecycle::new());
    (0..process::MAX_WAITING).for_each(|n| queue.publish("t", n.to_string()).unwrap());
    assert_eq!(queue.publish("t", "one more".to_owned()), Err(NotQueued::Full("t")));
    let handler = |_| std::future::ready(Ok::<(), &str>(()));
    queue.consume("t", 1, SOON, &lifecycle, handler).unwrap();
    assert!(queue.consume("t", 1, SOON, &lifecycle, handler).is_err());
    assert!(Queue::open("nsq://nowhere").is_err());
}
