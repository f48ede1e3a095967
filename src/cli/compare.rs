//! What `metrics`, `params` and `plots` share: which sides, which files, and tables of both.
//! Imports: base, compare, project, report, ctx, error, exit, out, render.

use serde_json::{Map, Value as Json, json};

use crate::base::doc::Value;
use crate::base::{ArtifactPath, Diagnostic};
use crate::compare::diff::show;
use crate::compare::reader::choose;
use crate::compare::source::Subjects;
use crate::compare::values::{Roots, Values};
use crate::compare::{Error, Reader, Row, Side, Source, Verdict};
use crate::project::Project;
use crate::project::git::Which;
use crate::report::{Align, Table, Tone};

use super::ctx::Ctx;
use super::error::CliError;
use super::exit::Outcome;
use super::out::Form;
use super::render::diagnostic;

/// The two sides of a comparison.
#[derive(Debug, clap::Args)]
pub(super) struct SidesArg {
    /// The old side: a git revision, a run, `workspace`, or `lock` for the last repro (default:
    /// HEAD, or without git the last repro)
    #[arg(value_name = "A")]
    old: Option<String>,
    /// The new side (default: workspace)
    #[arg(value_name = "B")]
    new: Option<String>,
}

impl SidesArg {
    /// Opens both sides.
    pub(super) fn open(&self, reader: &mut Reader<'_>) -> Result<[Side; 2], CliError> {
        reader.expect_git();
        let new = match &self.new {
            Some(word) => reader.side(word)?,
            None => reader.workspace()?,
        };
        let old = match &self.old {
            Some(word) => reader.side(word)?,
            None => reader.baseline()?,
        };
        Ok([old, new])
    }

    /// Says so if the last repro stands in for a commit that is not there.
    pub(super) fn note(&self, ctx: &Ctx, old: &Side) {
        if self.old.is_none() && old.source == Source::LastRun {
            ctx.out
                .note("there is no git commit to compare with: `lock` is the last `cvops repro`");
        }
    }
}

/// Whose values to show.
#[derive(Debug, clap::Args)]
pub(super) struct RevisionsArg {
    /// Git revisions, runs, `workspace`, or `lock` for the last repro (default: workspace); also
    /// files, as with `--targets`
    #[arg(value_name = "REV")]
    revisions: Vec<String>,
    /// Also those of all branches
    #[arg(short = 'a', long)]
    all_branches: bool,
    /// Also those of all tags
    #[arg(short = 'T', long)]
    all_tags: bool,
    /// Also those of all commits
    #[arg(short = 'A', long)]
    all_commits: bool,
}

impl RevisionsArg {
    /// Opens all of them; the workspace comes first unless others are named. A word that is no side
    /// but a file is a target.
    pub(super) fn open(
        &self,
        ctx: &Ctx,
        project: &Project,
        reader: &mut Reader<'_>,
    ) -> Result<Shown, CliError> {
        let (mut sides, mut targets) = (Vec::new(), Vec::new());
        for word in &self.revisions {
            match (reader.side(word), in_project(ctx, project, word)) {
                (Ok(side), _) => sides.push(side),
                (Err(_), Ok(file)) if project.absolute(&file).exists() => targets.push(file),
                (Err(error), _) => return Err(error.into()),
            }
        }
        let is_default = sides.is_empty() && !self.has_sets();
        if sides.is_empty() {
            sides.push(reader.workspace()?);
        }
        for (wanted, which) in [
            (self.all_branches, Which::Branches),
            (self.all_tags, Which::Tags),
            (self.all_commits, Which::Commits),
        ] {
            if wanted {
                sides.extend(reader.sides_of(which)?);
            }
        }
        Ok(Shown {
            sides,
            targets,
            is_default,
        })
    }

    fn has_sets(&self) -> bool {
        self.all_branches || self.all_tags || self.all_commits
    }
}

/// What is shown.
pub(super) struct Shown {
    /// Whose values.
    pub(super) sides: Vec<Side>,
    /// Of which files, where some were named.
    pub(super) targets: Vec<ArtifactPath>,
    /// Is nothing but the workspace shown, because nothing was said?
    pub(super) is_default: bool,
}

/// Which files.
#[derive(Debug, clap::Args)]
pub(super) struct TargetsArg {
    /// Only these files, or those in these folders (default: all that the pipeline declares)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    targets: Vec<String>,
    /// As DVC has it; files in folders are looked for without it as well
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
}

impl TargetsArg {
    /// Returns them as places in the project.
    pub(super) fn paths(
        &self,
        ctx: &Ctx,
        project: &Project,
    ) -> Result<Vec<ArtifactPath>, CliError> {
        let paths = self
            .targets
            .iter()
            .map(|text| in_project(ctx, project, text));
        paths.collect()
    }
}

/// Returns the place in the project of a path that the user typed where they stand.
pub(super) fn in_project(
    ctx: &Ctx,
    project: &Project,
    text: &str,
) -> Result<ArtifactPath, CliError> {
    let inside = |path: &std::path::Path| {
        let inside = path.strip_prefix(&project.root).ok()?;
        inside.to_str().map(str::to_owned)
    };
    let base = inside(&ctx.dir).unwrap_or_default();
    // An absolute path into the project is as good as a relative one.
    let parsed = match inside(std::path::Path::new(text)) {
        Some(relative) => ArtifactPath::parse_in("", &relative),
        None => ArtifactPath::parse_in(&base, text),
    };
    parsed.map_err(|e| CliError::usage(Diagnostic::error("bad-path", e.to_string())))
}

/// Returns a metric's name, `KEY` or `FILE:KEY`, with its file as the project knows it: the user
/// names it from where they stand.
pub(super) fn metric_name(ctx: &Ctx, project: &Project, text: &str) -> String {
    let Some((file, key)) = text.rsplit_once(':') else {
        return text.to_owned();
    };
    match in_project(ctx, project, file) {
        Ok(file) => format!("{file}:{key}"),
        Err(_) => text.to_owned(),
    }
}

/// Shows warnings where they cannot be taken for a result.
pub(super) fn warn(ctx: &Ctx, warnings: &[Diagnostic]) {
    for warning in warnings {
        ctx.out
            .error(&diagnostic::to_text(warning, ctx.out.color()));
    }
}

/// Returns the name of a file for the user in their folder.
pub(super) fn name_for(ctx: &Ctx, project: &Project) -> impl Fn(&ArtifactPath) -> String + use<> {
    let folder = ctx.folder(project);
    move |file| file.seen_from(folder.as_ref())
}

/// The error when a project declares nothing to show.
pub(super) fn nothing_declared(what: &str, help: &str) -> CliError {
    CliError::usage(
        Diagnostic::error(
            "nothing-declared",
            format!("the pipeline file declares no {what}"),
        )
        .help(help),
    )
}

/// How values are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// The heading of the key: `metric`, `param`.
    pub(super) key: &'static str,
    /// Digits behind the point; `None`: all.
    pub(super) precision: Option<usize>,
    /// Is there a column for the file?
    pub(super) path: PathColumn,
    /// Is there a column for the difference?
    pub(super) change: ChangeColumn,
}

/// Is there a column for the file?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathColumn {
    Shown,
    Hidden,
}

impl PathColumn {
    /// Reads the flag `--no-path`.
    pub(super) fn unless(no_path: bool) -> Self {
        if no_path { Self::Hidden } else { Self::Shown }
    }
}

/// Is there a column for the difference?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeColumn {
    Shown,
    Hidden,
}

/// Returns both sides as a table, what worsened in red.
pub(super) fn diff_table(
    rows: &[&Row],
    titles: [&str; 2],
    look: Look,
    name: &dyn Fn(&ArtifactPath) -> String,
) -> Table {
    let mut columns = vec![("path", Align::Left), (look.key, Align::Left)];
    columns.extend(titles.map(|title| (title, Align::Right)));
    columns.push(("change", Align::Right));
    let skipped = usize::from(look.path == PathColumn::Hidden);
    let kept = columns.len() - usize::from(look.change == ChangeColumn::Hidden);
    let mut table = Table::new(columns[skipped..kept].iter().copied());
    for row in rows {
        let cells = [
            name(&row.path),
            row.key.clone(),
            show(row.old.as_ref(), look.precision),
            show(row.new.as_ref(), look.precision),
            show(row.change.as_ref(), look.precision),
        ];
        table.row(cells.into_iter().take(kept).skip(skipped));
        if look.change == ChangeColumn::Shown {
            let tone = match row.verdict {
                Verdict::Better => Tone::Good,
                Verdict::Worse => Tone::Bad,
                Verdict::Same | Verdict::Changed => Tone::Neutral,
            };
            table.tone(kept - skipped - 1, tone);
        }
    }
    table
}

/// What `metrics` and `params` have in common: where their files stand, how they are read.
pub(super) struct Topic {
    /// One of them: `metric`, `param`.
    pub(super) key: &'static str,
    /// The files that a side declares.
    pub(super) declared: fn(&Subjects) -> Vec<ArtifactPath>,
    /// Reads files of a side.
    pub(super) read: fn(&mut Reader<'_>, &mut Side, &[ArtifactPath]) -> Result<Roots, Error>,
    /// What to do where no file is declared.
    pub(super) help: &'static str,
}

impl Topic {
    /// Returns the files to look at; none is an error that says how to declare one.
    pub(super) fn files(
        &self,
        reader: &mut Reader<'_>,
        sides: &mut [&mut Side],
        targets: &[ArtifactPath],
    ) -> Result<Vec<ArtifactPath>, CliError> {
        let files = choose(reader, sides, targets, &self.declared)?;
        if files.is_empty() {
            return Err(nothing_declared(&format!("{}s", self.key), self.help));
        }
        Ok(files)
    }

    /// Reads `files` of each side, in the order given; warns of what was left out.
    pub(super) fn roots<'s>(
        &self,
        ctx: &Ctx,
        reader: &mut Reader<'_>,
        sides: impl IntoIterator<Item = &'s mut Side>,
        files: &[ArtifactPath],
    ) -> Result<Vec<Roots>, CliError> {
        let mut roots = Vec::new();
        for side in sides {
            roots.push((self.read)(reader, side, files)?);
        }
        reader.check_left(&roots)?;
        warn(ctx, &reader.take_warnings());
        Ok(roots)
    }
}

/// How a difference is shown, and what is said where there is none.
pub(super) struct DiffView<'a> {
    pub(super) look: Look,
    /// Rows that are the same on both sides, too?
    pub(super) all: bool,
    /// Is a difference an exit code of its own?
    pub(super) exit_code: bool,
    /// Said where there is nothing to compare.
    pub(super) none: &'a str,
    /// Said where nothing differs.
    pub(super) same: &'a str,
    /// How the user calls a file.
    pub(super) name: &'a dyn Fn(&ArtifactPath) -> String,
}

/// Shows `rows` in the form that was asked for.
pub(super) fn show_diff(
    ctx: &Ctx,
    rows: &[Row],
    titles: [&str; 2],
    view: &DiffView<'_>,
) -> Outcome {
    let is_changed = |row: &Row| row.verdict != Verdict::Same;
    let chosen: Vec<&Row> = rows
        .iter()
        .filter(|row| view.all || is_changed(row))
        .collect();
    if ctx.out.form == Form::Json {
        ctx.out.json(&diff_json(&chosen, view.name));
    } else if rows.is_empty() {
        ctx.out.note(view.none);
    } else if chosen.is_empty() {
        ctx.out.note(view.same);
    } else {
        ctx.out
            .table(&diff_table(&chosen, titles, view.look, view.name));
    }
    if view.exit_code && rows.iter().any(is_changed) {
        Outcome::Changes
    } else {
        Outcome::Done
    }
}

/// Returns both sides as DVC prints them: `{file: {key: {old, new, diff}}}`.
pub(super) fn diff_json(rows: &[&Row], name: &dyn Fn(&ArtifactPath) -> String) -> Json {
    let mut files = Map::new();
    for row in rows {
        let side = |value: &Option<Value>| value.as_ref().map(value_json);
        let mut entry = json!({"old": side(&row.old), "new": side(&row.new)});
        if let (Some(change), Some(entry)) = (&row.change, entry.as_object_mut()) {
            entry.insert("diff".to_owned(), value_json(change));
        }
        let file = files
            .entry(name(&row.path))
            .or_insert_with(|| Json::Object(Map::new()));
        if let Some(keys) = file.as_object_mut() {
            keys.insert(row.key.clone(), entry);
        }
    }
    Json::Object(files)
}

/// Returns a value as JSON; numbers that JSON has no word for are texts, as in `cvops runs`.
pub(super) fn value_json(value: &Value) -> Json {
    match value {
        Value::Float(x) if x.is_nan() => json!("NaN"),
        Value::Float(x) if x.is_infinite() => {
            json!(if *x < 0.0 { "-Infinity" } else { "Infinity" })
        }
        Value::List(items) => items.iter().map(value_json).collect(),
        Value::Map(map) => Json::Object(
            map.iter()
                .map(|(key, inner)| (key.clone(), value_json(inner)))
                .collect(),
        ),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::UInt(_)
        | Value::Float(_)
        | Value::Str(_) => json!(value),
    }
}

/// Shows the values of several sides: one column for each.
pub(super) fn show_values(
    ctx: &Ctx,
    shown: &Shown,
    roots: &[Roots],
    keys: fn(&Roots) -> Values,
    look: Look,
    name: &dyn Fn(&ArtifactPath) -> String,
) {
    let titles = shown.sides.iter().map(Side::title);
    if ctx.out.form == Form::Json {
        // As DVC: what nobody named has no name.
        let sides = titles.zip(roots).map(|(title, roots)| {
            let title = if shown.is_default { "" } else { title };
            let files: Map<String, Json> = roots
                .iter()
                .map(|(file, root)| (name(file), json!({"data": value_json(root)})))
                .collect();
            (title.to_owned(), json!({"data": files}))
        });
        ctx.out.json(&Json::Object(sides.collect()));
        return;
    }
    let values: Vec<Values> = roots.iter().map(keys).collect();
    let mut columns = vec![("path", Align::Left), (look.key, Align::Left)];
    let is_one = roots.len() == 1;
    columns.extend(titles.map(|t| (if is_one { "value" } else { t }, Align::Right)));
    let mut table = Table::new(columns);
    let mut rows: Vec<(&ArtifactPath, &str)> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let files: std::collections::BTreeSet<_> = values.iter().flat_map(|v| v.keys()).collect();
    for file in files {
        for key in values
            .iter()
            .filter_map(|v| v.get(file))
            .flat_map(|v| v.keys())
        {
            if seen.insert((file, key)) {
                rows.push((file, key));
            }
        }
    }
    for (file, key) in rows {
        let cell = |side: &Values| {
            let value = side.get(file).and_then(|keys| keys.get(key));
            show(value, look.precision)
        };
        let cells = values.iter().map(cell);
        table.row([name(file), key.to_owned()].into_iter().chain(cells));
    }
    if table.rows().is_empty() {
        ctx.out.note(&format!(
            "there are no {}s yet: `cvops repro` makes them",
            look.key
        ));
    } else {
        ctx.out.table(&table);
    }
}
