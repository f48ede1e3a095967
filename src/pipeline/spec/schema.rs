//! The keys of `pipeline.yaml`: one table for the reader's messages and the JSON Schema.
//!
//! Imports: nothing of ours beside the sections' own files.

use serde_json::{Value, json};

/// Keys of other tools' pipelines that a later version will read; naming them beats "unknown key".
pub(super) const NOT_YET: [&str; 5] = ["foreach", "do", "matrix", "vars", "executor"];

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
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cvops pipeline",
        "description": "Stages of a pipeline: what each runs, reads and writes",
        "type": "object",
        "additionalProperties": false,
        "properties": {
        "sweep": sweep(),
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
                    "service": super::service::json_schema(),
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
    });
    let stage = &mut schema["properties"]["stages"]["additionalProperties"]["properties"];
    for (key, value) in super::run::json_schemas() {
        stage[key] = value;
    }
    schema
}

/// The block that `cvops params sweep` reads; key names follow W&B's sweep files.
fn sweep() -> Value {
    let number = |about: &str| json!({"type": "integer", "minimum": 1, "description": about});
    json!({
        "type": "object",
        "description": "what `cvops params sweep` searches when it is given no parameters",
        "properties": {
            "name": {"type": "string", "description": "the sweep's name"},
            "method": {"enum": ["grid", "random"], "description": "default: grid when there are only choices, else random"},
            "metric": {
                "description": "what is improved: FILE:KEY, or {name, goal}",
                "oneOf": [{"type": "string"}, {"type": "object", "properties": {
                    "name": {"type": "string"}, "goal": {"enum": ["maximize", "minimize"]},
                }}],
            },
            "trials": number("trials in all"),
            "run_cap": number("the same as trials"),
            "jobs": number("trials at the same time"),
            "max_parallel": number("the same as jobs"),
            "seed": {"type": "integer", "minimum": 0, "description": "seed of all draws"},
            "timeout": {"type": "string", "description": "no trial starts after this time: 90s, 2h"},
            "targets": {"type": "array", "items": {"type": "string"}, "description": "stages that each trial brings up to date"},
            "on_failure": {"type": "object", "properties": {"max_failures": number("failed trials in a row that end the sweep")}},
            "parameters": {
                "type": "object",
                "description": "by key: a list of values, a SPEC such as `interval(0,1)`, or {values}, {value}, {min, max, distribution, q}",
            },
        },
    })
}
