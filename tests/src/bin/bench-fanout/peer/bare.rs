//! The loop of [`crate::bare_loop`], in a process of its own.

use std::process::Command;
use std::sync::Arc;

use goligoli_tests::http;
use goligoli_tests::swarm::{Ids, Stamp, Target};

use super::{Peer, Running, payload};
use crate::scenario::Scenario;

pub(super) fn start(scenario: &Scenario) -> anyhow::Result<Peer> {
    let batch_ms = scenario.gather_ms.unwrap_or(0);
    let running = Running::start(|address, _| {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve-bare", &address.to_string(), "--batch-ms", &batch_ms.to_string()]);
        Ok(command)
    })?;
    let bytes = scenario.payload_bytes;
    let gathering = if batch_ms > 0 { format!(", {batch_ms} ms") } else { String::new() };
    Ok(Peer {
        name: format!("bare send loop{gathering}"),
        version: "bare send loop of this tool".to_owned(),
        target: Target { address: running.address, path: "/".to_owned(), headers: Vec::new(), ids: Ids::Numbers },
        publish: Arc::new(move |stamp: Stamp<'_>| http::post("/", &[], &payload(stamp, bytes))),
        publishers: 1,
        pids: vec![running.child.id()],
        started: Some(Box::new(running)),
    })
}
