//! `cvops doctor`: what is wrong here, and how to mend it.

use serde_json::json;

use crate::base::units;
use crate::cli::ctx::Ctx;
use crate::cli::doctor::{Verdict, examine};
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::report::{Align, Table};

/// Look for what is wrong with this machine and project, and say how to mend it
///
/// Looks at the program and its helpers, the processor and devices, the settings, the cache and the
/// links that work there, the file systems, the lock, what killed commands left, the databases, at
/// the pipeline with its parameters, lock file and git, and at the ports of servers. Changes nothing. Works outside of a project too.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops doctor\n  cvops doctor --json --no-fail > doctor.json\n\nExits with 1 when it finds a problem; warnings do not count."
)]
pub(in crate::cli) struct Args {
    /// Exit with 0 even if there is a problem
    #[arg(long)]
    no_fail: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "all commands have one signature")]
pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let findings = examine(ctx);
    let count = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
    let (problems, warnings) = (count(Verdict::Problem), count(Verdict::Warning));
    if ctx.out.form == Form::Json {
        let rows: Vec<_> = findings
            .iter()
            .map(|f| {
                json!({
                    "check": f.what, "verdict": f.verdict.name(), "text": f.text, "help": f.help,
                })
            })
            .collect();
        ctx.out.json(&json!({
            "checks": rows, "problems": problems, "warnings": warnings,
        }));
    } else if ctx.out.form == Form::Md {
        let mut table = Table::new(["check", "verdict", "found", "help"].map(|c| (c, Align::Left)));
        for f in &findings {
            let help = f.help.as_deref().unwrap_or_default();
            table.row([f.what, f.verdict.name(), &f.text, help]);
        }
        ctx.out.table(&table);
    } else {
        let width = findings.iter().map(|f| f.what.len()).max().unwrap_or(0);
        for finding in &findings {
            let style = match finding.verdict {
                Verdict::Ok => Style::Good,
                Verdict::Warning => Style::Changed,
                Verdict::Problem => Style::Bad,
            };
            let verdict = format!("{:<7}", finding.verdict.name());
            ctx.out.result(&format!(
                "{}  {:<width$}  {}",
                ctx.out.paint(style, &verdict),
                finding.what,
                finding.text
            ));
            if let Some(help) = &finding.help {
                ctx.out
                    .result(&format!("{:>7}  {:<width$}  help: {help}", "", ""));
            }
        }
        let text = match (problems, warnings) {
            (0, 0) => "all is well".to_owned(),
            (0, warnings) => units::count(warnings, "warning"),
            (problems, 0) => units::count(problems, "problem"),
            (problems, warnings) => format!(
                "{}, {}",
                units::count(problems, "problem"),
                units::count(warnings, "warning")
            ),
        };
        ctx.out.note(&text);
    }
    Ok(if problems == 0 || args.no_fail {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}
