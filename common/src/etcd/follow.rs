//! Following what is under a prefix: read once, then watched from there on.

use std::time::Duration;

use anyhow::Context as _;
use etcd_client::{EventType, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Etcd, Snapshot, in_time};

/// After so much silence a server is asked for a sign of life, and has as long to give it.
const SILENCE: Duration = Duration::from_secs(2);
/// The pauses between tries to read anew double from the one to the other.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What a follower sees.
#[derive(Debug)]
pub enum Seen {
    /// All that is there now. What happened since the last sight may be missing between.
    Anew(Vec<(String, String)>),
    /// A key was set.
    Put(String, String),
    /// A key was deleted, by somebody or with its lease.
    Deleted(String),
    /// All changes of one moment have been told.
    Together,
}

/// Follows a prefix for ever, from a snapshot of it on. Keys are told without the prefix.
///
/// A lost watch, also one whose past was compacted away, is followed by [`Seen::Anew`]. While
/// etcd is away nothing is seen. Whoever does not take what was seen makes the watch wait.
pub async fn follow(etcd: Etcd, prefix: String, from: Snapshot, seen: mpsc::Sender<Seen>) {
    let mut revision = from.revision;
    loop {
        let error = match watch(&etcd, &prefix, revision, &seen).await {
            Ok(()) => return,
            Err(error) => format!("{error:#}"),
        };
        tracing::warn!(prefix, error, "etcd can't be watched; what was seen last stays");
        let mut pause = PAUSE.0;
        let anew = loop {
            match etcd.read(&prefix).await {
                Ok(snapshot) => break snapshot,
                Err(error) => tracing::debug!(prefix, error = format!("{error:#}"), "etcd can't be read"),
            }
            tokio::time::sleep(pause).await;
            pause = PAUSE.1.min(pause * 2);
        };
        tracing::info!(prefix, "etcd is watched again");
        revision = anew.revision;
        if seen.send(Seen::Anew(anew.pairs)).await.is_err() {
            return;
        }
        // Against a server that answers, but ends every watch.
        tokio::time::sleep(PAUSE.0).await;
    }
}

/// `Ok`: nobody wants to know any more.
async fn watch(etcd: &Etcd, prefix: &str, from: i64, seen: &mpsc::Sender<Seen>) -> anyhow::Result<()> {
    let mut session = etcd.session().await?;
    let options = WatchOptions::new().with_prefix().with_start_revision(from + 1);
    let mut stream = in_time(session.watch(prefix, Some(options))).await?;
    loop {
        for what in changes(&next(&mut stream).await?, prefix)? {
            if seen.send(what).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// The next message. A server that is alive answers when it is asked for its progress.
async fn next(stream: &mut WatchStream) -> anyhow::Result<WatchResponse> {
    let message = match timeout(SILENCE, stream.message()).await {
        Ok(message) => message,
        Err(_) => {
            let asked = async {
                stream.request_progress().await?;
                stream.message().await
            };
            timeout(SILENCE, asked).await.context("it gives no sign of life")?
        }
    };
    in_time(async { message }).await?.context("it has ended the watch")
}

fn changes(message: &WatchResponse, prefix: &str) -> anyhow::Result<Vec<Seen>> {
    if message.canceled() || message.compact_revision() > 0 {
        anyhow::bail!(
            "the watch was cancelled: {} (compacted: {})",
            message.cancel_reason(),
            message.compact_revision()
        );
    }
    let mut changes = Vec::new();
    for event in message.events() {
        let Some(kv) = event.kv() else { continue };
        let Some(key) = kv.key_str().ok().and_then(|key| key.strip_prefix(prefix)) else { continue };
        changes.push(match (event.event_type(), kv.value_str()) {
            (EventType::Put, Ok(value)) => Seen::Put(key.to_owned(), value.to_owned()),
            // What can't be read is as if it were not there.
            (EventType::Put, Err(_)) | (EventType::Delete, _) => Seen::Deleted(key.to_owned()),
        });
    }
    if !changes.is_empty() {
        changes.push(Seen::Together);
    }
    Ok(changes)
}
