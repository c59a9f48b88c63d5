//! The last traces, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::shapes::{Process, Span, Trace};

/// What is kept before the oldest traces go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) traces: usize,
    pub(super) spans: usize,
}

/// What is searched for: traces with one span that fits all of it.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) service: String,
    pub(super) operation: Option<String>,
    pub(super) tags: Vec<(String, String)>,
    /// Microseconds since 1970, inclusive.
    pub(super) start: Option<u64>,
    pub(super) end: Option<u64>,
    pub(super) limit: usize,
}

impl Search {
    fn fits(&self, span: &Span, process: &Process) -> bool {
        process.service_name == self.service
            && self.operation.as_ref().is_none_or(|operation| *operation == span.operation_name)
            && self.start.is_none_or(|start| span.start_time >= start)
            && self.end.is_none_or(|end| span.start_time <= end)
            && self.tags.iter().all(|(key, value)| {
                let of_logs = span.logs.iter().flat_map(|log| &log.fields);
                span.tags.iter().chain(&process.tags).chain(of_logs).any(|tag| tag.is(key, value))
            })
    }
}

/// A bounded store; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Store {
    limits: Limits,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    traces: HashMap<String, Vec<(Arc<Process>, Span)>>,
    /// Trace ids, in the order of their first spans.
    order: VecDeque<String>,
    spans: usize,
}

impl Store {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, kept: Arc::default() }
    }

    /// Keeps `span`; the oldest traces go if there are too many. A span that comes again replaces itself.
    pub(super) fn add(&self, process: &Arc<Process>, span: Span) {
        let mut kept = self.lock();
        if !kept.traces.contains_key(&span.trace_id) {
            kept.order.push_back(span.trace_id.clone());
        }
        let spans = kept.traces.entry(span.trace_id.clone()).or_default();
        match spans.iter_mut().find(|(_, known)| known.span_id == span.span_id) {
            Some(known) => *known = (process.clone(), span),
            None => {
                spans.push((process.clone(), span));
                kept.spans += 1;
            }
        }
        while kept.traces.len() > self.limits.traces || kept.spans > self.limits.spans {
            let Some(oldest) = kept.order.pop_front() else { break };
            kept.spans -= kept.traces.remove(&oldest).map_or(0, |spans| spans.len());
        }
    }

    /// The names of all services, sorted.
    pub(super) fn services(&self) -> Vec<String> {
        let kept = self.lock();
        let mut names: Vec<String> =
            kept.traces.values().flatten().map(|(process, _)| process.service_name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(super) fn trace(&self, trace_id: &str) -> Option<Trace> {
        self.lock().traces.get(trace_id).map(|spans| assemble(trace_id, spans))
    }

    /// What fits `search`, newest first.
    pub(super) fn search(&self, search: &Search) -> Vec<Trace> {
        let kept = self.lock();
        kept.order
            .iter()
            .rev()
            .filter_map(|id| Some((id, kept.traces.get(id)?)))
            .filter(|(_, spans)| spans.iter().any(|(process, span)| search.fits(span, process)))
            .take(search.limit)
            .map(|(id, spans)| assemble(id, spans))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here leaves the maps half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn assemble(trace_id: &str, kept: &[(Arc<Process>, Span)]) -> Trace {
    let mut processes: Vec<&Arc<Process>> = Vec::new();
    let mut spans = Vec::with_capacity(kept.len());
    for (process, span) in kept {
        let index = processes.iter().position(|known| known == &process).unwrap_or_else(|| {
            processes.push(process);
            processes.len() - 1
        });
        spans.push(Span { process_id: format!("p{}", index + 1), ..span.clone() });
    }
    spans.sort_by_key(|span| span.start_time);
    let processes = processes
        .into_iter()
        .enumerate()
        .map(|(index, process)| {
            let shape = serde_json::to_value(&**process).expect("names, texts and numbers are always JSON");
            (format!("p{}", index + 1), shape)
        })
        .collect();
    Trace { trace_id: trace_id.to_owned(), spans, processes, warnings: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::shapes::Tag;

    fn span(trace: &str, id: &str) -> Span {
        Span {
            trace_id: trace.to_owned(),
            span_id: id.to_owned(),
            operation_name: "place".to_owned(),
            references: Vec::new(),
            start_time: 10,
            duration: 1,
            tags: vec![Tag::text("shop.order.id", format!("order-{trace}"))],
            logs: Vec::new(),
            process_id: String::new(),
            warnings: None,
        }
    }

    fn filled(limits: Limits, spans: &[(&str, &str)]) -> Store {
        let process = Arc::new(Process { service_name: "order-svc".to_owned(), tags: Vec::new() });
        let store = Store::new(limits);
        for (trace, id) in spans {
            store.add(&process, span(trace, id));
        }
        store
    }

    fn found(store: &Store, search: Search) -> Vec<String> {
        store.search(&search).into_iter().map(|trace| trace.trace_id).collect()
    }

    fn all() -> Search {
        Search { service: "order-svc".to_owned(), limit: 10, ..Search::default() }
    }

    #[test]
    fn oldest_trace_goes_when_there_are_too_many_traces_or_spans() {
        let spans = [("a", "1"), ("b", "1"), ("c", "1"), ("c", "2")];
        assert_eq!(found(&filled(Limits { traces: 2, spans: 99 }, &spans), all()), ["c", "b"]);
        assert_eq!(found(&filled(Limits { traces: 99, spans: 2 }, &spans), all()), ["c"]);
        assert_eq!(found(&filled(Limits { traces: 99, spans: 4 }, &spans), all()), ["c", "b", "a"]);
    }

    #[test]
    fn span_that_is_exported_again_is_kept_once() {
        let store = filled(Limits { traces: 9, spans: 2 }, &[("a", "1"), ("a", "1"), ("a", "1"), ("a", "2")]);
        assert_eq!(store.trace("a").unwrap().spans.len(), 2);
    }

    #[test]
    fn search_wants_every_part_to_fit_one_span() {
        let store = filled(Limits { traces: 9, spans: 9 }, &[("a", "1"), ("b", "1")]);
        let by_tag = |value: &str| Search { tags: vec![("shop.order.id".to_owned(), value.to_owned())], ..all() };
        assert_eq!(found(&store, by_tag("order-b")), ["b"]);
        assert!(found(&store, by_tag("order-z")).is_empty());
        assert!(found(&store, Search { service: "other".to_owned(), ..all() }).is_empty());
        assert!(found(&store, Search { operation: Some("cancel".to_owned()), ..all() }).is_empty());
        assert!(found(&store, Search { start: Some(11), ..all() }).is_empty());
        assert_eq!(found(&store, Search { limit: 1, ..all() }), ["b"]);
        assert_eq!(store.services(), ["order-svc"]);
    }
}
