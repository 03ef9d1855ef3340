//! A server that runs already, whatever it is: events come from one URL, and what is posted
//! to another comes out of it.

use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use anyhow::Context as _;
use goligoli_tests::http;
use goligoli_tests::swarm::{Ids, Stamp, Target};

use super::{Peer, payload};
use crate::scenario::Scenario;

/// Where that server is.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Url {
    /// `url`: the event stream, `http://HOST:PORT/PATH`.
    #[arg(long)]
    events_url: Option<String>,
    /// `url`: where to post on the same host and port; the body is one event's data.
    #[arg(long)]
    publish_path: Option<String>,
    /// `url`: a header of each post, `Name: value`; may be repeated.
    #[arg(long)]
    publish_header: Vec<String>,
    /// `url`: what stands around the data in a post's body, with `{}` in its place.
    #[arg(long, default_value = "{}")]
    publish_body: String,
    /// `url`: the server's process, for its CPU and memory.
    #[arg(long)]
    pid: Option<u32>,
}

pub(super) fn attach(scenario: &Scenario, url: &Url) -> anyhow::Result<Peer> {
    let events = url.events_url.as_deref().context("--events-url is needed")?;
    let (host, path) = split(events)?;
    let publish_path = url.publish_path.clone().context("--publish-path is needed")?;
    let header = |line: &String| {
        let (name, value) = line.split_once(": ").with_context(|| format!("{line} is no `Name: value`"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let headers: Vec<(String, String)> = url.publish_header.iter().map(header).collect::<anyhow::Result<_>>()?;
    let (around, bytes) = (url.publish_body.clone(), scenario.payload_bytes);
    let publish = move |stamp: Stamp<'_>| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        http::post(&publish_path, &headers, &around.replace("{}", &payload(stamp, bytes)))
    };
    let address = host.to_socket_addrs()?.next().with_context(|| format!("{host} has no address"))?;
    Ok(Peer {
        name: events.to_owned(),
        version: format!("whatever answers at {host}"),
        target: Target { address, path: path.to_owned(), headers: Vec::new(), ids: Ids::Numbers },
        publish: Arc::new(publish),
        publishers: 1,
        pids: url.pid.into_iter().collect(),
        started: None,
    })
}

/// `HOST:PORT`, and the path.
fn split(url: &str) -> anyhow::Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} does not begin with http://"))?;
    Ok(rest.find('/').map_or((rest, "/"), |at| rest.split_at(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_a_path() {
        assert_eq!(split("http://localhost:80/a?b").unwrap(), ("localhost:80", "/a?b"));
        assert_eq!(split("http://localhost:80").unwrap(), ("localhost:80", "/"));
        assert!(split("https://localhost/").is_err());
    }
}
