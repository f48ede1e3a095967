//! The keys of `pipeline.yaml`: one table for the reader's messages and the JSON Schema.
//!
//! Imports: nothing of ours.

use serde_json::{Value, json};

/// Keys of other tools' pipelines that a later version will read; naming them beats "unknown key".
pub(super) const NOT_YET: [&str; 9] = [
    "foreach",
    "do",
    "matrix",
    "vars",
    "service",
    "resources",
    "executor",
    "retry",
    "timeout",
];

/// Returns the JSON Schema (draft 2020-12) of `pipeline.yaml`, for editors.
#[must_use]
pub fn json_schema() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let flag = |about: &str| json!({"type": "boolean", "description": about});
    let texts = |about: &str| {
        json!({
            "description": about,
            "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
        })
    };
    let out_options = json!({
        "cache": flag("false: left to git, not git-ignored (default true)"),
        "persist": flag("true: not removed before the stage runs (default false)"),
        "desc": text("a sentence for people"),
        "type": text("free label"),
        "labels": {"type": "array", "items": {"type": "string"}},
        "meta": {"type": "object"},
        "push": {"type": "boolean"},
        "remote": {"type": "string"},
    });
    let merged = |extra: Value| {
        let mut options = out_options.clone();
        if let (Some(to), Some(from)) = (options.as_object_mut(), extra.as_object()) {
            to.extend(from.clone());
        }
        options
    };
    let outs = |about: &str, options: Value| {
        json!({
            "description": about,
            "type": "array",
            "items": {"oneOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": {
                        "type": "object", "properties": options, "additionalProperties": false,
                    },
                },
            ]},
        })
    };
    let plot_options = json!({
        "x": {}, "y": {}, "x_label": {"type": "string"}, "y_label": {"type": "string"},
        "title": {"type": "string"}, "template": {"type": "string"}, "header": {"type": "boolean"},
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cvops pipeline",
        "description": "Stages of a pipeline: what each runs, reads and writes",
        "type": "object",
        "additionalProperties": false,
        "properties": {
        "stages": {
            "type": "object",
            "description": "stages by name",
            "propertyNames": {"pattern": "^[\\p{L}\\p{N}_][\\p{L}\\p{N}_.-]*$"},
            "additionalProperties": {
                "type": "object",
                "required": ["cmd"],
                "additionalProperties": false,
                "properties": {
                    "cmd": texts("shell command, or commands run in order"),
                    "wdir": text("folder in which the commands run; the stage's paths are relative to it"),
                    "deps": texts("files and folders the stage reads"),
                    "params": {
                        "description": "keys of params.yaml, or {file: [keys]}; {file: null} is the whole file",
                        "type": "array",
                        "items": {"oneOf": [
                            {"type": "string"},
                            {"type": "object", "additionalProperties": {
                                "oneOf": [{"type": "null"}, {"type": "array", "items": {"type": "string"}}],
                            }},
                        ]},
                    },
                    "env": texts("environment variables that are dependencies by value"),
                    "outs": outs("files and folders the stage writes", out_options.clone()),
                    "metrics": outs(
                        "outputs with numbers to compare",
                        merged(json!({"direction": {"enum": ["max", "min"]}})),
                    ),
                    "plots": outs("outputs to look at", merged(plot_options.clone())),
                    "frozen": flag("true: never run"),
                    "always_changed": flag("true: run each time"),
                    "desc": text("a sentence for people"),
                    "meta": {"description": "anything; not read"},
                },
            },
        },
        "params": texts("params files to show and compare, beside those that stages read"),
        "metrics": outs(
            "metrics files to show and compare, beside those that stages write",
            json!({"direction": {"enum": ["max", "min"]}}),
        ),
        "plots": outs("plots to show and compare, beside those that stages write", plot_options),
        },
    })
}
