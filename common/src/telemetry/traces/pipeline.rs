//! The way of ended spans to the collector: a bounded queue to a thread of its own. Whatever
//! the collector does, nobody waits for it.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::EXPORT;

/// Spans that may wait to be sent. Full: further ones are dropped, and counted.
const WAITING: usize = 16_384;
/// Spans that are sent at once.
const BATCH: usize = 1_024;
/// Spans of about this time are sent together.
const GATHER: Duration = Duration::from_millis(200);
/// What a process that ends waits for its last spans.
const FLUSH: Duration = Duration::from_secs(3);

/// The near end, which takes spans.
#[derive(Debug)]
pub(super) struct Pipeline(mpsc::Sender<Item>);

#[derive(Debug)]
enum Item {
    Span(Box<SpanData>),
    /// Everything before this was sent, or given up.
    Flush(oneshot::Sender<()>),
}

static QUEUE: OnceLock<mpsc::Sender<Item>> = OnceLock::new();

/// Waits until what has ended by now was sent; a few seconds at most. To be called when the
/// process ends.
pub async fn flush() {
    let Some(queue) = QUEUE.get() else { return };
    let (flushed, done) = oneshot::channel();
    let sent = async {
        _ = queue.send(Item::Flush(flushed)).await;
        _ = done.await;
    };
    if timeout(FLUSH, sent).await.is_err() {
        tracing::warn!("the last traces were not taken in time");
    }
}

/// Starts the thread that sends.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(url: &str, resource: Resource) -> anyhow::Result<Pipeline> {
    for outcome in ["sent", "failed", "dropped"] {
        count(outcome, 0);
    }
    let (near, far) = mpsc::channel(WAITING);
    let url = url.to_owned();
    // A thread and a runtime of its own: it sends also when the others are busy, or have ended.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("traces".to_owned()).spawn(move || {
        runtime.block_on(send(&url, &resource, far));
    })?;
    _ = QUEUE.set(near.clone());
    Ok(Pipeline(near))
}

impl SpanProcessor for Pipeline {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.try_send(Item::Span(Box::new(span))).is_err() {
            count("dropped", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

async fn send(url: &str, resource: &Resource, mut queue: mpsc::Receiver<Item>) {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(url).with_timeout(EXPORT).build();
    let mut exporter = match exporter {
        Ok(exporter) => exporter,
        Err(error) => return tracing::error!(%error, "traces can't be sent (traces.url)"),
    };
    exporter.set_resource(resource);
    let (mut items, mut is_away) = (Vec::with_capacity(BATCH), false);
    while queue.recv_many(&mut items, BATCH).await > 0 {
        let (mut spans, mut flushed) = (Vec::with_capacity(items.len()), Vec::new());
        for item in items.drain(..) {
            match item {
                Item::Span(span) => spans.push(*span),
                Item::Flush(done) => flushed.push(done),
            }
        }
        let n = spans.len() as u64;
        let outcome = match n {
            0 => Ok(()),
            _ => match timeout(EXPORT, exporter.export(spans)).await {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            },
        };
        count(if outcome.is_ok() { "sent" } else { "failed" }, n);
        match outcome {
            Err(error) if !is_away => {
                tracing::warn!(error, "traces are lost: the collector does not take them");
                is_away = true;
            }
            Ok(()) if is_away && n > 0 => {
                tracing::info!("the collector takes traces again");
                is_away = false;
            }
            _ => {}
        }
        let nobody_waits = flushed.is_empty();
        for done in flushed {
            _ = done.send(());
        }
        if nobody_waits && queue.len() < BATCH {
            tokio::time::sleep(GATHER).await;
        }
    }
}

fn count(outcome: &'static str, spans: u64) {
    metrics::counter!("goligoli_traces_spans_total", "outcome" => outcome).increment(spans);
}
