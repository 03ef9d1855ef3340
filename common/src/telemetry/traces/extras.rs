//! What traces get that tracing's own spans don't say: a span for each SQL statement, made of
//! the line that sqlx logs when one has ended, and the names of served calls, which tarpc says
//! only after their spans have begun.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _};
use tracing::field::{Field, Visit};
use tracing::span::{Id, Record};
use tracing::{Dispatch, Event, Subscriber, dispatcher::WeakDispatch, level_filters::LevelFilter};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::TRACER;

const SQL: &str = "sqlx::query";
/// A statement is quoted so far; it has no values in it.
const MAX_SQL_BYTES: usize = 2_000;

#[derive(Debug, Default)]
struct Extras(OnceLock<WeakDispatch>);

/// To be put on the subscriber beside [`super::layer`].
pub(in crate::telemetry) fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // All spans: what is not wanted here would not be seen as the current one.
    let wanted = Targets::new().with_default(LevelFilter::INFO).with_target(SQL, LevelFilter::DEBUG);
    Extras::default().with_filter(wanted)
}

impl<S> Layer<S> for Extras
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        _ = self.0.set(dispatch.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != SQL {
            return;
        }
        let Some(parent) = context.lookup_current().and_then(|span| self.context_of(&span.id())) else { return };
        if !parent.span().span_context().is_sampled() {
            return;
        }
        let mut statement = Statement::default();
        event.record(&mut statement);
        statement.make_span(&parent);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut name = Name(None);
        values.record(&mut name);
        if let (Some(name), Some(context)) = (name.0, self.context_of(id)) {
            if let Some((service, method)) = name.split_once('.') {
                context.span().set_attribute(KeyValue::new("rpc.service", service.to_owned()));
                context.span().set_attribute(KeyValue::new("rpc.method", method.to_owned()));
            }
            context.span().update_name(name);
        }
    }
}

impl Extras {
    fn context_of(&self, span: &Id) -> Option<opentelemetry::Context> {
        get_otel_context(span, &self.0.get()?.upgrade()?)
    }
}

/// The name that tarpc gives to a call: `Message.post`.
struct Name(Option<String>);

impl Visit for Name {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "otel.name" {
            self.0 = Some(format!("{value:?}").trim_matches('"').to_owned());
        }
    }
}

/// What sqlx says of a statement that has ended.
#[derive(Debug, Default)]
struct Statement {
    /// The beginning of it, or all, if it is short.
    summary: String,
    /// All of it, or nothing, if the summary is.
    whole: String,
    rows: u64,
    took: Duration,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.trim().clone_into(&mut self.whole),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rows_returned" {
            self.rows = value;
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.took = Duration::try_from_secs_f64(value).unwrap_or_default();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Statement {
    fn make_span(self, parent: &opentelemetry::Context) {
        let Some(tracer) = TRACER.get() else { return };
        let mut text = if self.whole.is_empty() { self.summary } else { self.whole };
        text.truncate(text.floor_char_boundary(MAX_SQL_BYTES));
        let (operation, table) = about(&text);
        let end: SystemTime = opentelemetry::time::now();
        let name = if table.is_empty() { operation.clone() } else { format!("{operation} {table}") };
        let mut attributes = vec![
            KeyValue::new("db.system.name", crate::db::system()),
            KeyValue::new("db.operation.name", operation),
            KeyValue::new("db.query.text", text),
            KeyValue::new("db.response.returned_rows", i64::try_from(self.rows).unwrap_or(i64::MAX)),
        ];
        if !table.is_empty() {
            attributes.push(KeyValue::new("db.collection.name", table));
        }
        let builder = tracer.span_builder(name).with_kind(SpanKind::Client).with_attributes(attributes);
        let builder = builder.with_start_time(end.checked_sub(self.took).unwrap_or(end));
        tracer.build_with_context(builder, parent).end_with_timestamp(end);
    }
}

/// What a statement does, and to which table; the table is empty if there is none.
fn about(sql: &str) -> (String, String) {
    let mut words = sql.split_whitespace();
    let operation = words.next().unwrap_or_default().to_ascii_uppercase();
    let before_table: &[&str] = match operation.as_str() {
        "INSERT" | "REPLACE" => &["INTO"],
        "UPDATE" => &["UPDATE"],
        _ => &["FROM"],
    };
    let mut words =
        sql.split_whitespace().skip_while(|word| !before_table.iter().any(|w| word.eq_ignore_ascii_case(w)));
    let table = words.nth(1).unwrap_or_default();
    let table: String = table.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (operation, table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_told_by_what_it_does_to_which_table() {
        for (sql, operation, table) in [
            ("SELECT id, name FROM room WHERE id = ?", "SELECT", "room"),
            ("INSERT OR IGNORE INTO post_key (a, b) VALUES (?, ?)", "INSERT", "post_key"),
            ("INSERT INTO danmaku(id) VALUES (?)", "INSERT", "danmaku"),
            ("UPDATE lottery SET next_n = next_n", "UPDATE", "lottery"),
            ("delete from outbox where id <= ?", "DELETE", "outbox"),
            ("PRAGMA journal_mode = WAL", "PRAGMA", ""),
            ("SELECT 1", "SELECT", ""),
            ("", "", ""),
        ] {
            assert_eq!(about(sql), (operation.to_owned(), table.to_owned()), "{sql}");
        }
    }
}
