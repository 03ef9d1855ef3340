//! Centrifugo with unidirectional SSE and the memory engine; it logs errors only.

use std::process::Command;
use std::sync::Arc;

use goligoli_tests::http;
use goligoli_tests::swarm::{Ids, Stamp, Target};

use super::{Peer, Programs, Running, payload, said};
use crate::scenario::Scenario;

/// Nobody has to prove who they are: what that costs is not compared here.
const CONFIGURATION: &str = r#"{
    "allow_anonymous_connect_without_token": true,
    "allow_subscribe_for_client": true,
    "allow_subscribe_for_anonymous": true,
    "usage_stats_disable": true
}"#;
/// The channel, in the query that a browser would send.
const SUBSCRIBE: &str = "/connection/uni_sse?cf_connect=%7B%22subs%22%3A%7B%22room%22%3A%7B%7D%7D%7D";

pub(super) fn start(scenario: &Scenario, programs: &Programs) -> anyhow::Result<Peer> {
    let program = programs.centrifugo.canonicalize()?;
    let version = said(Command::new(&program).arg("version"));
    let running = Running::start(|address, folder| {
        let configuration = folder.path().join("config.json");
        std::fs::write(&configuration, CONFIGURATION)?;
        let mut command = Command::new(program);
        command.arg("--config").arg(configuration);
        command.args(["--address", "127.0.0.1", "--port", &address.port().to_string(), "--log_level", "error"]);
        command.args(["--uni_sse", "--api_insecure"]);
        Ok(command)
    })?;
    let bytes = scenario.payload_bytes;
    let publish = move |stamp: Stamp<'_>| {
        let body = format!(r#"{{"channel":"room","data":{}}}"#, payload(stamp, bytes));
        http::post("/api/publish", &[("Content-Type", "application/json")], &body)
    };
    Ok(Peer {
        name: "Centrifugo".to_owned(),
        version,
        target: Target { address: running.address, path: SUBSCRIBE.to_owned(), headers: Vec::new(), ids: Ids::Numbers },
        publish: Arc::new(publish),
        publishers: 1,
        pids: vec![running.child.id()],
        started: Some(Box::new(running)),
    })
}
