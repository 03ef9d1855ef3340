//! Spans as tests see them: what ended in this process.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tracing_subscriber::layer::SubscriberExt as _;

use super::{SdkTracerProvider, TRACER, Trace};

static ENDED: Mutex<Vec<SpanData>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Keep;

impl SpanProcessor for Keep {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        ENDED.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Traces what this thread does while the guard lives; other tests are not traced.
pub(crate) fn here() -> tracing::subscriber::DefaultGuard {
    static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| SdkTracerProvider::builder().with_span_processor(Keep).build());
    let tracer = TRACER.get_or_init(|| provider.tracer("test")).clone();
    let spans = tracing_opentelemetry::layer().with_tracer(tracer);
    tracing::subscriber::set_default(tracing_subscriber::registry().with(spans))
}

/// A place in a trace of its own, as somebody else would have made it.
pub(crate) fn fresh(is_sampled: bool) -> Trace {
    let (trace, span) = (rand::random::<u128>() | 1, rand::random::<u64>() | 1);
    Trace::parse(&format!("00-{trace:032x}-{span:016x}-0{}", u8::from(is_sampled))).unwrap()
}

/// What ended of a trace.
pub(crate) fn ended(trace: &Trace) -> Vec<SpanData> {
    let ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
    ended.iter().filter(|span| span.span_context.trace_id() == trace.0.trace_id()).cloned().collect()
}
