//! Logs to the terminal, metrics for Prometheus, traces to a collector.

pub mod red;
mod tally;
pub mod traces;

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, reload};

use crate::Lifecycle;

pub use tally::{Tally, tally};

/// Settings of the logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What is logged, in tracing's filter language (`info,push=debug`).
    pub filter: String,
    /// `text` for people, `json` for collectors.
    pub format: Format,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// Starts logging to standard error, and tracing what the process does under the name of
/// `service`. A second call in one process changes nothing.
///
/// # Errors
/// The filter is malformed, or a setting of the traces can't be used.
pub fn init(settings: &Settings, traces: &traces::Settings, service: &str) -> anyhow::Result<()> {
    let filter = parse_filter(&settings.filter)?;
    // One after the other on the subscriber: as a list, or one on the other, they would not be
    // told of it, and the log's filter would be that of the traces too.
    let (began, set) = match traces::layer(traces, service)? {
        Some(spans) => {
            let (lines, set) = lines(settings.format, filter);
            (tracing_subscriber::registry().with(spans).with(traces::extras::layer()).with(lines).try_init(), set)
        }
        None => {
            let (lines, set) = lines(settings.format, filter);
            (tracing_subscriber::registry().with(lines).try_init(), set)
        }
    };
    // An error means that a subscriber is set already: a test's, or an earlier call's.
    if began.is_ok() {
        _ = FILTER.set(set);
    }
    Ok(())
}

/// Sets a filter in use.
type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// The log's lines, and what sets their filter. The filter is theirs alone: traces are whole,
/// however little is logged.
fn lines<S>(format: Format, filter: EnvFilter) -> (Box<dyn Layer<S> + Send + Sync>, SetFilter)
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        Format::Text => lines.with_filter(filter).boxed(),
        Format::Json => lines.json().with_filter(filter).boxed(),
    };
    (lines, Box::new(move |filter| handle.reload(filter)))
}

/// Sets what is logged from now on, if [`init`] began the logs of this process.
///
/// # Errors
/// The filter is malformed.
pub fn set_filter(filter: &str) -> anyhow::Result<()> {
    let parsed = parse_filter(filter)?;
    FILTER.get().map_or(Ok(()), |set| Ok(set(parsed)?))
}

/// Whether [`set_filter`] would take it.
///
/// # Errors
/// The filter is malformed.
pub fn check_filter(filter: &str) -> anyhow::Result<()> {
    parse_filter(filter).map(drop)
}

fn parse_filter(filter: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(filter).with_context(|| format!("log.filter is {filter:?}"))
}

/// The subscriber is the process's, and so is its filter.
static FILTER: OnceLock<SetFilter> = OnceLock::new();

/// Keeps the metrics small until the process stops: samples are put into their buckets now
/// and then, whether or not anybody asks for them.
pub fn keep_metrics(lifecycle: &Lifecycle) {
    const EVERY: Duration = Duration::from_secs(5);
    let (handle, soft) = (metrics(), lifecycle.soft().clone());
    lifecycle.spawn("telemetry.keep_metrics", async move {
        while soft.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            handle.run_upkeep();
        }
    });
}

/// The process's metrics, in Prometheus' text format.
#[must_use]
pub fn render() -> String {
    let mut out = metrics().render();
    tally::render(&mut out);
    out
}

/// The recorder of the process's metrics; [`render`] gives all of them.
/// Installed at the first call; durations (`…_seconds`) are histograms.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
            let builder = PrometheusBuilder::new().set_buckets(&buckets).unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed; /metrics will be empty");
            }
            handle
        })
        .clone()
}
