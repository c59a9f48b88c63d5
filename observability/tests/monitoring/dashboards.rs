//! Dashboards: their names exist, and every panel can be read.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files;
use crate::known::Known;

struct Dashboard {
    file: String,
    json: Value,
}

fn all() -> Vec<Dashboard> {
    let parse = |(file, text): (String, String)| {
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        Dashboard { file, json }
    };
    files("grafana/dashboards").into_iter().map(parse).collect()
}

impl Dashboard {
    fn panels(&self) -> &[Value] {
        self.json["panels"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Panels that are no headings.
    fn graphs(&self) -> impl Iterator<Item = &Value> {
        self.panels().iter().filter(|panel| panel["type"] != "row")
    }

    fn place(&self, panel: &Value) -> String {
        format!("{}, panel {}", self.file, panel["title"])
    }
}

fn targets(panel: &Value) -> impl Iterator<Item = &Value> {
    panel["targets"].as_array().into_iter().flatten()
}

#[test]
fn queries_name_what_exists() {
    let known = Known::read();
    for dashboard in all() {
        for panel in dashboard.graphs() {
            assert!(targets(panel).next().is_some(), "{} asks nothing", dashboard.place(panel));
            for target in targets(panel) {
                let expression = target["expr"].as_str().unwrap_or_default();
                assert!(!expression.is_empty(), "{} has an empty query", dashboard.place(panel));
                assert_eq!(known.unknown_in(expression), [""; 0], "in {}: {expression}", dashboard.place(panel));
            }
        }
    }
}

#[test]
fn panels_say_what_they_show_and_in_which_unit() {
    for dashboard in all() {
        for panel in dashboard.graphs() {
            let place = dashboard.place(panel);
            for field in ["title", "description"] {
                assert!(panel[field].as_str().is_some_and(|text| !text.is_empty()), "{place} needs a {field}");
            }
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{place} needs a unit");
            assert_eq!(panel["datasource"]["uid"], "prometheus", "{place} needs the provisioned data source");
            assert!(targets(panel).all(|target| target["legendFormat"].is_string()), "{place} needs a legend");
        }
    }
}

#[test]
fn dashboards_begin_with_whether_it_is_healthy() {
    for dashboard in all() {
        let kinds: Vec<&Value> = dashboard.panels().iter().map(|panel| &panel["type"]).collect();
        assert_eq!(kinds[0], "row", "{}", dashboard.file);
        let figures = kinds[1..].iter().take_while(|kind| **kind == "stat").count();
        assert!(figures >= 4 && kinds[figures + 1] == "row", "{} has no row of figures on top", dashboard.file);
        let thresholds = |panel: &Value| panel["fieldConfig"]["defaults"]["thresholds"]["steps"].is_array();
        assert!(dashboard.graphs().take(figures).all(thresholds), "a figure of {} has no thresholds", dashboard.file);
    }
}

#[test]
fn panels_and_dashboards_are_told_apart_and_do_not_overlap() {
    let mut boards = BTreeSet::new();
    for dashboard in all() {
        assert!(boards.insert(dashboard.json["uid"].to_string()), "{}: the uid is another's", dashboard.file);
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard.panels() {
            let place = dashboard.place(panel);
            assert!(ids.insert(panel["id"].as_u64()), "{place}: the id is another's");
            let [x, y, width, height] =
                ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a position"));
            assert!(x + width <= 24, "{place} is beyond the edge");
            for cell in (x..x + width).flat_map(|column| (y..y + height).map(move |line| (column, line))) {
                assert!(cells.insert(cell), "{place} overlaps another");
            }
        }
    }
}
