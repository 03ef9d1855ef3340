use common::Lifecycle;
use futures::future::join_all;
use idl::access::SiteRole;
use idl::user::{EditProfile, GetProfile, Me, Profile};
use idl::{Caller, Code, UserId};
use user::{Settings, User};

use crate::stand::{PASSWORD, Stand, caller, patient, platform, settings};

#[tokio::test]
async fn who_registers_is_logged_in_and_can_log_in_again() {
    let stand = Stand::start().await;
    let pair = stand.register(" Ｍei\u{301} ").await.unwrap();
    assert_eq!((pair.account.name.as_str(), pair.account.role), ("Meí", SiteRole::Member));
    assert_eq!(pair.access_expires_at, stand.clock.now().plus_ms(600_000));
    assert_eq!(pair.refresh_expires_at, stand.clock.now().plus_ms(30 * 86_400_000));

    let account = stand.client.me(patient(), Me { caller: caller(&pair) }).await.unwrap().unwrap();
    assert_eq!(account, pair.account);
    let again = stand.log_in("MEÍ", PASSWORD).await.unwrap();
    assert_eq!(again.account, account);
    assert_ne!(again.device, pair.device);
    let stand = stand.restart().await;
    assert!(stand.is_in(&again).await);
    assert_eq!(stand.log_in("meí", PASSWORD).await.unwrap().account, account);
}

#[tokio::test]
async fn malformed_names_and_passwords_are_refused_by_field() {
    let stand = Stand::start().await;
    let bad_names =
        ["", "a", "<script>", "ab\u{202E}cd", "ab\0cd", "mei😀", "a b", "__", &"字".repeat(21), &"x".repeat(99_999)];
    for name in bad_names {
        let refusal = stand.register(name).await.unwrap_err();
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::InvalidField, Some("/name")), "{name:?}");
        assert_eq!(stand.log_in(name, PASSWORD).await.unwrap_err().code, Code::WrongCredentials, "{name:?}");
    }
    for password in ["", "1234567", &"x".repeat(129), &"x".repeat(99_999)] {
        let refusal = stand.register_with("mei", password).await.unwrap_err();
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::InvalidField, Some("/password")), "{password:?}");
    }
    // None of those made the account.
    stand.register_with("mei", "\0 <b> \u{202E} 😀").await.unwrap();
    stand.log_in("mei", "\0 <b> \u{202E} 😀").await.unwrap();
}

#[tokio::test]
async fn names_that_are_taken_reserved_or_alike_are_refused() {
    let stand = Stand::start().await;
    stand.register("goodname").await.unwrap();
    for name in
        ["goodname", "GoodName", "ｇｏｏｄｎａｍｅ", "gооdname", "g00dname", "goodnarne", "admin", "аdmin", "官方小梅"]
    {
        let refusal = stand.register(name).await.unwrap_err();
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::NameTaken, Some("/name")), "{name}");
    }
    stand.register("goodname2").await.unwrap();
}

#[tokio::test]
async fn of_many_who_want_one_name_exactly_one_gets_it() {
    let stand = Stand::start().await;
    let spellings = ["mei", "MEI", "rnei", "Mei", "mеi", "ＭEI"];
    let all = join_all((0..24).map(|n| stand.register(spellings[n % spellings.len()]))).await;
    let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|r| r.as_ref().is_err_and(|refusal| refusal.code == Code::NameTaken)));
    let winner = won[0].as_ref().unwrap();
    assert!(stand.is_in(winner).await);
    assert_eq!(stand.log_in(&winner.account.name, PASSWORD).await.unwrap().account, winner.account);
}

#[tokio::test]
async fn a_profile_is_edited_by_its_owner_and_seen_by_all() {
    let stand = Stand::start().await;
    let pair = stand.register("mei").await.unwrap();
    let edit = |bio: &str| EditProfile { caller: caller(&pair), bio: bio.to_owned() };
    let bio = "<b>hi</b> & 😀\n第二行";
    let account = stand.client.edit_profile(patient(), edit(bio)).await.unwrap().unwrap();
    assert_eq!(account.bio, bio);
    for bad in ["\0", "a\u{202E}b", &"字".repeat(201)] {
        let refusal = stand.client.edit_profile(patient(), edit(bad)).await.unwrap().unwrap_err();
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::InvalidField, Some("/bio")), "{bad:?}");
    }
    let get = GetProfile { user: account.id };
    let seen = stand.client.profile(patient(), get).await.unwrap().unwrap();
    let expected = Profile { id: account.id, name: "mei".into(), bio: bio.into(), created_at: account.created_at };
    assert_eq!(seen, expected);
    assert_eq!(stand.client.edit_profile(patient(), edit("")).await.unwrap().unwrap().bio, "");

    for nobody in [UserId(0), UserId(999_999), UserId(u64::MAX)] {
        let refusal = stand.client.profile(patient(), GetProfile { user: nobody }).await.unwrap().unwrap_err();
        assert_eq!(refusal.code, Code::NoSuchUser);
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token() {
    let stand = Stand::start().await;
    stand.register("mei").await.unwrap();
    for token in ["", "x", "a.b.c"] {
        let me = Me { caller: Caller { token: token.to_owned() } };
        assert_eq!(stand.client.me(patient(), me).await.unwrap().unwrap_err().code, Code::NotSignedIn);
    }
}

#[tokio::test]
async fn settings_out_of_range_stop_the_start() {
    let stand = Stand::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (platform, signer) = platform(folder.path(), &stand.clock, &Lifecycle::new());
    for bad in [
        Settings { access_token_seconds: 901, ..settings() },
        Settings { access_token_seconds: 0, ..settings() },
        Settings { log_in_days: 0, ..settings() },
        Settings { wrong_passwords: 0, ..settings() },
        Settings { wrong_passwords_per_name: 0, ..settings() },
    ] {
        let push = stand.push.client(&platform.lifecycle);
        assert!(User::start(bad, &platform, signer.clone(), push).await.is_err());
    }
}
