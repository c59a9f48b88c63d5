use super::*;

const PLAIN: Style = Style { width: 100, colours: false };

fn recorded() -> Vec<Trace> {
    let answer = serde_json::from_str(include_str!("../testdata/order.json")).expect("it is JSON");
    crate::jaeger::traces(answer).expect("it has Jaeger's form")
}

fn span(id: &str, parent: Option<&str>, start: u64, duration: u64) -> Span {
    Span {
        id: id.to_owned(),
        parent: parent.map(str::to_owned),
        links: Vec::new(),
        service: "svc".to_owned(),
        name: id.to_owned(),
        kind: Kind::Internal,
        start,
        duration,
        is_error: false,
    }
}

/// Names with their indentation, as drawn.
fn tree(trace: &Trace) -> Vec<String> {
    trace.lines().iter().map(tree_text).collect()
}

#[test]
fn placement_is_one_tree_over_both_services() {
    let text = draw(&recorded()[0], Style { width: 110, colours: false });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "trace 4bf92f3577b34da6a3ce929d0e0e4736  7 spans, 2 services, 40.0 ms");
    assert!(lines[1].starts_with(' ') && lines[1].ends_with("40.0 ms"), "{}", lines[1]);
    let expected = [
        ("order-svc      OrderService/PlaceOrder       server  ██████", "  20.0 ms"),
        ("order-svc        place_orders                db      ·█", "   4.5 ms"),
        ("order-svc        InventoryService/Reserve    client  ···", "   9.5 ms"),
        ("inventory-svc      InventoryService/Reserve  server  ···", "   8.5 ms"),
        ("inventory-svc        reserve                 db      ···", "   7.0 ms ✗"),
        ("order-svc        send orders.v1              kafka   ···", "   6.0 ms"),
        ("inventory-svc      process orders.v1         kafka   ···", "  10.0 ms"),
    ];
    assert_eq!(lines.len(), 2 + expected.len(), "{text}");
    for (line, (beginning, end)) in lines[2..].iter().zip(expected) {
        assert!(line.starts_with(beginning) && line.ends_with(end), "{line}");
    }
}

#[test]
fn bars_lie_where_the_spans_were() {
    let whole = span("whole", None, 100, 100);
    assert_eq!(bar(&whole, 100, 200, 10), "██████████");
    assert_eq!(bar(&span("half", None, 150, 50), 100, 200, 10), "·····█████");
    assert_eq!(bar(&span("instant", None, 150, 0), 100, 200, 10), "·····█····");
    assert_eq!(bar(&span("at the end", None, 200, 0), 100, 200, 10), "·········█");
    assert_eq!(bar(&span("no time at all", None, 100, 0), 100, 100, 10), "█·········");
}

#[test]
fn siblings_come_by_start_and_children_below_their_parent() {
    let spans = vec![
        span("late", Some("root"), 30, 5),
        span("child", Some("early"), 12, 1),
        span("root", None, 0, 100),
        span("early", Some("root"), 10, 5),
    ];
    let trace = Trace { id: "t".to_owned(), spans };
    assert_eq!(tree(&trace), ["root", "  early", "    child", "  late"]);
}

#[test]
fn span_without_its_parent_is_marked_and_counted() {
    let cancel = &recorded()[1];
    assert_eq!(cancel.orphans().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["cancel_orders"]);
    let text = draw(cancel, PLAIN);
    assert!(text.contains("? cancel_orders"), "{text}");
    assert!(text.ends_with("? 1 span without their parent: it is not here (yet)"), "{text}");
    assert_eq!(recorded()[0].orphans().count(), 0);
}

#[test]
fn no_line_is_wider_than_asked() {
    for width in [72, 80, 100, 160] {
        for trace in recorded() {
            let text = draw(&trace, Style { width, colours: false });
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{} > {width}: {line}", line.chars().count());
            }
        }
    }
}

#[test]
fn spans_that_are_each_others_parents_do_not_hang() {
    let spans = vec![span("a", Some("b"), 0, 1), span("b", Some("a"), 0, 1)];
    let text = draw(&Trace { id: "t".to_owned(), spans }, PLAIN);
    assert!(text.starts_with("trace t  2 spans"));
}

#[test]
fn names_are_cut_in_front() {
    assert_eq!(cut("orders.v1.OrderService/PlaceOrder", 12), "…/PlaceOrder");
    assert_eq!(cut("  orders.v1.OrderService/PlaceOrder", 12), "  …laceOrder");
    assert_eq!(cut("short", 12), "short");
}

#[test]
fn links_lead_from_later_traces_to_the_placement() {
    let traces = recorded();
    assert!(traces[1].links_to(&traces[0]));
    assert!(!traces[2].links_to(&traces[0]), "a read links to nothing");
}
