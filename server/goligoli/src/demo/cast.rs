//! The demo's viewers: test accounts, each with tokens that are renewed in time.

use std::time::{Duration, Instant};

use common::rpc::{answer, within};
use idl::user::{Refresh, Secret, UserClient};
use idl::{Caller, Refusal};
use tokio::sync::Mutex;
use user::{Operator, Seed, SeededAccount};

/// More senders than this share accounts.
const MOST_VIEWERS: usize = 2_000;
/// Tokens hold for longer; see `user.access_token_seconds`, which is at least 60.
const RENEW_AFTER: Duration = Duration::from_secs(45);
const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// The viewers.
#[derive(Debug)]
pub(crate) struct Cast {
    viewers: Vec<Mutex<Viewer>>,
    user: UserClient,
}

#[derive(Debug)]
struct Viewer {
    access_token: Secret,
    refresh_token: Secret,
    renewed_at: Instant,
}

impl Cast {
    /// Seeds as many accounts as there are senders.
    pub(crate) async fn assemble(operator: &Operator, user: UserClient, senders: usize) -> anyhow::Result<Self> {
        let accounts = u32::try_from(senders.clamp(1, MOST_VIEWERS))?;
        let password = Secret(format!("{:032x}", rand::random::<u128>()));
        let seed = Seed { accounts, prefix: "passenger-".to_owned(), password };
        let mut seeding = operator.seed(seed).await?;
        let mut viewers = Vec::with_capacity(senders);
        loop {
            let page = seeding.next_page().await?;
            if page.is_empty() {
                return Ok(Self { viewers, user });
            }
            viewers.extend(page.into_iter().map(|account| {
                let SeededAccount { access_token, refresh_token, .. } = account;
                Mutex::new(Viewer { access_token, refresh_token, renewed_at: Instant::now() })
            }));
        }
    }

    /// The credentials of the n-th sender's viewer.
    pub(crate) async fn caller(&self, sender: usize) -> Result<Caller, Refusal> {
        let mut viewer = self.viewers[sender % self.viewers.len()].lock().await;
        if viewer.renewed_at.elapsed() > RENEW_AFTER {
            let request = Refresh { refresh_token: viewer.refresh_token.clone() };
            let renewed = answer(self.user.refresh(within(CALL_DEADLINE), request).await)?;
            *viewer = Viewer {
                access_token: renewed.access_token,
                refresh_token: renewed.refresh_token,
                renewed_at: Instant::now(),
            };
        }
        Ok(Caller { token: viewer.access_token.0.clone() })
    }
}
