//! Dynamic settings, while all services run in one process: the configuration file is
//! looked at again and again, and what applies without a restart is handed on.
//!
//! A file is taken whole or not at all. What can't be used is said in one line, and what is
//! in effect stays.

use std::path::PathBuf;
use std::time::Duration;

use common::dynamic::Source;
use common::{Dynamic, Lifecycle, telemetry};
use push::FlowRate;

use crate::Config;

/// New content is taken when it was there twice in a row: whoever writes the file may be in
/// the middle of it. So a change applies after half a second at most.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What applies without a restart; everything else in a changed file needs one.
const DYNAMIC: [&str; 4] = ["log.filter", "push.burst", "push.egress_mbps", "push.rate_per_s"];

/// Makes the dynamic settings, and follows the configuration's file with them, if it has
/// one, until the process stops.
pub(crate) fn follow(config: &Config, lifecycle: &Lifecycle) -> Dynamic<FlowRate> {
    let (source, flow) = Source::new(config.push.flow_rate());
    if let Some(file) = config.file.clone() {
        let reload = Reload { in_effect: config.clone(), flow: source };
        let soft = lifecycle.soft().clone();
        lifecycle.spawn("reload", async move {
            _ = soft.run_until_cancelled(reload.watch(file)).await;
        });
    }
    flow
}

struct Reload {
    in_effect: Config,
    flow: Source<FlowRate>,
}

impl Reload {
    async fn watch(mut self, file: PathBuf) {
        let (mut seen, mut taken) = (None, None);
        loop {
            let content = Some(tokio::fs::read_to_string(&file).await.map_err(|error| error.to_string()));
            if content == seen && content != taken {
                let read = content.clone().unwrap_or_else(|| Ok(String::new()));
                if let Err(error) = read.map_err(anyhow::Error::msg).and_then(|text| self.take(&text)) {
                    let error = format!("{error:#}");
                    tracing::warn!(file = %file.display(), error, "the configuration file can't be used; what is in effect stays");
                }
                taken.clone_from(&content);
            }
            seen = content;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn take(&mut self, text: &str) -> anyhow::Result<()> {
        let new = Config::read(text)?;
        let changed = changed_keys(&self.in_effect, &new)?;
        if new.log.filter != self.in_effect.log.filter {
            telemetry::set_filter(&new.log.filter)?;
        }
        self.flow.set(new.push.flow_rate());
        let (dynamic, fixed): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|(key, _)| DYNAMIC.contains(&key.as_str()));
        for (key, value) in dynamic {
            tracing::info!("{key} is {value} from now on");
        }
        if !fixed.is_empty() {
            let keys: Vec<String> = fixed.into_iter().map(|(key, _)| key).collect();
            tracing::warn!(keys = keys.join(", "), "changed in the configuration file, but needs a restart");
        }
        let (log, push) = (&mut self.in_effect.log, &mut self.in_effect.push);
        log.filter = new.log.filter;
        (push.rate_per_s, push.burst, push.egress_mbps) = (new.push.rate_per_s, new.push.burst, new.push.egress_mbps);
        Ok(())
    }
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
        let config: Config = toml::from_str(DEFAULTS).unwrap();
        let (source, flow) = Source::new(config.push.flow_rate());
        (Reload { in_effect: config, flow: source }, flow)
    }

    #[test]
    fn what_is_marked_as_dynamic_is_what_is_applied() {
        let (mut section, mut marked, mut keys) = (String::new(), false, BTreeSet::new());
        let mut in_comment = false;
        for line in DEFAULTS.lines() {
            if let Some(comment) = line.strip_prefix('#') {
                marked = (in_comment && marked) || comment.contains("Dynamic.");
            } else if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
                marked = false;
            } else if let Some((key, _)) = line.split_once(" = ").filter(|_| marked) {
                keys.insert(format!("{section}.{key}"));
            }
            in_comment = line.starts_with('#');
        }
        assert_eq!(keys, DYNAMIC.map(str::to_owned).into());
    }

    #[test]
    fn a_dynamic_key_is_handed_on_and_a_file_without_it_takes_it_back() {
        let (mut reload, mut flow) = reload();
        reload
            .take("[push]\nrate_per_s = 7\nburst = 9\negress_mbps = 11\n[log]\nfilter = \"warn,push=debug\"")
            .unwrap();
        assert_eq!(
            flow.see(),
            FlowRate { rate_per_s: 7.try_into().unwrap(), burst: 9.try_into().unwrap(), egress_mbps: 11 }
        );
        assert_eq!(reload.in_effect.log.filter, "warn,push=debug");
        reload.take("").unwrap();
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
            let error = reload.take(bad).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
            assert!(!flow.has_changed(), "{bad}");
        }
    }

    #[test]
    fn what_needs_a_restart_is_found_as_long_as_it_differs() {
        let config: Config = toml::from_str(DEFAULTS).unwrap();
        let other =
            Config::read("data_dir = \"elsewhere\"\n[gateway.limits]\nexempt = [\"::1/128\"]\n[push]\nburst = 1")
                .unwrap();
        let changed = changed_keys(&config, &other).unwrap();
        let keys: Vec<&str> = changed.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["data_dir", "gateway.limits.exempt", "push.burst"]);
        assert!(changed_keys(&config, &config).unwrap().is_empty());
    }
}
