//! The metrics of a site's processes: what operators watch exists.

use std::collections::BTreeSet;

use goligoli_tests::lottery::{Lottery, book};
use goligoli_tests::{Account, Answer, PROCESSES, Scene, Server, Setup, Watch, until};
use serde_json::Value;

const DASHBOARD: &str = include_str!("../../deployment/grafana/goligoli.json");
const ALERTS: &str = include_str!("../../deployment/prometheus/alerts.yaml");

/// The names of our metrics that a text has.
fn names(text: &str) -> BTreeSet<String> {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_in_name(c)).filter(|word| word.starts_with("goligoli_"));
    words.map(str::to_owned).collect()
}

async fn metrics_of(server: &mut Server, process: &str) -> String {
    let url = server.site().ops(process, "/metrics");
    Answer::to(server.client().get(url)).await.text()
}

#[tokio::test]
async fn what_dashboard_and_alerts_ask_for_is_what_processes_tell() {
    let mut server = Setup::new().start().await;
    if !server.is_apart() {
        return;
    }
    let scene = Scene::open(&server).await;
    let account = Account::register(&server, "mei").await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;
    _ = account.say(&scene.room, "counted").await.expect(201);
    _ = viewer.next("danmaku").await;
    let lottery = Lottery::open(&scene, &book(10)).await;
    _ = lottery.enter(&account).await.expect(201);
    until("it is drawn", async || (lottery.now(&server).await["phase"] == "drawn").then_some(())).await;
    _ = scene.owner.post(&scene.path(&format!("/sessions/{}/close", scene.session)), &Value::Null).await.expect(200);

    let wanted = names(&format!("{DASHBOARD}{ALERTS}"));
    assert!(wanted.len() > 20, "{wanted:?}");
    let mut missing = BTreeSet::new();
    for _ in 0..100 {
        let mut told = BTreeSet::new();
        for process in PROCESSES {
            told.append(&mut names(&metrics_of(&mut server, process).await));
        }
        missing = wanted.difference(&told).cloned().collect();
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(missing.is_empty(), "nobody tells {missing:?}");

    // Rate, errors and duration, of routes and of calls.
    let of_gateways = metrics_of(&mut server, "gateway-1").await + &metrics_of(&mut server, "gateway-2").await;
    let has = |text: &str, parts: &[&str]| text.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    let route = r#"route="/api/v1/rooms/{id}/danmaku""#;
    assert!(has(&of_gateways, &["goligoli_http_requests_total{", route, r#"status="201""#]));
    assert!(has(&of_gateways, &["goligoli_http_request_seconds_bucket{", route]));
    let call = [r#"service="message""#, r#"method="post""#];
    assert!(has(&of_gateways, &["goligoli_rpc_requests_total{", call[0], call[1], r#"outcome="ok""#]));
    assert!(has(&of_gateways, &["goligoli_rpc_request_seconds_bucket{", call[0], call[1]]));
}
