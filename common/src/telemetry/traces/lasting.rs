//! Spans that are not the task's: of what outlives it, or ends where nobody is in a span.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{TRACER, Trace};

/// A span of something that outlives the task that began it, such as an event stream. It ends
/// when it is dropped. Without traces it is nothing, and costs a pointer.
#[derive(Debug, Default)]
pub struct Lasting(Option<Box<Kept>>);

#[derive(Debug)]
struct Kept {
    span: opentelemetry_sdk::trace::Span,
    counts: Vec<(&'static str, i64)>,
}

impl Lasting {
    /// Begins in the trace of the current span, if that is kept.
    pub fn begin(name: &'static str) -> Self {
        Self::begin_as(SpanKind::Internal, Duration::ZERO, || Cow::Borrowed(name))
    }

    /// The same, of a call to another service that has taken so long by now.
    pub(crate) fn call_since(took: Duration, name: impl FnOnce() -> Cow<'static, str>) -> Self {
        Self::begin_as(SpanKind::Client, took, name)
    }

    /// The same, of something that is handed to others.
    pub(crate) fn hand_over(name: impl FnOnce() -> Cow<'static, str>) -> Self {
        Self::begin_as(SpanKind::Producer, Duration::ZERO, name)
    }

    fn begin_as(kind: SpanKind, before: Duration, name: impl FnOnce() -> Cow<'static, str>) -> Self {
        Self(Trace::here().and_then(|_| {
            let tracer = TRACER.get()?;
            let now = opentelemetry::time::now();
            let began = now.checked_sub(before).unwrap_or(now);
            let span = tracer.span_builder(name()).with_kind(kind).with_start_time(began);
            let span = tracer.build_with_context(span, &Span::current().context());
            Some(Box::new(Kept { span, counts: Vec::new() }))
        }))
    }

    /// Its place in the trace, for what it causes.
    pub(crate) fn trace(&self) -> Option<Trace> {
        self.0.as_ref().map(|kept| Trace(kept.span.span_context().clone()))
    }

    /// Whether there is a trace to say anything in.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Says something of it.
    pub fn set(&mut self, name: &'static str, value: impl Into<opentelemetry::Value>) {
        if let Some(kept) = &mut self.0 {
            kept.span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// Marks it as failed; `kind` is one of few words.
    pub fn fail(&mut self, kind: impl FnOnce() -> String, error: impl FnOnce() -> String) {
        if let Some(kept) = &mut self.0 {
            kept.span.set_attribute(KeyValue::new("error.type", kind()));
            kept.span.set_status(Status::error(error()));
        }
    }

    /// Counts something in it; the sum is said at its end.
    pub fn add(&mut self, name: &'static str, n: u64) {
        let Some(kept) = &mut self.0 else { return };
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        match kept.counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = sum.saturating_add(n),
            None => kept.counts.push((name, n)),
        }
    }
}

/// A round trip to a server: a span of kind client. Dropped before it has ended nobody has
/// waited for its end, and it has failed. Without a trace that is kept it costs a pointer.
#[derive(Debug)]
pub struct Trip(Lasting);

impl Trip {
    /// Begins in the trace of the current span, if that is kept.
    pub fn begin(name: impl FnOnce() -> Cow<'static, str>) -> Self {
        Self(Lasting::begin_as(SpanKind::Client, Duration::ZERO, name))
    }

    /// Says something of it, if there is anybody to say it to.
    pub fn tell(&mut self, tell: impl FnOnce(&mut Lasting)) {
        if self.0.is_kept() {
            tell(&mut self.0);
        }
    }

    /// It has ended well.
    pub fn end(mut self) {
        self.0 = Lasting::default();
    }

    /// It has failed; `kind` is one of few words.
    pub fn fail(mut self, kind: impl FnOnce() -> String, error: impl FnOnce() -> String) {
        self.0.fail(kind, error);
        self.end();
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        self.0.fail(|| "cancelled".to_owned(), || "nobody waited for its end".to_owned());
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for (name, sum) in std::mem::take(&mut self.counts) {
            self.span.set_attribute(KeyValue::new(name, sum));
        }
    }
}
