//! Configuration that all processes share, in etcd: `/goligoli/config/push/rate_per_s` is
//! `push.rate_per_s`, over file and environment.
//!
//! A key is taken if the whole with it can be used, or else refused by itself: then what it
//! was before stays. Only keys on a list may be shared: none that is a secret, that says whom
//! to trust, or that belongs to one process (its folder, its listeners, its registry).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use common::discovery::Discovery;
use common::etcd::{Etcd, Seen, Snapshot, follow};
use common::{Lifecycle, telemetry};
use tokio::sync::mpsc;

use crate::Config;
use crate::config::DEFAULTS;

/// The keys that may be shared; `default.toml` says so of each.
pub(crate) const MAY_BE_SHARED: [&str; 24] = [
    "gateway.limits.danmaku_per_user.burst",
    "gateway.limits.danmaku_per_user.per_minute",
    "gateway.limits.per_address.burst",
    "gateway.limits.per_address.per_minute",
    "gateway.limits.sign_in_per_address.burst",
    "gateway.limits.sign_in_per_address.per_minute",
    "gateway.limits.writes_per_user.burst",
    "gateway.limits.writes_per_user.per_minute",
    "live.rooms_per_account",
    "live.slow_mode_s",
    "log.filter",
    "message.guaranteed_per_room_per_s",
    "message.import_max_danmaku",
    "push.burst",
    "push.egress_mbps",
    "push.keep_bytes",
    "push.keep_events",
    "push.keep_ms",
    "push.max_streams_per_address",
    "push.opens_per_address.burst",
    "push.opens_per_address.per_minute",
    "push.rate_per_s",
    "push.reconnect_spread_ms",
    "push.tick_ms",
];

/// Changes that may wait to be taken. Full: the watch waits.
const SEEN: usize = 256;

/// What was offered, and what of it is in effect.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// As it is in etcd: keys like `push/rate_per_s`.
    offered: BTreeMap<String, String>,
    /// By keys like `push.rate_per_s`.
    taken: BTreeMap<String, toml::Value>,
    /// What was refused and said so, by key.
    refused: BTreeMap<String, Option<String>>,
}

/// Shared configuration as it was read, and where it goes on.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) shared: Shared,
    etcd: Etcd,
    read: Snapshot,
}

/// Lays what is shared over a configuration, if its registry shares any.
///
/// # Errors
/// It can't be read, or the configuration's file can't be any more.
pub(crate) async fn overlay(config: Config, discovery: &Discovery) -> anyhow::Result<(Config, Option<Source>)> {
    let Some(etcd) = discovery.etcd() else { return Ok((config, None)) };
    let mut read = etcd.first_read(&etcd.key(PREFIX)).await.context("reading shared configuration (discovery.url)")?;
    let file = match &config.file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?,
        None => String::new(),
    };
    let mut shared = Shared::default();
    shared.see(Seen::Anew(std::mem::take(&mut read.pairs)));
    let config = match shared.take(&file) {
        None => config,
        // The sections that hold what may be shared; the rest stays as it was given.
        Some(Config { log, user, live, message, lottery, push, gateway, .. }) => {
            Config { log, user, live, message, lottery, push, gateway, ..config }
        }
    };
    telemetry::set_filter(&config.log.filter)?;
    Ok((config, Some(Source { shared, etcd: etcd.clone(), read })))
}

/// A configuration as a process that starts now would have it. Without its registry it is
/// what it is without, and standard error says so.
pub(crate) async fn effective(config: Config) -> Config {
    let lifecycle = Lifecycle::new();
    let overlaid = async {
        let discovery = Discovery::open(&config.discovery, &lifecycle).await?;
        overlay(config.clone(), &discovery).await
    };
    let overlaid = overlaid.await;
    lifecycle.stop(Duration::from_secs(1)).await;
    match overlaid {
        Ok((config, _)) => config,
        Err(error) => {
            eprintln!("goligoli: without shared configuration: {error:#}");
            config
        }
    }
}

const PREFIX: &str = "config/";

impl Source {
    /// Goes on from where it was read, until the process stops.
    pub(crate) fn follow(self, lifecycle: &Lifecycle) -> (Shared, mpsc::Receiver<Seen>) {
        let (sender, seen) = mpsc::channel(SEEN);
        let soft = lifecycle.soft().clone();
        let prefix = self.etcd.key(PREFIX);
        lifecycle.spawn("shared_config", async move {
            _ = soft.run_until_cancelled(follow(self.etcd, prefix, self.read, sender)).await;
        });
        (self.shared, seen)
    }
}

impl Shared {
    /// `true`: what is offered is whole, and may be taken.
    pub(crate) fn see(&mut self, seen: Seen) -> bool {
        let whole = matches!(seen, Seen::Anew(_) | Seen::Together);
        match seen {
            Seen::Anew(pairs) => self.offered = pairs.into_iter().collect(),
            Seen::Put(key, value) => _ = self.offered.insert(key, value),
            Seen::Deleted(key) => _ = self.offered.remove(&key),
            Seen::Together => {}
        }
        whole
    }

    /// Takes what is offered and can be used; says what can't. `None`: nothing of what is in
    /// effect has changed. `file` is the text of the configuration's file.
    pub(crate) fn take(&mut self, file: &str) -> Option<Config> {
        let (mut wanted, mut errors) = (BTreeMap::new(), BTreeMap::new());
        for (key, raw) in &self.offered {
            let path = key.replace('/', ".");
            match value(&path, raw) {
                Ok(value) => _ = wanted.insert(path, value),
                Err(error) => {
                    // What it was before stays.
                    if let Some(before) = self.taken.get(&path) {
                        wanted.insert(path.clone(), before.clone());
                    }
                    errors.insert(path, error);
                }
            }
        }
        let mut new = None;
        if wanted != self.taken {
            match Config::read(file, &text(&wanted)) {
                Ok(config) => (new, self.taken) = (Some(config), wanted),
                // Which of them is it?
                Err(_) => new = self.take_one_by_one(&wanted, file, &mut errors),
            }
        }
        self.say(errors);
        new
    }

    fn take_one_by_one(
        &mut self,
        wanted: &BTreeMap<String, toml::Value>,
        file: &str,
        errors: &mut BTreeMap<String, anyhow::Error>,
    ) -> Option<Config> {
        let keys: BTreeSet<String> = self.taken.keys().chain(wanted.keys()).cloned().collect();
        let mut new = None;
        for key in keys {
            if self.taken.get(&key) == wanted.get(&key) {
                continue;
            }
            let mut with = self.taken.clone();
            match wanted.get(&key) {
                Some(value) => with.insert(key.clone(), value.clone()),
                None => with.remove(&key),
            };
            match Config::read(file, &text(&with)) {
                Ok(config) => (new, self.taken) = (Some(config), with),
                Err(error) => _ = errors.insert(key, error),
            }
        }
        new
    }

    /// Says what is refused, once.
    fn say(&mut self, errors: BTreeMap<String, anyhow::Error>) {
        let refused = |(key, error): (String, anyhow::Error)| {
            let raw = self.offered.get(&key.replace('.', "/")).cloned();
            if self.refused.get(&key) != Some(&raw) {
                let error = format!("{error:#}");
                tracing::warn!(key, error, "shared configuration: {key} can't be used; what it was before stays");
            }
            (key, raw)
        };
        self.refused = errors.into_iter().map(refused).collect();
    }

    /// What is in effect of it, as TOML.
    pub(crate) fn text(&self) -> String {
        text(&self.taken)
    }
}

fn text(values: &BTreeMap<String, toml::Value>) -> String {
    // The keys are from the list: no part of them needs quotes.
    values.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// The value of a shared key, in TOML; where the key is a string, quotes may be left out.
fn value(key: &str, raw: &str) -> anyhow::Result<toml::Value> {
    let known: toml::Table = toml::from_str(DEFAULTS)?;
    let default = key.split('.').try_fold(&toml::Value::Table(known), |at, part| at.get(part)).cloned();
    let default = default.context("there is no such key")?;
    // Its value is not in the message: somebody may have put a secret there.
    anyhow::ensure!(MAY_BE_SHARED.contains(&key), "it may not be shared");
    let parsed = toml::from_str::<toml::Table>(&format!("x = {raw}")).ok().filter(|table| table.len() == 1);
    let parsed = parsed.and_then(|mut table| table.remove("x"));
    match (parsed, default) {
        (Some(text @ toml::Value::String(_)), toml::Value::String(_)) => Ok(text),
        (_, toml::Value::String(_)) => Ok(toml::Value::String(raw.to_owned())),
        (parsed, _) => parsed.context("it is no value in TOML"),
    }
}

#[cfg(test)]
mod tests;
