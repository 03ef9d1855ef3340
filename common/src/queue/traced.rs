//! Messages in traces: the span of whoever publishes, and that of whoever consumes, which goes
//! on from it. A message that was not published in a trace that is kept has neither.

use tracing::Span;

use super::Message;
use crate::telemetry::traces::{Lasting, caused_by};

/// A message is being handed over. It ends when it is dropped: when the queue has it.
pub(super) fn publishing(system: &'static str, topic: &'static str) -> Lasting {
    let mut span = Lasting::hand_over(|| format!("publish {topic}").into());
    if span.is_kept() {
        span.set("messaging.system", system);
        span.set("messaging.operation.name", "publish");
        span.set("messaging.operation.type", "send");
        span.set("messaging.destination.name", topic);
    }
    span
}

/// A message is being worked at.
pub(super) fn consuming(system: &'static str, topic: &'static str, message: &Message) -> Span {
    caused_by(message.traceparent.as_deref(), || {
        tracing::info_span!(
            "queue",
            otel.kind = "consumer",
            otel.name = format!("process {topic}"),
            messaging.system = system,
            messaging.operation.name = "process",
            messaging.operation.type = "process",
            messaging.destination.name = topic,
            messaging.consumer.group.name = topic,
            attempt = i64::from(message.attempt),
        )
    })
}
