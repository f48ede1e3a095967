//! What users of DVC type that is spelt otherwise here, or has no counterpart: one table. It is asked
//! only after clap has not understood the command line. Imports: clap.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Which command was given, the words or flags after it, and what to do instead.
type Row = (&'static str, &'static [&'static str], &'static str);

const RECORDED: &str = "every `cvops repro` is a recorded run; `cvops runs list` shows them";
const SHARED_RUNS: &str = "runs are recorded in `.cvops/` of this machine and not shared through Git; `cvops push --run-cache` shares the results of stages";
const IMPORTS: &str = "imports are not there yet: copy the file here and track it with `cvops add FILE`; existing `.dvc` files of imports are read as data";
const DOWNLOADS: &str = "downloads are not there yet: in a clone of that repository, `cvops pull TARGET` brings the file";
const SWEEP_QUEUE: &str = "a sweep is the queue: `cvops params sweep KEY=A,B -j 2` starts it, `cvops params sweep status`, `stop` and `--resume` steer it";

const NO_RUN_CACHE: &str =
    "leave it out: results of stages are transferred only where `--run-cache` asks for them";
const PLOT_FLAGS: &[&str] = &[
    "-t",
    "--template",
    "-x",
    "-y",
    "--no-header",
    "--title",
    "--x-label",
    "--y-label",
    "--show-vega",
    "--html-template",
];
const PLOT_HINT: &str = "x, y, title and labels under `plots:` of the pipeline file say how a plot looks; templates are not read";

const TABLE: &[Row] = &[
    (
        "",
        &["completion"],
        "`cvops completions SHELL` prints the completions of a shell",
    ),
    (
        "",
        &["import", "import-url", "import-db", "update"],
        IMPORTS,
    ),
    ("", &["get", "get-url"], DOWNLOADS),
    (
        "",
        &["list-url", "ls-url"],
        "`cvops ls` lists a folder of this project or a revision of it; folders elsewhere are listed by their own tools",
    ),
    (
        "",
        &["artifacts"],
        "`cvops pull PATH` brings the file of an artifact; `git tag` and `git checkout` choose its version",
    ),
    ("", &["queue"], SWEEP_QUEUE),
    (
        "",
        &["run"],
        "`cvops stage add -n NAME … COMMAND` writes a stage, with `--run` it is run as well",
    ),
    (
        "",
        &["unlock"],
        "`cvops unfreeze STAGE` lets a frozen stage run again",
    ),
    ("", &["lock"], "`cvops freeze STAGE` keeps a stage as it is"),
    (
        "",
        &["studio", "machine", "daemon"],
        "there is no service behind cvops and nothing to log in to; `cvops runs list` shows the recorded runs",
    ),
    ("", &["pipeline"], "`cvops dag` draws the pipeline"),
    (
        "",
        &["live"],
        "a stage writes its metrics to a file listed under `metrics:` or `plots:`; `cvops plots show` draws them",
    ),
    ("", &["--cd"], "`-C DIR` works as if started in that folder"),
    (
        "",
        &["--wait-for-lock"],
        "leave it out: cvops always waits for a lock, and says for whom",
    ),
    (
        "runs",
        &["run", "queue-worker"],
        "`cvops params set KEY=VALUE` and `cvops repro` run one experiment, `cvops params sweep KEY=A,B` several; `params.yaml` keeps its values in a sweep",
    ),
    ("runs", &["save"], RECORDED),
    (
        "runs",
        &["branch"],
        "`cvops runs apply RUN` brings its files back; then `git switch -c NAME` and commit",
    ),
    ("runs", &["pull"], SHARED_RUNS),
    (
        "runs",
        &["rename"],
        "`cvops runs tag RUN KEY=VALUE` gives a run a mark to find it by",
    ),
    (
        "runs",
        &["clean"],
        "there are no temporary files to clean; `cvops runs rm` removes runs, `cvops gc` what they kept",
    ),
    ("runs", &["queue"], SWEEP_QUEUE),
    (
        "plots",
        &["templates", "modify"],
        "templates are not read: x, y, title and labels under `plots:` of the pipeline file say how a plot looks",
    ),
    (
        "metrics",
        &["add", "modify", "remove"],
        "list the file under `metrics:` in the pipeline file",
    ),
    (
        "params",
        &["get"],
        "`cvops params show` shows all parameters",
    ),
    (
        "repro",
        &["-m", "--metrics"],
        "`cvops repro && cvops metrics show` prints the metrics after the run",
    ),
    (
        "repro",
        &["-S", "--set-param"],
        "`cvops params set KEY=VALUE` before it, or `cvops params sweep KEY=A,B`",
    ),
    (
        "init",
        &["-f", "--force"],
        "`init` removes nothing: for a new start delete `.dvc/` or `.cvops/` yourself",
    ),
    (
        "status",
        &["-d", "--with-deps"],
        "every stage is shown without it; `cvops why STAGE` tells what one waits for",
    ),
    (
        "ls",
        &["-T", "--tree", "-L", "--level"],
        "`cvops ls -R` lists folders with all that is in them",
    ),
    ("push", &["--no-run-cache"], NO_RUN_CACHE),
    ("pull", &["--no-run-cache"], NO_RUN_CACHE),
    ("fetch", &["--no-run-cache"], NO_RUN_CACHE),
    ("plots show", PLOT_FLAGS, PLOT_HINT),
    ("plots diff", PLOT_FLAGS, PLOT_HINT),
    (
        "runs show",
        &[
            "-A",
            "--all-commits",
            "--rev",
            "-n",
            "--num",
            "-a",
            "--all-branches",
            "-T",
            "--all-tags",
            "--only-changed",
            "--drop",
            "--keep",
            "--sort-by",
            "--csv",
            "--sha",
            "--hide-failed",
            "--hide-queued",
            "--hide-workspace",
            "--no-pager",
        ],
        "`cvops runs list` is the table of runs (`--json` for programs), `cvops runs show RUN` one of them",
    ),
    (
        "runs diff",
        &["--all", "--param-deps", "--no-path", "--precision", "<A>"],
        "`cvops runs diff RUN` compares a run with the last one; `cvops metrics diff` and `cvops params diff` compare HEAD or other revisions with the workspace",
    ),
    (
        "runs rm",
        &[
            "-A",
            "--all-commits",
            "--rev",
            "-n",
            "--num",
            "--keep",
            "--queue",
            "-g",
        ],
        "name the runs, or `--all-failed`: `cvops runs list` shows them",
    ),
    (
        "install",
        &["--use-pre-commit-tool"],
        "without it hooks are written into `.git/hooks`; for the pre-commit tool call `cvops status`, `cvops push` and `cvops checkout` in local hooks",
    ),
];

/// Adds to a clap error about a word or flag of DVC what to do instead; says whether it did.
pub(super) fn add_hint(error: &mut clap::Error) -> bool {
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument | ErrorKind::MissingRequiredArgument => ContextKind::InvalidArg,
        _ => return false,
    };
    let typed = match error.get(kind) {
        Some(ContextValue::String(typed)) => typed,
        // All that is missing; the first is enough to know the command by.
        Some(ContextValue::Strings(missing)) => match missing.first() {
            Some(first) => first,
            None => return false,
        },
        _ => return false,
    };
    let Some(hint) = hint(&command(error), typed) else {
        return false;
    };
    for misleading in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg] {
        error.remove(misleading);
    }
    let hint = ContextValue::StyledStrs(vec![hint.into()]);
    error.insert(ContextKind::Suggested, hint);
    true
}

fn hint(command: &str, typed: &str) -> Option<&'static str> {
    let row = TABLE
        .iter()
        .find(|(of, words, _)| *of == command && words.contains(&typed));
    row.map(|(.., hint)| *hint)
}

/// Returns the command at which clap stopped, without `cvops`: its usage line begins with it.
fn command(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => return String::new(),
    };
    // `Usage: cvops runs …`
    let words = usage
        .split_whitespace()
        .skip(2)
        .take_while(|w| !w.starts_with(['[', '<', '-']));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::args::Args;

    /// Words in code spans that stand for a command line of ours.
    fn commands_in(hint: &str) -> impl Iterator<Item = Vec<&str>> {
        let spans = hint.split('`').skip(1).step_by(2);
        let lines = spans.flat_map(|span| span.split("&&"));
        lines.filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("cvops")).then(|| words.collect())
        })
    }

    #[test]
    fn every_row_is_reached_and_names_commands_that_exist() {
        for (of, words, hint) in TABLE {
            for word in *words {
                let line = ["cvops"].into_iter().chain(of.split_whitespace());
                // What stands in brackets is what is missing.
                let typed = if word.starts_with('<') {
                    vec![]
                } else {
                    vec![*word, "x"]
                };
                let mut error = Args::try_parse_from(line.chain(typed)).unwrap_err();
                assert!(add_hint(&mut error), "{of} {word}: {error}");
                assert!(error.to_string().contains(hint), "{of} {word}: {error}");
            }
            for words in commands_in(hint) {
                let mut command = Args::command();
                for word in words {
                    let Some(inner) = command.find_subcommand(word) else {
                        break;
                    };
                    command = inner.clone();
                }
                assert_ne!(command.get_name(), "cvops", "{hint}");
            }
        }
    }

    #[test]
    fn other_slips_are_left_to_clap() {
        let mut error = Args::try_parse_from(["cvops", "rpro"]).unwrap_err();
        assert!(!add_hint(&mut error));
        assert!(error.to_string().contains("repro"));
    }
}
