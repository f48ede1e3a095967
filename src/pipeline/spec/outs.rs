//! Reads the outputs of a stage: `outs`, `metrics` and `plots`. Imports: base, project.

use std::collections::BTreeMap;

use crate::base::ArtifactPath;
use crate::base::doc::{Fields, KeyPath, On, Value};
use crate::project::{CVOPS, DVC};

use super::paths::{path_in, twice};
use super::read::wrong_type;
use super::{Axes, BeforeRun, Direction, OutKind, OutSpec, Push, Storage, shown};

/// Reads all outputs of a stage. `base` is the folder to which they are relative, `file` the pipeline
/// file; `None`: the one at the top.
pub(super) fn read(
    fields: &Fields<'_, '_>,
    base: &str,
    file: Option<&ArtifactPath>,
) -> BTreeMap<ArtifactPath, OutSpec> {
    let mut outs = BTreeMap::new();
    for (key, kind) in [
        ("outs", OutKind::Data),
        ("metrics", OutKind::Metric),
        ("plots", OutKind::Plot),
    ] {
        read_outs(fields, key, kind, (base, file), &mut outs);
    }
    outs
}

/// One declared output: its path, the place of the declaration, and its options.
struct Item<'d> {
    text: &'d str,
    declared: KeyPath,
    options: Option<&'d Value>,
}

/// Returns what is listed below `key`: paths, and mappings from paths to options.
fn items<'d>(fields: &Fields<'_, 'd>, key: &'static str) -> Vec<Item<'d>> {
    let at = fields.path(key);
    let listed: Vec<(KeyPath, &Value)> = match fields.get(key) {
        None => Vec::new(),
        Some(Value::List(items)) => items
            .iter()
            .enumerate()
            .map(|(i, v)| (at.index(i), v))
            .collect(),
        Some(one) => vec![(at, one)],
    };
    let mut found = Vec::new();
    for (place, item) in listed {
        match item {
            Value::Str(text) => found.push(Item {
                text,
                declared: place,
                options: None,
            }),
            Value::Map(map) if !map.is_empty() => {
                found.extend(map.iter().map(|(text, options)| Item {
                    text,
                    declared: place.key(text),
                    options: Some(options),
                }));
            }
            other => wrong_type(
                fields.problems(),
                &place,
                "a path, or a path with options",
                other,
            ),
        }
    }
    found
}

fn read_outs(
    fields: &Fields<'_, '_>,
    key: &'static str,
    kind: OutKind,
    (base, file): (&str, Option<&ArtifactPath>),
    outs: &mut BTreeMap<ArtifactPath, OutSpec>,
) {
    let problems = fields.problems();
    for item in items(fields, key) {
        let declared = item.declared;
        let mut spec = OutSpec {
            kind,
            storage: Storage::Cached,
            before_run: BeforeRun::Remove,
            push: Push::Allowed,
            remote: None,
            direction: None,
            axes: Axes::default(),
            declared: declared.clone(),
        };
        match (kind, item.options) {
            (_, None | Some(Value::Null)) => {}
            (_, Some(Value::Map(_))) => read_options(&problems.fields(declared.clone()), &mut spec),
            (OutKind::Plot, Some(Value::List(list))) => {
                for (i, one) in list.iter().enumerate() {
                    let place = declared.index(i);
                    match one {
                        Value::Map(_) => read_options(&problems.fields(place), &mut spec),
                        other => wrong_type(problems, &place, "a mapping of options", other),
                    }
                }
            }
            (_, Some(other)) => {
                wrong_type(problems, &declared, "a mapping of options", other);
                continue;
            }
        }
        let Some(path) = path_in(problems, base, item.text, &declared) else {
            continue;
        };
        if let Some(why) = protected(base, file, &path) {
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
        if outs.insert(path.clone(), spec).is_some() {
            twice(problems, &declared, &path);
        }
    }
}

/// Says why removing `path` would destroy the project or the ground the stage stands on.
fn protected(base: &str, file: Option<&ArtifactPath>, path: &ArtifactPath) -> Option<&'static str> {
    let first = path.as_str().split('/').next().unwrap_or_default();
    match first {
        ".git" => return Some("it belongs to git"),
        ".cvops" | ".dvc" => return Some("it is the project's own state"),
        _ => {}
    }
    let is_ours = [CVOPS, DVC]
        .iter()
        .any(|p| [p.pipeline_file, p.lock_file].contains(&path.name()));
    if is_ours && path.parent() == file.and_then(ArtifactPath::parent) {
        return Some("it describes the pipeline");
    }
    let wdir: Option<ArtifactPath> = base.parse().ok();
    wdir.is_some_and(|wdir| path.contains(&wdir))
        .then_some("the stage runs in it (`wdir`)")
}

fn read_options(options: &Fields<'_, '_>, spec: &mut OutSpec) {
    if !options.bool("cache", true) {
        spec.storage = Storage::Git;
    }
    if options.bool("persist", false) {
        spec.before_run = BeforeRun::Keep;
    }
    if !options.bool("push", true) {
        spec.push = Push::Never;
    }
    // From the time when DVC had checkpoints; it means nothing any more.
    let _ = options.bool("checkpoint", false);
    spec.remote = options.optional_text("remote").map(str::to_owned);
    super::catalog::check_annotations(options);
    match spec.kind {
        OutKind::Data => {}
        OutKind::Metric => {
            let names = [("max", Some(Direction::Max)), ("min", Some(Direction::Min))];
            spec.direction = options.choice("direction", None, &names);
        }
        OutKind::Plot => read_axes(options, &mut spec.axes),
    }
    options.check_unknown();
}

/// Reads what a plot shows. Several mappings for one file are curves of one plot; what they say about
/// the whole of it is said by the first.
fn read_axes(options: &Fields<'_, '_>, axes: &mut Axes) {
    for key in ["x", "x_label", "y_label", "title", "template"] {
        let _ = options.optional_text(key);
    }
    let _ = (options.bool("header", true), options.texts("y"));
    let more = shown::axes(options.entries());
    axes.x = axes.x.take().or(more.x);
    axes.title = axes.title.take().or(more.title);
    axes.template = axes.template.take().or(more.template);
    axes.y.extend(more.y);
}
