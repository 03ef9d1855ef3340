//! The Mercure hub without history, which is its fastest.

use std::process::Command;
use std::sync::Arc;

use goligoli_tests::http;
use goligoli_tests::swarm::{Ids, Stamp, Target};

use super::{Peer, Programs, Running, payload};
use crate::scenario::Scenario;

const KEY: &str = "a key for measurements, known to everybody";
/// `{"alg":"HS256","typ":"JWT"}`, `{"mercure":{"publish":["*"]}}`, signed with that key.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJtZXJjdXJlIjp7InB1Ymxpc2giOlsiKiJdfX0.dBeNUjy3aVBaz2fTax3jEHXw66m4nqbC1A0zZ068yNA";

pub(super) fn start(scenario: &Scenario, programs: &Programs) -> anyhow::Result<Peer> {
    let program = programs.mercure.canonicalize()?;
    let running = Running::start(|address, _| {
        let mut command = Command::new(program);
        command
            .env("ADDR", address.to_string())
            .env("TRANSPORT_URL", "local://local")
            .env("JWT_KEY", KEY)
            .env("ALLOW_ANONYMOUS", "1")
            .env("WRITE_TIMEOUT", "0s")
            .env("LOG_LEVEL", "error");
        Ok(command)
    })?;
    let bytes = scenario.payload_bytes;
    let publish = move |stamp: Stamp<'_>| {
        // Nothing in the payload has a meaning in a form, but the signs that are replaced.
        let data = payload(stamp, bytes).replace('=', "%3D").replace(';', "%3B");
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        http::post("/.well-known/mercure", &headers, &format!("topic=room&data={data}"))
    };
    let path = "/.well-known/mercure?topic=room".to_owned();
    Ok(Peer {
        name: "Mercure".to_owned(),
        version: "Mercure 0.18.0".to_owned(),
        target: Target { address: running.address, path, headers: Vec::new(), ids: Ids::Numbers },
        publish: Arc::new(publish),
        publishers: 1,
        pids: vec![running.child.id()],
        started: Some(Box::new(running)),
    })
}
