//! The operator's socket, with the deadlines that it has in earnest.

use std::time::Duration;

use common::data_dir::DataDir;
use common::{Clock, Lifecycle};
use goligoli::operator::{Command, Site, listen};
use goligoli::{Config, config, platform};
use idl::user::Secret;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use user::Operator;

#[tokio::test]
async fn who_reads_no_answer_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let config: Config = toml::from_str(config::DEFAULTS).unwrap();
    let data_dir = DataDir::lock(folder.path()).unwrap();
    let (platform, signer) = platform::open(&config, &data_dir, Clock::system(), Lifecycle::new()).await.unwrap();
    let accounts = Operator::open(&config.user, &platform, signer).await.unwrap();
    let replays = live::Operator::of_stopped(&platform);
    let feeds = push::Feeds::in_folder(data_dir.path());
    let site = Site { accounts: Some(accounts), replays: Some(replays), feeds: Some(feeds) };
    listen(data_dir.path(), site, &platform.lifecycle).unwrap();

    let mut socket = UnixStream::connect(folder.path().join("operator.sock")).await.unwrap();
    let password = Secret("correct horse".to_owned());
    let seed = Command::Seed { accounts: 100_000, prefix: "viewer-".to_owned(), password };
    let line = format!("{}\n", serde_json::to_string(&seed).unwrap());
    socket.write_all(line.as_bytes()).await.unwrap();
    let hung_up = async {
        while socket.write_all(b"\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), hung_up).await.expect("it is hung up on");
    platform.lifecycle.stop(Duration::from_secs(5)).await;
}
