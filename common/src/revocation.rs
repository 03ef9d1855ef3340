//! Log-ins that ended before their access tokens did. `user` publishes them into a
//! reserved feed of push; every process that verifies tokens follows it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::rpc::PushClient;
use idl::DeviceId;
use idl::push::FollowRevocations;
use tokio::sync::watch;

use crate::health::Health;
use crate::lifecycle::Lifecycle;
use crate::{Clock, rpc};

/// How long one question for news stays open.
const WAIT: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(250);

/// The ended log-ins whose tokens may still be around. Clones share them. Its size is
/// bounded by what can be revoked within an access token's life.
#[derive(Debug, Clone)]
pub struct Revocations {
    ended: Arc<RwLock<HashMap<DeviceId, i64>>>,
    changed: watch::Sender<()>,
}

impl Default for Revocations {
    fn default() -> Self {
        Self { ended: Arc::default(), changed: watch::Sender::new(()) }
    }
}

impl Revocations {
    /// Whether the log-in has ended.
    #[must_use]
    pub fn is_revoked(&self, device: DeviceId) -> bool {
        self.ended.read().unwrap_or_else(PoisonError::into_inner).contains_key(&device)
    }

    /// Ends a log-in here; `until_ms` is when this may be forgotten.
    pub fn revoke(&self, device: DeviceId, until_ms: i64) {
        self.ended.write().unwrap_or_else(PoisonError::into_inner).insert(device, until_ms);
        self.changed.send_replace(());
    }

    /// Wakes whenever a log-in ends: open streams check theirs.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn forget_before(&self, now_ms: i64) {
        self.ended.write().unwrap_or_else(PoisonError::into_inner).retain(|_, until_ms| *until_ms > now_ms);
    }

    /// Follows the feed until the process stops. Until the first answer readiness is red:
    /// a token that was revoked a minute ago must not work because we were just born. After it
    /// readiness stays green: push may be away for all, and others would know no more.
    pub fn follow(&self, push: PushClient, clock: Clock, health: &Health, lifecycle: &Lifecycle) {
        const PART: &str = "revocations";
        health.report(PART, Err("not read yet".to_owned()));
        let (this, health, soft) = (self.clone(), health.clone(), lifecycle.soft().clone());
        let task = async move {
            let mut after = None;
            loop {
                let wait_ms = if after.is_some() { u64::try_from(WAIT.as_millis()).unwrap_or(0) } else { 0 };
                let ask = FollowRevocations { after: after.clone(), wait_ms };
                match rpc::answer(push.revocations(rpc::within(WAIT + rpc::EDGE_DEADLINE), ask).await) {
                    Ok(page) => {
                        for ended in page.revocations {
                            this.revoke(ended.device, ended.until_ms);
                        }
                        after = Some(page.next);
                        this.forget_before(clock.now().0);
                        health.report(PART, Ok(()));
                        health.degrade(PART, None);
                    }
                    Err(refusal) => {
                        if after.is_none() {
                            health.report(PART, Err(refusal.detail));
                        } else {
                            health.degrade(PART, Some(refusal.detail));
                        }
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        };
        lifecycle.spawn("revocation.follow", async move {
            soft.run_until_cancelled(task).await;
        });
    }
}
