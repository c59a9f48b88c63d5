//! A trace as a picture in the terminal: a line per span, indented below its parent, with a bar on one time axis.

use std::collections::{HashMap, HashSet};

/// All spans of one trace that arrived so far.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) id: String,
    pub(crate) spans: Vec<Span>,
}

/// One span.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    /// Ids of other traces that it links to.
    pub(crate) links: Vec<String>,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Microseconds since 1970.
    pub(crate) start: u64,
    /// Microseconds.
    pub(crate) duration: u64,
    pub(crate) is_error: bool,
}

/// What a span does, which its name may leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Server,
    Client,
    Database,
    Producer,
    Consumer,
    Internal,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Database => "db",
            Self::Producer | Self::Consumer => "kafka",
            Self::Internal => "",
        }
    }
}

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Columns that a line may take.
    pub(crate) width: usize,
    pub(crate) colours: bool,
}

/// A span with its place in the tree.
struct Line<'a> {
    span: &'a Span,
    depth: usize,
    is_orphan: bool,
}

impl Trace {
    /// Spans whose parent did not arrive.
    pub(crate) fn orphans(&self) -> impl Iterator<Item = &Span> {
        let ids: HashSet<&str> = self.spans.iter().map(|span| span.id.as_str()).collect();
        self.spans.iter().filter(move |span| span.parent.as_deref().is_some_and(|parent| !ids.contains(parent)))
    }

    /// Whether a span of this trace links to that one.
    pub(crate) fn links_to(&self, other: &Self) -> bool {
        self.spans.iter().any(|span| span.links.contains(&other.id))
    }

    /// First start and last end, in microseconds since 1970.
    fn bounds(&self) -> (u64, u64) {
        let start = self.spans.iter().map(|span| span.start).min().unwrap_or(0);
        let end = self.spans.iter().map(|span| span.start + span.duration).max().unwrap_or(start);
        (start, end)
    }

    /// The tree in drawing order: a parent before its children, siblings by start.
    fn lines(&self) -> Vec<Line<'_>> {
        let orphans: HashSet<&str> = self.orphans().map(|span| span.id.as_str()).collect();
        let mut children: HashMap<Option<&str>, Vec<&Span>> = HashMap::new();
        for span in &self.spans {
            let parent = if orphans.contains(span.id.as_str()) { None } else { span.parent.as_deref() };
            children.entry(parent).or_default().push(span);
        }
        for siblings in children.values_mut() {
            // The last one is drawn first: they are taken from the end. The longer of two that start together is more
            // likely the one that caused the other.
            siblings.sort_by_key(|span| (std::cmp::Reverse(span.start), span.duration));
        }
        let mut lines = Vec::with_capacity(self.spans.len());
        let mut path = vec![children.remove(&None).unwrap_or_default()];
        while let Some(siblings) = path.last_mut() {
            let Some(span) = siblings.pop() else {
                path.pop();
                continue;
            };
            let depth = path.len() - 1;
            lines.push(Line { span, depth, is_orphan: orphans.contains(span.id.as_str()) });
            path.push(children.remove(&Some(span.id.as_str())).unwrap_or_default());
        }
        lines
    }
}

/// Draws the trace, without a line end behind the last line.
pub(crate) fn draw(trace: &Trace, style: Style) -> String {
    let lines = trace.lines();
    let (start, end) = trace.bounds();
    let services: HashSet<&str> = trace.spans.iter().map(|span| span.service.as_str()).collect();
    let columns = Columns::fit(&lines, style.width);
    let mut text = format!(
        "trace {}  {}, {}, {}",
        trace.id,
        counted(trace.spans.len(), "span"),
        counted(services.len(), "service"),
        duration(end - start)
    );
    text.push_str(&format!("\n{}", columns.axis(end - start)));
    for line in &lines {
        text.push('\n');
        text.push_str(&columns.draw(line, start, end, style.colours));
    }
    let orphans = trace.orphans().count();
    if orphans > 0 {
        text.push_str(&format!("\n? {} without their parent: it is not here (yet)", counted(orphans, "span")));
    }
    text
}

/// Widths in characters of the parts of a line: service, tree, kind, bar, duration.
struct Columns {
    service: usize,
    tree: usize,
    bar: usize,
}

impl Columns {
    const KIND: usize = 6;
    const DURATION: usize = 8;
    /// Two spaces between each two parts, and an error's mark.
    const GAPS: usize = 4 * 2 + 2;
    const SHORTEST_BAR: usize = 12;
    const SHORTEST_TREE: usize = 16;

    fn fit(lines: &[Line<'_>], width: usize) -> Self {
        let longest = |length: &dyn Fn(&Line<'_>) -> usize| lines.iter().map(length).max().unwrap_or(0);
        let service = longest(&|line| line.span.service.chars().count());
        let wanted = longest(&|line| tree_text(line).chars().count());
        let rest = width.saturating_sub(service + Self::KIND + Self::DURATION + Self::GAPS);
        // The bar gets a third at least: a name can be cut and still be understood.
        let bar = rest.saturating_sub(wanted).max(rest / 3).max(Self::SHORTEST_BAR);
        let tree = wanted.min(rest.saturating_sub(bar).max(Self::SHORTEST_TREE));
        Self { service, tree, bar }
    }

    fn axis(&self, total: u64) -> String {
        let before = self.service + self.tree + Self::KIND + 3 * 2;
        let end = duration(total);
        format!("{:before$}0{end:>rest$}", "", rest = self.bar.saturating_sub(1))
    }

    fn draw(&self, line: &Line<'_>, start: u64, end: u64, colours: bool) -> String {
        let span = line.span;
        let service = cut(&span.service, self.service);
        let tree = cut(&tree_text(line), self.tree);
        let bar = bar(span, start, end, self.bar);
        let (service_width, tree_width) = (self.service, self.tree);
        let mark = if span.is_error { " ✗" } else { "" };
        let (paint, red, reset) = if colours { (colour(&span.service), "\x1b[31m", "\x1b[0m") } else { ("", "", "") };
        format!(
            "{paint}{service:<service_width$}{reset}  {tree:<tree_width$}  {kind:<kind_width$}  {paint}{bar}{reset}  \
             {took:>took_width$}{red}{mark}{reset}",
            kind = span.kind.label(),
            kind_width = Self::KIND,
            took = duration(span.duration),
            took_width = Self::DURATION,
        )
    }
}

fn tree_text(line: &Line<'_>) -> String {
    let orphan = if line.is_orphan { "? " } else { "" };
    format!("{:indent$}{orphan}{}", "", without_package(&line.span.name), indent = 2 * line.depth)
}

/// `OrderService/PlaceOrder` for `orders.v1.OrderService/PlaceOrder`: the service stands in its own column.
fn without_package(name: &str) -> &str {
    let service_end = name.find('/').unwrap_or(0);
    name[..service_end].rfind('.').map_or(name, |dot| &name[dot + 1..])
}

/// A bar as long as the span took, one character at least, where it was on the axis.
fn bar(span: &Span, start: u64, end: u64, width: usize) -> String {
    let total = (end - start).max(1) as f64;
    let column = |time: u64| ((time - start) as f64 / total * width as f64).round() as usize;
    let from = column(span.start).min(width - 1);
    let to = column(span.start + span.duration).clamp(from + 1, width);
    format!("{}{}{}", "·".repeat(from), "█".repeat(to - from), "·".repeat(width - to))
}

/// Cuts at the front of the last part of a name: its end (`…PlaceOrder`) says more than its beginning.
fn cut(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let indent = text.chars().take_while(|character| *character == ' ').count().min(width / 2);
    let kept = width.saturating_sub(indent + 1);
    let end: String = text.chars().skip(length - kept).collect();
    format!("{:indent$}…{end}", "")
}

/// `850 µs`, `12.3 ms`, `1.25 s`.
fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A colour for each service, the same in every trace.
fn colour(service: &str) -> &'static str {
    const COLOURS: [&str; 5] = ["\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m", "\x1b[34m"];
    let sum: usize = service.bytes().map(usize::from).sum();
    COLOURS[sum % COLOURS.len()]
}

#[cfg(test)]
#[path = "waterfall_tests.rs"]
mod tests;
