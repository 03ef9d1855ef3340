//! What a real Jaeger says of a trace by its query API.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::until;

/// A span as the query API tells it.
#[derive(Debug)]
pub struct Span {
    /// What was done.
    pub name: String,
    /// The process's `service.name`.
    pub service: String,
    /// Its attributes, and what Jaeger makes of kind and status.
    pub tags: BTreeMap<String, Value>,
    /// The trace that it is in.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// When it began (microseconds since 1970).
    pub began_us: u64,
    /// The span that it goes on from, if any.
    pub parent: Option<String>,
    /// Other traces and spans that it is for as well.
    pub links: Vec<(String, String)>,
}

impl Span {
    /// An attribute's text; empty if there is none.
    #[must_use]
    pub fn tag(&self, name: &str) -> &str {
        self.tags.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it is marked as failed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.tags.get("error").is_some_and(|error| *error == true || *error == "true")
    }
}

/// All spans of a trace, in the order in which they began; empty before there are any.
pub async fn spans(jaeger: &str, trace: &str) -> Vec<Span> {
    let url = format!("{}/api/traces/{trace}", jaeger.trim_end_matches('/'));
    let Ok(answer) = reqwest::get(url).await else { return Vec::new() };
    let Ok(found) = answer.json::<Value>().await else { return Vec::new() };
    let found = &found["data"][0];
    let spans = found["spans"].as_array().cloned().unwrap_or_default();
    let mut spans: Vec<Span> = spans.iter().map(|span| read(span, &found["processes"])).collect();
    spans.sort_by_key(|span| span.began_us);
    spans
}

fn read(span: &Value, processes: &Value) -> Span {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tags = span["tags"].as_array().cloned().unwrap_or_default();
    let references = span["references"].as_array().cloned().unwrap_or_default();
    let parent = references.iter().find(|reference| reference["refType"] == "CHILD_OF");
    let links = references.iter().filter(|reference| reference["refType"] == "FOLLOWS_FROM");
    Span {
        name: text(&span["operationName"]),
        service: text(&processes[span["processID"].as_str().unwrap_or_default()]["serviceName"]),
        tags: tags.iter().map(|tag| (text(&tag["key"]), tag["value"].clone())).collect(),
        trace: text(&span["traceID"]),
        id: text(&span["spanID"]),
        began_us: span["startTime"].as_u64().unwrap_or_default(),
        parent: parent.map(|parent| text(&parent["spanID"])),
        links: links.map(|link| (text(&link["traceID"]), text(&link["spanID"]))).collect(),
    }
}

/// The whole of a trace, once it has spans of all these names, and from each of its spans a way
/// up to that of the first name.
pub async fn whole(jaeger: &str, trace: &str, wanted: &[&str]) -> Whole {
    let mut said = String::new();
    until("Jaeger has the whole trace", async || {
        let spans = Whole(spans(jaeger, trace).await);
        let away: Vec<_> = wanted.iter().filter(|name| spans.0.iter().all(|span| span.name != **name)).collect();
        let tops = spans.0.iter().filter_map(|span| spans.line(span).last());
        let loose: BTreeSet<_> = tops.map(|top| &top.name).filter(|top| *top != wanted[0]).collect();
        let says = format!("{} spans; none is of {away:?}; {loose:?} hang in the air", spans.0.len());
        if says != said {
            println!("{says}");
            said = says;
        }
        (away.is_empty() && loose.is_empty()).then_some(spans)
    })
    .await
}

/// All spans of a trace.
#[derive(Debug)]
pub struct Whole(pub Vec<Span>);

impl Whole {
    /// The first span of this name.
    #[must_use]
    pub fn of(&self, name: &str) -> &Span {
        self.0.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span is of {name}"))
    }

    /// The names of all processes in it.
    #[must_use]
    pub fn services(&self) -> BTreeSet<&str> {
        self.0.iter().map(|span| span.service.as_str()).collect()
    }

    /// The span of this name that a span is under, be it far below.
    #[must_use]
    pub fn above<'a>(&'a self, span: &'a Span, name: &str) -> Option<&'a Span> {
        self.line(span).find(|above| above.name == name)
    }

    /// From a span up to the root.
    pub fn line<'a>(&'a self, span: &'a Span) -> impl Iterator<Item = &'a Span> {
        let up = |at: &&Span| self.0.iter().find(|above| Some(&above.id) == at.parent.as_ref());
        // No trace is as deep: a circle would be an error of the test's.
        std::iter::successors(Some(span), up).take(40)
    }

    /// Prints each span under the one that it goes on from, in the order in which they began.
    pub fn show(&self) {
        let is_top = |span: &&Span| self.line(span).count() == 1;
        self.0.iter().filter(is_top).for_each(|span| self.show_from(span, 0));
    }

    fn show_from(&self, span: &Span, depth: usize) {
        let failed = if span.is_failed() { " (failed)" } else { "" };
        println!("{:1$}{2} {3} [{4}]{failed}", "", 2 * depth, span.tag("span.kind"), span.name, span.service);
        let below = self.0.iter().filter(|below| below.parent.as_ref() == Some(&span.id));
        below.for_each(|below| self.show_from(below, depth + 1));
    }
}
