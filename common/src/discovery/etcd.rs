//! The registry in etcd: `/goligoli/instances/{service}/{id}` → an [`Instance`] as JSON with the
//! machine that it runs on, all of a process under one lease.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::table::Table;
use super::{Announcement, Instance, LEASE};
use crate::Lifecycle;
use crate::clock::boot_id;
use crate::etcd::{Etcd, Refused, Seen, follow, in_time};

/// Changes that may wait to be taken. Full: the watch waits.
const SEEN: usize = 1_024;
/// A lease is kept alive three times in its life; a failure is tried again after this.
const KEEP: Duration = Duration::from_millis(3_300);
const RETRY: Duration = Duration::from_millis(400);
/// What a predecessor's lease may take to end, with a moment for etcd to notice.
const PREDECESSOR: Duration = Duration::from_secs(13);

/// See [`super::Discovery::Etcd`].
#[derive(Debug, Clone)]
pub struct Registry {
    pub(super) etcd: Etcd,
    pub(super) table: Table,
    lifecycle: Lifecycle,
}

impl Registry {
    pub(super) async fn open(etcd: Etcd, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        let (table, prefix) = (Table::default(), etcd.key("instances/"));
        let mut first = etcd.first_read(&prefix).await?;
        let mut view = View::default();
        for (key, value) in std::mem::take(&mut first.pairs) {
            view.put(key, &value, Instant::now());
        }
        table.set(view.known.values());
        let (sender, seen) = mpsc::channel(SEEN);
        let (shown, soft) = (table.clone(), lifecycle.soft().clone());
        let following = follow(etcd.clone(), prefix, first, sender);
        lifecycle.spawn("discovery", async move {
            _ = soft.run_until_cancelled(futures::future::join(following, view.show(seen, shown))).await;
        });
        Ok(Self { etcd, table, lifecycle: lifecycle.clone() })
    }

    pub(super) async fn announce(&self, instances: Vec<Instance>) -> anyhow::Result<Announcement> {
        let mut keeper =
            Keeper { etcd: self.etcd.clone(), entries: Vec::new(), leases: Vec::new(), was_announced: false };
        for instance in instances {
            let key = self.etcd.key(&format!("instances/{}/{}", instance.service, instance.id));
            keeper.entries.push((key, Entry { instance, machine: place() }));
        }
        let give_up = Instant::now() + PREDECESSOR;
        while let Err(error) = keeper.register().await {
            if Instant::now() >= give_up {
                return Err(error.context("announcing this process in etcd (discovery.url)"));
            }
            tracing::debug!(error = format!("{error:#}"), "this process can't be announced yet");
            sleep(RETRY).await;
        }
        let (revoke, (done, revoked)) = (CancellationToken::new(), oneshot::channel());
        let (asked, soft) = (revoke.clone(), self.lifecycle.soft().clone());
        self.lifecycle.spawn("announcement", async move {
            tokio::select! {
                () = keeper.keep() => {}
                () = asked.cancelled() => {}
                () = soft.cancelled() => {}
            }
            keeper.revoke().await;
            _ = done.send(());
        });
        Ok(Announcement { revoke, revoked })
    }
}

/// What is written of an instance.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    instance: Instance,
    /// See [`place`]. A configuration that was copied to another machine, or to another
    /// container on this one, may have the same address in it, but not this.
    machine: Option<String>,
}

impl Entry {
    /// Who announced this other one listened where this process does: it is dead.
    fn succeeds(&self, other: &Self) -> bool {
        self.machine.is_some() && self.machine == other.machine && self.instance.address == other.instance.address
    }
}

/// Where only one process can listen at an address: the machine's boot id and the network
/// namespace, which containers have for themselves. `None`: that is not known.
pub(super) fn place() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let network = std::fs::metadata("/proc/self/ns/net").ok()?.ino();
    Some(format!("{}/{network}", boot_id()?))
}

/// Keeps what a process has announced.
struct Keeper {
    etcd: Etcd,
    /// By key.
    entries: Vec<(String, Entry)>,
    /// The leases that entries of this process may be under, the current one last.
    leases: Vec<i64>,
    /// Whoever has an entry of ours since then is no dead predecessor.
    was_announced: bool,
}

impl Keeper {
    /// Puts all entries under a new lease, if each is free or this process' own.
    async fn register(&mut self) -> anyhow::Result<()> {
        let mut session = self.etcd.session().await?;
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        for (key, entry) in &self.entries {
            values.push((key, serde_json::to_string(entry)?));
            let answer = in_time(session.get(key.as_str(), None)).await?;
            let holder = answer.kvs().first();
            if let Some(holder) = holder.filter(|holder| !self.leases.contains(&holder.lease())) {
                let other: Option<Entry> = serde_json::from_slice(holder.value()).ok();
                if self.was_announced || !other.as_ref().is_some_and(|other| entry.succeeds(other)) {
                    let other = other.map_or_else(|| "an unknown address".to_owned(), |other| other.instance.address);
                    anyhow::bail!("{key} is held by another process, at {other}: two instances need two ids");
                }
            }
            let revision = holder.map_or(0, etcd_client::KeyValue::mod_revision);
            conditions.push(Compare::mod_revision(key.as_str(), CompareOp::Equal, revision));
        }
        let lease = in_time(session.lease_grant(LEASE.as_secs().cast_signed(), None)).await?.id();
        // Before it is used: without an answer it may have been, and must be known again then.
        if self.leases.len() > 8 {
            self.leases.remove(0);
        }
        self.leases.push(lease);
        let put = |(key, value): (&String, String)| {
            TxnOp::put(key.as_str(), value, Some(PutOptions::new().with_lease(lease)))
        };
        let puts: Vec<TxnOp> = values.into_iter().map(put).collect();
        let done = in_time(session.txn(Txn::new().when(conditions).and_then(puts))).await?;
        anyhow::ensure!(done.succeeded(), "another process announces the same id at this moment");
        self.was_announced = true;
        Ok(())
    }

    /// Keeps the lease alive, and registers again when it has ended or an entry is not there.
    async fn keep(&mut self) {
        let mut pause = KEEP;
        let mut was_well = true;
        loop {
            sleep(pause).await;
            let outcome = match self.prolong().await {
                Ok(None) => Ok(()),
                Ok(Some(key)) => {
                    if was_well {
                        tracing::warn!(key, "an entry of this process is not in etcd any more; announcing it again");
                    }
                    self.register().await
                }
                Err(error) if is_lease_gone(&error) => {
                    tracing::warn!("the lease of this process has ended in etcd; announcing it again");
                    self.register().await
                }
                Err(error) => Err(error),
            };
            let is_well = outcome.is_ok();
            pause = if is_well { KEEP } else { RETRY };
            match outcome {
                Ok(()) if was_well => {}
                Ok(()) => tracing::info!("this process is announced in etcd again"),
                Err(error) if was_well => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "this process can't be kept announced in etcd; it goes on serving");
                }
                Err(error) => tracing::debug!(error = format!("{error:#}"), "still not announced"),
            }
            was_well = is_well;
        }
    }

    /// Returns the key of an entry that was deleted, or that another process has.
    async fn prolong(&self) -> anyhow::Result<Option<&str>> {
        let lease = *self.leases.last().context("nothing was announced")?;
        let mut session = self.etcd.session().await?;
        in_time(session.lease_keep_alive(lease)).await?;
        for (key, _) in &self.entries {
            let answer = in_time(session.get(key.as_str(), None)).await?;
            if !answer.kvs().first().is_some_and(|entry| self.leases.contains(&entry.lease())) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    async fn revoke(&self) {
        const MOST: Duration = Duration::from_secs(3);
        let revoked = async {
            let mut session = self.etcd.session().await?;
            // The latest may hold nothing, if etcd did not answer since; most of the others have ended.
            for lease in self.leases.iter().rev() {
                match in_time(session.lease_revoke(*lease)).await {
                    Err(error) if !is_lease_gone(&error) => return Err(error),
                    _ => {}
                }
            }
            anyhow::Ok(())
        };
        let outcome = timeout(MOST, revoked).await.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in time")));
        if let Err(error) = outcome {
            let error = format!("{error:#}");
            tracing::warn!(error, "this process can't be taken out of etcd; it goes with its lease");
        }
    }
}

fn is_lease_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.lease_is_gone)
}

/// What is known of the registry.
#[derive(Debug, Default)]
struct View {
    /// By key.
    known: BTreeMap<String, Instance>,
    /// Those that are missing since etcd was away, and when that is believed.
    missing: HashMap<String, Instant>,
    /// Until then what is missing may only be late: everybody's lease had to be renewed.
    uncertain_until: Option<Instant>,
}

impl View {
    async fn show(mut self, mut seen: mpsc::Receiver<Seen>, table: Table) {
        loop {
            let next = self.missing.values().min().copied();
            let end = async {
                match next {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            let whole = tokio::select! {
                what = seen.recv() => match what {
                    Some(what) => self.see(what, Instant::now()),
                    None => return,
                },
                () = end => self.drop_missing(Instant::now()),
            };
            if whole {
                table.set(self.known.values());
            }
        }
    }

    /// `true`: the view is whole, and may be shown.
    fn see(&mut self, what: Seen, now: Instant) -> bool {
        match what {
            Seen::Anew(pairs) => {
                self.uncertain_until = Some(now + LEASE);
                let there: BTreeMap<String, String> = pairs.into_iter().collect();
                let gone: Vec<String> = self.known.keys().filter(|key| !there.contains_key(*key)).cloned().collect();
                for key in gone {
                    self.miss(key, now);
                }
                for (key, value) in there {
                    self.put(key, &value, now);
                }
                return true;
            }
            Seen::Put(key, value) => self.put(key, &value, now),
            Seen::Deleted(key) => self.miss(key, now),
            Seen::Together => return true,
        }
        false
    }

    fn put(&mut self, key: String, value: &str, now: Instant) {
        match parse(&key, value) {
            Ok(instance) => {
                self.missing.remove(&key);
                self.known.insert(key, instance);
            }
            Err(error) => {
                tracing::warn!(key, error = format!("{error:#}"), "an instance in etcd can't be understood");
                self.miss(key, now);
            }
        }
    }

    fn miss(&mut self, key: String, now: Instant) {
        if !self.known.contains_key(&key) {
            return;
        }
        if self.uncertain_until.is_some_and(|end| now < end) {
            self.missing.entry(key).or_insert(now + LEASE);
        } else {
            self.missing.remove(&key);
            self.known.remove(&key);
        }
    }

    fn drop_missing(&mut self, now: Instant) -> bool {
        self.missing.retain(|key, end| {
            let stays = now < *end;
            if !stays {
                self.known.remove(key);
            }
            stays
        });
        true
    }
}

/// An entry is where it says that it is.
fn parse(key: &str, value: &str) -> anyhow::Result<Instance> {
    let instance: Instance = serde_json::from_str(value)?;
    anyhow::ensure!(key == format!("{}/{}", instance.service, instance.id), "it belongs elsewhere");
    anyhow::ensure!(crate::etcd::is_host_and_port(&instance.address), "its address is not host:port");
    Ok(instance)
}
