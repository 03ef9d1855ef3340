//! The demo in a data folder: whose it is, and how it leaves it.

use std::path::Path;
use std::time::Duration;

use common::Clock;
use common::rpc::{answer, within};
use goligoli::{App, Config, config, demo};
use idl::event::LotteryPhase;
use idl::live::{ListRooms, Room};
use idl::lottery::{ListLotteries, RoomLottery};
use idl::user::{LogIn, Register, Secret};

const PATIENCE: Duration = Duration::from_secs(30);

fn config_in(folder: &Path) -> Config {
    let mut config: Config = toml::from_str(config::DEFAULTS).expect("the defaults");
    config.data_dir = folder.to_owned();
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.ops.enabled = false;
    config.push.drain_ms = 100;
    config
}

const fn options() -> demo::Options {
    demo::Options { file: None, speed: 1.0, watchers: 2, broadcasts: None }
}

async fn only_room(app: &App) -> Room {
    let all = ListRooms { limit: 10, ..ListRooms::default() };
    let mut rooms = answer(app.clients.live.rooms(within(PATIENCE), all).await).expect("the rooms").items;
    assert_eq!(rooms.len(), 1);
    rooms.remove(0)
}

async fn until_live(app: &App) -> Room {
    let live = async {
        loop {
            let room = only_room(app).await;
            if room.session.is_some() {
                return room;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, live).await.expect("a broadcast begins")
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_broadcast_ends_it_and_the_next_demo_has_the_same_room() {
    let folder = tempfile::tempdir().unwrap();
    let app = demo::start(config_in(folder.path()), options()).await.unwrap();
    let first = until_live(&app).await;
    assert!(first.cover_url.is_some() && first.owner.name == "night-train");
    app.stop().await;

    let app = App::start(config_in(folder.path()), Clock::system()).await.unwrap();
    assert_eq!(only_room(&app).await.session, None);
    app.stop().await;

    let app = demo::start(config_in(folder.path()), options()).await.unwrap();
    let again = until_live(&app).await;
    assert_eq!((again.id, again.owner), (first.id, first.owner));
    app.stop().await;
}

#[tokio::test]
async fn a_real_account_is_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(config_in(folder.path()), Clock::system()).await.unwrap();
    let (name, password) = ("night-train".to_owned(), Secret("correct horse".to_owned()));
    let register = Register { name: name.clone(), password: password.clone(), device_name: String::new() };
    answer(app.clients.user.register(within(PATIENCE), register).await).unwrap();
    app.stop().await;

    let refused = format!("{:#}", demo::start(config_in(folder.path()), options()).await.unwrap_err());
    assert!(refused.contains("another data folder") && refused.contains("night-train"), "{refused}");

    // As after the process's end: the folder itself is free again, since nobody holds it.
    let app = App::start(config_in(folder.path()), Clock::system()).await.unwrap();
    let log_in = LogIn { name, password, device_name: String::new(), client: None };
    answer(app.clients.user.log_in(within(PATIENCE), log_in).await).expect("the password is what it was");
    app.stop().await;
}

#[tokio::test]
async fn each_broadcast_has_a_lottery_that_its_viewers_join_and_claim() {
    let folder = tempfile::tempdir().unwrap();
    let options = demo::Options { speed: 20.0, broadcasts: Some(2), ..options() };
    let app = demo::start(config_in(folder.path()), options).await.unwrap();
    let room = until_live(&app).await;
    let both = async {
        loop {
            let list = ListLotteries { room: room.id, cursor: None, limit: 10 };
            let lotteries = answer(app.clients.lottery.lotteries(within(PATIENCE), list).await).unwrap().items;
            let claimed = |lottery: &RoomLottery| {
                lottery.phase == LotteryPhase::Drawn && lottery.winners.iter().all(|winner| winner.claimed)
            };
            if lotteries.len() == 2 && lotteries.iter().all(claimed) {
                return lotteries;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let lotteries = tokio::time::timeout(3 * PATIENCE, both).await.expect("both are drawn and claimed");
    app.stop().await;
    for lottery in &lotteries {
        assert!(lottery.entrants >= 20 && lottery.winners_total == 4, "{lottery:?}");
    }
    let keywords: Vec<bool> = lotteries.iter().rev().map(|lottery| lottery.keyword.is_some()).collect();
    assert_eq!(keywords, [false, true], "by click, then by keyword");
}
