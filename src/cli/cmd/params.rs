//! `cvops params show|diff|set`: the parameters, how they changed, and a way to change them;
//! `sweep` is a file of its own.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde_json::{Map, json};

use crate::base::diag::{ToDiagnostics, nearest};
use crate::base::doc::{Document, Format, KeyPath, Value, edit};
use crate::base::{self, ArtifactPath, Diagnostic};
use crate::cli::compare::{
    ChangeColumn, DiffView, Look, PathColumn, RevisionsArg, SidesArg, TargetsArg, Topic,
    in_project, name_for, show_diff, show_values,
};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::compare::diff::show;
use crate::compare::{Reader, diff, values};
use crate::project::{EditLock, PARAMS_FILE, Project};

use super::params_sweep;

/// Show parameters, how they changed, and change them
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  cvops params diff\n  cvops params set train.epochs=20\n  cvops params sweep train.learning_rate=0.01,0.001"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the parameters of the workspace, of revisions or of runs
    #[command(after_help = "Examples:\n  cvops params show\n  cvops params show HEAD workspace")]
    Show(ShowArgs),
    /// Compare the parameters of two revisions, runs or the workspace
    #[command(
        after_help = "Examples:\n  cvops params diff                  HEAD against the workspace\n  cvops params diff lock             the last repro against the workspace\n  cvops params diff v1.0 main --md"
    )]
    Diff(DiffArgs),
    /// Change parameters, keeping comments, order and layout of the file
    ///
    /// Values are read as YAML: 3 is a number, '3' a text, [1, 2] a list.
    #[command(
        after_help = "Examples:\n  cvops params set train.epochs=20 train.optimiser=sgd\n  cvops params set model.toml:layers=3\n  cvops params set --add train.note='first try'"
    )]
    Set(SetArgs),
    Sweep(Box<params_sweep::Args>),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    revisions: RevisionsArg,
    #[command(flatten)]
    targets: TargetsArg,
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct DiffArgs {
    #[command(flatten)]
    sides: SidesArg,
    #[command(flatten)]
    targets: TargetsArg,
    /// Also parameters that did not change
    #[arg(long)]
    all: bool,
    /// Only parameters that stages read
    #[arg(long)]
    deps: bool,
    /// Without the column of files
    #[arg(long)]
    no_path: bool,
    /// Exit with 3 if a parameter changed
    #[arg(long)]
    exit_code: bool,
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// What to set; `FILE:KEY=VALUE` names the file
    #[arg(value_name = "KEY=VALUE", required = true)]
    assignments: Vec<String>,
    /// The params file (default: params.yaml of the project)
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// Create keys that are not there
    #[arg(long)]
    add: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match &args.action {
        Action::Show(args) => run_show(ctx, args),
        Action::Diff(args) => run_diff(ctx, args),
        Action::Set(args) => run_set(ctx, args),
        Action::Sweep(args) => params_sweep::run(ctx, args),
    }
}

const TOPIC: Topic = Topic {
    key: "param",
    declared: |subjects| subjects.params.iter().cloned().collect(),
    read: values::params,
    help: "list what a stage reads under `params` of that stage: `params: [train]`",
};

fn look(path: PathColumn) -> Look {
    Look {
        key: TOPIC.key,
        precision: None,
        path,
        change: ChangeColumn::Hidden,
    }
}

fn run_show(ctx: &Ctx, args: &ShowArgs) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let mut reader = Reader::open(&project);
    let mut shown = args.revisions.open(ctx, &project, &mut reader)?;
    shown.targets.extend(args.targets.paths(ctx, &project)?);
    let mut refs: Vec<_> = shown.sides.iter_mut().collect();
    let files = TOPIC.files(&mut reader, &mut refs, &shown.targets)?;
    let roots = TOPIC.roots(ctx, &mut reader, &mut shown.sides, &files)?;
    let look = look(PathColumn::Shown);
    let name = name_for(ctx, &project);
    show_values(ctx, &shown, &roots, values::param_keys, look, &name);
    Ok(Outcome::Done)
}

fn run_diff(ctx: &Ctx, args: &DiffArgs) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let mut reader = Reader::open(&project);
    let [mut old, mut new] = args.sides.open(&mut reader)?;
    if args.deps {
        old.subjects.only_deps();
        new.subjects.only_deps();
    }
    let targets = args.targets.paths(ctx, &project)?;
    let files = TOPIC.files(&mut reader, &mut [&mut old, &mut new], &targets)?;
    args.sides.note(ctx, &old);
    let roots = TOPIC.roots(ctx, &mut reader, [&mut new, &mut old], &files)?;
    let [after, before] = [&roots[0], &roots[1]].map(values::param_keys);
    let mut rows = diff::rows(&before, &after, &|_, _| None);
    // A record holds what stages read; that it lacks the rest is no difference.
    for side in [&old, &new].into_iter().filter(|side| side.is_record()) {
        rows.retain(|row| side.subjects.reads(&row.path, &row.key));
    }
    let view = DiffView {
        look: look(PathColumn::unless(args.no_path)),
        all: args.all,
        exit_code: args.exit_code,
        none: "no parameter changed",
        same: "no parameter changed",
        name: &name_for(ctx, &project),
    };
    Ok(show_diff(ctx, &rows, [old.title(), new.title()], &view))
}

fn run_set(ctx: &Ctx, args: &SetArgs) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let lock = EditLock::acquire(&project.layout, &ctx.cancel)?;
    // What is on disk, and what shall be. Nothing is written before everything is understood.
    let mut files: BTreeMap<ArtifactPath, (String, Document)> = BTreeMap::new();
    let mut changes: Vec<(ArtifactPath, KeyPath, Option<Value>, Value)> = Vec::new();
    for text in &args.assignments {
        let (file, key, value) = assignment(ctx, &project, args, text)?;
        let (before, document) = match files.remove(&file) {
            Some(known) => known,
            None => read(&project, &file, args)?,
        };
        let key = key.find(&document.root).unwrap_or(key);
        let old = key.get(&document.root).cloned();
        if old.is_none() && !args.add {
            return Err(unknown_key(&document, &key));
        }
        let edited = edit::set(&document, &key, &value)?;
        files.insert(file.clone(), (before, edited));
        changes.push((file, key, old, value));
    }
    for (file, (before, edited)) in &files {
        if *before != edited.source.text {
            lock.write(&project.absolute(file), &edited.source.text)?;
        }
    }
    drop(lock);
    if ctx.out.form == Form::Json {
        let mut shown: BTreeMap<String, Map<String, serde_json::Value>> = BTreeMap::new();
        for (file, key, old, new) in &changes {
            let keys = shown.entry(file.to_string()).or_default();
            keys.insert(key.to_string(), json!({"old": old, "new": new}));
        }
        ctx.out.json(&json!(shown));
        return Ok(Outcome::Done);
    }
    for (file, key, old, new) in &changes {
        let was = match old {
            Some(old) if old.same(new) => "unchanged".to_owned(),
            Some(old) => format!("was {}", shown_beside(old, Some(new))),
            None => "new".to_owned(),
        };
        ctx.out.result(&format!(
            "{file}: {key} = {} ({was})",
            shown_beside(new, old.as_ref())
        ));
    }
    Ok(Outcome::Done)
}

/// Takes `file:key=value` apart.
fn assignment(
    ctx: &Ctx,
    project: &Project,
    args: &SetArgs,
    text: &str,
) -> Result<(ArtifactPath, KeyPath, Value), CliError> {
    let usage = |headline: String, help: &str| {
        CliError::usage(Diagnostic::error("bad-assignment", headline).help(help))
    };
    let Some((left, right)) = text.split_once('=') else {
        return Err(usage(
            format!("`{text}` sets nothing"),
            "write KEY=VALUE, for example train.epochs=20",
        ));
    };
    let (file, key) = match left.rsplit_once(':') {
        Some((file, key)) => (Some(file), key),
        None => (args.file.as_deref(), left),
    };
    let key: KeyPath = key.trim().parse().map_err(|e| {
        usage(
            format!("{e}"),
            "write KEY=VALUE, for example train.epochs=20",
        )
    })?;
    let file = match file {
        Some(file) => in_project(ctx, project, file)?,
        None => PARAMS_FILE
            .parse()
            .map_err(|e| usage(format!("{e}"), "give the file with --file"))?,
    };
    let value = typed(right).map_err(|fault| match fault {
        Fault::NoYaml => usage(
            format!("the value of `{left}` is no YAML: `{right}`"),
            "close the bracket or quote, or put the whole value in quotes inside quotes: '\"[a\"'",
        ),
        Fault::TooLarge => usage(
            format!("the value of `{left}` is beyond 64 bits: `{right}`"),
            "such a number could only be kept inexactly; for a text, put quotes inside quotes: '\"…\"'",
        ),
    })?;
    Ok((file, key, value))
}

/// Why a text is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A bracket or quote is open.
    NoYaml,
    /// A whole number that no 64 bits hold.
    TooLarge,
}

/// Reads a value as YAML does between brackets: on a command line, `a: b`, `- a` and `a # b` are
/// texts and neither sections, lists nor comments.
fn typed(text: &str) -> Result<Value, Fault> {
    let text = text.trim();
    let is_enclosed = text.starts_with(['[', '{', '"', '\'']);
    let as_text = || Value::Str(text.to_owned());
    if !is_enclosed && (text.starts_with('#') || text.contains(" #")) {
        return Ok(as_text());
    }
    let parsed = Document::parse("value", text.to_owned(), Format::Yaml).map(|d| d.root);
    match parsed {
        // Larger numbers than the reader refuses, it takes for floats.
        Ok(Value::Float(_)) if is_whole(text) => Err(Fault::TooLarge),
        Ok(value) if is_enclosed => Ok(value),
        Ok(Value::Str(_) | Value::List(_) | Value::Map(_)) => Ok(as_text()),
        Ok(scalar) => Ok(scalar),
        Err(error) if is_too_large(&error) => Err(Fault::TooLarge),
        Err(_) if is_enclosed => Err(Fault::NoYaml),
        Err(_) => Ok(as_text()),
    }
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_too_large(error: &base::Error) -> bool {
    let problems = error.to_diagnostics();
    let mut labels = problems.iter().flat_map(|problem| &problem.labels);
    labels.any(|label| label.text.contains("beyond 64 bits"))
}

/// Returns what was and what is, for people: with quotes where only these tell a text from a number.
fn shown_beside(value: &Value, other: Option<&Value>) -> String {
    let text = show(Some(value), None);
    match other {
        Some(other) if !other.same(value) && show(Some(other), None) == text => value.to_string(),
        _ => text,
    }
}

/// Returns the text of a params file, and what it says.
fn read(
    project: &Project,
    file: &ArtifactPath,
    args: &SetArgs,
) -> Result<(String, Document), CliError> {
    let path = project.absolute(file);
    if !path.exists() {
        if args.add {
            let format = Format::of_path(&path);
            let text = match format {
                Format::Json => "{}\n".to_owned(),
                Format::Yaml | Format::Toml | Format::Ini | Format::Python => String::new(),
            };
            return Ok((String::new(), Document::parse(file.as_str(), text, format)?));
        }
        let headline = format!("there is no params file `{file}`");
        return Err(CliError::usage(
            Diagnostic::error("no-params-file", headline)
                .help("`--add` creates it; `--file` names another"),
        ));
    }
    let document = Document::read(&path, file.as_str())?;
    Ok((document.source.text.clone(), document))
}

/// The error for a key that is not there, with the nearest that is.
fn unknown_key(document: &Document, key: &KeyPath) -> CliError {
    let name = key.to_string();
    let known = crate::pipeline::params::leaves(&document.root);
    let help = match nearest(&name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? (`--add` creates a new key)"),
        None => "`cvops params show` lists what there is; `--add` creates a new key".to_owned(),
    };
    let headline = format!("`{}` has no key `{name}`", document.source.name);
    CliError::usage(Diagnostic::error("unknown-param", headline).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_64_bits_are_no_texts() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "0xFFFFFFFFFFFFFFFFF",
            "[1, 18446744073709551616]",
            "999999999999999999999999999999999999999999999",
        ] {
            assert_eq!(typed(text), Err(Fault::TooLarge), "{text}");
        }
        let texts = ["12:30", "a: b", "'18446744073709551616'"];
        for text in texts {
            let value = Value::Str(text.trim_matches('\'').to_owned());
            assert_eq!(typed(text), Ok(value));
        }
        assert_eq!(typed("18446744073709551615"), Ok(Value::UInt(u64::MAX)));
        assert_eq!(typed("1e45"), Ok(Value::Float(1e45)));
        assert_eq!(typed("[1"), Err(Fault::NoYaml));
    }

    #[test]
    fn quotes_tell_a_text_from_a_number() {
        let (text, number) = (Value::Str("3".to_owned()), Value::Int(3));
        assert_eq!(shown_beside(&text, Some(&number)), "\"3\"");
        assert_eq!(shown_beside(&number, Some(&text)), "3");
        assert_eq!(shown_beside(&text, None), "3");
    }
}
