//! Reads `pipeline.yaml` into `StageSpec`s; every problem of the file is reported at once, with its
//! place.
//!
//! Imports: base.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::doc::{Fields, KeyPath, On, Problems, Value};
use crate::base::{ArtifactPath, Error};

use crate::pipeline::patterns::is_pattern;
use crate::project::DepPatterns;

use super::catalog::Catalog;
use super::faults::{Groups, once_for_groups, with_templates};
use super::paths::{read_deps, read_wdir};
use super::run;
use super::schema::NOT_YET;
use super::template::Resolved;
use super::{
    CommandForm, Freshness, GROUP_SEPARATOR, OutSpec, ParamRef, Pipeline, Shown, Spelling,
    StageName, StageSpec, outs, params, service,
};

/// Reads the stages of the pipeline file at the top of the project.
///
/// # Errors
/// All unknown keys, wrong types, missing commands, bad paths and broken templates, in source order.
pub fn read(resolved: impl Into<Resolved>) -> Result<Pipeline, Error> {
    read_in(resolved, None)
}

/// Reads the stages of the pipeline file `file`; paths in it are relative to its folder.
///
/// # Errors
/// As `read`.
pub fn read_in(
    resolved: impl Into<Resolved>,
    file: Option<&ArtifactPath>,
) -> Result<Pipeline, Error> {
    let Resolved {
        document,
        groups,
        files: template_files,
        patterns,
        warnings,
        problems: templates,
    } = resolved.into();
    let problems = Problems::new(&document);
    let root = problems.fields(KeyPath::root());
    refuse_later_keys(&root);
    let reading = Reading {
        problems: &problems,
        file,
        groups: &groups,
        patterns,
    };
    let stages = reading.stages(&root);
    let folder = file.and_then(ArtifactPath::parent);
    let shown = Shown::read(&root, folder.as_ref());
    let catalog = Catalog::read(&root, folder.as_ref());
    // Read before anything else; and by those who sweep.
    for key in ["vars", "sweep"] {
        let _ = root.get(key);
    }
    root.finish();
    let warnings = [warnings, catalog.warnings()].concat();
    let result = once_for_groups(problems, &groups).into_result((stages, shown, catalog));
    let (stages, shown, catalog) = with_templates(result, templates, &document)?;
    Ok(Pipeline {
        file: file.cloned(),
        groups: addresses(&groups, file),
        stages,
        shown,
        catalog,
        warnings,
        template_files,
        document,
    })
}

/// Returns the addresses of groups and their stages; all are names, or there would have been problems.
fn addresses(groups: &Groups, file: Option<&ArtifactPath>) -> BTreeMap<StageName, Vec<StageName>> {
    let address = |name: &String| StageName::in_file(file, name).ok();
    groups
        .iter()
        .filter_map(|(group, names)| {
            Some((address(group)?, names.iter().filter_map(address).collect()))
        })
        .collect()
}

/// What reading a stage needs to know about its file.
struct Reading<'r, 'd> {
    problems: &'r Problems<'d>,
    file: Option<&'r ArtifactPath>,
    groups: &'r Groups,
    patterns: DepPatterns,
}

impl Reading<'_, '_> {
    fn stages(&self, root: &Fields<'_, '_>) -> Vec<StageSpec> {
        let at = root.path("stages");
        match root.get("stages") {
            Some(Value::Map(map)) => map
                .iter()
                .filter_map(|(name, value)| self.stage(name, value, at.key(name)))
                .collect(),
            None => {
                // A file may hold plots or artifacts alone.
                if root.entries().next().is_none() {
                    self.no_stages();
                }
                Vec::new()
            }
            Some(other) => {
                let expected = "a mapping from stage names to stages";
                wrong_type(self.problems, &at, expected, other);
                Vec::new()
            }
        }
    }

    fn no_stages(&self) {
        self.problems.report(
            &KeyPath::root(),
            On::Value,
            "no-stages",
            format!(
                "`{}` declares no stages",
                self.problems.document().source.name
            ),
            "",
            Some("add a `stages:` mapping, for example\n  stages:\n    hello:\n      cmd: echo hello > out.txt\n      outs: [out.txt]".to_owned()),
        );
    }

    fn name(&self, name: &str, at: &KeyPath) -> Option<StageName> {
        let problem = match StageName::in_file(self.file, name) {
            // Only groups make names with a `@`.
            Ok(found) => match name.split_once(GROUP_SEPARATOR) {
                Some((group, _)) if !self.groups.contains_key(group) => {
                    format!(
                        "`{name}` is not a stage name: `@` stands only in names that `foreach` and `matrix` make"
                    )
                }
                _ => return Some(found),
            },
            Err(e) => e.to_string(),
        };
        self.problems
            .report(at, On::Key, "bad-name", problem, "", None);
        None
    }

    fn stage(&self, name: &str, value: &Value, at: KeyPath) -> Option<StageSpec> {
        let problems = self.problems;
        let name = self.name(name, &at);
        if !matches!(value, Value::Map(_)) {
            wrong_type(problems, &at, "a mapping with at least `cmd`", value);
            return None;
        }
        let fields = problems.fields(at.clone());
        refuse_later_keys(&fields);
        let (commands, command_form) = read_commands(&fields);
        let folder = self.file.and_then(ArtifactPath::parent);
        let wdir = read_wdir(&fields, folder);
        let base = wdir.as_ref().map_or("", ArtifactPath::as_str);
        let (patterns, deps) = read_deps(&fields, base)
            .into_iter()
            .partition(|(path, _)| self.patterns == DepPatterns::Read && is_pattern(path.as_str()));
        let outs = outs::read(&fields, base, self.file);
        let params = params::read(&fields, base);
        refuse_own_params(problems, &params, &outs);
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
        // `vars` is read before anything else.
        for key in ["meta", "vars"] {
            let _ = fields.get(key);
        }
        fields.finish();
        let spelling = value.as_map().map(|map| Spelling::of(map, wdir.as_ref()));
        Some(StageSpec {
            name: name?,
            commands,
            command_form,
            wdir,
            deps,
            patterns,
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
}

/// A stage cannot read parameters from what it removes before it runs.
fn refuse_own_params(
    problems: &Problems<'_>,
    params: &BTreeMap<ParamRef, KeyPath>,
    outs: &BTreeMap<ArtifactPath, OutSpec>,
) {
    for (param, place) in params {
        if outs.keys().any(|out| out.contains(&param.file)) {
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
}

pub(super) fn wrong_type(problems: &Problems<'_>, at: &KeyPath, expected: &str, got: &Value) {
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

fn read_commands(fields: &Fields<'_, '_>) -> (Vec<String>, CommandForm) {
    if !fields.has("cmd") {
        fields.problem(
            "cmd",
            On::Key,
            "missing-key",
            format!("`{}` has no `cmd`", fields.at()),
            Some("add the shell command that the stage runs".to_owned()),
        );
        return (Vec::new(), CommandForm::Text);
    }
    let commands: Vec<String> = fields.texts("cmd").into_iter().map(str::to_owned).collect();
    let (form, is_empty_list) = match fields.get("cmd") {
        Some(Value::List(items)) => (CommandForm::List, items.is_empty()),
        _ => (CommandForm::Text, false),
    };
    if is_empty_list || commands.iter().any(String::is_empty) {
        fields.problem(
            "cmd",
            On::Value,
            "empty-command",
            format!("`{}` is empty", fields.path("cmd")),
            None,
        );
    }
    (commands, form)
}
