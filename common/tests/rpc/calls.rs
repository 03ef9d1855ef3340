//! Where calls go, and what comes of those that can't be answered.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use common::rpc::{answer, within};
use idl::{Code, Refusal};
use tarpc::client::RpcError;

use crate::lab::{NextClient, Node, announce, at, client, network, nowhere, settings, soon, until};

fn refused(kind: ErrorKind, answer: &Result<impl std::fmt::Debug, RpcError>) -> bool {
    matches!(answer, Err(RpcError::Server(error)) if error.kind == kind)
}

#[tokio::test]
async fn calls_are_spread_over_the_instances_and_those_with_a_key_stay() {
    let (discovery, settings) = (nowhere(), settings());
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        nodes.push(Node::start(name, &settings).await.announced(&discovery).await);
    }
    let (client, other) = (client(&discovery, &settings), client(&discovery, &settings));
    until("all are reached", || async {
        let mut seen = BTreeMap::<String, u32>::new();
        for _ in 0..60 {
            *seen.entry(client.who(soon(), 0).await.unwrap()).or_default() += 1;
            other.who(soon(), 0).await.unwrap();
        }
        seen.len() == 3 && seen.values().all(|n| *n >= 5)
    })
    .await;
    let mut held = BTreeMap::new();
    for key in 0..60 {
        let at = client.keyed(soon(), key).await.unwrap();
        assert_eq!(other.keyed(soon(), key).await.unwrap(), at, "both callers send key {key} to one place");
        held.insert(key, at);
    }
    nodes.pop().unwrap().kill().await;
    for (key, before) in held {
        let after = client.keyed(soon(), key).await.unwrap();
        assert!(before == "c" || after == before, "key {key} moved from {before} to {after}");
    }
}

#[tokio::test]
async fn a_deadline_is_kept_by_the_called_and_by_the_caller() {
    let (discovery, settings) = (nowhere(), settings());
    let node = Node::start("a", &settings).await.announced(&discovery).await;
    let client = client(&discovery, &settings);
    client.who(soon(), 0).await.unwrap();
    let started = Instant::now();
    let late = client.who(within(Duration::from_millis(20)), 200).await;
    assert!(matches!(late, Err(RpcError::DeadlineExceeded)), "{late:?}");
    assert!(started.elapsed() < Duration::from_millis(150), "{:?}", started.elapsed());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let done = node.worker.done.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(done, 1, "the handler ended with its deadline");
}

#[tokio::test]
async fn what_is_too_much_is_refused_at_once_and_goes_elsewhere() {
    let (discovery, mut settings) = (nowhere(), settings());
    settings.max_in_flight = 2.try_into().unwrap();
    let small = Node::start("small", &settings).await;
    let _announced = announce(&discovery, "small", &small.running.address).await;
    let client = client(&discovery, &settings);
    client.who(soon(), 0).await.unwrap();
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            crate::lab::spawn(async move { client.who(soon(), 1_500).await })
        })
        .collect();
    until("both are in hand", || async { small.running.in_flight() == 2 }).await;
    let started = Instant::now();
    let shed = client.once(soon(), 0).await;
    assert!(refused(ErrorKind::WouldBlock, &shed) && started.elapsed() < Duration::from_millis(500), "{shed:?}");
    let refusal = answer::<()>(shed.map(|_| Ok(()))).unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after_ms), (Code::Unavailable, Some(1_000)));

    settings.max_in_flight = 100.try_into().unwrap();
    let large = Node::start("large", &settings).await.announced(&discovery).await;
    until("the other one is reached", || async {
        large.worker.done.load(std::sync::atomic::Ordering::SeqCst) > 0 || client.once(soon(), 0).await.is_ok()
    })
    .await;
    for _ in 0..20 {
        assert_eq!(client.once(soon(), 0).await.unwrap(), "large", "what was never begun is done elsewhere");
    }
    for call in busy {
        assert_eq!(call.await.unwrap().unwrap(), "small");
    }
    until("nothing is in hand", || async { small.running.in_flight() == 0 }).await;
}

#[tokio::test]
async fn a_long_reply_or_request_fails_alone() {
    let (discovery, settings) = (nowhere(), settings());
    let _node = Node::start("a", &settings).await.announced(&discovery).await;
    let client = client(&discovery, &settings);
    client.who(soon(), 0).await.unwrap();
    let beside = {
        let client = client.clone();
        crate::lab::spawn(async move { client.who(soon(), 500).await })
    };
    let reply = client.bytes(soon(), 5 << 20).await;
    assert!(refused(ErrorKind::InvalidData, &reply), "{:?}", reply.map(|bytes| bytes.len()));
    assert_eq!(answer::<()>(reply.map(|_| Ok(()))).unwrap_err(), Refusal::internal());
    let request = client.take(soon(), vec![1; 5 << 20]).await;
    assert!(matches!(request, Err(RpcError::Send(_))), "{request:?}");
    assert_eq!(client.bytes(soon(), 1 << 20).await.unwrap().len(), 1 << 20);
    assert_eq!(beside.await.unwrap().unwrap(), "a", "a call on the same connection goes on");
}

#[tokio::test]
async fn a_method_that_the_called_does_not_know_fails_alone() {
    let (discovery, settings) = (nowhere(), settings());
    let node = Node::start("a", &settings).await.announced(&discovery).await;
    let client: NextClient = network(&discovery, &settings).route().into();
    client.who(soon(), 0).await.unwrap();
    let beside = {
        let client = client.clone();
        crate::lab::spawn(async move { client.who(soon(), 500).await })
    };
    let unknown = client.unannounced(soon()).await;
    assert!(refused(ErrorKind::InvalidInput, &unknown), "{unknown:?}");
    let too_new = client.announced(soon()).await;
    assert!(refused(ErrorKind::NotConnected, &too_new), "an instance that is too old is not even asked: {too_new:?}");
    assert_eq!(beside.await.unwrap().unwrap(), "a");
    node.kill().await;
}

#[tokio::test]
async fn a_node_that_leaves_fails_no_call() {
    let (discovery, settings) = (nowhere(), settings());
    let mut nodes = vec![
        Node::start("a0", &settings).await.announced(&discovery).await,
        Node::start("b0", &settings).await.announced(&discovery).await,
    ];
    let client = client(&discovery, &settings);
    let stop = tokio_util::sync::CancellationToken::new();
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (client, stop) = (client.clone(), stop.clone());
            crate::lab::spawn(async move {
                let mut n = 0;
                while !stop.is_cancelled() {
                    client.once(soon(), 3).await.expect("no call fails");
                    n += 1;
                }
                n
            })
        })
        .collect();
    for round in 1..4 {
        let fresh = Node::start(&format!("n{round}"), &settings).await.announced(&discovery).await;
        let name = format!("n{round}");
        until("the new one is called", || async { client.who(soon(), 0).await.unwrap() == name }).await;
        nodes.push(fresh);
        nodes.remove(0).drain().await;
    }
    stop.cancel();
    for task in load {
        assert!(task.await.unwrap() > 50, "there was load");
    }
}

#[tokio::test]
async fn nobody_there_is_said_soon() {
    let started = Instant::now();
    let nobody = client(&nowhere(), &settings()).who(soon(), 0).await;
    assert!(refused(ErrorKind::NotConnected, &nobody), "{nobody:?}");
    let unreachable = client(&at("127.0.0.1:1"), &settings()).who(soon(), 0).await;
    assert!(refused(ErrorKind::NotConnected, &unreachable), "{unreachable:?}");
    // Each waits for somebody for a second.
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}
