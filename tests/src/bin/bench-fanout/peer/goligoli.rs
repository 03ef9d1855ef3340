//! This project's server, in a fresh data folder, with nothing tuned but that no limit holds.

use std::sync::Arc;

use goligoli_tests::http;
use goligoli_tests::swarm::{Stamp, Target};
use goligoli_tests::{Account, Scene, Setup};

use super::{Peer, said};
use crate::scenario::Scenario;

const ACCOUNTS: usize = 200;
/// What a danmaku event has besides its text.
const AROUND_THE_TEXT_BYTES: usize = 190;
/// Text that a danmaku may have.
const MOST_TEXT: usize = 100;

pub(super) async fn start(scenario: &Scenario) -> anyhow::Result<Peer> {
    let mut setup = Setup::new();
    if let Some(ms) = scenario.gather_ms {
        setup = setup.set("PUSH__TICK_MS", &ms.to_string());
    }
    let mut server = setup.start().await;
    let accounts = Account::seed(&server, ACCOUNTS).await;
    let room = Scene::open(&server).await.room;
    // What hashing passwords took would else hide what viewers take.
    server.restart().await;
    let path = format!("/api/v1/rooms/{room}/danmaku");
    let bearer: Vec<String> = accounts.iter().map(|account| format!("Bearer {}", account.token)).collect();
    let text_bytes = scenario.payload_bytes.saturating_sub(AROUND_THE_TEXT_BYTES).min(MOST_TEXT);
    let publish = move |stamp: Stamp<'_>| {
        let text = format!("{stamp:x<text_bytes$}", stamp = stamp.to_string());
        let account = usize::try_from(stamp.n).unwrap_or_default() % bearer.len();
        let headers = [("Authorization", bearer[account].as_str()), ("Content-Type", "application/json")];
        http::post(&path, &headers, &format!(r#"{{"text":"{text}"}}"#))
    };
    let name = if server.pids().len() > 1 { "goligoli, apart" } else { "goligoli" };
    let version = said(std::process::Command::new("git").args(["describe", "--always", "--dirty"]));
    Ok(Peer {
        name: name.to_owned(),
        version: format!("goligoli {version}"),
        target: Target::room(server.address(), &room),
        publish: Arc::new(publish),
        publishers: 16,
        pids: server.pids(),
        started: Some(Box::new(server)),
    })
}
