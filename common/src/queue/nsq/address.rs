//! Where the servers are: `nsq://lookupd:4161,…?nsqd=host:4150,…&prefix=site.`.

use anyhow::{Context as _, bail, ensure};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// nsqlookupds' HTTP addresses, `host:port`.
    pub(super) lookupds: Vec<String>,
    /// nsqds' TCP addresses, `host:port`: where to publish, the first first.
    pub(super) nsqds: Vec<String>,
    /// What all topics' names begin with, where several sites share the servers.
    pub(super) prefix: String,
}

/// The longest prefix: a topic's name has 64 characters at most.
const MAX_PREFIX: usize = 32;

impl Address {
    /// # Errors
    /// Something is missing or makes no sense; names the key.
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("nsq://").context("queue.url does not begin with \"nsq://\"")?;
        let (hosts, options) = rest.split_once('?').unwrap_or((rest, ""));
        let lookupds = addresses(hosts).context("queue.url needs nsqlookupds' HTTP addresses: nsq://host:4161?…")?;
        let (mut nsqds, mut prefix) = (None, "");
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("nsqd", hosts)) => nsqds = Some(addresses(hosts).context("in queue.url, after nsqd=")?),
                Some(("prefix", text)) => prefix = text,
                _ => bail!("queue.url has an unknown option; it knows nsqd=host:4150,… and prefix=site."),
            }
        }
        let nsqds = nsqds.context("queue.url says nothing of where to publish: nsq://…?nsqd=host:4150")?;
        let is_prefix = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        ensure!(
            is_prefix && prefix.len() <= MAX_PREFIX,
            "the prefix of queue.url is not the beginning of a topic's name"
        );
        Ok(Self { lookupds, nsqds, prefix: prefix.to_owned() })
    }
}

fn addresses(hosts: &str) -> anyhow::Result<Vec<String>> {
    let addresses = hosts.trim_end_matches('/').split(',').map(|address| {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        ensure!(!host.is_empty() && is_port && !host.contains(['@', '/', ' ']), "an address is no host:port");
        Ok(address.to_owned())
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_whole_or_refused_by_its_key() {
        let read = Address::parse("nsq://a:4161,b:4161?nsqd=c:4150,127.0.0.1:4152").unwrap();
        assert_eq!(read.lookupds, ["a:4161", "b:4161"]);
        assert_eq!(read.nsqds, ["c:4150", "127.0.0.1:4152"]);
        assert_eq!(read.prefix, "");
        assert_eq!(Address::parse("nsq://a:4161?nsqd=b:4150&prefix=site-1.").unwrap().prefix, "site-1.");
        for bad in [
            "nsq:",
            "nsq://",
            "nsq://a:4161",
            "nsq://a?nsqd=b:4150",
            "nsq://a:4161?nsqd=",
            "nsq://a:4161?nsqd=b",
            "nsq://a:4161?nsqd=b:0",
            "nsq://a:4161?nsqd=http://b:4150",
            "nsq://a:4161?nsqd=b:4150&tls=1",
            "nsq://a:4161?nsqd=b:4150&prefix=a/b",
            "nsq://user:sesame@a:4161?nsqd=b:4150",
        ] {
            let error = format!("{:#}", Address::parse(bad).unwrap_err());
            assert!(error.contains("queue.url") && !error.contains("sesame"), "{bad}: {error}");
        }
    }
}
