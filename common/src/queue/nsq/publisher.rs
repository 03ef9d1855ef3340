//! Publishing: one task, one connection at a time. A publication is kept until it was
//! acknowledged; when the connection ends, what was not is sent again by the next one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_nsq::{NSQEvent, NSQProducer, NSQProducerConfig, NSQTopic};
use tokio_util::sync::CancellationToken;

use super::super::NotQueued;
use super::{client_id, shared};
use crate::Lifecycle;
use crate::telemetry::traces::Lasting;

/// Publications that may wait for the connection, and as many again to be sent anew.
/// Full: publishing fails.
const MAX_WAITING: usize = 10_000;
/// Publications that wait for their acknowledgement. Full: more wait as above.
const MAX_UNACKNOWLEDGED: usize = 1_000;
/// A connection that does not come about, or does not acknowledge, within this is given up.
const CONNECTED_WITHIN: Duration = Duration::from_secs(1);
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);
/// After no server could be reached, or one took nothing.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// What so many connections broke at is not what nsqd wants; it is thrown away, and counted.
const MAX_BROKE: u32 = 10;
/// After a stop the task ends when nothing was published for so long, and after this anyway.
const QUIET: Duration = Duration::from_millis(200);
const MOST_AFTER_STOP: Duration = Duration::from_secs(3);

/// What publishes. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Publisher {
    waiting: mpsc::Sender<Publication>,
    is_away: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Publication {
    topic: Arc<NSQTopic>,
    bytes: Vec<u8>,
    /// Connections that broke when this was the next to be acknowledged.
    broke: u32,
    sent_at: Instant,
    acknowledged: Option<oneshot::Sender<()>>,
    span: Lasting,
}

impl Publisher {
    pub(super) fn start(nsqds: Vec<String>, lifecycle: &Lifecycle) -> Self {
        let (sender, waiting) = mpsc::channel(MAX_WAITING);
        let is_away = Arc::new(AtomicBool::new(false));
        let soft = lifecycle.soft().clone();
        let (away, unacknowledged) = (Arc::clone(&is_away), VecDeque::new());
        let sending = Sending { nsqds, waiting, is_away: away, unacknowledged, is_taken: false, soft };
        lifecycle.spawn("queue.publisher", sending.run());
        Self { waiting: sender, is_away }
    }

    /// `span` lasts until nsqd has it.
    pub(super) fn publish(
        &self,
        topic: &'static str,
        name: Arc<NSQTopic>,
        bytes: Vec<u8>,
        span: Lasting,
    ) -> Result<(), NotQueued> {
        let publication = Publication { span, ..Publication::new(name, bytes, None) };
        let (error, mut publication) = if self.is_away.load(Ordering::Relaxed) {
            (NotQueued::Away(topic), publication)
        } else {
            match self.waiting.try_send(publication) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(publication)) => (NotQueued::Full(topic), publication),
                // The process stops.
                Err(mpsc::error::TrySendError::Closed(publication)) => (NotQueued::Away(topic), publication),
            }
        };
        publication.span.fail(|| error.kind().to_owned(), || error.to_string());
        Err(error)
    }

    /// Publishes, and waits until nsqd has it.
    pub(super) async fn deliver(&self, topic: &str, bytes: Vec<u8>, within: Duration) -> anyhow::Result<()> {
        let topic = NSQTopic::new(topic).with_context(|| format!("{topic:?} is no topic's name"))?;
        let (acknowledged, done) = oneshot::channel();
        self.waiting.try_send(Publication::new(topic, bytes, Some(acknowledged))).context("the queue is full")?;
        Ok(tokio::time::timeout(within, done).await.context("nsqd does not acknowledge it")??)
    }
}

impl Publication {
    fn new(topic: Arc<NSQTopic>, bytes: Vec<u8>, acknowledged: Option<oneshot::Sender<()>>) -> Self {
        Self { topic, bytes, broke: 0, sent_at: Instant::now(), acknowledged, span: Lasting::default() }
    }
}

/// Whether nsqd answers.
pub(super) async fn answers(nsqd: &str) -> anyhow::Result<()> {
    let answered = connect(nsqd).await.is_some();
    anyhow::ensure!(answered, "queue.url: the nsqd at {nsqd} does not answer");
    Ok(())
}

async fn connect(nsqd: &str) -> Option<NSQProducer> {
    let mut producer = NSQProducerConfig::new(nsqd).set_shared(shared(&client_id())).build();
    match tokio::time::timeout(CONNECTED_WITHIN, producer.consume()).await {
        Ok(Some(NSQEvent::Healthy())) => Some(producer),
        _ => None,
    }
}

struct Sending {
    nsqds: Vec<String>,
    waiting: mpsc::Receiver<Publication>,
    is_away: Arc<AtomicBool>,
    /// What was sent by the present connection, in order; or is to be, by the next.
    unacknowledged: VecDeque<Publication>,
    /// The present connection has acknowledged something.
    is_taken: bool,
    soft: CancellationToken,
}

/// Why a connection is not used any more.
enum End {
    Broken,
    Stopped,
}

impl Sending {
    async fn run(mut self) {
        let mut cut = None;
        loop {
            let connected = self.connect();
            let stops = async {
                self.soft.cancelled().await;
                tokio::time::sleep_until(*cut.get_or_insert_with(|| Instant::now() + MOST_AFTER_STOP)).await;
            };
            let producer = tokio::select! {
                producer = connected => producer,
                () = stops => break,
            };
            self.is_taken = false;
            match self.serve(producer, &mut cut).await {
                End::Stopped => break,
                End::Broken => self.broke().await,
            }
        }
        let lost = self.unacknowledged.len() + self.waiting.len();
        if lost > 0 {
            tracing::warn!(messages = lost, "the queue did not take everything before the stop");
        }
    }

    /// A server that is there and takes nothing is away, too, until one acknowledges.
    async fn broke(&mut self) {
        let Some(first) = self.unacknowledged.front_mut() else { return };
        first.broke += 1;
        if !self.is_taken {
            self.note_away(true);
            self.nsqds.rotate_left(1);
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// The first server that answers.
    async fn connect(&self) -> NSQProducer {
        loop {
            for nsqd in &self.nsqds {
                if let Some(producer) = connect(nsqd).await {
                    return producer;
                }
            }
            self.note_away(true);
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    fn note_away(&self, is_away: bool) {
        metrics::gauge!("goligoli_queue_up").set(if is_away { 0.0 } else { 1.0 });
        if self.is_away.swap(is_away, Ordering::Relaxed) != is_away {
            if is_away {
                tracing::warn!(nsqds = ?self.nsqds, "the queue is away: nothing is published until it is back");
            } else {
                tracing::info!("the queue is back");
            }
        }
    }

    async fn serve(&mut self, mut producer: NSQProducer, cut: &mut Option<Instant>) -> End {
        let mut again = std::mem::take(&mut self.unacknowledged);
        while let Some(publication) = again.pop_front() {
            if self.send(&mut producer, publication).await.is_err() {
                self.unacknowledged.append(&mut again);
                return End::Broken;
            }
        }
        if self.unacknowledged.is_empty() {
            self.note_away(false);
        }
        let soft = self.soft.clone();
        loop {
            let is_full = self.unacknowledged.len() >= MAX_UNACKNOWLEDGED;
            let oldest = self.unacknowledged.front().map(|publication| publication.sent_at);
            let late = async {
                match oldest {
                    Some(sent_at) => tokio::time::sleep_until(sent_at + ACKNOWLEDGED_WITHIN).await,
                    None => std::future::pending().await,
                }
            };
            let ends = async {
                soft.cancelled().await;
                let cut = *cut.get_or_insert_with(|| Instant::now() + MOST_AFTER_STOP);
                let quiet = if oldest.is_some() { cut } else { Instant::now() + QUIET };
                tokio::time::sleep_until(quiet.min(cut)).await;
            };
            tokio::select! {
                event = producer.consume() => match event {
                    Some(NSQEvent::Ok()) => self.acknowledge(),
                    Some(NSQEvent::Message(_)) => {}
                    // Another connection than the one that was written to, or none any more.
                    Some(NSQEvent::Healthy() | NSQEvent::Unhealthy()) | None => return End::Broken,
                },
                publication = self.waiting.recv(), if !is_full => {
                    let Some(publication) = publication else { return End::Stopped };
                    if self.send(&mut producer, publication).await.is_err() {
                        return End::Broken;
                    }
                }
                () = late => return End::Broken,
                () = ends => return End::Stopped,
            }
        }
    }

    /// Sends a publication, or keeps it for the next connection.
    async fn send(&mut self, producer: &mut NSQProducer, mut publication: Publication) -> Result<(), ()> {
        if publication.broke >= MAX_BROKE {
            tracing::error!(body = %String::from_utf8_lossy(&publication.bytes), "no nsqd takes a message; it is dropped");
            metrics::counter!("goligoli_queue_dropped_total").increment(1);
            publication.span.fail(|| "dropped".to_owned(), || "no nsqd takes it".to_owned());
            return Ok(());
        }
        publication.sent_at = Instant::now();
        // Never waits: it has room for more than may be unacknowledged.
        let sent = producer.publish(&publication.topic, publication.bytes.clone()).await;
        self.unacknowledged.push_back(publication);
        sent.map_err(|_| ())
    }

    fn acknowledge(&mut self) {
        if !std::mem::replace(&mut self.is_taken, true) {
            self.note_away(false);
        }
        if let Some(waits) = self.unacknowledged.pop_front().and_then(|publication| publication.acknowledged) {
            // Whoever waited has given up.
            _ = waits.send(());
        }
    }
}
