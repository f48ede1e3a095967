//! What `cvops doctor` looks at: machine, project, parameters, pipeline, ports. Each look is one line with a verdict;
//! nothing is changed, and nothing found wrong stops the others. Imports: the rooms below.

mod machine;
mod params;
mod pipeline;
mod ports;
mod project;

use crate::base::Diagnostic;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works; something should be known or could be better.
    Warning,
    /// It does not work.
    Problem,
}

impl Verdict {
    /// Returns the word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) what: &'static str,
    /// How it stands.
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) text: String,
    /// How to mend it.
    pub(super) help: Option<String>,
}

impl Finding {
    fn new(what: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self {
            what,
            verdict,
            text: text.into(),
            help: None,
        }
    }

    fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self::new(what, Verdict::Ok, text)
    }

    fn warning(what: &'static str, text: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..Self::new(what, Verdict::Warning, text)
        }
    }

    fn problem(what: &'static str, text: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..Self::new(what, Verdict::Problem, text)
        }
    }

    /// One finding for each message of an error.
    fn of_error(what: &'static str, error: &CliError) -> Vec<Self> {
        let finding = |diagnostic: &Diagnostic| Self {
            what,
            verdict: Verdict::Problem,
            text: one_line(diagnostic),
            help: diagnostic.help.clone(),
        };
        error.diagnostics.iter().map(finding).collect()
    }
}

/// Returns a message with its place, on one line: `unknown key `x` (pipeline.yaml:3:5)`.
fn one_line(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.labels.first().map(|label| {
        let (line, column) = label.source.line_column(label.span.start);
        format!(" ({}:{line}:{column})", label.source.name)
    });
    format!("{}{}", diagnostic.headline, place.unwrap_or_default())
}

/// Names a few of many: `` `a`, `b` and 3 more ``.
fn some<T: ToString>(items: &[T]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = items
        .iter()
        .take(SHOWN)
        .map(|item| format!("`{}`", item.to_string()))
        .collect();
    match items.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Looks at everything, in the order in which it is shown.
pub(super) fn examine(ctx: &Ctx) -> Vec<Finding> {
    let mut findings = machine::examine();
    let (mut more, opened) = project::examine(ctx);
    findings.append(&mut more);
    match opened {
        Some(project) => findings.append(&mut pipeline::examine(ctx, &project)),
        None => findings.append(&mut ports::examine(ports::SERVE, None)),
    }
    findings
}
