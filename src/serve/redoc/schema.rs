//! Schemas on the reference page: what a value is in a few words, and tables of the members of
//! objects. Imports: report (escaping), `serve::redoc`.

use std::fmt::Write;

use serde_json::Value;

use crate::report::escape::Escaped;

use super::sample::sample;
use super::{inline, members, prose, text};

/// Where the document keeps the schemas that have names.
const SCHEMAS: &str = "#/components/schemas/";

/// Bounds of values with the words for them.
const BOUNDS: [(&str, &str); 10] = [
    ("minimum", "at least"),
    ("exclusiveMinimum", "more than"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "less than"),
    ("minLength", "characters at least"),
    ("maxLength", "characters at most"),
    ("minItems", "items at least"),
    ("maxItems", "items at most"),
    ("pattern", "pattern"),
    ("default", "default"),
];

/// Returns the schema that `schema` refers to, or itself.
pub(super) fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str().and_then(|r| r.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(schema),
        None => schema,
    }
}

/// Returns what a value is, as HTML: schemas with a name are links.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix(SCHEMAS).unwrap_or(name);
        return format!("<a href=\"#schema-{0}\">{0}</a>", Escaped(name));
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", Escaped(&value.to_string()));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values
            .iter()
            .map(|v| format!("<code>{}</code>", Escaped(&v.to_string())));
        return values.collect::<Vec<_>>().join(" or ");
    }
    for (key, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " with ")] {
        if let Some(parts) = schema[key].as_array() {
            return parts.iter().map(kind).collect::<Vec<_>>().join(word);
        }
    }
    match &schema["type"] {
        Value::String(name) => of_type(schema, name),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str);
            names
                .map(|name| of_type(schema, name))
                .collect::<Vec<_>>()
                .join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

fn of_type(schema: &Value, name: &str) -> String {
    match name {
        "array" => match schema.get("items") {
            Some(items) if items.is_object() => format!("list of {}", kind(items)),
            _ => "list".to_owned(),
        },
        "object" => match schema.get("additionalProperties") {
            Some(values) if values.is_object() => format!("object of {}", kind(values)),
            _ => "object".to_owned(),
        },
        "string" if text(schema, "format") == "binary" => "file".to_owned(),
        "string" | "integer" | "number" => match text(schema, "format") {
            "" => name.to_owned(),
            format => format!("{name} <small>{}</small>", Escaped(format)),
        },
        other => Escaped(other).to_string(),
    }
}

/// Returns the bounds of a value in words, as HTML; empty without any.
pub(super) fn bounds(schema: &Value) -> String {
    let words = BOUNDS.iter().filter_map(|(key, word)| {
        let value = schema.get(*key)?;
        let shown = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        Some(format!("{word} <code>{}</code>", Escaped(&shown)))
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Writes the place of a schema that has a name.
pub(super) fn article(html: &mut String, document: &Value, name: &str, schema: &Value) {
    let name = Escaped(name);
    let _ = write!(
        html,
        "<article id=\"schema-{name}\">\n<h3>{name} <a class=\"anchor\" href=\"#schema-{name}\" aria-label=\"Link to {name}\">#</a></h3>\n{}",
        prose(text(schema, "description")),
    );
    let mut tables = 0;
    for part in parts(schema) {
        if part.get("properties").is_some() {
            table(html, part);
            tables += 1;
        }
    }
    if tables == 0 || tables < parts(schema).len() {
        let bounds = bounds(schema);
        let and = if bounds.is_empty() { "" } else { ", " };
        let _ = writeln!(html, "<p class=\"kind\">{}{and}{bounds}</p>", kind(schema));
    }
    let shown = sample(document, schema);
    if shown.is_object() {
        super::operation::example(html, "Example", &pretty(&shown));
    }
    html.push_str("</article>\n");
}

/// Returns a value as indented JSON.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A schema that is put together of others is shown part by part.
fn parts(schema: &Value) -> Vec<&Value> {
    for key in ["allOf", "oneOf", "anyOf"] {
        if let Some(parts) = schema[key].as_array() {
            return parts.iter().collect();
        }
    }
    vec![schema]
}

/// Writes the members of an object.
pub(super) fn table(html: &mut String, schema: &Value) {
    html.push_str(
        "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>member</th><th>type</th><th>what it is</th></tr></thead><tbody>\n",
    );
    let required = schema["required"].as_array();
    for (name, value) in members(&schema["properties"]) {
        let is_required = required.is_some_and(|names| names.iter().any(|n| n == name));
        let mark = if is_required {
            " <small>required</small>"
        } else {
            ""
        };
        let bounds = bounds(value);
        let bounds = if bounds.is_empty() {
            bounds
        } else {
            format!(" <small>{bounds}</small>")
        };
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\"><code>{}</code>{mark}</th><td>{}{bounds}</td><td>{}</td></tr>",
            Escaped(name),
            kind(value),
            inline(text(value, "description")),
        );
    }
    html.push_str("</tbody></table></div>\n");
}
