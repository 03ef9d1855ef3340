use std::time::Duration;

use idl::push::Revocation;
use idl::user::{Device, ListDevices, LogOut, LoggedIn, RevokeDevice};
use idl::{Code, DeviceId};

use crate::stand::{PASSWORD, Stand, caller, eventually, patient};

async fn devices(stand: &Stand, pair: &LoggedIn) -> Vec<Device> {
    stand.client.devices(patient(), ListDevices { caller: caller(pair) }).await.unwrap().unwrap().items
}

async fn revoke(stand: &Stand, pair: &LoggedIn, device: DeviceId) -> Result<(), Code> {
    let request = RevokeDevice { caller: caller(pair), device };
    stand.client.revoke_device(patient(), request).await.unwrap().map(|_| ()).map_err(|refusal| refusal.code)
}

#[tokio::test]
async fn devices_are_listed_latest_first_and_only_ones_own_are_revoked() {
    let stand = Stand::start().await;
    let mine = stand.register("mei").await.unwrap();
    stand.pass(Duration::from_secs(1));
    let phone = stand.log_in_on("mei", PASSWORD, " My\u{202E} <i>phone</i>\0 ").await.unwrap();
    let other = stand.register("other").await.unwrap();

    let listed = devices(&stand, &mine).await;
    let summary: Vec<_> = listed.iter().map(|d| (d.id, d.name.as_str(), d.current)).collect();
    assert_eq!(summary, [(phone.device, "My <i>phone</i>", false), (mine.device, "first", true)]);

    assert_eq!(revoke(&stand, &mine, other.device).await, Err(Code::NoSuchDevice));
    assert_eq!(revoke(&stand, &mine, DeviceId(u64::MAX)).await, Err(Code::NoSuchDevice));
    assert!(stand.is_in(&other).await);

    assert_eq!(revoke(&stand, &mine, phone.device).await, Ok(()));
    assert!(!stand.is_in(&phone).await);
    assert_eq!(stand.refresh(&phone).await.unwrap_err().code, Code::BadRefreshToken);
    assert_eq!(revoke(&stand, &mine, phone.device).await, Err(Code::NoSuchDevice));
    assert_eq!(devices(&stand, &mine).await.len(), 1);
}

#[tokio::test]
async fn a_log_out_ends_this_log_in_only_and_push_is_told() {
    let stand = Stand::start().await;
    let first = stand.register("mei").await.unwrap();
    let second = stand.log_in("mei", PASSWORD).await.unwrap();
    stand.client.log_out(patient(), LogOut { caller: caller(&first) }).await.unwrap().unwrap();
    assert!(!stand.is_in(&first).await && stand.is_in(&second).await);
    let again = stand.client.log_out(patient(), LogOut { caller: caller(&first) }).await.unwrap();
    assert_eq!(again.unwrap_err().code, Code::NotSignedIn);

    eventually("push hears of it", || !stand.push.got().is_empty()).await;
    let told = Revocation {
        source: format!("device:{}", first.device),
        user: first.account.id,
        device: first.device,
        until_ms: stand.clock.now().0 + 660_000,
    };
    assert_eq!(stand.push.got(), [told]);
}

#[tokio::test]
async fn a_revocation_outlives_a_push_that_is_down_and_a_restart() {
    let stand = Stand::start().await;
    stand.push.set_down(true);
    let pair = stand.register("mei").await.unwrap();
    stand.client.log_out(patient(), LogOut { caller: caller(&pair) }).await.unwrap().unwrap();
    // Here it holds at once, there as soon as push is back.
    assert!(!stand.is_in(&pair).await);
    eventually("push is tried", || stand.push.has_refused()).await;
    let stand = stand.restart().await;
    assert!(!stand.push.has_revoked(pair.device));
    stand.push.set_down(false);
    eventually("push hears of it", || stand.push.has_revoked(pair.device)).await;
}

#[tokio::test]
async fn the_fifty_first_log_in_ends_the_least_used_one() {
    let stand = Stand::start().await;
    let first = stand.register("mei").await.unwrap();
    let mut pairs = Vec::new();
    for _ in 1..50 {
        stand.pass(Duration::from_secs(1));
        pairs.push(stand.log_in("mei", PASSWORD).await.unwrap());
    }
    assert_eq!(devices(&stand, &first).await.len(), 50);
    // The first one is used, so that the second is the one to go.
    stand.pass(Duration::from_secs(1));
    let first = stand.refresh(&first).await.unwrap();
    stand.log_in("mei", PASSWORD).await.unwrap();
    assert_eq!(devices(&stand, &first).await.len(), 50);
    assert!(!stand.is_in(&pairs[0]).await);
    assert!(stand.is_in(&pairs[1]).await && stand.is_in(&first).await);
    eventually("push hears of it", || stand.push.has_revoked(pairs[0].device)).await;
    assert_eq!(stand.push.got().len(), 1);
}
