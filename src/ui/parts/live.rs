//! Parts of a page that the server sends anew when they change. A reader without JavaScript loads the
//! page again and sees the same: it is the same template. Imports: http, `ui::parts`.
//!
//! What a template wrote is sent as a tree, `[tag, {attributes}, children…]` with texts as texts, so
//! that the browser builds elements and never reads a text as markup. `assets/parts.js` puts the tree in
//! place of the element with its id.

use std::collections::BTreeMap;

use askama::Template;
use serde_json::{Map, Value, json};

use crate::http::LiveEvent;

/// Elements without an end.
const VOID: [&str; 5] = ["br", "hr", "img", "input", "wbr"];
/// Deeper templates are none of ours.
const DEPTH_MAX: usize = 64;

/// Remembers what a page was sent.
#[derive(Debug, Default)]
pub(in crate::ui) struct Sent(BTreeMap<&'static str, String>);

impl Sent {
    /// Adds to `events` the part of the page whose element has this id, unless the page has it as it is.
    pub(in crate::ui) fn send(
        &mut self,
        events: &mut Vec<LiveEvent>,
        id: &'static str,
        part: &impl Template,
    ) {
        let Ok(html) = part.render() else {
            tracing::error!(target: "cvops::ui", id, "a part of a page cannot be written");
            return;
        };
        if self.0.get(id).is_some_and(|sent| *sent == html) {
            return;
        }
        let Some(tree) = tree(&html) else {
            tracing::error!(target: "cvops::ui", id, "a part of a page is not well formed");
            return;
        };
        events.push(LiveEvent {
            event: "part",
            data: json!({"id": id, "tree": tree}).to_string(),
        });
        self.0.insert(id, html);
    }
}

/// Returns the one element that `html` is, which a template of ours has written: all its attributes have
/// values in double quotes, or none, and all its elements ends.
fn tree(html: &str) -> Option<Value> {
    let mut rest = html.trim();
    let element = element(&mut rest, 0)?;
    rest.trim().is_empty().then_some(element)
}

fn element(rest: &mut &str, depth: usize) -> Option<Value> {
    if DEPTH_MAX < depth {
        return None;
    }
    let (tag, attributes, is_closed) = start(rest)?;
    let mut node = vec![Value::from(tag), Value::Object(attributes)];
    if is_closed || VOID.contains(&tag) {
        return Some(Value::Array(node));
    }
    loop {
        let at = rest.find('<')?;
        if 0 < at {
            node.push(Value::from(text(&rest[..at])));
            *rest = &rest[at..];
        }
        if let Some(end) = rest.strip_prefix("</") {
            let (name, after) = end.split_once('>')?;
            *rest = after;
            return (name == tag).then_some(Value::Array(node));
        }
        node.push(element(rest, depth + 1)?);
    }
}

/// Reads `<tag name="value" …>`; says whether the element ends with it.
fn start<'h>(rest: &mut &'h str) -> Option<(&'h str, Map<String, Value>, bool)> {
    let inside = rest.strip_prefix('<')?;
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric())?;
    let (tag, mut inside) = inside.split_at(end);
    let mut attributes = Map::new();
    loop {
        inside = inside.trim_start();
        if let Some(after) = inside.strip_prefix("/>") {
            *rest = after;
            return Some((tag, attributes, true));
        }
        if let Some(after) = inside.strip_prefix('>') {
            *rest = after;
            return (!tag.is_empty()).then_some((tag, attributes, false));
        }
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && !"-_:".contains(c))?;
        let (name, after) = inside.split_at(end);
        if name.is_empty() {
            return None;
        }
        let value = match after.strip_prefix("=\"") {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"')?;
                inside = after;
                text(value)
            }
            None => {
                inside = after;
                String::new()
            }
        };
        attributes.insert(name.to_owned(), Value::from(value));
    }
}

/// Returns what a text says whose special characters are written as references.
fn text(escaped: &str) -> String {
    let mut plain = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = rest[1..].split_once(';').and_then(|(name, after)| {
            let character = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                _ => char::from_u32(name.strip_prefix('#')?.parse().ok()?)?,
            };
            Some((character, after))
        });
        match known {
            Some((character, after)) => {
                plain.push(character);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_template_wrote_becomes_a_tree() {
        let html = "\n<div id=\"a\" hidden><p class=\"b c\">1 &#60; 2 &amp;&#38; &quot;x&quot; & &nbsp;</p>\
                    <img src=\"/x?a=1&#38;b\"><path d=\"M0 0\"/></div>\n";
        assert_eq!(
            tree(html).unwrap(),
            json!(["div", {"id": "a", "hidden": ""},
                ["p", {"class": "b c"}, "1 < 2 && \"x\" & &nbsp;"],
                ["img", {"src": "/x?a=1&b"}],
                ["path", {"d": "M0 0"}]])
        );
        for wrong in [
            "",
            "text",
            "<p>",
            "<p></b>",
            "<p a='1'></p>",
            "<p></p><p></p>",
            "<!-- -->",
        ] {
            assert_eq!(tree(wrong), None, "{wrong}");
        }
    }
}
