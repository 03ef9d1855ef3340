use std::collections::BTreeSet;
use std::time::Duration;

use common::Lifecycle;
use common::Outcome;
use idl::access::SiteRole;
use idl::{Caller, Code};
use user::{Operator, Seed, SeedNames, SeededAccount};

use crate::stand::{PASSWORD, Stand, eventually, platform, secret, settings};

fn code<T: std::fmt::Debug>(outcome: Outcome<T>) -> Code {
    outcome.unwrap_err().into_refusal("a test").code
}

async fn seed(operator: &Operator, accounts: u32, prefix: &str, password: &str) -> Outcome<Vec<SeededAccount>> {
    let names = SeedNames::Numbered { prefix: prefix.to_owned(), accounts };
    let mut seeding = operator.seed(Seed { names, password: secret(password) }).await?;
    let mut all = Vec::new();
    loop {
        let page = seeding.next_page().await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

#[tokio::test]
async fn a_site_admin_has_the_role_from_the_next_token_on() {
    let stand = Stand::start().await;
    let pair = stand.register("Mei").await.unwrap();
    let operator = stand.user.operator();
    assert_eq!(operator.grant_site_admin("mei").await.unwrap().role, SiteRole::SiteAdmin);
    for nobody in ["nobody", "", "\0"] {
        assert_eq!(code(operator.grant_site_admin(nobody).await), Code::NoSuchUser);
    }
    let role =
        |token: &idl::user::Secret| stand.platform.verifier.verify(&Caller { token: token.0.clone() }).unwrap().role;
    assert_eq!(role(&pair.access_token), SiteRole::Member);
    let pair = stand.refresh(&pair).await.unwrap();
    assert_eq!((pair.account.role, role(&pair.access_token)), (SiteRole::SiteAdmin, SiteRole::SiteAdmin));
}

#[tokio::test]
async fn a_reset_password_replaces_the_old_one_and_ends_all_log_ins() {
    let stand = Stand::start().await;
    let pair = stand.register("mei").await.unwrap();
    for _ in 0..3 {
        stand.log_in("mei", "wrong horse").await.unwrap_err();
    }
    let operator = stand.user.operator();
    assert_eq!(code(operator.reset_password("nobody").await), Code::NoSuchUser);
    let password = operator.reset_password("MEI").await.unwrap();
    assert!(!stand.is_in(&pair).await);
    assert_eq!(stand.refresh(&pair).await.unwrap_err().code, Code::BadRefreshToken);
    eventually("push hears of it", || stand.push.has_revoked(pair.device)).await;
    assert_eq!(stand.log_in("mei", PASSWORD).await.unwrap_err().code, Code::WrongCredentials);
    stand.log_in("mei", &password.0).await.unwrap();
}

#[tokio::test]
async fn a_stopped_servers_accounts_can_be_operated_and_push_hears_at_the_next_start() {
    let stand = Stand::start().await;
    let pair = stand.register("mei").await.unwrap();
    stand.platform.lifecycle.stop(Duration::from_secs(5)).await;
    let (platform, signer) = platform(&stand.platform.data_dir, &stand.clock, &Lifecycle::new());
    let operator = Operator::open(&settings(), &platform, signer).await.unwrap();
    let password = operator.reset_password("mei").await.unwrap();
    drop(operator);
    let stand = stand.restart().await;
    eventually("push hears of it", || stand.push.has_revoked(pair.device)).await;
    stand.log_in("mei", &password.0).await.unwrap();
}

#[tokio::test]
async fn seeded_accounts_work_like_any_other() {
    let stand = Stand::start().await;
    let operator = stand.user.operator();
    let all = seed(&operator, 1_203, "viewer-", "shared horse").await.unwrap();
    assert_eq!(all.len(), 1_203);
    assert_eq!((all[0].name.as_str(), all[1_202].name.as_str()), ("viewer-000001", "viewer-001203"));
    assert_eq!(all.iter().map(|account| account.user_id).collect::<BTreeSet<_>>().len(), 1_203);
    for account in [&all[0], &all[600], &all[1_202]] {
        let caller = Caller { token: account.access_token.0.clone() };
        let identity = stand.platform.verifier.verify(&caller).unwrap();
        assert_eq!((identity.user, &identity.name), (account.user_id, &account.name));
        assert_eq!(identity.expires_at_ms, stand.clock.now().0 + 600_000);
        stand.refresh_with(&account.refresh_token.0).await.unwrap();
        stand.log_in(&account.name, "shared horse").await.unwrap();
    }
    assert_eq!(stand.register("Viewer-000007").await.unwrap_err().code, Code::NameTaken);
}

#[tokio::test]
async fn seeding_again_gives_new_tokens_to_the_same_accounts() {
    let stand = Stand::start().await;
    let operator = stand.user.operator();
    let first = seed(&operator, 3, "viewer-", "shared horse").await.unwrap();
    stand.pass(Duration::from_secs(60));
    let second = seed(&operator, 5, "viewer-", "second horse").await.unwrap();
    let ids = |all: &[SeededAccount]| all.iter().map(|account| account.user_id).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&second[..3]));
    assert_eq!(second.len(), 5);
    stand.refresh_with(&second[0].refresh_token.0).await.unwrap();
    assert_eq!(stand.refresh_with(&first[0].refresh_token.0).await.unwrap_err().code, Code::BadRefreshToken);
    stand.log_in("viewer-000001", "second horse").await.unwrap();
    // An old token is merely void: it did not end the new log-in.
    stand.refresh_with(&second[1].refresh_token.0).await.unwrap();
}

#[tokio::test]
async fn seeding_never_takes_over_somebodys_account() {
    let stand = Stand::start().await;
    let pair = stand.register("viewer-000002").await.unwrap();
    let operator = stand.user.operator();
    assert_eq!(code(seed(&operator, 3, "viewer-", "shared horse").await), Code::NameTaken);
    assert_eq!(code(seed(&operator, 3, "viewеr-", "shared horse").await), Code::NameTaken); // a Cyrillic е
    stand.log_in("viewer-000002", PASSWORD).await.unwrap();
    assert!(stand.is_in(&pair).await);
    assert_eq!(stand.log_in("viewer-000001", "shared horse").await.unwrap_err().code, Code::WrongCredentials);

    for (accounts, prefix, password) in [
        (1, "<b>", "shared horse"),
        (1, &*"x".repeat(15), "shared horse"),
        (1_000_001, "v-", "shared horse"),
        (1, "v-", "short"),
        (1, "admin-", "shared horse"),
    ] {
        assert_eq!(code(seed(&operator, accounts, prefix, password).await), Code::InvalidField, "{prefix} {password}");
    }
    assert!(seed(&operator, 0, "v-", "shared horse").await.unwrap().is_empty());
}

#[tokio::test]
#[ignore = "a measurement: prints how long 10,000 accounts take"]
async fn ten_thousand_accounts() {
    let stand = Stand::start().await;
    for round in ["new", "again"] {
        let began = std::time::Instant::now();
        let all = seed(&stand.user.operator(), 10_000, "viewer-", "shared horse").await.unwrap();
        println!("{round}: {} accounts in {:?}", all.len(), began.elapsed());
    }
}
