//! Reads `pipeline.yaml` into `StageSpec`s; every problem of the file is reported at once, with its
//! place.
//!
//! Imports: base.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::doc::{Document, Fields, KeyPath, On, Problems, Value};
use crate::base::path::PathError;
use crate::base::{ArtifactPath, Error};
use crate::project::PARAMS_FILE;

use super::run;
use super::schema::NOT_YET;
use super::service;
use super::shown;
use super::{
    Axes, BeforeRun, Direction, Freshness, OutKind, OutSpec, ParamRef, Pipeline, Shown, Spelling,
    StageName, StageSpec, Storage,
};

/// What each stage last ran with.
const LOCK_FILE: &str = "pipeline.lock";

/// Reads the stages of the parsed pipeline file at the top of the project.
///
/// # Errors
/// All unknown keys, wrong types, missing commands and bad paths, in source order.
pub fn read(document: Document) -> Result<Pipeline, Error> {
    read_in(document, None)
}

/// Reads the stages of the parsed pipeline file `file`; paths in it are relative to its folder.
///
/// # Errors
/// As `read`.
pub fn read_in(document: Document, file: Option<&ArtifactPath>) -> Result<Pipeline, Error> {
    let problems = Problems::new(&document);
    let root = problems.fields(KeyPath::root());
    refuse_later_keys(&root);
    let stages_at = root.path("stages");
    let stages = match root.get("stages") {
        None => {
            problems.report(
                &KeyPath::root(),
                On::Value,
                "no-stages",
                format!("`{}` declares no stages", document.source.name),
                "",
                Some("add a `stages:` mapping, for example\n  stages:\n    hello:\n      cmd: echo hello > out.txt\n      outs: [out.txt]".to_owned()),
            );
            Vec::new()
        }
        Some(Value::Map(map)) => map
            .iter()
            .filter_map(|(name, value)| {
                read_stage(&problems, file, (name, value), stages_at.key(name))
            })
            .collect(),
        Some(other) => {
            wrong_type(
                &problems,
                &stages_at,
                "a mapping from stage names to stages",
                other,
            );
            Vec::new()
        }
    };
    // Read by those who sweep.
    let _ = root.get("sweep");
    let shown = Shown::read(&root);
    root.finish();
    let (stages, shown) = problems.into_result((stages, shown))?;
    Ok(Pipeline {
        file: file.cloned(),
        stages,
        shown,
        document,
    })
}

fn wrong_type(problems: &Problems<'_>, at: &KeyPath, expected: &str, got: &Value) {
    problems.report(
        at,
        On::Value,
        "wrong-type",
        format!("`{at}` must be {expected}"),
        format!("this is {}", got.kind()),
        None,
    );
}

/// Keys that other tools know get a message of their own instead of "unknown key".
fn refuse_later_keys(fields: &Fields<'_, '_>) {
    for key in NOT_YET {
        if fields.get(key).is_some() {
            fields.problem(
                key,
                On::Key,
                "unsupported-key",
                format!("`{key}` is not supported by this version of cvops"),
                Some("write the stages out one by one, without this key".to_owned()),
            );
        }
    }
}

fn read_stage(
    problems: &Problems<'_>,
    file: Option<&ArtifactPath>,
    (name, value): (&str, &Value),
    at: KeyPath,
) -> Option<StageSpec> {
    let name = match StageName::in_file(file, name) {
        Ok(name) => Some(name),
        Err(e) => {
            problems.report(&at, On::Key, "bad-name", format!("{e}"), "", None);
            None
        }
    };
    if !matches!(value, Value::Map(_)) {
        wrong_type(problems, &at, "a mapping with at least `cmd`", value);
        return None;
    }
    let fields = problems.fields(at.clone());
    refuse_later_keys(&fields);
    let commands = read_commands(&fields);
    let folder = file.and_then(ArtifactPath::parent);
    let wdir = read_wdir(&fields, folder);
    let base = wdir.as_ref().map_or("", ArtifactPath::as_str);
    let mut deps = BTreeMap::new();
    for (text, place) in listed(&fields, "deps") {
        if let Some(path) = path_in(problems, base, &text, &place)
            && deps.insert(path.clone(), place.clone()).is_some()
        {
            twice(problems, &place, &path);
        }
    }
    let mut outs = BTreeMap::new();
    for (key, kind) in [
        ("outs", OutKind::Data),
        ("metrics", OutKind::Metric),
        ("plots", OutKind::Plot),
    ] {
        read_outs(&fields, key, kind, base, &mut outs);
    }
    let params = read_params(&fields, base);
    for (param, place) in &params {
        if outs
            .keys()
            .any(|out: &ArtifactPath| out.contains(&param.file))
        {
            problems.report(
                place,
                On::Value,
                "protected-output",
                format!(
                    "the stage both reads parameters from `{}` and writes it",
                    param.file
                ),
                "read here",
                Some("let another stage write it".to_owned()),
            );
        }
    }
    let env: BTreeSet<String> = fields.texts("env").into_iter().map(str::to_owned).collect();
    let freshness = match (
        fields.bool("frozen", false),
        fields.bool("always_changed", false),
    ) {
        (true, _) => Freshness::Frozen,
        (false, true) => Freshness::AlwaysChanged,
        (false, false) => Freshness::ByInputs,
    };
    let service = service::read(&fields);
    let run = run::read(&fields);
    let description = fields.optional_text("desc").map(str::to_owned);
    let _ = fields.get("meta");
    fields.finish();
    let spelling = value.as_map().map(|map| Spelling::of(map, wdir.as_ref()));
    Some(StageSpec {
        name: name?,
        commands,
        wdir,
        deps,
        params,
        env,
        outs,
        freshness,
        service,
        run,
        description,
        declared: at,
        spelling: spelling.unwrap_or_default(),
    })
}

fn read_commands(fields: &Fields<'_, '_>) -> Vec<String> {
    if !fields.has("cmd") {
        fields.problem(
            "cmd",
            On::Key,
            "missing-key",
            format!("`{}` has no `cmd`", fields.at()),
            Some("add the shell command that the stage runs".to_owned()),
        );
        return Vec::new();
    }
    let commands: Vec<String> = fields
        .texts("cmd")
        .into_iter()
        .map(|c| c.trim().to_owned())
        .collect();
    let is_empty_list = matches!(fields.get("cmd"), Some(Value::List(items)) if items.is_empty());
    if is_empty_list || commands.iter().any(String::is_empty) {
        fields.problem(
            "cmd",
            On::Value,
            "empty-command",
            format!("`{}` is empty", fields.path("cmd")),
            None,
        );
    }
    commands
}

/// Returns the folder in which the stage runs; `folder` is that of the pipeline file.
fn read_wdir(fields: &Fields<'_, '_>, folder: Option<ArtifactPath>) -> Option<ArtifactPath> {
    let Some(text) = fields.optional_text("wdir") else {
        return folder;
    };
    let base = folder.as_ref().map_or("", ArtifactPath::as_str);
    match ArtifactPath::parse_in(base, text) {
        Ok(path) => Some(path),
        Err(PathError::Empty) => None,
        Err(e) => {
            fields.problem("wdir", On::Value, "bad-path", e.to_string(), None);
            None
        }
    }
}

/// Returns the texts of a list with the place of each.
fn listed(fields: &Fields<'_, '_>, key: &'static str) -> Vec<(String, KeyPath)> {
    let at = fields.path(key);
    let list = matches!(fields.get(key), Some(Value::List(_)));
    let place = |i: usize| if list { at.index(i) } else { at.clone() };
    fields
        .texts(key)
        .into_iter()
        .enumerate()
        .map(|(i, t)| (t.to_owned(), place(i)))
        .collect()
}

pub(super) fn path_in(
    problems: &Problems<'_>,
    base: &str,
    text: &str,
    at: &KeyPath,
) -> Option<ArtifactPath> {
    match ArtifactPath::parse_in(base, text) {
        Ok(path) => Some(path),
        Err(e) => {
            let help = match e {
                PathError::Outside(_) | PathError::Absolute(_) => {
                    Some("copy or link the data into the project and name it from there".to_owned())
                }
                PathError::Empty | PathError::Character(_) => None,
            };
            problems.report(at, On::Value, "bad-path", e.to_string(), "", help);
            None
        }
    }
}

fn twice(problems: &Problems<'_>, at: &KeyPath, path: &ArtifactPath) {
    problems.report(
        at,
        On::Value,
        "listed-twice",
        format!("`{path}` is listed twice"),
        "second time",
        Some("drop one of the two".to_owned()),
    );
}

fn read_outs(
    fields: &Fields<'_, '_>,
    key: &'static str,
    kind: OutKind,
    base: &str,
    outs: &mut BTreeMap<ArtifactPath, OutSpec>,
) {
    let problems = fields.problems();
    let at = fields.path(key);
    let items: Vec<(KeyPath, &Value)> = match fields.get(key) {
        None => return,
        Some(Value::List(items)) => items
            .iter()
            .enumerate()
            .map(|(i, v)| (at.index(i), v))
            .collect(),
        Some(one) => vec![(at.clone(), one)],
    };
    for (place, item) in items {
        let (text, declared, options) = match item {
            Value::Str(text) => (text, place.clone(), None),
            Value::Map(map) if map.len() == 1 => {
                let Some((text, options)) = map.get_index(0) else {
                    continue;
                };
                let inside = place.key(text);
                match options {
                    Value::Map(_) | Value::Null => {}
                    other => {
                        wrong_type(problems, &inside, "a mapping of options", other);
                        continue;
                    }
                }
                (text, inside.clone(), Some(problems.fields(inside)))
            }
            other => {
                wrong_type(problems, &place, "a path, or one path with options", other);
                continue;
            }
        };
        let axes = match (kind, item) {
            (OutKind::Plot, Value::Map(map)) => map
                .get_index(0)
                .and_then(|(_, options)| options.as_map())
                .map(shown::axes)
                .unwrap_or_default(),
            _ => Axes::default(),
        };
        let (storage, before_run, direction) = options
            .map_or((Storage::Cached, BeforeRun::Remove, None), |o| {
                read_out_options(&o, kind)
            });
        let Some(path) = path_in(problems, base, text, &declared) else {
            continue;
        };
        if let Some(why) = protected(problems.document(), base, &path) {
            problems.report(
                &declared,
                On::Value,
                "protected-output",
                format!("`{path}` cannot be an output: {why}"),
                "outputs are removed before their stage runs",
                Some("let the stage write somewhere else".to_owned()),
            );
            continue;
        }
        let spec = OutSpec {
            kind,
            storage,
            before_run,
            direction,
            axes,
            declared: declared.clone(),
        };
        if outs.insert(path.clone(), spec).is_some() {
            twice(problems, &declared, &path);
        }
    }
}

/// Says why removing `path` would destroy the project or the ground the stage stands on.
fn protected(document: &Document, base: &str, path: &ArtifactPath) -> Option<&'static str> {
    let first = path.as_str().split('/').next().unwrap_or_default();
    match first {
        ".git" => return Some("it belongs to git"),
        ".cvops" | ".dvc" => return Some("it is the project's own state"),
        _ => {}
    }
    if path.as_str() == document.source.name || path.as_str() == LOCK_FILE {
        return Some("it describes the pipeline");
    }
    let wdir: Option<ArtifactPath> = base.parse().ok();
    wdir.is_some_and(|wdir| path.contains(&wdir))
        .then_some("the stage runs in it (`wdir`)")
}

fn read_out_options(
    options: &Fields<'_, '_>,
    kind: OutKind,
) -> (Storage, BeforeRun, Option<Direction>) {
    let storage = if options.bool("cache", true) {
        Storage::Cached
    } else {
        Storage::Git
    };
    let before_run = if options.bool("persist", false) {
        BeforeRun::Keep
    } else {
        BeforeRun::Remove
    };
    for key in ["desc", "type", "remote"] {
        let _ = options.optional_text(key);
    }
    for key in ["labels", "meta", "push"] {
        let _ = options.get(key);
    }
    let mut direction = None;
    match kind {
        OutKind::Data => {}
        OutKind::Metric => {
            let names = [("max", Some(Direction::Max)), ("min", Some(Direction::Min))];
            direction = options.choice("direction", None, &names);
        }
        OutKind::Plot => {
            for key in [
                "x", "y", "x_label", "y_label", "title", "template", "header",
            ] {
                let _ = options.get(key);
            }
        }
    }
    options.check_unknown();
    (storage, before_run, direction)
}

fn read_params(fields: &Fields<'_, '_>, base: &str) -> BTreeMap<ParamRef, KeyPath> {
    let problems = fields.problems();
    let mut params = BTreeMap::new();
    let at = fields.path("params");
    let mut add = |file: &str, key: Option<&str>, place: &KeyPath| {
        let Some(file) = path_in(problems, base, file, place) else {
            return;
        };
        let key = match key.map(str::parse::<KeyPath>) {
            None => KeyPath::root(),
            Some(Ok(key)) => key,
            Some(Err(e)) => {
                problems.report(place, On::Value, "bad-key", e.to_string(), "", None);
                return;
            }
        };
        params.insert(ParamRef { file, key }, place.clone());
    };
    let items = match fields.get("params") {
        None => return params,
        Some(Value::List(items)) => items,
        Some(other) => {
            wrong_type(problems, &at, "a list of keys, or of `file: [keys]`", other);
            return params;
        }
    };
    for (i, item) in items.iter().enumerate() {
        let place = at.index(i);
        match item {
            Value::Str(key) => add(PARAMS_FILE, Some(key), &place),
            Value::Map(files) => {
                for (file, keys) in files {
                    let inside = place.key(file);
                    match keys {
                        Value::Null => add(file, None, &inside),
                        Value::List(keys) => {
                            for (j, key) in keys.iter().enumerate() {
                                match key.as_str() {
                                    Some(key) => add(file, Some(key), &inside.index(j)),
                                    None => wrong_type(problems, &inside.index(j), "a key", key),
                                }
                            }
                        }
                        other => wrong_type(problems, &inside, "a list of keys", other),
                    }
                }
            }
            other => wrong_type(problems, &place, "a key, or `file: [keys]`", other),
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::Format;
    use proptest::prelude::*;

    fn pipeline(text: &str) -> Result<Pipeline, Error> {
        read(Document::parse(
            "pipeline.yaml",
            text.to_owned(),
            Format::Yaml,
        )?)
    }

    #[test]
    fn a_full_stage_is_read() {
        let stages = pipeline(
            "stages:\n  t:\n    cmd: [a, b]\n    wdir: sub\n    deps: [x, ../y]\n    env: [HOME]\n    params:\n      - lr\n      - other.json: [a.b]\n      - whole.toml:\n    outs:\n      - m: {persist: true}\n    metrics:\n      - r.json: {cache: false, direction: max}\n    plots: [p.svg]\n    always_changed: true\n",
        )
        .unwrap()
        .stages;
        let stage = &stages[0];
        assert_eq!(stage.commands, ["a", "b"]);
        let deps: Vec<_> = stage.deps.keys().map(ArtifactPath::as_str).collect();
        assert_eq!(deps, ["sub/x", "y"]);
        let params: Vec<_> = stage.params.keys().map(ToString::to_string).collect();
        assert_eq!(
            params,
            ["sub/other.json:a.b", "sub/params.yaml:lr", "sub/whole.toml"]
        );
        let out = |p: &str| &stage.outs[&p.parse::<ArtifactPath>().unwrap()];
        assert_eq!(out("sub/m").before_run, BeforeRun::Keep);
        assert_eq!(out("sub/r.json").storage, Storage::Git);
        assert_eq!(out("sub/r.json").direction, Some(Direction::Max));
        assert_eq!(out("sub/p.svg").kind, OutKind::Plot);
        assert_eq!(stage.freshness, Freshness::AlwaysChanged);
    }

    #[test]
    fn the_top_level_names_files_to_show() {
        let shown = pipeline(
            "stages: {a: {cmd: x}}\nparams: [p.yaml]\nmetrics: [m.json, {n.json: {direction: min}}]\nplots:\n  - h.csv\n  - g.jsonl: {x: epoch, y: [loss, accuracy]}\n  - both: {x: epoch, y: {a.csv: loss, b.csv: [loss]}}\n",
        )
        .unwrap()
        .shown;
        let path = |p: &str| p.parse::<ArtifactPath>().unwrap();
        assert_eq!(shown.params, [path("p.yaml")]);
        assert_eq!(shown.metrics[&path("n.json")], Some(Direction::Min));
        assert_eq!(shown.metrics[&path("m.json")], None);
        assert_eq!(shown.plots[&path("g.jsonl")].y, ["loss", "accuracy"]);
        assert_eq!(shown.plots[&path("b.csv")].title.as_deref(), Some("both"));
        assert_eq!(shown.plots.len(), 4);
        assert!(pipeline("stages: {a: {cmd: x}}\nmetrics: [1]\n").is_err());
    }

    #[test]
    fn every_problem_is_found_at_once() {
        let text = "stages:\n  bad name:\n    cmd: x\n  a:\n    dpes: [x]\n    outs: [/abs, o: {cahce: true}]\n  b: 3\n  c:\n    cmd: y\n    foreach: [1]\n";
        let Err(Error::Document { problems, .. }) = pipeline(text) else {
            panic!()
        };
        let codes: Vec<_> = problems.iter().map(|p| p.code).collect();
        assert_eq!(
            codes,
            [
                "bad-name",
                "missing-key",
                "unknown-key",
                "bad-path",
                "unknown-key",
                "wrong-type",
                "unsupported-key"
            ]
        );
    }

    proptest! {
        #[test]
        fn no_document_panics(text in "(stages:\n)?( {0,4}(a|cmd|deps|outs|params|plots):( x|\n| \\[x, \\{a: 1\\}\\]|)\n?){0,6}") {
            let _ = pipeline(&text);
        }
    }
}
