//! Rules: their names exist, and every alert is complete, tested and explained.

use std::collections::BTreeSet;

use crate::known::Known;
use crate::{file, files};

/// A rule of `prometheus/rules`.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) is_alert: bool,
    expression: String,
    /// All of its lines.
    text: String,
}

/// Every rule. The files are read line by line: they are regular, and `promtool check rules` reads them as YAML.
pub(crate) fn all() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for (_, text) in files("prometheus/rules") {
        let mut in_expression = false;
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let indent = line.len() - line.trim_start().len();
            let (key, value) = line.trim_start().trim_start_matches("- ").split_once(": ").unwrap_or((line.trim(), ""));
            if let "record" | "alert" = key {
                let (expression, text) = (String::new(), String::new());
                rules.push(Rule { name: value.to_owned(), is_alert: key == "alert", expression, text });
            }
            if line.trim_start().starts_with("- name:") {
                in_expression = false;
                continue;
            }
            let Some(rule) = rules.last_mut() else { continue };
            rule.text.push_str(line);
            rule.text.push('\n');
            if indent <= 8 {
                in_expression = key == "expr";
            }
            if in_expression {
                rule.expression.push_str(if key == "expr" { value.trim_start_matches('|') } else { line });
                rule.expression.push('\n');
            }
        }
    }
    assert!(rules.iter().all(|rule| !rule.expression.trim().is_empty()), "an expression was not found: {rules:?}");
    rules
}

fn alerts() -> Vec<Rule> {
    let alerts: Vec<Rule> = all().into_iter().filter(|rule| rule.is_alert).collect();
    assert!(alerts.len() > 10, "alerts were not found");
    alerts
}

/// Alerts with at least one case of `promtool test rules` in which they fire (or stay quiet).
fn tested(fires: bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in files("prometheus/tests") {
        let mut name = "";
        for line in text.lines().map(str::trim) {
            name = line.strip_prefix("alertname: ").unwrap_or(name);
            match line {
                "exp_alerts:" if fires => names.insert(name.to_owned()),
                "exp_alerts: []" if !fires => names.insert(name.to_owned()),
                _ => false,
            };
        }
    }
    names
}

#[test]
fn rules_name_what_exists() {
    let known = Known::read();
    for rule in all() {
        assert_eq!(known.unknown_in(&rule.expression), [""; 0], "in the rule {}", rule.name);
    }
}

#[test]
fn alerts_say_how_urgent_they_are_and_where_to_read_on() {
    let runbook = file("../docs/operations/alerts.md");
    for alert in alerts() {
        let Rule { name, text, .. } = &alert;
        assert!(
            ["page", "ticket"].iter().any(|severity| text.contains(&format!("{{ severity: {severity} }}"))),
            "{name} needs a severity, page or ticket"
        );
        for annotation in ["summary: ", "description: "] {
            assert!(text.contains(annotation), "{name} needs a {annotation}");
        }
        let anchor = name.to_lowercase();
        let link = format!("runbook_url: docs/operations/alerts.md#{anchor}\n");
        assert!(text.contains(&link), "{name} needs this annotation: {link}");
        assert!(
            runbook.lines().any(|line| line.trim_start_matches('#').trim() == name && line.starts_with("##")),
            "docs/operations/alerts.md needs a section {name}"
        );
    }
}

#[test]
fn runbook_has_sections_of_alerts_that_exist_only() {
    let alerts: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    let runbook = file("../docs/operations/alerts.md");
    for section in runbook.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(alerts.contains(section), "no alert is called {section}");
    }
}

#[test]
fn alerts_have_a_test_in_which_they_fire_and_one_in_which_they_stay_quiet() {
    let alerts: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(tested(true), alerts, "firing");
    assert_eq!(tested(false), alerts, "quiet");
}
