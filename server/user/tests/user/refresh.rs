use std::time::Duration;

use futures::future::join_all;
use idl::Code;
use idl::user::Devices;

use crate::stand::{PASSWORD, Stand, caller, eventually, patient};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

async fn devices(stand: &Stand, pair: &idl::user::LoggedIn) -> Devices {
    let request = idl::user::ListDevices { caller: caller(pair) };
    stand.client.devices(patient(), request).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_refresh_gives_a_new_pair_and_does_not_move_the_end() {
    let stand = Stand::start().await;
    let first = stand.register("mei").await.unwrap();
    stand.pass(DAY);
    assert!(!stand.is_in(&first).await);
    let second = stand.refresh(&first).await.unwrap();
    assert!(stand.is_in(&second).await);
    assert_eq!((second.device, second.refresh_expires_at), (first.device, first.refresh_expires_at));
    assert_ne!(second.refresh_token, first.refresh_token);
    assert_ne!(second.access_token, first.access_token);
    assert_eq!(devices(&stand, &second).await.items[0].used_at, stand.clock.now());

    stand.pass(29 * DAY - SECOND);
    let last = stand.refresh(&second).await.unwrap();
    assert_eq!(last.access_expires_at, first.refresh_expires_at);
    stand.pass(SECOND);
    assert!(!stand.is_in(&last).await);
    assert_eq!(stand.refresh(&last).await.unwrap_err().code, Code::BadRefreshToken);
}

#[tokio::test]
async fn refreshes_at_once_get_the_same_pair_and_a_later_one_ends_the_log_in() {
    let stand = Stand::start().await;
    let first = stand.register("mei").await.unwrap();
    let other = stand.log_in("mei", PASSWORD).await.unwrap();
    stand.pass(60 * SECOND);
    let all = join_all((0..50).map(|_| stand.refresh(&first))).await;
    let second = all[0].clone().unwrap();
    for pair in all {
        let pair = pair.unwrap();
        assert_eq!(pair.refresh_token, second.refresh_token);
        assert_eq!(pair.access_token, second.access_token);
    }
    // Also after a restart, up to the last millisecond.
    let stand = stand.restart().await;
    stand.pass(60 * SECOND);
    assert_eq!(stand.refresh(&first).await.unwrap().access_token, second.access_token);
    assert!(stand.is_in(&second).await);

    stand.pass(Duration::from_millis(1));
    assert_eq!(stand.refresh(&first).await.unwrap_err().code, Code::BadRefreshToken);
    assert_eq!(stand.refresh(&second).await.unwrap_err().code, Code::BadRefreshToken);
    assert!(!stand.is_in(&second).await);
    stand.refresh(&other).await.unwrap();
    eventually("push hears of the stolen log-in", || stand.push.has_revoked(first.device)).await;
    assert_eq!(stand.push.got().len(), 1);
}

#[tokio::test]
async fn a_token_of_two_refreshes_ago_ends_the_log_in_at_once() {
    let stand = Stand::start().await;
    let first = stand.register("mei").await.unwrap();
    let second = stand.refresh(&first).await.unwrap();
    let third = stand.refresh(&second).await.unwrap();
    assert_eq!(stand.refresh(&first).await.unwrap_err().code, Code::BadRefreshToken);
    assert_eq!(stand.refresh(&third).await.unwrap_err().code, Code::BadRefreshToken);
}

#[tokio::test]
async fn a_made_up_token_gives_nothing_and_ends_nothing() {
    let stand = Stand::start().await;
    let first = stand.register("mei").await.unwrap();
    let other = stand.register("other").await.unwrap();
    let second = stand.refresh(&first).await.unwrap();
    stand.pass(60 * SECOND);

    let token = &second.refresh_token.0;
    let mut forged: Vec<String> =
        ["", "x", "😀", "\0", &"A".repeat(59), &"A".repeat(100_000)].map(str::to_owned).into();
    // One letter of the real token changed, wherever it is: the device, the generation, the tag.
    for (at, letter) in token.char_indices() {
        let another = if letter == 'A' { 'B' } else { 'A' };
        forged.push(format!("{}{another}{}", &token[..at], &token[at + 1..]));
    }
    // The head of one log-in on the tag of another.
    forged.push(format!("{}{}", &token[..16], &other.refresh_token.0[16..]));
    forged.push(format!("{token}A"));
    for token in forged {
        assert_eq!(stand.refresh_with(&token).await.unwrap_err().code, Code::BadRefreshToken, "{token:.70}");
    }
    stand.refresh(&second).await.unwrap();
    stand.refresh(&other).await.unwrap();
}

#[tokio::test]
async fn a_refresh_and_a_log_out_at_once_leave_nothing_behind() {
    let stand = Stand::start().await;
    for n in 0..10 {
        let pair = stand.register(&format!("mei-{n}")).await.unwrap();
        let log_out = stand.client.log_out(patient(), idl::user::LogOut { caller: caller(&pair) });
        let (refreshed, logged_out) = tokio::join!(stand.refresh(&pair), log_out);
        logged_out.unwrap().unwrap();
        if let Ok(refreshed) = refreshed {
            assert!(!stand.is_in(&refreshed).await);
            assert_eq!(stand.refresh(&refreshed).await.unwrap_err().code, Code::BadRefreshToken);
        }
    }
}
