//! Traces as Jaeger's HTTP API gives them.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::http;

/// One trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub id: String,
    /// In no order.
    pub spans: Vec<Span>,
}

/// One span.
#[derive(Clone, Debug)]
pub struct Span {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The operation.
    pub name: String,
    /// `service.name`.
    pub service: String,
    /// `span.kind`.
    pub kind: String,
    /// The reference within the trace. Jaeger shows a parent that is also linked to as FOLLOWS_FROM.
    pub parent: Option<(ReferenceKind, String)>,
    /// Trace and span id of each reference to another trace.
    pub links: Vec<(String, String)>,
    tags: Value,
}

/// How a span refers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    /// A parent.
    ChildOf,
    /// A link.
    FollowsFrom,
}

impl Span {
    /// An attribute, as text.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<String> {
        let tag = self.tags.as_array()?.iter().find(|tag| tag["key"] == key)?;
        match &tag["value"] {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// Whether it has error status.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.tag("error").as_deref() == Some("true") || self.tag("otel.status_code").as_deref() == Some("ERROR")
    }
}

impl Trace {
    /// Spans of that name.
    #[must_use]
    pub fn named<'a>(&'a self, name: &str) -> Vec<&'a Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    /// The only span of that name.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[must_use]
    pub fn only(&self, name: &str) -> &Span {
        let found = self.named(name);
        assert_eq!(found.len(), 1, "spans called {name} in {}", self.outline());
        found[0]
    }

    /// The span that `span` says is its parent.
    #[must_use]
    pub fn parent_of(&self, span: &Span) -> Option<&Span> {
        let (_, parent) = span.parent.as_ref()?;
        self.spans.iter().find(|other| other.id == *parent)
    }

    /// Children of `span`, by name.
    #[must_use]
    pub fn children(&self, span: &Span, name: &str) -> Vec<&Span> {
        let is_child = |other: &&Span| other.parent.as_ref().is_some_and(|(_, parent)| *parent == span.id);
        self.spans.iter().filter(is_child).filter(|other| other.name == name).collect()
    }

    /// Spans without a parent.
    #[must_use]
    pub fn roots(&self) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.parent.is_none()).collect()
    }

    /// Spans whose parent is not in the trace.
    #[must_use]
    pub fn orphans(&self) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.parent.is_some() && self.parent_of(span).is_none()).collect()
    }

    /// Names, services and parents, for error texts.
    #[must_use]
    pub fn outline(&self) -> String {
        let line = |span: &Span| {
            let parent = self.parent_of(span).map_or("-", |parent| parent.name.as_str());
            format!("\n  {} {} ({}) below {parent}", span.service, span.name, span.kind)
        };
        format!("trace {}:{}", self.id, self.spans.iter().map(line).collect::<String>())
    }
}

/// A trace by its id; `None` when the store has no span of it.
///
/// # Errors
/// The store does not answer.
pub async fn trace(query_url: &str, trace_id: &str) -> Result<Option<Trace>> {
    let (status, body) = http::get(&format!("{query_url}/api/traces/{trace_id}")).await?;
    if status == 404 {
        return Ok(None);
    }
    ensure!(status == 200, "the trace store says {status}: {body}");
    let answer: Value = serde_json::from_str(&body)?;
    answer["data"].as_array().and_then(|traces| traces.first()).map(read).transpose()
}

/// Traces with a span of `service` that has the attribute.
///
/// # Errors
/// The store does not answer.
pub async fn find(query_url: &str, service: &str, key: &str, value: &str) -> Result<Vec<Trace>> {
    let tags = format!("%7B%22{key}%22%3A%22{value}%22%7D");
    let url = format!("{query_url}/api/traces?service={service}&limit=50&lookback=1h&tags={tags}");
    let (status, body) = http::get(&url).await?;
    ensure!(status == 200, "the trace store says {status}: {body}");
    let answer: Value = serde_json::from_str(&body)?;
    answer["data"].as_array().context("a list of traces")?.iter().map(read).collect()
}

/// The newest traces of a service, as they come.
///
/// # Errors
/// The store does not answer.
pub async fn raw(query_url: &str, service: &str) -> Result<String> {
    let (status, body) = http::get(&format!("{query_url}/api/traces?service={service}&limit=500&lookback=1h")).await?;
    ensure!(status == 200, "the trace store says {status}: {body}");
    Ok(body)
}

fn read(trace: &Value) -> Result<Trace> {
    let id = trace["traceID"].as_str().context("traceID")?.to_owned();
    let span = |span: &Value| {
        let process = &trace["processes"][span["processID"].as_str().context("processID")?];
        let mut read = Span {
            id: span["spanID"].as_str().context("spanID")?.to_owned(),
            name: span["operationName"].as_str().context("operationName")?.to_owned(),
            service: process["serviceName"].as_str().context("serviceName")?.to_owned(),
            kind: String::new(),
            parent: None,
            links: Vec::new(),
            tags: span["tags"].clone(),
        };
        read.kind = read.tag("span.kind").unwrap_or_default();
        for reference in span["references"].as_array().context("references")? {
            let kind = match reference["refType"].as_str() {
                Some("CHILD_OF") => ReferenceKind::ChildOf,
                _ => ReferenceKind::FollowsFrom,
            };
            let to = |key: &str| reference[key].as_str().map(str::to_owned).context("a reference");
            if to("traceID")? == id {
                read.parent = Some((kind, to("spanID")?));
            } else {
                read.links.push((to("traceID")?, to("spanID")?));
            }
        }
        anyhow::Ok(read)
    };
    let spans = trace["spans"].as_array().context("spans")?.iter().map(span).collect::<Result<_>>()?;
    Ok(Trace { id, spans })
}
