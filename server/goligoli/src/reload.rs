//! Dynamic settings: the configuration file is looked at again and again, shared configuration
//! is watched, and what applies without a restart is handed on.
//!
//! A file is taken whole or not at all. What can't be used is said in one line, and what is
//! in effect stays.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use common::dynamic::Source;
use common::etcd::Seen;
use common::{Dynamic, Lifecycle, telemetry};
use live::SlowMode;
use push::FlowRate;
use tokio::sync::mpsc;

use crate::Config;
use crate::shared_config::{self, Shared};

/// New content is taken when it was there twice in a row: whoever writes the file may be in
/// the middle of it. So a change applies after half a second at most.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What applies without a restart; everything else that changes needs one.
const DYNAMIC: [&str; 5] = ["live.slow_mode_s", "log.filter", "push.burst", "push.egress_mbps", "push.rate_per_s"];

/// The settings that apply without a restart, for those who heed them. The log's filter is
/// set by itself.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) flow: Dynamic<FlowRate>,
    pub(crate) slow_mode: Dynamic<SlowMode>,
}

/// Makes the dynamic settings, and follows with them the configuration's file, if it has one,
/// and what is shared, until the process stops.
pub(crate) fn follow(config: &Config, shared: Option<shared_config::Source>, lifecycle: &Lifecycle) -> Settings {
    let (mut reload, settings) = Reload::new(config.clone());
    let file = config.file.clone();
    let mut seen = None;
    if let Some(source) = shared {
        let (shared, changes) = source.follow(lifecycle);
        (reload.shared, seen) = (shared, Some(changes));
    }
    if file.is_some() || seen.is_some() {
        let soft = lifecycle.soft().clone();
        lifecycle.spawn("reload", async move {
            _ = soft.run_until_cancelled(reload.watch(file, seen)).await;
        });
    }
    settings
}

struct Reload {
    in_effect: Config,
    /// The file as it was last when it could be used.
    text: String,
    shared: Shared,
    /// What was said to need a restart, with the value that it was said of.
    told: BTreeMap<String, toml::Value>,
    flow: Source<FlowRate>,
    slow_mode: Source<SlowMode>,
}

impl Reload {
    fn new(in_effect: Config) -> (Self, Settings) {
        tell_rate(&in_effect);
        let (flow, heeds_flow) = Source::new(in_effect.push.flow_rate());
        let (slow_mode, heeds_slow_mode) = Source::new(in_effect.live.slow_mode_s);
        let text = in_effect.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let (shared, told) = (Shared::default(), BTreeMap::new());
        let reload = Self { in_effect, text, shared, told, flow, slow_mode };
        (reload, Settings { flow: heeds_flow, slow_mode: heeds_slow_mode })
    }

    async fn watch(mut self, file: Option<PathBuf>, mut changes: Option<mpsc::Receiver<Seen>>) {
        let (mut before, mut taken) = (None, None);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let change = async {
                match &mut changes {
                    Some(changes) => changes.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                seen = change => match seen {
                    Some(seen) => self.take_shared(seen),
                    // Its task has ended: the process stops.
                    None => changes = None,
                },
                _ = look.tick() => {
                    let Some(file) = &file else { continue };
                    let content = Some(tokio::fs::read_to_string(file).await.map_err(|error| error.to_string()));
                    if content == before && content != taken {
                        let read = content.clone().unwrap_or_else(|| Ok(String::new()));
                        if let Err(error) = read.map_err(anyhow::Error::msg).and_then(|text| self.take_file(text)) {
                            let error = format!("{error:#}");
                            tracing::warn!(file = %file.display(), error, "the configuration file can't be used; what is in effect stays");
                        }
                        taken.clone_from(&content);
                    }
                    before = content;
                }
            }
        }
    }

    fn take_file(&mut self, text: String) -> anyhow::Result<()> {
        // By itself too: what is shared may cover what is wrong in it.
        Config::read(&text, "")?;
        let new = Config::read(&text, &self.shared.text())?;
        self.apply(new)?;
        self.text = text;
        Ok(())
    }

    fn take_shared(&mut self, seen: Seen) {
        let whole = self.shared.see(seen);
        let new = if whole { self.shared.take(&self.text) } else { None };
        if let Some(Err(error)) = new.map(|new| self.apply(new)) {
            tracing::warn!(error = format!("{error:#}"), "shared configuration can't be used; what is in effect stays");
        }
    }

    fn apply(&mut self, new: Config) -> anyhow::Result<()> {
        let changed = changed_keys(&self.in_effect, &new)?;
        if new.log.filter != self.in_effect.log.filter {
            telemetry::set_filter(&new.log.filter)?;
        }
        self.flow.set(new.push.flow_rate());
        tell_rate(&new);
        self.slow_mode.set(new.live.slow_mode_s);
        let (dynamic, fixed): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|(key, _)| DYNAMIC.contains(&key.as_str()));
        for (key, value) in dynamic {
            tracing::info!("{key} is {value} from now on");
        }
        let fixed: BTreeMap<String, toml::Value> = fixed.into_iter().collect();
        let news: Vec<&str> = fixed
            .iter()
            .filter(|(key, value)| self.told.get(*key) != Some(value))
            .map(|(key, _)| key.as_str())
            .collect();
        if !news.is_empty() {
            tracing::warn!(
                keys = news.join(", "),
                "the configuration has changed; this takes effect at the next start"
            );
        }
        self.told = fixed;
        let (log, push) = (&mut self.in_effect.log, &mut self.in_effect.push);
        log.filter = new.log.filter;
        (push.rate_per_s, push.burst, push.egress_mbps) = (new.push.rate_per_s, new.push.burst, new.push.egress_mbps);
        self.in_effect.live.slow_mode_s = new.live.slow_mode_s;
        Ok(())
    }
}

/// What the flow limiter goes by, as a metric: that a change has arrived everywhere can be seen.
fn tell_rate(config: &Config) {
    metrics::gauge!("goligoli_push_rate_per_s").set(config.push.rate_per_s.get());
}

/// The keys whose values differ, with the new values.
fn changed_keys(before: &Config, after: &Config) -> anyhow::Result<Vec<(String, toml::Value)>> {
    let mut changed = Vec::new();
    compare("", &toml::Table::try_from(before)?, &toml::Table::try_from(after)?, &mut changed);
    Ok(changed)
}

fn compare(path: &str, before: &toml::Table, after: &toml::Table, changed: &mut Vec<(String, toml::Value)>) {
    for (name, value) in after {
        match (before.get(name), value) {
            (Some(toml::Value::Table(before)), toml::Value::Table(after)) => {
                compare(&format!("{path}{name}."), before, after, changed);
            }
            (Some(same), value) if same == value => {}
            _ => changed.push((format!("{path}{name}"), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::DEFAULTS;

    fn reload() -> (Reload, Dynamic<FlowRate>) {
        let (reload, settings) = Reload::new(toml::from_str(DEFAULTS).unwrap());
        (reload, settings.flow)
    }

    #[test]
    fn what_is_marked_as_dynamic_is_what_is_applied() {
        let keys = marked("Dynamic.");
        assert_eq!(keys, DYNAMIC.map(str::to_owned).into());
        assert_eq!(marked("May be shared."), shared_config::MAY_BE_SHARED.map(str::to_owned).into());
    }

    /// The keys that follow a comment with these words.
    fn marked(words: &str) -> BTreeSet<String> {
        let (mut section, mut marked, mut keys) = (String::new(), false, BTreeSet::new());
        let mut in_comment = false;
        for line in DEFAULTS.lines() {
            if let Some(comment) = line.strip_prefix('#') {
                marked = (in_comment && marked) || comment.contains(words);
            } else if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
                marked = false;
            } else if let Some((key, _)) = line.split_once(" = ").filter(|_| marked) {
                keys.insert(format!("{section}.{key}"));
            }
            in_comment = line.starts_with('#');
        }
        keys
    }

    #[test]
    fn a_dynamic_key_is_handed_on_and_a_file_without_it_takes_it_back() {
        let (mut reload, mut flow) = reload();
        reload
            .take_file(
                "[push]\nrate_per_s = 7\nburst = 9\negress_mbps = 11\n[log]\nfilter = \"warn,push=debug\"".to_owned(),
            )
            .unwrap();
        assert_eq!(
            flow.see(),
            FlowRate { rate_per_s: 7.try_into().unwrap(), burst: 9.try_into().unwrap(), egress_mbps: 11 }
        );
        assert_eq!(reload.in_effect.log.filter, "warn,push=debug");
        reload.take_file(String::new()).unwrap();
        assert_eq!(flow.see(), toml::from_str::<Config>(DEFAULTS).unwrap().push.flow_rate());
    }

    #[test]
    fn a_file_is_taken_whole_or_not_at_all() {
        let (mut reload, flow) = reload();
        for bad in [
            "[push]\nrate_per_s = 0\nburst = 9",
            "[push]\nrate_per_s = 7\nburst = -1",
            "[push]\nrate_per_s = 7\nburst = \"nine\"",
            "[push]\nrate_per_s = 7\nburts = 9",
            "[push]\nrate_per_s = 7\n[log]\nfilter = \"push=loud\"",
            "[push]\nrate_per_s = 7\n[http]\nlisten = 8080",
            "[push\nrate_per_s = 7",
        ] {
            let error = reload.take_file(bad.to_owned()).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
            assert!(!flow.has_changed(), "{bad}");
        }
    }

    #[test]
    fn what_needs_a_restart_is_found_as_long_as_it_differs() {
        let config: Config = toml::from_str(DEFAULTS).unwrap();
        let other =
            Config::read("data_dir = \"elsewhere\"\n[gateway.limits]\nexempt = [\"::1/128\"]\n[push]\nburst = 1", "")
                .unwrap();
        let changed = changed_keys(&config, &other).unwrap();
        let keys: Vec<&str> = changed.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["data_dir", "gateway.limits.exempt", "push.burst"]);
        assert!(changed_keys(&config, &config).unwrap().is_empty());
    }
}
