//! Calls inside the process cross tarpc's channel: deadlines and cancellation hold as
//! they would over a network.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::rpc::{Route, at_most, in_process, within};
use common::{Lifecycle, Outcome};
use goligoli_tests::until;
use tarpc::client::RpcError;
use tarpc::context::Context;
use tarpc::server::Channel as _;
use tokio::sync::Notify;

#[tarpc::service]
trait Slow {
    /// Answers after so long.
    async fn nap(ms: u64);
    /// How many milliseconds the far service says are left of this call's deadline.
    async fn left_there() -> u64;
    /// How many milliseconds are left of this call's deadline.
    async fn left() -> u64;
    /// Waits for the gate, then leaves a mark; as an effect or as part of the handler.
    async fn mark(as_effect: bool);
}

#[derive(Clone, Default)]
struct Sleeper {
    lifecycle: Lifecycle,
    there: Option<SlowClient<Route<SlowRequest, SlowResponse>>>,
    begun: Arc<Notify>,
    gate: Arc<Notify>,
    marked: Arc<AtomicBool>,
    dropped: Arc<AtomicBool>,
}

impl Sleeper {
    fn client(&self) -> SlowClient<Route<SlowRequest, SlowResponse>> {
        let service = self.clone();
        in_process(&self.lifecycle, |far| far.execute(service.serve())).into()
    }
}

struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Slow for Sleeper {
    async fn nap(self, _: Context, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn left_there(self, context: Context) -> u64 {
        let there = self.there.unwrap();
        there.left(at_most(context, Duration::from_secs(3_600))).await.unwrap()
    }

    async fn left(self, context: Context) -> u64 {
        let left = context.deadline.saturating_duration_since(Instant::now());
        u64::try_from(left.as_millis()).unwrap()
    }

    async fn mark(self, _: Context, as_effect: bool) {
        let (begun, gate, marked) = (self.begun, self.gate, self.marked);
        let work = async move {
            begun.notify_one();
            gate.notified().await;
            marked.store(true, Ordering::SeqCst);
            Outcome::Ok(())
        };
        let _dropped = Dropped(self.dropped);
        if as_effect {
            self.lifecycle.effect(work).await.unwrap();
        } else {
            work.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_handler_that_takes_200_ms_fails_under_a_deadline_of_20() {
    let client = Sleeper::default().client();
    let started = Instant::now();
    let outcome = client.nap(within(Duration::from_millis(20)), 200).await;
    let took = started.elapsed();
    assert!(matches!(outcome, Err(RpcError::DeadlineExceeded)), "{outcome:?}");
    assert!((Duration::from_millis(15)..Duration::from_millis(150)).contains(&took), "after {took:?}");
    client.nap(within(Duration::from_secs(10)), 200).await.expect("there is time enough");
}

#[tokio::test]
async fn a_deadline_travels_with_the_call() {
    let there = Sleeper::default().client();
    let client = Sleeper { there: Some(there), ..Sleeper::default() }.client();
    // Neither tarpc's own ten seconds nor the hour that the middle would allow.
    let left_ms = client.left_there(within(Duration::from_secs(100))).await.unwrap();
    assert!((50_000..=100_000).contains(&left_ms), "{left_ms} ms are left");
}

#[tokio::test]
async fn a_caller_that_goes_away_stops_the_handler_but_not_its_effect() {
    for as_effect in [true, false] {
        let service = Sleeper::default();
        let client = service.client();
        {
            let call = client.mark(within(Duration::from_secs(30)), as_effect);
            tokio::select! {
                _ = call => panic!("nothing opened the gate"),
                () = service.begun.notified() => {}
            }
        }
        until("the handler is dropped with its caller", async || service.dropped.load(Ordering::SeqCst).then_some(()))
            .await;
        assert!(!service.marked.load(Ordering::SeqCst));
        service.gate.notify_one();
        // A stop waits for effects; when it returns, what runs has run.
        service.lifecycle.stop(Duration::from_secs(10)).await;
        assert_eq!(service.marked.load(Ordering::SeqCst), as_effect);
    }
}
