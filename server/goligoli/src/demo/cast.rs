//! Who plays in the demo: test accounts, each with tokens that are renewed in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use common::rpc::UserClient;
use common::rpc::{answer, within};
use common::{Failure, Outcome};
use idl::user::{Refresh, Secret};
use idl::{Caller, Code, Refusal, UserId};
use tokio::sync::Mutex;
use user::{Operator, Seed, SeedNames, SeededAccount};

use super::CALL_DEADLINE;

/// More senders than this share accounts.
const MOST_VIEWERS: usize = 2_000;
/// Tokens hold for longer; see `user.access_token_seconds`, which is at least 60.
const RENEW_AFTER: Duration = Duration::from_secs(45);

/// Engages actors. All of one agency have its password, a new one at every start.
#[derive(Debug)]
pub(crate) struct Agency {
    operator: Operator,
    user: UserClient,
    password: Secret,
}

/// An account that the demo acts with.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) user_id: UserId,
    name: String,
    agency: Arc<Agency>,
    tokens: Mutex<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    access: Secret,
    refresh: Secret,
    renewed_at: Instant,
}

impl Agency {
    pub(crate) fn new(operator: Operator, user: UserClient) -> Arc<Self> {
        Arc::new(Self { operator, user, password: Secret(format!("{:032x}", rand::random::<u128>())) })
    }

    pub(crate) const fn password(&self) -> &Secret {
        &self.password
    }

    /// Makes the accounts, or takes those of an earlier demo; never somebody's own.
    pub(crate) async fn engage(self: &Arc<Self>, names: Vec<String>) -> anyhow::Result<Vec<Actor>> {
        let accounts = match self.seed(names).await {
            Err(Failure::Refused(refusal)) if refusal.code == Code::NameTaken => {
                return Err(refusal).context("the demo needs another data folder (GOLIGOLI_DATA_DIR)");
            }
            seeded => seeded.context("making the demo's accounts")?,
        };
        let actor = |account: SeededAccount| Actor {
            user_id: account.user_id,
            name: account.name.clone(),
            agency: Arc::clone(self),
            tokens: Mutex::new(account.into()),
        };
        Ok(accounts.into_iter().map(actor).collect())
    }

    async fn seed(&self, names: Vec<String>) -> Outcome<Vec<SeededAccount>> {
        let seed = Seed { names: SeedNames::Listed(names), password: self.password.clone() };
        let mut seeding = self.operator.seed(seed).await?;
        let mut accounts = Vec::new();
        loop {
            let page = seeding.next_page().await?;
            if page.is_empty() {
                return Ok(accounts);
            }
            accounts.extend(page);
        }
    }
}

impl Actor {
    /// Credentials that hold for the next call.
    pub(crate) async fn caller(&self) -> Result<Caller, Refusal> {
        let mut tokens = self.tokens.lock().await;
        if tokens.renewed_at.elapsed() > RENEW_AFTER {
            *tokens = self.renew(&tokens.refresh).await?;
        }
        Ok(Caller { token: tokens.access.0.clone() })
    }

    async fn renew(&self, refresh_token: &Secret) -> Result<Tokens, Refusal> {
        let request = Refresh { refresh_token: refresh_token.clone() };
        match answer(self.agency.user.refresh(within(CALL_DEADLINE), request).await) {
            Ok(pair) => {
                Ok(Tokens { access: pair.access_token, refresh: pair.refresh_token, renewed_at: Instant::now() })
            }
            // The log-in has ended: after its 30 days, or somebody used the poster's password.
            Err(refusal) if refusal.code == Code::BadRefreshToken => {
                let seeded = self.agency.seed(vec![self.name.clone()]).await;
                let seeded = seeded.map_err(|failure| failure.into_refusal("renewing a demo account"))?;
                seeded.into_iter().next().map(Tokens::from).ok_or(refusal)
            }
            Err(refusal) => Err(refusal),
        }
    }
}

impl From<SeededAccount> for Tokens {
    fn from(account: SeededAccount) -> Self {
        Self { access: account.access_token, refresh: account.refresh_token, renewed_at: Instant::now() }
    }
}

/// The viewers who say something.
#[derive(Debug)]
pub(crate) struct Cast(Vec<Actor>);

impl Cast {
    /// As many as there are senders.
    pub(crate) async fn assemble(agency: &Arc<Agency>, senders: usize) -> anyhow::Result<Self> {
        Ok(Self(agency.engage((0..senders.clamp(1, MOST_VIEWERS)).map(passenger).collect()).await?))
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Who has this account.
    pub(crate) fn who_is(&self, user: UserId) -> Option<&Actor> {
        self.0.iter().find(|actor| actor.user_id == user)
    }

    /// Who speaks for the n-th sender.
    pub(crate) fn actor(&self, sender: usize) -> &Actor {
        &self.0[sender % self.0.len()]
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
