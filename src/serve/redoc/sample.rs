//! Example values for schemas, and the calls of curl that send them. Imports: `serve::redoc`.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::schema::{pretty, resolve};
use super::{Operation, members, text};

/// A schema that contains itself ends here.
const DEPTH_MAX: usize = 12;

/// Returns a value that fits a schema: the example that it has, else one made from its type.
pub(super) fn sample(document: &Value, schema: &Value) -> Value {
    at(document, schema, 0)
}

fn at(document: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolve(document, schema);
    if let Some(given) = given(schema) {
        return given.clone();
    }
    if DEPTH_MAX <= depth {
        return Value::Null;
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut all = Map::new();
        for part in parts {
            if let Value::Object(members) = at(document, part, depth + 1) {
                all.extend(members);
            }
        }
        return Value::Object(all);
    }
    // Of what may be left out, that which is not.
    let either = |key: &str| {
        let parts = schema[key].as_array()?;
        parts.iter().find(|part| part["type"] != "null")
    };
    if let Some(part) = either("oneOf").or_else(|| either("anyOf")) {
        return at(document, part, depth + 1);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null"),
        kind => Some(kind),
    };
    match kind.and_then(Value::as_str) {
        Some("object") => object(document, schema, depth),
        Some("array") => match schema.get("items") {
            Some(items) => match at(document, items, depth + 1) {
                Value::Null => json!([]),
                item => json!([item]),
            },
            None => json!([]),
        },
        Some("string") => json!("text"),
        Some("integer") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("number") => json!(0.5),
        Some("boolean") => json!(true),
        _ => Value::Null,
    }
}

/// Returns the value that a schema itself names.
fn given(schema: &Value) -> Option<&Value> {
    let first = |key: &str| schema[key].as_array().and_then(|values| values.first());
    schema
        .get("example")
        .or_else(|| first("examples"))
        .or_else(|| schema.get("const"))
        .or_else(|| schema.get("default"))
        .or_else(|| first("enum"))
}

/// May a value be null? Then its member may be left out, which is what clients do.
fn is_nullable(schema: &Value) -> bool {
    let parts = |key: &str| schema[key].as_array().into_iter().flatten();
    parts("type").any(|kind| kind == "null")
        || parts("oneOf")
            .chain(parts("anyOf"))
            .any(|part| part["type"] == "null")
}

/// What may be left out is, unless there is an example of it.
fn object(document: &Value, schema: &Value, depth: usize) -> Value {
    let mut object = Map::new();
    for (name, value) in members(&schema["properties"]) {
        if is_nullable(value) && given(value).is_none() {
            continue;
        }
        let value = at(document, value, depth + 1);
        if !value.is_null() {
            object.insert(name.to_owned(), value);
        }
    }
    if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
        object.insert("name".to_owned(), at(document, values, depth + 1));
    }
    Value::Object(object)
}

/// Returns a call of curl that sends a body of this type.
pub(super) fn call(
    document: &Value,
    operation: &Operation<'_>,
    content_type: &str,
    content: &Value,
) -> String {
    let mut call = String::from("curl");
    if operation.method != "post" {
        let _ = write!(call, " -X {}", operation.method.to_uppercase());
    }
    let schema = resolve(document, &content["schema"]);
    if content_type == "multipart/form-data" {
        for (name, value) in members(&schema["properties"]) {
            let is_list = value["type"] == "array";
            let files: &[&str] = if is_list {
                &["one.png", "two.png"]
            } else {
                &["picture.png"]
            };
            for file in files {
                let _ = write!(call, " -F {name}=@{file}");
            }
        }
    } else {
        let _ = write!(call, " -H 'Content-Type: {content_type}'");
        let given = content.get("example").cloned();
        let value = given.unwrap_or_else(|| sample(document, schema));
        match (&value, text(schema, "format")) {
            (Value::String(_), "binary") => {
                for (name, value) in headers(operation) {
                    let _ = write!(call, " -H '{name}: {value}'");
                }
                let is_array = content_type == "application/x-npy";
                let file = if is_array { "array.npy" } else { "picture.png" };
                let _ = write!(call, " --data-binary @{file}");
            }
            // Lines are sent as they are, texts in no quotes.
            (Value::String(lines), _) => {
                let _ = write!(call, " --data-binary $'{}'", lines.replace('\n', "\\n"));
            }
            (value, _) => {
                // A quote would end the shell's text.
                let body = pretty(value).replace('\'', "'\\''");
                let _ = write!(call, " -d '{body}'");
            }
        }
    }
    let _ = write!(call, " \"$SERVER{}\"", operation.path);
    call
}

/// Returns the headers of which there is an example: those without which a file is not understood.
fn headers<'d>(operation: &Operation<'d>) -> impl Iterator<Item = (&'d str, &'d Value)> {
    let parameters = operation.value["parameters"].as_array();
    let parameters = parameters.into_iter().flatten();
    let headers = parameters.filter(|parameter| parameter["in"] == "header");
    headers.filter_map(|header| Some((text(header, "name"), header.get("example")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_left_out_is() {
        let schema = json!({"type": "object", "properties": {
            "needed": {"type": "string"},
            "plain": {"type": ["string", "null"]},
            "either": {"oneOf": [{"type": "null"}, {"type": "string"}]},
            "anything": {},
            "shown": {"type": ["integer", "null"], "example": 7},
            "list": {"type": "array", "items": {}},
        }});
        let expected = json!({"needed": "text", "shown": 7, "list": []});
        assert_eq!(sample(&json!({}), &schema), expected);
    }

    #[test]
    fn values_fit_their_schemas() {
        let document = json!({"components": {"schemas": {
            "Tree": {"type": "object", "properties": {"leaf": {"type": "integer"}, "in": {"$ref": "#/components/schemas/Tree"}}},
            "Named": {"example": {"a": 1}},
        }}});
        let of = |schema: Value| sample(&document, &schema);
        for (schema, expected) in [
            (json!({"type": "string"}), json!("text")),
            (json!({"type": ["null", "number"]}), json!(0.5)),
            (json!({"type": "integer", "minimum": 3}), json!(3)),
            (
                json!({"type": "array", "items": {"type": "boolean"}}),
                json!([true]),
            ),
            (
                json!({"$ref": "#/components/schemas/Named"}),
                json!({"a": 1}),
            ),
            (
                json!({"oneOf": [{"type": "null"}, {"enum": ["x", "y"]}]}),
                json!("x"),
            ),
            (
                json!({"allOf": [{"$ref": "#/components/schemas/Named"}, {"type": "object", "properties": {"b": {"const": 2}}}]}),
                json!({"a": 1, "b": 2}),
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "number"}}),
                json!({"name": 0.5}),
            ),
            (json!(true), Value::Null),
        ] {
            assert_eq!(of(schema.clone()), expected, "{schema}");
        }
        // A tree that contains itself has an end.
        assert!(of(json!({"$ref": "#/components/schemas/Tree"}))["in"]["in"]["leaf"] == 1);
    }

    #[test]
    fn calls_can_be_pasted_into_a_shell() {
        let value = json!({});
        let operation = Operation {
            method: "post",
            path: "/predict",
            value: &value,
        };
        let document = json!({});
        let call = |kind: &str, content: Value| call(&document, &operation, kind, &content);
        assert_eq!(
            call("application/json", json!({"example": {"a": "it's"}})),
            "curl -H 'Content-Type: application/json' -d '{\n  \"a\": \"it'\\''s\"\n}' \"$SERVER/predict\""
        );
        let form =
            json!({"schema": {"type": "object", "properties": {"files": {"type": "array"}}}});
        assert_eq!(
            call("multipart/form-data", form),
            "curl -F files=@one.png -F files=@two.png \"$SERVER/predict\""
        );
        let raw = json!({"schema": {"type": "string", "format": "binary"}});
        assert_eq!(
            call("image/png", raw),
            "curl -H 'Content-Type: image/png' --data-binary @picture.png \"$SERVER/predict\""
        );
        let value = json!({"parameters": [
            {"name": "X-Length", "in": "header", "example": 0},
            {"name": "X-Id", "in": "header"},
        ]});
        let operation = Operation {
            value: &value,
            ..operation
        };
        let raw = json!({"schema": {"type": "string", "format": "binary"}});
        assert_eq!(
            super::call(&document, &operation, "application/x-npy", &raw),
            "curl -H 'Content-Type: application/x-npy' -H 'X-Length: 0' --data-binary @array.npy \"$SERVER/predict\""
        );
    }
}
