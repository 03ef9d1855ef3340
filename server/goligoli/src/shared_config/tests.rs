use std::num::NonZeroU32;
use std::time::Instant;

use common::native::{self, OwnEtcd};
use live::SlowMode;

use super::*;
use crate::reload::{self, Settings};

fn offer(shared: &mut Shared, pairs: &[(&str, &str)]) -> Option<Config> {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    assert!(shared.see(Seen::Anew(pairs.collect())));
    shared.take("[push]\nburst = 8")
}

#[test]
fn what_is_shared_is_over_the_file_until_it_is_deleted() {
    let mut shared = Shared::default();
    let config =
        offer(&mut shared, &[("push/burst", "9"), ("log/filter", "warn,push=debug"), ("live/slow_mode_s", "3")]);
    let config = config.unwrap();
    assert_eq!((config.push.burst.get(), config.log.filter.as_str()), (9, "warn,push=debug"));
    assert_eq!(u32::from(config.live.slow_mode_s), 3);
    assert!(
        offer(&mut shared, &[("push/burst", "9"), ("log/filter", "\"warn,push=debug\""), ("live/slow_mode_s", "3")])
            .is_none()
    );
    assert_eq!(offer(&mut shared, &[("log/filter", "warn")]).unwrap().push.burst.get(), 8);
}

#[test]
fn a_bad_value_is_refused_by_itself_and_what_was_before_stays() {
    let mut shared = Shared::default();
    offer(&mut shared, &[("push/burst", "9"), ("log/filter", "warn")]).unwrap();
    for bad in [
        ("push/burst", "0"),
        ("push/burst", "nine"),
        ("push/burst", "\"9\""),
        ("push/burst", ""),
        ("push/burst", "3\nx = 4"),
        ("push/burst", "3 #"),
        ("log/filter", "push=loud"),
        ("live/slow_mode_s", "121"),
        ("push/brust", "3"),
        ("push", "{ burst = 3 }"),
        ("data_dir", "elsewhere"),
        ("http/listen", "0.0.0.0:80"),
        ("discovery/password", "hidden"),
        ("gateway/limits/exempt", "[\"0.0.0.0/0\"]"),
        ("lottery/seed_key", "hidden"),
        ("", "3"),
    ] {
        let mut offered = vec![("push/rate_per_s", "11"), ("push/burst", "9"), ("log/filter", "warn")];
        offered.retain(|(key, _)| *key != bad.0);
        offered.push(bad);
        let config = offer(&mut shared, &offered);
        let allowed = [("push/burst", "3 #")].contains(&bad);
        let kept = Config::read("[push]\nburst = 8", &shared.text()).unwrap();
        assert_eq!((kept.push.burst.get(), kept.push.rate_per_s.get()), (if allowed { 3 } else { 9 }, 11), "{bad:?}");
        assert_eq!(kept.log.filter, "warn", "{bad:?}");
        assert_eq!(shared.refused.len(), usize::from(!allowed), "{bad:?} is said to be refused");
        assert!(config.is_some() || shared.taken.contains_key("push.rate_per_s"));
    }
}

#[test]
fn nothing_that_is_secret_or_of_one_process_may_be_shared() {
    for key in MAY_BE_SHARED {
        for never in ["key", "url", "secret", "password", "listen", "folder", "exempt", "prox", "origins", "discovery"]
        {
            assert!(!key.contains(never), "{key}");
        }
        let section = key.split('.').next().unwrap();
        assert!(["log", "user", "live", "message", "lottery", "push", "gateway"].contains(&section), "{key}");
    }
}

/// A process that follows an etcd.
async fn process(address: &str, prefix: &str, file: Option<&std::path::Path>) -> (Settings, Lifecycle) {
    let lifecycle = Lifecycle::new();
    let mut config = Config::load(file).unwrap();
    config.discovery.url = format!("etcd://{address}?prefix={prefix}");
    let discovery = Discovery::open(&config.discovery, &lifecycle).await.unwrap();
    let (config, source) = overlay(config, &discovery).await.unwrap();
    (reload::follow(&config, source, &lifecycle), lifecycle)
}

/// How long it takes until all see it.
async fn until_all(settings: &[&Settings], is_so: impl Fn(&Settings) -> bool) -> Duration {
    let began = Instant::now();
    while !settings.iter().all(|one| is_so(one)) {
        assert!(began.elapsed() < Duration::from_secs(12), "{settings:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    began.elapsed()
}

fn rate(settings: &Settings) -> u32 {
    settings.flow.now().rate_per_s.get()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_etcd_reaches_every_process_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut etcd) = OwnEtcd::start(folder.path()) else { return };
    let key = |name: &str| format!("/site/config/push/{name}");
    etcd.ctl(&["put", &key("rate_per_s"), "70"]);
    etcd.ctl(&["put", &key("egress_mbps"), "never"]);
    let file = folder.path().join("site.toml");
    std::fs::write(&file, "[push]\nrate_per_s = 60\n").unwrap();
    let (one, _first) = process(&etcd.address(), "site", Some(&file)).await;
    let (other, _second) = process(&etcd.address(), "site", None).await;
    let both = [&one, &other];
    assert_eq!((rate(&one), rate(&other)), (70, 70), "at start");

    let mut times = Vec::new();
    for n in 100..110 {
        etcd.ctl(&["put", &key("rate_per_s"), &n.to_string()]);
        times.push(until_all(&both, |settings| rate(settings) == n).await);
    }
    times.sort_unstable();
    println!("median {:?}, most {:?}", times[5], times[9]);
    assert!(times[5] <= Duration::from_secs(1) && times[9] <= Duration::from_secs(5), "{times:?}");

    // What can't be used changes nothing, and nothing beside it is lost.
    etcd.ctl(&["put", &key("rate_per_s"), "fast"]);
    etcd.ctl(&["put", "/site/config/live/slow_mode_s", "5"]);
    until_all(&both, |settings| u32::from(settings.slow_mode.now()) == 5).await;
    assert_eq!((rate(&one), rate(&other)), (109, 109));

    // An outage with a change in it; the file may change meanwhile.
    etcd.kill();
    std::fs::write(&file, "[push]\nrate_per_s = 61\nburst = 44\n").unwrap();
    until_all(&both[..1], |settings| settings.flow.now().burst == NonZeroU32::new(44).unwrap()).await;
    assert_eq!((rate(&one), rate(&other)), (109, 109), "what was seen last stays");
    etcd.restart();
    etcd.ctl(&["put", &key("rate_per_s"), "80"]);
    let healed = until_all(&both, |settings| rate(settings) == 80).await;
    assert!(healed < Duration::from_secs(5), "{healed:?}");

    etcd.ctl(&["del", &key("rate_per_s")]);
    until_all(&both[..1], |settings| rate(settings) == 61).await;
    until_all(&both[1..], |settings| rate(settings) == 50).await;
    assert_eq!(other.slow_mode.now(), SlowMode::try_from(5).unwrap());
}

#[tokio::test]
async fn without_its_registry_the_configuration_is_shown_as_it_is() {
    let Some(url) = native::server("NATIVE_ETCD_URL") else { return };
    let mut config = Config::load(None).unwrap();
    assert_eq!(effective(config.clone()).await.push.burst, config.push.burst);
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    config.discovery.url = format!("etcd://{address}?prefix=nobodys");
    assert_eq!(effective(config.clone()).await.push.burst, config.push.burst);
}
