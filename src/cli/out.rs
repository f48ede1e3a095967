//! The only writer to stdout and stderr. Results go to stdout, everything else to stderr; a line is
//! written whole, so the output of concurrent stages never mixes within one. Imports: report, args.
#![expect(clippy::disallowed_methods, reason = "this is a door to the terminal")]

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard};

use crate::report::{Table, Tone};

use super::args::{ColorChoice, Global, LogFormat};
use super::env::Env;

/// Text or machine form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Text,
    /// `--md`: for people, tables as Markdown.
    Md,
    /// `--json`.
    Json,
}

/// How text is emphasised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// Something changed.
    Changed,
    /// Background.
    Dim,
    /// Names.
    Strong,
}

/// Where a command's output goes.
#[derive(Debug)]
pub(super) struct Out {
    /// Text or JSON.
    pub(super) form: Form,
    color: bool,
    quiet: bool,
    /// How often `-v` was given.
    verbose: u8,
    terminal: bool,
    lines: Mutex<()>,
    /// The first failure to write a result.
    lost: Mutex<Option<std::io::Error>>,
}

impl Out {
    /// Looks at the flags, the environment and the terminal.
    pub(super) fn new(global: &Global, env: &Env) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let color = match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb")
            }
        };
        let form = match (global.json, global.md) {
            (true, _) => Form::Json,
            (false, true) => Form::Md,
            (false, false) => Form::Text,
        };
        Self {
            form,
            color,
            quiet: global.quiet,
            verbose: global.verbose,
            terminal,
            lines: Mutex::new(()),
            lost: Mutex::new(None),
        }
    }

    /// Is colour wanted?
    pub(super) fn color(&self) -> bool {
        self.color
    }

    /// Was `-q` given?
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Was `-v` given?
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose != 0
    }

    /// May progress be drawn in place?
    pub(super) fn draws(&self) -> bool {
        self.terminal && !self.quiet && self.form != Form::Json
    }

    /// Returns the terminal's width in columns, if stdout is one.
    pub(super) fn width() -> Option<u16> {
        let stdout = std::io::stdout();
        stdout.is_terminal().then(|| {
            rustix::termios::tcgetwinsize(&stdout)
                .ok()
                .map(|size| size.ws_col)
        })?
    }

    /// Returns `text` emphasised, if colours are on (ECMA-48 SGR codes).
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match style {
            Style::Good => "32",
            Style::Bad => "1;31",
            Style::Changed => "33",
            Style::Dim => "2",
            Style::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Writes a result.
    pub(super) fn result(&self, text: &str) {
        self.keep(self.write(std::io::stdout(), text));
    }

    /// Remembers that a result was not written.
    fn keep(&self, written: std::io::Result<()>) {
        let Err(error) = written else { return };
        if is_loss(&error) {
            lock(&self.lost).get_or_insert(error);
        }
    }

    /// Returns why a result could not be written, if one could not.
    pub(super) fn take_lost(&self) -> Option<std::io::Error> {
        lock(&self.lost).take()
    }

    /// Writes a table as a result: as Markdown with `--md`, else fitted to the terminal. The JSON
    /// form is the command's own.
    pub(super) fn table(&self, table: &Table) {
        let paint = |tone, text: &str| match tone {
            Tone::Neutral => text.to_owned(),
            Tone::Good => self.paint(Style::Good, text),
            Tone::Bad => self.paint(Style::Bad, text),
        };
        self.result(&match self.form {
            Form::Md => table.markdown(),
            Form::Text | Form::Json => table.painted(Self::width(), &paint),
        });
    }

    /// Writes a JSON result on one line.
    pub(super) fn json(&self, value: &serde_json::Value) {
        self.keep(self.write(std::io::stdout(), &value.to_string()));
    }

    /// Writes a remark, unless `-q` or `--json` was given.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet && self.form != Form::Json {
            // Where messages go, none can be shown about them.
            let _ = self.write(std::io::stderr(), text);
        }
    }

    /// Writes something that must be seen, whatever the flags.
    pub(super) fn error(&self, text: &str) {
        let _ = self.write(std::io::stderr(), text);
    }

    fn write(&self, mut to: impl Write, text: &str) -> std::io::Result<()> {
        let _whole = lock(&self.lines);
        let end = if text.ends_with('\n') || text.is_empty() {
            ""
        } else {
            "\n"
        };
        to.write_all(format!("{text}{end}").as_bytes())?;
        to.flush()
    }
}

/// Is this failure to write worth telling? A reader of a pipe that has gone wants no more: that is
/// none.
pub(super) fn is_loss(error: &std::io::Error) -> bool {
    error.kind() != ErrorKind::BrokenPipe
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Writes a JSON line to stdout before there is an `Out`: the arguments could not be read.
pub(super) fn machine_line(value: &serde_json::Value) {
    let _ = writeln!(std::io::stdout(), "{value}");
}

/// Sends tracing records to stderr: warnings always, more with `-v`, `-vv` or `CVOPS_LOG`.
pub(super) fn start_log(global: &Global, env: &Env, out: &Out, format: LogFormat) {
    let level = match global.verbose {
        0 => "cvops=warn",
        1 => "cvops=info",
        _ => "cvops=debug",
    };
    let filter = env.get("CVOPS_LOG").unwrap_or(level);
    let Ok(filter) = tracing_subscriber::EnvFilter::try_new(filter) else {
        return;
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A reader that has gone is no reason to stop, and a panic no way to tell it.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Text => log
            .without_time()
            .with_ansi(out.color())
            .with_target(false)
            .try_init(),
        // Whoever collects JSON wants to know when and from where.
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}
