//! One operation on the reference page: parameters, bodies, answers. Imports: report (escaping),
//! `serve::redoc`.

use std::fmt::Write;

use serde_json::Value;

use crate::report::escape::Escaped;

use super::sample::{call, sample};
use super::schema::{bounds, kind, pretty, resolve, table};
use super::{Operation, inline, members, prose, text};

/// Writes the place of an operation.
pub(super) fn article(html: &mut String, document: &Value, operation: &Operation<'_>) {
    let anchor = operation.anchor();
    let _ = write!(
        html,
        "<article id=\"{anchor}\">\n<h3><span class=\"method {method}\">{method}</span> <code>{path}</code> \
         <a class=\"anchor\" href=\"#{anchor}\" aria-label=\"Link to {method} {path}\">#</a></h3>\n{summary}{about}",
        method = operation.method,
        path = Escaped(operation.path),
        summary = prose(text(operation.value, "summary")),
        about = prose(text(operation.value, "description")),
    );
    parameters(html, document, operation);
    body(html, document, operation);
    answers(html, document, operation);
    html.push_str("</article>\n");
}

/// Writes an example that is opened when it is wanted.
pub(super) fn example(html: &mut String, title: &str, code: &str) {
    let _ = writeln!(
        html,
        "<details><summary>{}</summary><pre tabindex=\"0\"><code>{}</code></pre></details>",
        inline(title),
        Escaped(code)
    );
}

fn parameters(html: &mut String, document: &Value, operation: &Operation<'_>) {
    let Some(parameters) = operation.value["parameters"].as_array() else {
        return;
    };
    html.push_str(
        "<h4>Parameters</h4>\n<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>name</th><th>in</th><th>type</th><th>what it is</th></tr></thead><tbody>\n",
    );
    for parameter in parameters {
        let parameter = resolve(document, parameter);
        let schema = resolve(document, &parameter["schema"]);
        let is_required = parameter["required"] == true;
        let bounds = bounds(schema);
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\"><code>{name}</code>{required}</th><td>{place}</td><td>{kind}{bounds}</td><td>{about}</td></tr>",
            name = Escaped(text(parameter, "name")),
            required = if is_required {
                " <small>required</small>"
            } else {
                ""
            },
            place = Escaped(text(parameter, "in")),
            kind = kind(schema),
            bounds = if bounds.is_empty() {
                String::new()
            } else {
                format!(" <small>{bounds}</small>")
            },
            about = inline(text(parameter, "description")),
        );
    }
    html.push_str("</tbody></table></div>\n");
}

fn body(html: &mut String, document: &Value, operation: &Operation<'_>) {
    let Some(body) = operation.value.get("requestBody") else {
        return;
    };
    let body = resolve(document, body);
    let _ = write!(
        html,
        "<h4>Request body</h4>\n{}",
        prose(text(body, "description"))
    );
    for (content_type, content) in members(&body["content"]) {
        let schema = &content["schema"];
        let _ = writeln!(
            html,
            "<p class=\"kind\"><code>{}</code> {}</p>",
            Escaped(content_type),
            kind(schema)
        );
        // What has no name has no place of its own.
        if schema.get("$ref").is_none() && schema.get("properties").is_some() {
            table(html, schema);
        }
        example(
            html,
            "curl",
            &call(document, operation, content_type, content),
        );
    }
}

fn answers(html: &mut String, document: &Value, operation: &Operation<'_>) {
    html.push_str("<h4>Answers</h4>\n");
    html.push_str(
        "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>status</th><th>body</th><th>when</th></tr></thead><tbody>\n",
    );
    let answers = &operation.value["responses"];
    for (status, answer) in members(answers) {
        let answer = resolve(document, answer);
        let bodies = members(&answer["content"]).map(|(content_type, content)| {
            let kind = kind(&content["schema"]);
            format!("{kind} <small>{}</small>", Escaped(content_type))
        });
        let bodies: Vec<String> = bodies.collect();
        let class = status.chars().next().unwrap_or('x');
        let _ = write!(
            html,
            "<tr><th scope=\"row\"><span class=\"status s{class}\">{}</span></th><td>{}</td><td>{}",
            Escaped(status),
            bodies.join("<br>"),
            inline(text(answer, "description")),
        );
        headers(html, answer);
        html.push_str("</td></tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    let good = members(answers).filter(|(status, _)| status.starts_with('2'));
    for (status, answer) in good {
        let answer = resolve(document, answer);
        for (content_type, content) in members(&answer["content"]) {
            if !content_type.ends_with("json") {
                continue;
            }
            let given = content.get("example").cloned();
            let shown = given.unwrap_or_else(|| sample(document, &content["schema"]));
            let code = shown.as_str().map_or_else(|| pretty(&shown), str::to_owned);
            example(html, &format!("{status} `{content_type}`"), &code);
        }
    }
}

fn headers(html: &mut String, answer: &Value) {
    let headers: Vec<_> = members(&answer["headers"]).collect();
    if headers.is_empty() {
        return;
    }
    html.push_str("<ul class=\"headers\">");
    for (name, header) in headers {
        let _ = write!(
            html,
            "<li><code>{}</code> {}</li>",
            Escaped(name),
            inline(text(header, "description"))
        );
    }
    html.push_str("</ul>");
}
