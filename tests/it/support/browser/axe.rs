//! axe-core, which looks for what keeps people from using a page.

use std::fs;

use serde_json::{Value, json};

use super::{Page, setting};

/// Returns the serious and critical violations (as Deque rates them) of the rules of WCAG 2.2 AA and of
/// good practice as text: empty where there is none. Without `CVOPS_TEST_AXE` nothing is looked for.
pub(crate) fn axe(page: &Page) -> String {
    violations(page, &json!({}))
}

/// The same of those rules that look at colours: for the other theme of a page that `axe` looked at.
pub(crate) fn axe_colours(page: &Page) -> String {
    let colours = ["color-contrast", "link-in-text-block"];
    let colours = json!({"runOnly": {"type": "rule", "values": colours}});
    violations(page, &colours)
}

fn violations(page: &Page, rules: &Value) -> String {
    let Some(path) = setting("axe-core", "CVOPS_TEST_AXE") else {
        return String::new();
    };
    if page.eval("typeof axe") == "undefined" {
        let script =
            fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        page.eval(&format!("{script}; 0"));
    }
    let violations = page.eval(&format!(
        "axe.run(document, {{resultTypes: ['violations'], iframes: false, ...{rules}}}).then(result =>
            result.violations.filter(v => v.impact == 'serious' || v.impact == 'critical'))"
    ));
    let lines = violations
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|violation| {
            let nodes = violation["nodes"].as_array().cloned().unwrap_or_default();
            let rule = violation.clone();
            nodes.into_iter().map(move |node| line(&rule, &node))
        });
    lines.collect()
}

fn line(violation: &Value, node: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = &node["target"][0];
    let mut html = word(&node["html"]);
    if let Some((end, _)) = html.char_indices().nth(160) {
        html.truncate(end);
    }
    format!(
        "{} ({}): {}\n  at {}\n  {html}\n  {}\n",
        word(&violation["id"]),
        word(&violation["impact"]),
        word(&violation["help"]),
        if place.is_string() {
            place.clone()
        } else {
            json!(place.to_string())
        },
        word(&node["failureSummary"]).replace('\n', "\n  "),
    )
}
