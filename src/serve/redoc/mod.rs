//! The reference page at `/redoc`: the description of the API as a page to read and to print, written
//! here from the OpenAPI document. It has no script, and its one style sheet comes from this binary:
//! what is widely used for such pages is a megabyte of JavaScript, or fetched from elsewhere.
//! Imports: report (escaping), `serve::openapi`.

mod operation;
mod sample;
mod schema;

use std::fmt::Write;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::report::escape::Escaped;

use super::openapi;

/// The style sheet of the page.
pub(super) const STYLE: &str = include_str!("reference.css");

/// What a browser may load for the page: its style sheet, and nothing else from anywhere.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Methods in the order in which a page lists them; other members of a path are no operations.
const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];

/// Returns the page.
pub(super) fn page() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| {
        // A document of ours has a JSON form.
        let document = serde_json::to_value(openapi::document()).unwrap_or_default();
        render(&document)
    })
}

/// An operation with its place in the document.
struct Operation<'d> {
    method: &'d str,
    path: &'d str,
    value: &'d Value,
}

impl Operation<'_> {
    /// Returns the name of its place on the page.
    fn anchor(&self) -> String {
        format!("{}-{}", self.method, place(self.path.trim_matches('/')))
    }

    fn has_tag(&self, tag: &str) -> bool {
        let tags = self.value["tags"].as_array();
        tags.is_some_and(|tags| tags.iter().any(|t| t == tag))
    }
}

/// Returns the members of an object; of anything else none.
fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flat_map(Map::iter);
    members.map(|(name, value)| (name.as_str(), value))
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, item) in members(&document["paths"]) {
        for method in METHODS {
            if let Some(value) = item.get(method) {
                operations.push(Operation {
                    method,
                    path,
                    value,
                });
            }
        }
    }
    operations
}

/// Returns `text` as a part of the name of a place on the page, which has no blanks.
fn place(text: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    text.chars().map(word).collect()
}

fn text<'d>(value: &'d Value, key: &str) -> &'d str {
    value[key].as_str().unwrap_or_default()
}

/// Returns prose as HTML: what stands in backticks is code, an empty line begins a paragraph.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for paragraph in text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()) {
        let _ = write!(html, "<p>{}</p>", inline(paragraph));
    }
    html
}

/// Returns one line of prose as HTML.
fn inline(text: &str) -> String {
    let mut html = String::new();
    let mut parts = text.split('`').peekable();
    let mut is_code = false;
    while let Some(part) = parts.next() {
        // A last backtick without a partner is one.
        if is_code && parts.peek().is_none() {
            let _ = write!(html, "`{}", Escaped(part));
        } else if is_code {
            let _ = write!(html, "<code>{}</code>", Escaped(part));
        } else {
            let _ = write!(html, "{}", Escaped(part));
        }
        is_code = !is_code;
    }
    html
}

/// Returns the whole page for a document.
fn render(document: &Value) -> String {
    let info = &document["info"];
    let operations = operations(document);
    let mut html =
        String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    let _ = write!(
        html,
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}: API reference</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <link rel=\"stylesheet\" href=\"/redoc/reference.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#content\">Skip to the content</a>\n",
        title = Escaped(text(info, "title")),
    );
    contents(&mut html, document, &operations);
    let _ = write!(
        html,
        "<main id=\"content\">\n<header>\n<h1>{title} <small>API reference, version {version}</small></h1>\n{about}\
         <p class=\"links\"><a href=\"/openapi.json\">OpenAPI document</a> <a href=\"/docs\">Try it out</a> \
         <a href=\"/\">Drop a picture</a></p>\n\
         <p>In the examples, <code>$SERVER</code> is the address of this server, such as \
         <code>http://127.0.0.1:5001</code>.</p>\n</header>\n",
        title = Escaped(text(info, "title")),
        version = Escaped(text(info, "version")),
        about = prose(text(info, "description")),
    );
    for (tag, about) in tags(document, &operations) {
        let _ = write!(
            html,
            "<section id=\"tag-{place}\">\n<h2>{tag}</h2>\n{about}\n",
            place = place(tag),
            tag = Escaped(tag),
            about = prose(about),
        );
        for one in operations.iter().filter(|operation| operation.has_tag(tag)) {
            operation::article(&mut html, document, one);
        }
        html.push_str("</section>\n");
    }
    security(&mut html, document);
    html.push_str("<section id=\"schemas\">\n<h2>Schemas</h2>\n");
    for (name, value) in members(&document["components"]["schemas"]) {
        schema::article(&mut html, document, name, value);
    }
    html.push_str("</section>\n</main>\n</body>\n</html>\n");
    html
}

/// Returns the tags that operations have, in the order of the document, with what they mean.
fn tags<'d>(document: &'d Value, operations: &[Operation<'_>]) -> Vec<(&'d str, &'d str)> {
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.map(|tag| (text(tag, "name"), text(tag, "description")))
        .filter(|(tag, _)| operations.iter().any(|operation| operation.has_tag(tag)))
        .collect()
}

fn contents(html: &mut String, document: &Value, operations: &[Operation<'_>]) {
    html.push_str("<nav aria-label=\"Contents\">\n<details open><summary>Contents</summary>\n");
    for (tag, _) in tags(document, operations) {
        let _ = write!(
            html,
            "<h2><a href=\"#tag-{place}\">{tag}</a></h2>\n<ul>\n",
            place = place(tag),
            tag = Escaped(tag),
        );
        for one in operations.iter().filter(|operation| operation.has_tag(tag)) {
            let _ = writeln!(
                html,
                "<li><a href=\"#{anchor}\"><span class=\"method {method}\">{method}</span> <span class=\"path\">{path}</span></a></li>",
                anchor = one.anchor(),
                method = one.method,
                path = Escaped(one.path),
            );
        }
        html.push_str("</ul>\n");
    }
    html.push_str("<h2><a href=\"#schemas\">Schemas</a></h2>\n<ul>\n");
    for (name, _) in members(&document["components"]["schemas"]) {
        let name = Escaped(name);
        let _ = writeln!(
            html,
            "<li><a href=\"#schema-{name}\"><span class=\"path\">{name}</span></a></li>"
        );
    }
    html.push_str("</ul>\n</details>\n</nav>\n");
}

/// Writes how a client says who it is, where the document knows of it.
fn security(html: &mut String, document: &Value) {
    let schemes = &document["components"]["securitySchemes"];
    if members(schemes).next().is_none() {
        return;
    }
    html.push_str("<section id=\"authentication\">\n<h2>Authentication</h2>\n<dl>\n");
    for (name, scheme) in members(schemes) {
        let way = match text(scheme, "type") {
            "http" => format!("HTTP {}", text(scheme, "scheme")),
            "apiKey" => format!("`{}` in the {}", text(scheme, "name"), text(scheme, "in")),
            other => other.to_owned(),
        };
        let _ = writeln!(
            html,
            "<dt>{}</dt><dd>{}{}</dd>",
            Escaped(name),
            inline(&way),
            prose(text(scheme, "description")),
        );
    }
    html.push_str("</dl>\n</section>\n");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_link_on_the_page_has_its_place() {
        let page = page();
        let after = |before: &str| -> BTreeSet<&str> {
            page.split(before)
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
                .collect()
        };
        let (targets, ids) = (after("href=\"#"), after(" id=\""));
        assert!(20 < targets.len());
        let dangling: Vec<_> = targets.difference(&ids).collect();
        assert!(dangling.is_empty(), "{dangling:?}");
        let all = page.matches(" id=\"").count();
        assert_eq!(all, ids.len(), "no place has two names");
        // An id holds no blank (HTML, section 3.2.6).
        assert!(ids.iter().all(|id| !id.contains(' ')), "{ids:?}");
        assert!(ids.contains("tag-TensorFlow-Serving-and-KServe-v1"));
        assert!(page.contains("<h2>Health and metrics</h2>"));
    }

    #[test]
    fn every_operation_and_schema_is_on_the_page() {
        let document = serde_json::to_value(openapi::document()).unwrap();
        let page = page();
        for operation in operations(&document) {
            let place = format!("<article id=\"{}\">", operation.anchor());
            assert!(page.contains(&place), "{place}");
        }
        for (name, _) in members(&document["components"]["schemas"]) {
            assert!(
                page.contains(&format!("<article id=\"schema-{name}\">")),
                "{name}"
            );
        }
    }

    #[test]
    fn the_page_is_no_place_for_markup_of_the_document() {
        let document = json!({
            "info": {"title": "<b>", "version": "1", "description": "a `<i>` b\n\n`c"},
            "tags": [{"name": "x", "description": "</section>"}],
            "paths": {"/p": {"post": {"tags": ["x"], "summary": "<script>", "responses": {
                "200": {"description": "<img>"}
            }}}},
            "components": {"schemas": {"S": {"type": "string", "example": "<script>"}}},
        });
        let page = render(&document);
        for tag in ["<b>", "<i>", "<script", "<img"] {
            assert!(!page.contains(tag), "{tag}");
        }
        assert!(
            page.contains("<p>a <code>&lt;i&gt;</code> b</p><p>`c</p>"),
            "{page}"
        );
        assert!(
            !page.contains("style=\"") && !page.contains("http://www"),
            "{page}"
        );
    }
}
