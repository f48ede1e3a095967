//! The keys of `pipeline.yaml`: one table for the reader's messages and the JSON Schema.
//!
//! Imports: nothing of ours beside the sections' own files.

use serde_json::{Value, json};

/// Keys of other tools' pipelines that a later version will read; naming them beats "unknown key".
pub(super) const NOT_YET: [&str; 2] = ["executor", "executors"];

/// Returns the JSON Schema (draft 2020-12) of `pipeline.yaml`, for editors.
#[must_use]
pub fn json_schema() -> Value {
    let mut stage = stage();
    stage["required"] = json!(["cmd"]);
    let mut in_matrix = stage.clone();
    in_matrix["properties"]["matrix"] = json!({
        "type": "object",
        "description": "the stage is made for each combination: `item.AXIS` is one of the axis's values, `key` names the combination",
        "minProperties": 1,
        "additionalProperties": {"oneOf": [{"type": "array"}, expression("a list")]},
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cvops pipeline",
        "description": "Stages of a pipeline: what each runs, reads and writes",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "vars": vars(),
            "sweep": sweep(),
            "stages": {
                "type": "object",
                "description": "stages by name",
                "propertyNames": {"pattern": "^[\\p{L}\\p{N}_]([\\p{L}\\p{N}_. -]*[\\p{L}\\p{N}_.-])?$"},
                "additionalProperties": {
                    "if": {"anyOf": [{"required": ["foreach"]}, {"required": ["do"]}]},
                    "then": {
                        "type": "object",
                        "required": ["foreach", "do"],
                        "additionalProperties": false,
                        "properties": {
                            "foreach": {
                                "description": "the stage is made for each: `item` is the value, `key` its key in a mapping",
                                "oneOf": [{"type": "array"}, {"type": "object"}, expression("a list or mapping")],
                            },
                            "do": stage,
                        },
                    },
                    "else": in_matrix,
                },
            },
            "params": texts("params files to show and compare, beside those that stages read"),
            "metrics": outs(
                "metrics files to show and compare, beside those that stages write",
                &json!({"direction": direction()}),
            ),
            "plots": outs("plots to show and compare, beside those that stages write", &shown_plot()),
            "artifacts": artifacts(),
            "datasets": {
                "description": "data sets by name; listed, and not resolved",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "type"],
                    "properties": {"name": {"type": "string"}, "type": {"type": "string"}},
                },
            },
        },
    })
}

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn flag(about: &str) -> Value {
    json!({"type": "boolean", "description": about})
}

fn texts(about: &str) -> Value {
    json!({
        "description": about,
        "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    })
}

fn expression(of: &str) -> Value {
    json!({"type": "string", "pattern": r"^\$\{.*\}$", "description": format!("an expression that is {of}")})
}

fn direction() -> Value {
    json!({"enum": ["max", "min"], "description": "where a metric improves"})
}

/// Variables, of the file or of one stage.
fn vars() -> Value {
    json!({
        "description": "variables for ${...}, beside those of params.yaml: FILE, FILE:key,key, or a mapping",
        "type": "array",
        "items": {"oneOf": [{"type": "string"}, {"type": "object"}]},
    })
}

/// A stage without `matrix`.
fn stage() -> Value {
    let options = out_options();
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "cmd": texts("shell command, or commands run in order"),
            "wdir": text("folder in which the commands run; the stage's paths are relative to it"),
            "vars": vars(),
            "deps": texts("files and folders the stage reads"),
            "params": {
                "description": "keys of params.yaml, or {file: [keys]}; {file: null} or {file: []} is the whole file",
                "type": "array",
                "items": {"oneOf": [
                    {"type": "string"},
                    {"type": "object", "additionalProperties": {
                        "oneOf": [{"type": "null"}, {"type": "array", "items": {"type": "string"}}],
                    }},
                ]},
            },
            "env": texts("environment variables that are dependencies by value"),
            "outs": outs("files and folders the stage writes", &options),
            "metrics": outs(
                "outputs with numbers to compare",
                &merged(&options, &json!({"direction": direction()})),
            ),
            "plots": plots("outputs to look at", &merged(&options, &plot_options())),
            "frozen": flag("true: never run"),
            "always_changed": flag("true: run each time"),
            "service": super::service::json_schema(),
            "desc": text("a sentence for people"),
            "meta": {"description": "anything; not read"},
        },
    });
    for (key, value) in super::run::json_schemas() {
        schema["properties"][key] = value;
    }
    schema
}

/// What describes an output or artifact to people.
fn annotations() -> Value {
    json!({
        "desc": text("a sentence for people"),
        "type": text("free label"),
        "labels": {"type": "array", "items": {"type": "string"}},
        "meta": {"description": "anything; not read"},
    })
}

fn out_options() -> Value {
    let own = json!({
        "cache": flag("false: left to git, not git-ignored (default true)"),
        "persist": flag("true: not removed before the stage runs (default false)"),
        "push": flag("false: never pushed to a remote (default true)"),
        "remote": text("the remote that it is always pushed to and fetched from"),
        "checkpoint": flag("accepted, and without meaning"),
    });
    merged(&own, &annotations())
}

fn plot_options() -> Value {
    json!({
        "x": text("the field along the horizontal axis"),
        "y": texts("the fields drawn as curves"),
        "x_label": {"type": "string"},
        "y_label": {"type": "string"},
        "title": {"type": "string"},
        "template": text("how it is drawn, in DVC's words"),
        "header": flag("false: a CSV or TSV file without a line of names"),
    })
}

/// A plot of the top level: its axes may name files.
fn shown_plot() -> Value {
    let files = |of: Value| json!({"type": "object", "additionalProperties": of});
    let name = json!({"type": "string"});
    let axes = json!({
        "x": {"oneOf": [name, files(name.clone())]},
        "y": {"oneOf": [name, {"type": "array", "items": name}, files(texts("fields of the file"))]},
    });
    merged(&plot_options(), &axes)
}

fn artifacts() -> Value {
    let properties = merged(
        &json!({"path": text("the file or folder that the name stands for")}),
        &annotations(),
    );
    json!({
        "description": "files and folders that have a name of their own",
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["path"],
            "additionalProperties": false,
            "properties": properties,
        },
    })
}

fn merged(one: &Value, more: &Value) -> Value {
    let mut both = one.clone();
    if let (Some(to), Some(from)) = (both.as_object_mut(), more.as_object()) {
        to.extend(from.clone());
    }
    both
}

fn options_of(properties: &Value) -> Value {
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn outs(about: &str, properties: &Value) -> Value {
    listed(
        about,
        &json!({"oneOf": [{"type": "null"}, options_of(properties)]}),
    )
}

/// Several mappings may describe one plot file.
fn plots(about: &str, properties: &Value) -> Value {
    let one = options_of(properties);
    let several = json!({"type": "array", "items": one});
    listed(about, &json!({"oneOf": [{"type": "null"}, one, several]}))
}

fn listed(about: &str, options: &Value) -> Value {
    json!({
        "description": about,
        "type": "array",
        "items": {"oneOf": [
            {"type": "string"},
            {"type": "object", "minProperties": 1, "additionalProperties": options},
        ]},
    })
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
