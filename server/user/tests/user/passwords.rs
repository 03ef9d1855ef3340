use std::time::Duration;

use futures::future::join_all;
use idl::Code;
use idl::user::{ChangePassword, LoggedIn};

use crate::stand::{PASSWORD, Stand, caller, eventually, insist, patient, secret};

const WINDOW: Duration = Duration::from_secs(900);

async fn change(stand: &Stand, pair: &LoggedIn, current: &str, new: &str) -> Result<(), idl::Refusal> {
    change_from(stand, "192.0.2.1", pair, current, new).await
}

async fn change_from(
    stand: &Stand,
    client: &str,
    pair: &LoggedIn,
    current: &str,
    new: &str,
) -> Result<(), idl::Refusal> {
    let (current, new) = (secret(current), secret(new));
    let request = ChangePassword { caller: caller(pair), current, new, client: Some(client.into()) };
    insist(|| async { stand.client.change_password(patient(), request.clone()).await.unwrap().map(|_| ()) }).await
}

#[tokio::test]
async fn too_many_wrong_passwords_close_a_name_to_their_client_for_a_while() {
    let stand = Stand::start().await;
    stand.register("mei").await.unwrap();
    // Names that nobody has answer alike, every time.
    for name in ["mei", "nobody"] {
        for _ in 0..3 {
            assert_eq!(stand.log_in(name, "wrong horse").await.unwrap_err().code, Code::WrongCredentials);
            stand.pass(Duration::from_secs(60));
        }
        let refusal = stand.log_in(name, PASSWORD).await.unwrap_err();
        assert_eq!(refusal.code, Code::RateLimited, "{name}");
        assert_eq!(refusal.retry_after_ms, Some(720_000), "{name}");
    }
    assert_eq!(stand.log_in("MEI", PASSWORD).await.unwrap_err().code, Code::RateLimited);
    let stand = stand.restart().await;
    assert_eq!(stand.log_in("mei", PASSWORD).await.unwrap_err().code, Code::RateLimited);
    stand.pass(WINDOW);
    stand.log_in("mei", PASSWORD).await.unwrap();
    assert_eq!(stand.log_in("nobody", PASSWORD).await.unwrap_err().code, Code::WrongCredentials);
}

#[tokio::test]
async fn a_stranger_who_guesses_shuts_out_only_himself() {
    let stand = Stand::start().await;
    let pair = stand.register("mei").await.unwrap();
    for _ in 0..3 {
        let refusal = stand.log_in_from("203.0.113.9", "mei", "wrong horse").await.unwrap_err();
        assert_eq!(refusal.code, Code::WrongCredentials);
    }
    // Guesses that are not tried are not counted: he gets no further by going on.
    for _ in 0..20 {
        let refusal = stand.log_in_from("203.0.113.9", "mei", PASSWORD).await.unwrap_err();
        assert_eq!(refusal.code, Code::RateLimited);
    }
    stand.log_in("mei", PASSWORD).await.unwrap();
    assert_eq!(stand.log_in_from("203.0.113.9", "mei", PASSWORD).await.unwrap_err().code, Code::RateLimited);
    change(&stand, &pair, PASSWORD, "another horse").await.unwrap();
}

#[tokio::test]
async fn many_strangers_together_close_a_name_but_not_to_who_is_signed_in() {
    let stand = Stand::start().await;
    let pair = stand.register("mei").await.unwrap();
    for n in 0..8 {
        let refusal = stand.log_in_from(&format!("203.0.113.{n}"), "mei", "wrong horse").await.unwrap_err();
        assert_eq!(refusal.code, Code::WrongCredentials);
        if n == 3 {
            // An owner who logs in gives them no new guesses.
            stand.log_in("mei", PASSWORD).await.unwrap();
        }
    }
    let refusal = stand.log_in_from("203.0.113.200", "mei", PASSWORD).await.unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after_ms), (Code::RateLimited, Some(900_000)));
    change(&stand, &pair, PASSWORD, "another horse").await.unwrap();
    stand.pass(WINDOW);
    stand.log_in("mei", "another horse").await.unwrap();
}

#[tokio::test]
async fn a_stolen_token_guesses_no_more_from_many_addresses() {
    let stand = Stand::start().await;
    let pair = stand.register("mei").await.unwrap();
    let other = stand.log_in("mei", PASSWORD).await.unwrap();
    for n in 0..8 {
        let client = format!("203.0.113.{n}");
        let refusal = change_from(&stand, &client, &pair, "wrong horse", "another horse").await.unwrap_err();
        assert_eq!(refusal.code, Code::WrongCredentials);
    }
    let refusal = change(&stand, &pair, PASSWORD, "another horse").await.unwrap_err();
    assert_eq!(refusal.code, Code::RateLimited);
    change(&stand, &other, PASSWORD, "another horse").await.unwrap();
}

#[tokio::test]
async fn the_right_password_forgets_the_wrong_ones() {
    let stand = Stand::start().await;
    stand.register("mei").await.unwrap();
    for _ in 0..3 {
        for _ in 0..2 {
            assert_eq!(stand.log_in("mei", "wrong horse").await.unwrap_err().code, Code::WrongCredentials);
        }
        stand.log_in("mei", PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn guesses_at_once_are_no_more_than_guesses_in_turn() {
    let stand = Stand::start().await;
    stand.register("mei").await.unwrap();
    let all = join_all((0..30).map(|_| stand.log_in("mei", "wrong horse"))).await;
    let guessed = all.iter().filter(|r| r.as_ref().is_err_and(|e| e.code == Code::WrongCredentials)).count();
    let limited = all.iter().filter(|r| r.as_ref().is_err_and(|e| e.code == Code::RateLimited)).count();
    assert_eq!((guessed, limited), (3, 27));
}

#[tokio::test]
async fn many_log_ins_at_once_with_the_right_password_all_succeed() {
    let stand = Stand::start().await;
    stand.register("mei").await.unwrap();
    let all = join_all((0..20).map(|_| stand.log_in("mei", PASSWORD))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[tokio::test]
async fn a_new_password_ends_all_other_log_ins() {
    let stand = Stand::start().await;
    let first = stand.register("mei").await.unwrap();
    let second = stand.log_in("mei", PASSWORD).await.unwrap();
    let other = stand.register("other").await.unwrap();

    change(&stand, &first, PASSWORD, "another horse").await.unwrap();
    assert!(stand.is_in(&first).await && stand.is_in(&other).await);
    assert!(!stand.is_in(&second).await);
    assert_eq!(stand.refresh(&second).await.unwrap_err().code, Code::BadRefreshToken);
    stand.refresh(&first).await.unwrap();
    eventually("push hears of the ended log-in", || stand.push.has_revoked(second.device)).await;
    assert_eq!(stand.push.got().len(), 1);

    assert_eq!(stand.log_in("mei", PASSWORD).await.unwrap_err().code, Code::WrongCredentials);
    stand.log_in("mei", "another horse").await.unwrap();
}

#[tokio::test]
async fn a_password_is_changed_only_by_who_knows_it() {
    let stand = Stand::start().await;
    let pair = stand.register("mei").await.unwrap();
    let other = stand.log_in("mei", PASSWORD).await.unwrap();
    let refusal = change(&stand, &pair, PASSWORD, "short").await.unwrap_err();
    assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::InvalidField, Some("/new")));
    for wrong in ["wrong horse", "", &"x".repeat(1_000)] {
        let refusal = change(&stand, &pair, wrong, "another horse").await.unwrap_err();
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::WrongCredentials, Some("/current")));
    }
    // Guessing here is guessing, too; this device's alone.
    assert_eq!(change(&stand, &pair, PASSWORD, "another horse").await.unwrap_err().code, Code::RateLimited);
    assert!(stand.is_in(&other).await);
    stand.log_in("mei", PASSWORD).await.unwrap();
    change(&stand, &other, PASSWORD, "another horse").await.unwrap();
}

#[tokio::test]
async fn of_two_changes_at_once_one_wins_and_no_log_in_with_the_old_password_stays() {
    let stand = Stand::start().await;
    let pair = stand.register("mei").await.unwrap();
    let changes = async {
        let (a, b) =
            tokio::join!(change(&stand, &pair, PASSWORD, "horse one"), change(&stand, &pair, PASSWORD, "horse two"));
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    };
    let log_ins = join_all((0..8).map(|_| stand.log_in("mei", PASSWORD)));
    let ((), log_ins) = tokio::join!(changes, log_ins);
    for pair in log_ins.into_iter().flatten() {
        assert!(!stand.is_in(&pair).await);
        assert_eq!(stand.refresh(&pair).await.unwrap_err().code, Code::BadRefreshToken);
    }
    assert!(stand.is_in(&pair).await);
}
