//! The command table: every command with its arguments. Imports: cmd.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand, ValueEnum};

use super::cmd;
use super::ctx::Ctx;
use super::error::CliError;
use super::exit::Outcome;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Pipelines, training and evaluation of image classifiers in one fast binary
#[derive(Debug, Parser)]
#[command(name = "cvops", version, styles = STYLES, propagate_version = true)]
#[command(
    after_help = "Every day:\n  cvops repro          bring every stage up to date, running only what changed\n  cvops metrics diff   what that changed in the metrics\n  cvops params sweep   the best parameters\n  cvops serve          the model over HTTP, on port 5001\n\nExample:\n  mkdir cats && cd cats && cvops init\n\n`cvops help COMMAND` explains a command; `cvops doctor` finds out what is wrong."
)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Work as if started in this folder
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR")]
    pub(super) directory: Option<PathBuf>,
    /// Show results and errors only
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Say more (-vv: even more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorChoice,
    /// Print results for programs: one JSON document, or one per line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print tables as Markdown
    #[arg(long, global = true, conflicts_with = "json")]
    pub(super) md: bool,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One JSON document per line
    Json,
}

/// Reads a count that is not zero.
pub(super) fn at_least_one<N>(text: &str) -> Result<N, String>
where
    N: FromStr,
    N::Err: Display,
{
    let is_zero = !text.is_empty() && text.bytes().all(|digit| digit == b'0');
    text.parse().map_err(|error| {
        if is_zero {
            "it must be at least 1".to_owned()
        } else {
            format!("{error}")
        }
    })
}

macro_rules! commands {
    ($($(#[$meta:meta])* $variant:ident => $module:ident,)*) => {
        /// The commands.
        #[derive(Debug, Subcommand)]
        pub(super) enum Command {
            $($(#[$meta])* $variant(cmd::$module::Args),)*
        }

        impl Command {
            /// Returns how log lines look; servers have a flag for it.
            pub(super) fn log_format(&self) -> LogFormat {
                match self {
                    #[cfg(feature = "vision")]
                    Self::Serve(args) => args.log_format(),
                    Self::Ui(args) => args.log_format(),
                    _ => LogFormat::Text,
                }
            }

            /// Runs the command.
            pub(super) fn run(&self, ctx: &Ctx) -> Result<Outcome, CliError> {
                match self {
                    $($(#[$meta])* Self::$variant(args) => cmd::$module::run(ctx, args),)*
                }
            }
        }
    };
}

commands! {
    Init => init,
    Repro => repro,
    Status => status,
    Why => why,
    Dag => dag,
    Stage => stage,
    Commit => commit,
    Freeze => freeze,
    Unfreeze => unfreeze,
    Add => add,
    Checkout => checkout,
    Remove => remove,
    Move => relocate,
    Unprotect => unprotect,
    Diff => diff,
    Data => data,
    Ls => ls,
    Du => du,
    Push => push,
    Pull => pull,
    Fetch => fetch,
    Gc => gc,
    Metrics => metrics,
    Params => params,
    Plots => plots,
    Runs => runs,
    Ui => ui,
    Models => models,
    Cache => cache,
    Migrate => migrate,
    Destroy => destroy,
    #[cfg(feature = "vision")]
    Preprocess => preprocess,
    #[cfg(feature = "vision")]
    Train => train,
    #[cfg(feature = "vision")]
    Evaluate => evaluate,
    #[cfg(feature = "vision")]
    Predict => predict,
    #[cfg(feature = "vision")]
    Drift => drift,
    #[cfg(feature = "vision")]
    Serve => serve,
    #[cfg(feature = "vision")]
    Summary => summary,
    Health => health,
    Monitor => monitor,
    Doctor => doctor,
    Config => config,
    Remote => remote,
    CheckIgnore => check_ignore,
    Install => install,
    MergeDriver => merge_driver,
    Schema => schema,
    Completions => completions,
    Man => man,
    Root => root,
    Version => version,
}
