//! The stores that a contract is held on: files, and a Redis where one is named.

use std::cell::RefCell;
use std::future::Future;

use rand::RngExt as _;

thread_local! {
    // A test has a thread of its own.
    static FEEDS: RefCell<String> = RefCell::new("log:".to_owned());
}

/// Runs contracts, functions without arguments, on every store.
macro_rules! on_every_store {
    ($($contract:ident),+ $(,)?) => {
        mod on_files {
            $(
                #[tokio::test]
                async fn $contract() {
                    super::$contract().await;
                }
            )+
        }
        mod on_redis {
            $(
                #[tokio::test]
                async fn $contract() {
                    crate::stores::on_redis(super::$contract()).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_store;

/// What `push.feeds` is in this test.
pub(crate) fn feeds() -> String {
    FEEDS.with_borrow(Clone::clone)
}

/// Runs a contract on the Redis that the environment names, with keys of its own.
pub(crate) async fn on_redis(contract: impl Future<Output = ()>) {
    let Some(url) = common::native::server("NATIVE_REDIS_URL") else { return };
    on_this_redis(&url, contract).await;
}

/// The same on this one.
pub(crate) async fn on_this_redis(url: &str, contract: impl Future<Output = ()>) {
    let prefix = format!("test-{:016x}", rand::rng().random::<u64>());
    FEEDS.set(format!("{url}?prefix={prefix}"));
    contract.await;
    forget(url, &prefix).await;
}

async fn forget(url: &str, prefix: &str) {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{prefix}:*")).query_async(&mut connection).await.unwrap();
    for key in keys {
        redis::cmd("DEL").arg(key).exec_async(&mut connection).await.unwrap();
    }
}
