//! Traces, sent by OTLP (gRPC) to a collector. The context is W3C's; RPC carries it by itself.
//!
//! Spans are tracing's, at `INFO` and above, whatever the log's filter says. What tracing does
//! not know itself is added here: SQL statements, the names of served calls ([`extras`]), and
//! spans that outlive the task that began them ([`Lasting`]).

pub(super) mod extras;
mod lasting;
mod pipeline;
#[cfg(test)]
pub(crate) mod seen;

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, Registry};

pub use lasting::{Lasting, Trip};
pub use pipeline::flush;

/// Links that one span has at most; what it stands for beyond that is not linked.
const MAX_LINKS: usize = 100;

/// Settings of the traces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The collector: `http://host:4317`; empty is none.
    pub url: String,
    /// The share of traces that is kept, 0 to 1, where the caller has not decided.
    pub ratio: f64,
}

/// What makes spans of this process, if it has traces.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// A layer of the process's subscriber.
pub(super) type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// What of a subscriber makes traces, of a process that is called `service`; none without a URL.
///
/// # Errors
/// A setting can't be used; the message names it.
pub(super) fn layer(settings: &Settings, service: &str) -> anyhow::Result<Option<Boxed>> {
    if collector(settings)?.is_none() {
        return Ok(None);
    }
    let resource = Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let pipeline = pipeline::start(&settings.url, resource.clone()).context("starting the traces (traces.url)")?;
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.ratio))))
        .with_span_processor(pipeline)
        .build();
    let tracer = provider.tracer("goligoli");
    _ = TRACER.set(tracer.clone());
    let spans = tracing_opentelemetry::layer().with_tracer(tracer).with_threads(false).with_location(false);
    let spans = spans.with_target(false).with_tracked_inactivity(false);
    Ok(Some(spans.with_filter(LevelFilter::INFO).boxed()))
}

/// Whether there is a collector at `traces.url`, if one is set.
///
/// # Errors
/// A setting can't be used, or nobody takes connections there; the message names the key.
pub async fn examine(settings: &Settings) -> anyhow::Result<()> {
    if let Some(address) = collector(settings)? {
        let connected = tokio::net::TcpStream::connect(&address).await;
        connected.with_context(|| format!("traces.url: the collector at {address} can't be reached"))?;
    }
    Ok(())
}

/// `host:port` of the collector, if there is one.
fn collector(settings: &Settings) -> anyhow::Result<Option<String>> {
    anyhow::ensure!((0.0..=1.0).contains(&settings.ratio), "traces.ratio is {}, but has to be 0 to 1", settings.ratio);
    if settings.url.is_empty() { Ok(None) } else { check(&settings.url).map(Some) }
}

fn check(url: &str) -> anyhow::Result<String> {
    let shown = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    let parsed = url.parse::<http::Uri>().ok().filter(|url| url.scheme_str() == Some("http"));
    let authority = parsed.as_ref().and_then(http::Uri::authority).map(http::uri::Authority::as_str);
    authority
        .filter(|authority| crate::etcd::is_host_and_port(authority))
        .map(str::to_owned)
        .with_context(|| format!("traces.url is {shown:?}, but a collector is named like http://host:4317"))
}

/// A place in a trace: what a span was when it was looked at. It goes with work to other tasks
/// and in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace(SpanContext);

impl Trace {
    /// The current span's, if it is in a trace that is kept.
    #[must_use]
    pub fn here() -> Option<Self> {
        TRACER.get()?;
        let context = Span::current().context().span().span_context().clone();
        (context.is_valid() && context.is_sampled()).then_some(Self(context))
    }

    /// The same as a `traceparent` header, to be kept with what is done later: in a row, in a
    /// message.
    #[must_use]
    pub fn header_here() -> Option<String> {
        Self::here().map(|trace| trace.to_header())
    }

    /// From a `traceparent` header. `None`: it is none.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let sizes = (version.len(), trace.len(), span.len(), flags.len()) == (2, 32, 16, 2);
        let is_known = version != "ff" && (version != "00" || parts.next().is_none());
        if !sizes || !is_known || header.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
        let context = SpanContext::new(trace, span, flags, true, TraceState::default());
        context.is_valid().then_some(Self(context))
    }

    /// As a `traceparent` header.
    #[must_use]
    pub fn to_header(&self) -> String {
        let flags = u8::from(self.0.is_sampled());
        format!("00-{}-{}-{flags:02x}", self.0.trace_id(), self.0.span_id())
    }

    /// Makes a span that was just made go on from here.
    pub fn go_on_in(&self, span: &Span) {
        // It fails only for spans that are not traced, or have begun already.
        _ = span.set_parent(Context::new().with_remote_span_context(self.0.clone()));
    }

    /// Says that a span, which goes on from elsewhere, is for this as well.
    pub fn link_to(&self, span: &Span) {
        span.add_link(self.0.clone());
    }
}

/// The span of work that was caused where `header` was kept, and goes on there; `begin` makes
/// it. Nothing is made, and work is not in any span, where no trace was kept or none is sent.
pub fn caused_by(header: Option<&str>, begin: impl FnOnce() -> Span) -> Span {
    caused_by_all(header, begin)
}

/// The same, of work with several causes: linked to all but the first.
pub fn caused_by_all<'a>(headers: impl IntoIterator<Item = &'a str>, begin: impl FnOnce() -> Span) -> Span {
    let is_on = TRACER.get().is_some();
    let traces = headers.into_iter().take_while(|_| is_on).filter_map(Trace::parse);
    let traces: Vec<Trace> = traces.filter(|trace| trace.0.is_sampled()).collect();
    standing_for(traces.iter(), begin)
}

/// A span that stands for several, as by [`stand_for`]; none for none.
pub fn standing_for<'a>(traces: impl IntoIterator<Item = &'a Trace>, begin: impl FnOnce() -> Span) -> Span {
    let mut traces = traces.into_iter().peekable();
    if traces.peek().is_none() {
        return Span::none();
    }
    let span = begin();
    stand_for(&span, traces);
    span
}

/// Marks a span as failed; `kind` is one of few words.
pub fn fail(span: &Span, kind: &'static str, error: String) {
    span.set_attribute("error.type", kind);
    span.set_status(Status::error(error));
}

/// Makes a span that was just made stand for several: it goes on from the first of them, and is
/// linked to the others.
pub fn stand_for<'a>(span: &Span, traces: impl IntoIterator<Item = &'a Trace>) {
    let mut known: Vec<&Trace> = Vec::new();
    for trace in traces {
        match known.first() {
            None => trace.go_on_in(span),
            // A link to its own parent takes the parent's place in what Jaeger says.
            Some(_) if known.contains(&trace) => continue,
            Some(_) => trace.link_to(span),
        }
        known.push(trace);
        if known.len() > MAX_LINKS {
            break;
        }
    }
}

/// What an export may take before it has failed.
const EXPORT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_through_a_header_and_back() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(Trace::parse(header).unwrap().to_header(), header);
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more";
        assert_eq!(Trace::parse(later).unwrap().to_header(), header);
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333é-01",
            "00-xaf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_can_not_be_used_is_refused_with_its_key() {
        let of = |url: &str, ratio| layer(&Settings { url: url.to_owned(), ratio }, "x").map(|layer| layer.is_some());
        assert!(!of("", 1.0).unwrap());
        for url in ["localhost:4317", "https://a:4317", "http://a", "http://me:hidden@a:4317", "grpc://a:4317"] {
            let error = of(url, 1.0).unwrap_err().to_string();
            assert!(error.contains("traces.url") && !error.contains("hidden"), "{error}");
        }
        for ratio in [-0.1, 1.1, f64::NAN] {
            assert!(of("", ratio).unwrap_err().to_string().contains("traces.ratio"));
        }
    }
}
