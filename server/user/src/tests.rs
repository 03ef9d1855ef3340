//! What can't be seen from outside.

use std::path::Path;
use std::sync::Arc;

use common::outbox::Outbox;
use common::token::Signer;
use common::{Clock, Ids, Lifecycle};
use idl::user::{LogIn, Register, Secret};
use idl::{Code, DeviceId, Timestamp, UserId};

use crate::accounts::Accounts;
use crate::attempts::Guess;
use crate::{Settings, open, store};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

async fn accounts(folder: &Path) -> Accounts {
    let clock = Clock::manual(NOW);
    let signer = Arc::new(Signer::load_or_create(folder, clock.clone()).unwrap());
    let platform = common::native::platform(folder, &clock, &Lifecycle::new(), &signer);
    let settings = Settings {
        access_token_seconds: 600,
        log_in_days: 30,
        wrong_passwords: 10,
        wrong_passwords_per_name: 100,
        wrong_passwords_window_seconds: 900,
        hash_queue: 0,
        refresh_key: common::keys::ConfiguredKey::default(),
    };
    open(&settings, &platform, signer).await.unwrap()
}

#[test]
fn the_migration_has_the_platforms_tables() {
    let migration = include_str!("../migrations/0001_init.sql");
    assert!(migration.contains(Ids::TABLE) && migration.contains(Outbox::TABLE));
}

#[tokio::test]
async fn a_sweep_removes_what_has_run_out_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = accounts(folder.path()).await;
    let mut devices = Vec::new();
    for id in 1..=1_201 {
        devices.push(accounts.fresh_device(DeviceId(id), UserId(7), String::new()).unwrap());
    }
    devices[0].expires_at = devices[0].expires_at.plus_ms(1);
    let mut tx = accounts.store.db().begin().await.unwrap();
    for some in devices.chunks(500) {
        store::insert_devices(&mut tx, some).await.unwrap();
    }
    tx.commit().await.unwrap();
    accounts.clock.advance_ms(30 * 86_400_000);
    let now = accounts.clock.now();
    let (past, present) = (Guess::at_name("past", None), Guess::at_name("present", None));
    accounts.store.count_wrong_password(&past, now, now).await.unwrap();
    accounts.store.count_wrong_password(&present, now, now.plus_ms(1)).await.unwrap();

    assert_eq!(accounts.sweep().await.unwrap(), 1_202, "devices, and the past twice: by its client and by all");
    assert!(accounts.store.wrong_passwords(&past).await.unwrap().by_client.is_none());
    let left = accounts.store.wrong_passwords(&present).await.unwrap();
    assert_eq!((left.by_client.unwrap().times, left.by_all.unwrap().times), (1, 1));
    let left = accounts.store.devices(UserId(7), Timestamp(0)).await.unwrap();
    assert_eq!(left.iter().map(|device| device.id).collect::<Vec<_>>(), [DeviceId(1)]);
    assert_eq!(accounts.sweep().await.unwrap(), 0);
}

/// Otherwise the time of an answer would tell which names there are.
#[tokio::test]
async fn a_log_in_to_a_name_that_nobody_has_needs_a_core_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = accounts(folder.path()).await;
    let log_in = || async {
        let password = Secret("correct horse".to_owned());
        let request = LogIn { name: "nobody".to_owned(), password, device_name: String::new(), client: None };
        accounts.log_in(request).await.unwrap_err().into_refusal("a test").code
    };
    let nobody = Guess::at_name("nobody", None);
    let busy = accounts.hasher.occupy().await;
    assert_eq!(log_in().await, Code::Unavailable);
    // A password that was not checked is not counted as wrong.
    assert!(accounts.store.wrong_passwords(&nobody).await.unwrap().by_client.is_none());
    drop(busy);
    assert_eq!(log_in().await, Code::WrongCredentials);
    assert_eq!(accounts.store.wrong_passwords(&nobody).await.unwrap().by_client.unwrap().times, 1);
}

#[tokio::test]
async fn a_log_in_whose_password_was_changed_after_the_check_does_not_get_in() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = accounts(folder.path()).await;
    let password = Secret("correct horse".to_owned());
    let register = Register { name: "mei".to_owned(), password, device_name: String::new() };
    let user = accounts.register(register).await.unwrap().account.id;

    let turn = accounts.attempts.turn(&accounts.store, &accounts.clock, Guess::at_name("mei", None)).await.unwrap();
    let (account, checked) = accounts.store.find(user).await.unwrap().unwrap();
    accounts.replace_password(user, &checked, "another hash", |_| true, None, idl::Refusal::internal).await.unwrap();
    let refused = accounts.enter(turn, account, &checked, String::new()).await.unwrap_err();
    assert_eq!(refused.into_refusal("a test").code, Code::WrongCredentials);
    assert!(accounts.store.devices(user, NOW).await.unwrap().is_empty());
}
