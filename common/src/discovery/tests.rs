use std::time::Instant;

use super::*;
use crate::native::{self, OwnEtcd};

const SOON: Duration = Duration::from_secs(1);

fn instance(service: &str, id: &str, port: u16) -> Instance {
    let (id, service) = (id.to_owned(), service.to_owned());
    Instance { id, service, address: format!("127.0.0.1:{port}"), contract: 3 }
}

fn settings(url: String) -> Settings {
    Settings { url, user: String::new(), password: SecretText::default(), services: BTreeMap::new() }
}

/// An etcd as two processes of a site of its own see it.
async fn two(servers: &str) -> [(Discovery, Lifecycle); 2] {
    let url = format!("etcd://{servers}?prefix=test-{:x}", rand::random::<u64>());
    let mut both = Vec::new();
    for _ in 0..2 {
        let lifecycle = Lifecycle::new();
        both.push((Discovery::open(&settings(url.clone()), &lifecycle).await.unwrap(), lifecycle));
    }
    both.try_into().unwrap()
}

fn servers(url: &str) -> &str {
    url.rsplit("//").next().unwrap().trim_end_matches('/')
}

async fn sees(instances: &mut Instances, ids: &[&str], within: Duration) {
    let has = |now: &Arc<[Instance]>| now.iter().map(|instance| instance.id.as_str()).eq(ids.iter().copied());
    let seen = tokio::time::timeout(within, instances.wait_for(has)).await.map(|seen| seen.unwrap().len());
    assert!(seen.is_ok(), "{ids:?} is not seen within {within:?}, but {:?}", instances.borrow());
}

async fn stays(instances: &mut Instances, ids: &[&str], time: Duration) {
    let other = |now: &Arc<[Instance]>| !now.iter().map(|instance| instance.id.as_str()).eq(ids.iter().copied());
    let seen = tokio::time::timeout(time, instances.wait_for(other)).await.map(|seen| seen.unwrap().to_vec());
    assert!(seen.is_err(), "{ids:?} should have stayed, but {seen:?} came");
}

/// What every member promises. `one` announces, `other` looks.
async fn keeps_its_promises(one: &Discovery, other: &Discovery) {
    let (mut push, mut live) = (other.instances("push"), other.instances("live"));
    assert!(push.borrow_and_update().is_empty() && live.borrow_and_update().is_empty());
    let announcement = one.announce(vec![instance("push", "b", 2), instance("live", "b", 3)]).await.unwrap();
    sees(&mut push, &["b"], SOON).await;
    sees(&mut live, &["b"], SOON).await;
    assert_eq!(push.borrow()[0], instance("push", "b", 2));
    live.mark_unchanged();
    let second = one.announce(vec![instance("push", "a", 1)]).await.unwrap();
    sees(&mut push, &["a", "b"], SOON).await;
    assert!(!live.has_changed().unwrap(), "only those are woken whose service has changed");
    // Whoever looks later sees the same at once.
    assert_eq!(other.instances("push").borrow().len(), 2);

    for bad in
        [instance("push", "a/b", 1), instance("", "a", 1), Instance { address: "x".into(), ..instance("p", "c", 1) }]
    {
        assert!(one.announce(vec![bad.clone()]).await.is_err(), "{bad:?}");
    }

    announcement.revoke().await;
    sees(&mut push, &["a"], SOON).await;
    sees(&mut live, &[], SOON).await;
    drop(second);
    sees(&mut push, &[], SOON).await;
    // What was given up may be taken.
    let again = one.announce(vec![instance("push", "a", 4)]).await.unwrap();
    sees(&mut push, &["a"], SOON).await;
    assert_eq!(push.borrow()[0].address, "127.0.0.1:4");
    again.revoke().await;
    sees(&mut push, &[], SOON).await;
}

async fn refuses_an_id_twice(one: &Discovery, other: &Discovery) {
    let mut push = other.instances("push");
    let first = one.announce(vec![instance("push", "a", 1), instance("push", "b", 2)]).await.unwrap();
    let error = other.announce(vec![instance("push", "c", 3), instance("push", "b", 4)]).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains('b') && !error.contains('\n'), "{error}");
    sees(&mut push, &["a", "b"], SOON).await;
    assert_eq!(push.borrow()[1].address, "127.0.0.1:2");
    first.revoke().await;
}

#[tokio::test]
async fn fixed_addresses_keep_their_promises() {
    let fixed = Discovery::fixed(BTreeMap::new()).unwrap();
    keeps_its_promises(&fixed, &fixed).await;
    refuses_an_id_twice(&fixed, &fixed).await;
    let there = BTreeMap::from([("push".to_owned(), vec!["a:1".to_owned(), "[::1]:2".to_owned()])]);
    let fixed = Discovery::fixed(there).unwrap();
    let mut push = fixed.instances("push");
    sees(&mut push, &["push-0", "push-1"], SOON).await;
    // One's own address in the file is oneself.
    let own = fixed.announce(vec![Instance { address: "a:1".into(), ..instance("push", "me", 1) }]).await.unwrap();
    sees(&mut push, &["me", "push-1"], SOON).await;
    own.revoke().await;
    sees(&mut push, &["push-0", "push-1"], SOON).await;
    assert!(Discovery::fixed(BTreeMap::from([("push".to_owned(), vec!["a".to_owned()])])).is_err());
}

#[tokio::test]
async fn etcd_keeps_its_promises() {
    let Some(url) = native::server("NATIVE_ETCD_URL") else { return };
    let [(one, _), (other, _)] = two(servers(&url)).await;
    keeps_its_promises(&one, &other).await;
}

#[tokio::test]
async fn etcd_refuses_an_id_twice() {
    let Some(url) = native::server("NATIVE_ETCD_URL") else { return };
    let [(one, _), (other, _)] = two(servers(&url)).await;
    refuses_an_id_twice(&one, &other).await;
}

#[tokio::test]
async fn a_process_that_stops_takes_itself_out() {
    let Some(url) = native::server("NATIVE_ETCD_URL") else { return };
    let [(one, lifecycle), (other, _)] = two(servers(&url)).await;
    let mut push = other.instances("push");
    let _announced = one.announce(vec![instance("push", "a", 1)]).await.unwrap();
    sees(&mut push, &["a"], SOON).await;
    lifecycle.stop(SOON).await;
    sees(&mut push, &[], SOON).await;
}

#[test]
fn a_process_that_dies_goes_with_its_lease_and_its_successor_waits_for_that() {
    let Some(url) = native::server("NATIVE_ETCD_URL") else { return };
    let (live, dying) = (tokio::runtime::Runtime::new().unwrap(), tokio::runtime::Runtime::new().unwrap());
    let [(_, _), (other, _lifecycle)] = live.block_on(two(servers(&url)));
    let mut push = other.instances("push");
    let prefix = other.etcd().unwrap().key("").trim_matches('/').to_owned();
    let same = settings(format!("etcd://{}?prefix={prefix}", servers(&url)));
    let kept = dying.block_on(async {
        let discovery = Discovery::open(&same, &Lifecycle::new()).await.unwrap();
        let announcement = discovery.announce(vec![instance("push", "a", 1)]).await.unwrap();
        (discovery, announcement)
    });
    live.block_on(async {
        sees(&mut push, &["a"], SOON).await;
        // Longer than a lease: it is kept.
        stays(&mut push, &["a"], LEASE + SOON).await;
    });
    dying.shutdown_background();
    std::mem::forget(kept);
    let death = Instant::now();
    live.block_on(async {
        let successor = other.announce(vec![instance("push", "a", 2)]).await.unwrap();
        assert!(death.elapsed() > SOON && death.elapsed() < LEASE + 2 * SOON, "{:?}", death.elapsed());
        let is_new = |now: &Arc<[Instance]>| now.iter().any(|instance| instance.address == "127.0.0.1:2");
        tokio::time::timeout(SOON, push.wait_for(is_new)).await.unwrap().unwrap();
        successor.revoke().await;
    });
}

#[tokio::test]
async fn who_takes_the_place_of_a_dead_one_listens_where_it_did() {
    let Some(url) = native::server("NATIVE_ETCD_URL") else { return };
    let [(one, _), _] = two(servers(&url)).await;
    let etcd = one.etcd().unwrap();
    let here = super::etcd::place().expect("the tests run on Linux");
    let machine = crate::clock::boot_id().unwrap();
    let cases = [
        ("127.0.0.1:1", Some(here.as_str()), true),
        // A copy of the configuration on another machine, or of a process that does not know its own.
        ("127.0.0.1:1", Some("another machine"), false),
        // Another container on this machine.
        ("127.0.0.1:1", Some(machine.as_str()), false),
        ("127.0.0.1:1", None, false),
        ("127.0.0.1:2", Some(here.as_str()), false),
    ];
    for (address, machine, at_once) in cases {
        let mut session = etcd.session().await.unwrap();
        let lease = session.lease_grant(3, None).await.unwrap().id();
        let dead = serde_json::json!({
            "id": "a", "service": "push", "address": address, "contract": 3, "machine": machine
        });
        let options = etcd_client::PutOptions::new().with_lease(lease);
        session.put(etcd.key("instances/push/a"), dead.to_string(), Some(options)).await.unwrap();
        let begin = Instant::now();
        let successor = one.announce(vec![instance("push", "a", 1)]).await.unwrap();
        assert_eq!(begin.elapsed() < SOON, at_once, "{address} {machine:?}: {:?}", begin.elapsed());
        successor.revoke().await;
    }
}

#[tokio::test]
async fn who_is_deleted_announces_itself_again_unless_another_took_its_place() {
    let Some(url) = native::server("NATIVE_ETCD_URL") else { return };
    let [(one, _), (other, _)] = two(servers(&url)).await;
    let etcd = other.etcd().unwrap();
    let mut push = other.instances("push");
    let announced = one.announce(vec![instance("push", "a", 1)]).await.unwrap();
    sees(&mut push, &["a"], SOON).await;
    let mut session = etcd.session().await.unwrap();
    let key = etcd.key("instances/push/a");
    session.delete(key.as_str(), None).await.unwrap();
    sees(&mut push, &[], SOON).await;
    sees(&mut push, &["a"], 5 * SOON).await;
    // It lives: it is not to be pushed aside, neither by who says to be at the same place.
    let taken = serde_json::json!({
        "id": "a", "service": "push", "address": "127.0.0.1:1", "contract": 9, "machine": super::etcd::place()
    });
    session.put(key.as_str(), taken.to_string(), None).await.unwrap();
    tokio::time::sleep(5 * SOON).await;
    assert_eq!(push.borrow()[0].contract, 9);
    session.delete(key.as_str(), None).await.unwrap();
    sees(&mut push, &[], SOON).await;
    sees(&mut push, &["a"], 5 * SOON).await;
    assert_eq!(push.borrow()[0].contract, 3);
    announced.revoke().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_may_be_away_and_nobody_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut etcd) = OwnEtcd::start(folder.path()) else { return };
    let [(one, _), (other, _)] = two(&etcd.address()).await;
    let (mut push, mut live) = (other.instances("push"), other.instances("live"));
    let _announced = one.announce(vec![instance("push", "a", 1)]).await.unwrap();
    sees(&mut push, &["a"], SOON).await;

    // Away for longer than a lease.
    etcd.kill();
    stays(&mut push, &["a"], LEASE + 2 * SOON).await;
    etcd.restart();
    let back = Instant::now();
    let _new = one.announce(vec![instance("live", "b", 2)]).await.unwrap();
    sees(&mut live, &["b"], 5 * SOON).await;
    assert!(back.elapsed() < 5 * SOON);
    stays(&mut push, &["a"], LEASE + 2 * SOON).await;
    assert!(etcd.ctl(&["get", "--prefix", "/", "--keys-only"]).contains("/push/a"));

    // It stands still: nothing hangs, nobody is lost.
    etcd.pause(5 * SOON);
    let asked = Instant::now();
    stays(&mut push, &["a"], 7 * SOON).await;
    let third = one.announce(vec![instance("live", "c", 2)]).await.unwrap();
    sees(&mut live, &["b", "c"], 5 * SOON).await;
    assert!(asked.elapsed() < 17 * SOON, "{:?}", asked.elapsed());

    // The lease is taken from it, as after a pause of its own.
    let leases = etcd.ctl(&["lease", "list"]);
    for lease in leases.lines().skip(1) {
        etcd.ctl(&["lease", "revoke", lease]);
    }
    sees(&mut live, &["b", "c"], 2 * LEASE).await;
    let keys = || etcd.ctl(&["get", "--prefix", "/", "--keys-only"]);
    let give_up = Instant::now() + LEASE;
    while keys().lines().filter(|line| line.contains("/instances/")).count() < 3 {
        assert!(Instant::now() < give_up, "{}", keys());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    third.revoke().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_lost_while_etcd_is_away_is_kept_for_another_lease() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut etcd) = OwnEtcd::start(folder.path()) else { return };
    let [(one, first), (other, _)] = two(&etcd.address()).await;
    let mut push = other.instances("push");
    let _dies = one.announce(vec![instance("push", "a", 1)]).await.unwrap();
    sees(&mut push, &["a"], SOON).await;
    etcd.kill();
    first.soft().cancel();
    tokio::time::sleep(5 * SOON).await;
    etcd.restart();
    // As if it had lost its memory.
    etcd.ctl(&["del", "--prefix", "/"]);
    stays(&mut push, &["a"], LEASE - 2 * SOON).await;
    sees(&mut push, &[], 5 * SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_of_several_is_enough_and_log_ins_are_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut etcd) = OwnEtcd::start(folder.path()) else { return };
    etcd.ctl(&["user", "add", "root:secret"]);
    etcd.ctl(&["user", "grant-role", "root", "root"]);
    etcd.ctl(&["auth", "enable"]);
    let url = format!("etcd://127.0.0.1:1,{},127.0.0.1:2", etcd.address());
    let lifecycle = Lifecycle::new();
    let known = |password: &str| Settings {
        user: "root".to_owned(),
        password: serde_json::from_str(&format!("{password:?}")).unwrap(),
        ..settings(url.clone())
    };
    let wrong = Discovery::open(&known("wrong"), &lifecycle).await.unwrap_err();
    let wrong = format!("{wrong:#}");
    assert!(
        wrong.contains("authentication failed") && wrong.contains("discovery.") && !wrong.contains('\n'),
        "{wrong}"
    );
    let one = Discovery::open(&known("secret"), &lifecycle).await.unwrap();
    let other = Discovery::open(&known("secret"), &Lifecycle::new()).await.unwrap();
    let mut push = other.instances("push");
    let _announced = one.announce(vec![instance("push", "a", 1)]).await.unwrap();
    sees(&mut push, &["a"], 3 * SOON).await;
    // Its tokens are forgotten with it.
    etcd.kill();
    etcd.restart_with(&["--user", "root:secret"]);
    let _new = one.announce(vec![instance("push", "b", 2)]).await.unwrap();
    sees(&mut push, &["a", "b"], 10 * SOON).await;
    stays(&mut push, &["a", "b"], LEASE + 2 * SOON).await;
}

#[tokio::test]
async fn a_registry_that_can_not_be_used_is_refused_in_one_line() {
    for bad in ["etcd:", "etcds://127.0.0.1:1", "redis://u:hidden@127.0.0.1:1", "", "etcd://127.0.0.1:1"] {
        let began = Instant::now();
        let error = Discovery::open(&settings(bad.to_owned()), &Lifecycle::new()).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.starts_with("discovery.url") && !error.contains('\n') && !error.contains("hidden"), "{error}");
        assert!(began.elapsed() < 12 * SOON, "{bad}");
    }
    let mut both = settings("etcd://127.0.0.1:1".to_owned());
    both.services.insert("push".to_owned(), vec!["a:1".to_owned()]);
    assert!(Discovery::open(&both, &Lifecycle::new()).await.is_err());
}
