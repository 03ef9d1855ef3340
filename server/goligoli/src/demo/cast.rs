//! The demo's viewers: test accounts, each with tokens that are renewed in time.

use std::time::{Duration, Instant};

use common::rpc::{answer, within};
use idl::user::{Refresh, Secret, UserClient};
use idl::{Caller, Refusal};
use tokio::sync::Mutex;
use user::{Operator, Seed, SeedNames, SeededAccount};

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
        let names = SeedNames::Listed((0..senders.clamp(1, MOST_VIEWERS)).map(passenger).collect());
        let password = Secret(format!("{:032x}", rand::random::<u128>()));
        let seed = Seed { names, password };
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

/// What the n-th passenger is called: every other one in Chinese.
fn passenger(n: usize) -> String {
    const ZH: [[&str; 10]; 2] = [
        ["靠窗的", "打盹的", "晚点的", "换乘的", "迷路的", "早起的", "戴耳机的", "看雪的", "泡面的", "回家的"],
        ["猫", "狐狸", "旅人", "书虫", "月亮", "站台", "行李箱", "候鸟", "围巾", "小熊"],
    ];
    const EN: [[&str; 10]; 2] = [
        ["sleepy", "window", "late", "quiet", "northern", "paper", "second", "lucky", "woolly", "amber"],
        ["owl", "fox", "ticket", "moth", "otter", "lantern", "pilot", "sparrow", "comet", "badger"],
    ];
    let (k, round) = (n / 2 % 100, n / 200);
    // Neighbours differ in both words.
    let (first, second) = (k % 10, (k + k / 10) % 10);
    let name = if n.is_multiple_of(2) {
        format!("{}{}", ZH[0][first], ZH[1][second])
    } else {
        format!("{}_{}", EN[0][first], EN[1][second])
    };
    if round == 0 { name } else { format!("{name}{round}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passengers_have_names_of_their_own() {
        let names: std::collections::HashSet<String> = (0..MOST_VIEWERS).map(passenger).collect();
        assert_eq!(names.len(), MOST_VIEWERS);
    }
}
