//! Arguments that clap does not understand, as a diagnostic for `--json`; people get clap's own text.
//! Imports: clap, base.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::base::Diagnostic;
use crate::base::diag::nearest;

/// Do the arguments ask for JSON? Asked when they could not be read as a whole.
pub(super) fn wants_json(args: impl IntoIterator<Item = OsString>) -> bool {
    args.into_iter()
        .skip(1)
        .take_while(|arg| arg != "--")
        .any(|arg| arg == "--json")
}

/// Leaves of the commands that clap suggests only the nearest: its measure counts letters in common,
/// ours slips of the finger.
pub(super) fn mend_suggestion(error: &mut clap::Error) {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return;
    };
    let Some(ContextValue::Strings(names)) = error.get(ContextKind::SuggestedSubcommand) else {
        return;
    };
    if let Some(name) = nearest(typed, names.iter().map(String::as_str)) {
        let name = ContextValue::Strings(vec![name.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, name);
    }
}

/// Returns clap's error in the one form of message.
pub(super) fn diagnostic(error: &clap::Error) -> Diagnostic {
    let is_cut_short = matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    );
    if is_cut_short {
        return Diagnostic::error("usage", "the command is not complete")
            .help("`--help` shows what may follow");
    }
    let text = error.render().to_string();
    let (headline, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let headline = headline.trim().trim_start_matches("error:").trim();
    let lines: Vec<&str> = headline.lines().map(str::trim).collect();
    let mut diagnostic = Diagnostic::error("usage", lines.join(" "));
    for line in rest.lines().map(str::trim) {
        if let Some(tip) = line.strip_prefix("tip: ") {
            diagnostic = diagnostic.help(tip);
        } else if line.starts_with("Usage: ") || line.starts_with("[possible values") {
            diagnostic = diagnostic.note(line);
        }
    }
    diagnostic
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::Args;

    #[track_caller]
    fn of(args: &[&str]) -> Diagnostic {
        let args = std::iter::once("cvops").chain(args.iter().copied());
        diagnostic(&Args::try_parse_from(args).unwrap_err())
    }

    #[test]
    fn clap_errors_become_diagnostics() {
        let unknown = of(&["rpro"]);
        assert_eq!(unknown.headline, "unrecognized subcommand 'rpro'");
        assert!(unknown.help.unwrap().contains("'repro'"));
        let mut error = Args::try_parse_from(["cvops", "metric"]).unwrap_err();
        mend_suggestion(&mut error);
        let help = diagnostic(&error).help.unwrap();
        assert!(
            help.contains("'metrics'") && !help.contains("train"),
            "{help}"
        );
        let flag = of(&["repro", "--jbs", "2"]);
        assert_eq!(flag.headline, "unexpected argument '--jbs' found");
        assert!(flag.notes[0].starts_with("Usage: cvops repro"));
        assert!(of(&["why"]).headline.contains("<STAGE>"));
        assert_eq!(of(&["cache"]).headline, "the command is not complete");
    }

    #[test]
    fn json_is_asked_for_before_a_double_dash() {
        let asks = |args: &[&str]| wants_json(args.iter().map(OsString::from));
        assert!(asks(&["cvops", "x", "--json"]));
        assert!(!asks(&["cvops", "x", "--", "--json"]) && !asks(&["--json"]));
    }
}
