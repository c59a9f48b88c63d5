//! Opening and closing: what all kinds of span share.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};

use crate::propagation::TraceHeaders;
use crate::telemetry::tracer;

/// What a span is opened with. Built only once it is known that the span is recorded.
pub(super) struct Opening {
    pub(super) kind: SpanKind,
    pub(super) name: Cow<'static, str>,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) links: Vec<Link>,
    pub(super) start: Option<SystemTime>,
}

impl Opening {
    pub(super) fn new(kind: SpanKind, name: impl Into<Cow<'static, str>>, attributes: Vec<KeyValue>) -> Self {
        Self { kind, name: name.into(), attributes, links: Vec::new(), start: None }
    }

    /// More than one span caused this one, or the one that did is not its parent.
    pub(super) fn linked_to(mut self, cause: Option<SpanContext>) -> Self {
        self.links.extend(cause.map(Link::with_context));
        self
    }

    /// The work began earlier than the span is opened.
    pub(super) fn started_at(mut self, start: SystemTime) -> Self {
        self.start = Some(start);
        self
    }
}

/// Opens a child of `parent`, or a root if `parent` has no span.
///
/// Without a tracer, or below a span that is not recorded, the result has the ids of `parent` and nothing that could be
/// ended.
pub(super) fn open(parent: &Context, opening: impl FnOnce() -> Opening) -> Context {
    tracer::with_current(|current| {
        let above = parent.span().span_context().clone();
        let decided_unrecorded = above.is_valid() && !above.is_sampled();
        // Within a process the decision is made once; a caller's is followed if the sampler says so.
        if decided_unrecorded && (current.follows_parent || !above.is_remote()) {
            return parent.clone();
        }
        let Opening { kind, name, attributes, links, start } = opening();
        let mut builder =
            current.tracer.span_builder(name).with_kind(kind).with_attributes(attributes).with_links(links);
        builder.start_time = start;
        parent.with_span(current.tracer.build_with_context(builder, parent))
    })
    .unwrap_or_else(|| ids_of(parent))
}

/// As [`open`], but never the root of a trace: polls of a background task are not worth a trace each.
pub(super) fn open_child(parent: &Context, opening: impl FnOnce() -> Opening) -> Context {
    if parent.span().span_context().is_valid() { open(parent, opening) } else { parent.clone() }
}

/// After telemetry has stopped, a span from before may still be open; its children must not end it.
fn ids_of(parent: &Context) -> Context {
    let span = parent.span();
    if span.is_recording() { parent.with_remote_span_context(span.span_context().clone()) } else { parent.clone() }
}

/// Opens the root of a trace of its own, for work that no request asked for (a sweep); `links` name the traces it goes
/// back to. Links that can't be read are left out.
pub fn internal(name: &'static str, links: &[TraceHeaders]) -> Context {
    open(&Context::new(), || {
        let mut opening = Opening::new(SpanKind::Internal, name, Vec::new());
        for headers in links {
            opening = opening.linked_to(span_context(headers));
        }
        opening
    })
}

/// Links the span of `context` to another trace: the placement that a later call goes back to. Does nothing if `to`
/// can't be read.
pub fn link(context: &Context, to: &TraceHeaders) {
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    if let Some(target) = span_context(to) {
        span.add_link(target, Vec::new());
    }
}

/// Gives the span of `context` error status. `text` is for people and holds no personal data.
pub fn fail(context: &Context, text: impl Into<Cow<'static, str>>) {
    let span = context.span();
    if span.is_recording() {
        span.set_status(Status::error(text));
    }
}

/// Ends the span of `context` now. A second time does nothing.
pub fn end(context: &Context) {
    context.span().end();
}

fn span_context(headers: &TraceHeaders) -> Option<SpanContext> {
    let context = headers.to_context();
    let span_context = context.span().span_context().clone();
    span_context.is_valid().then_some(span_context)
}
