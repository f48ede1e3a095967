//! Asks for a password: on the terminal, twice and unseen, or from stdin.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::base::Diagnostic;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::out::Form;
use crate::mlflow::access::password::{BYTES_MAX, CHARS_MIN};
use crate::track::db::UserName;

/// How often it is looked whether Ctrl-C was pressed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What came of a question.
pub(super) enum Answered {
    /// This.
    Text(String),
    /// Ctrl-C.
    Interrupted,
}

/// Reads a password from stdin: all of it, without one line end.
pub(super) fn from_stdin() -> Result<String, CliError> {
    let mut bytes = Vec::new();
    // One more than is allowed tells that it is too long.
    let mut stdin = io::stdin().lock().take(BYTES_MAX as u64 + 3);
    stdin.read_to_end(&mut bytes).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| bad("the password is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Asks for a new password of `name`, twice.
pub(super) fn ask_twice(ctx: &Ctx, name: &UserName) -> Result<Answered, CliError> {
    if !io::stdin().is_terminal() || ctx.out.form == Form::Json {
        return Err(CliError::usage(
            Diagnostic::error("no-terminal", "nobody can be asked for the password")
                .note("the input is no terminal, or `--json` was given")
                .help("hand it in with `--password-stdin`, or give the user tokens only (`--no-password`)"),
        ));
    }
    // Ctrl-C must find the terminal as it was.
    ctx.listen();
    let unseen = Unseen::new().map_err(unreadable)?;
    let Some(first) = ask(ctx, &format!("password for `{name}`:"))? else {
        return Ok(Answered::Interrupted);
    };
    check(&first)?;
    let Some(second) = ask(ctx, "once more:")? else {
        return Ok(Answered::Interrupted);
    };
    drop(unseen);
    if first != second {
        return Err(bad("the two are not the same"));
    }
    Ok(Answered::Text(first))
}

/// Is this a password that somebody may have?
pub(super) fn check(text: &str) -> Result<(), CliError> {
    if text.chars().any(char::is_control) {
        return Err(bad("the password has control characters, or several lines"));
    }
    if text.chars().count() < CHARS_MIN {
        let least = format!("the password is shorter than {CHARS_MIN} characters");
        return Err(bad(&least));
    }
    if BYTES_MAX < text.len() {
        let most = format!("the password is longer than {BYTES_MAX} bytes");
        return Err(bad(&most));
    }
    Ok(())
}

fn ask(ctx: &Ctx, question: &str) -> Result<Option<String>, CliError> {
    ctx.out.error(question);
    let mut line = Vec::new();
    let stdin = io::stdin();
    let every = Timespec::try_from(LOOK_EVERY).ok();
    loop {
        if ctx.cancel.is_requested() {
            return Ok(None);
        }
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut ready, every.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(unreadable(error.into())),
        }
        // A terminal hands over a line at a time; past `std`'s buffer, which would hide a second one
        // from `poll`.
        let mut some = [0; 256];
        let count = rustix::io::read(&stdin, &mut some).map_err(|e| unreadable(e.into()))?;
        line.extend_from_slice(&some[..count]);
        // Ctrl-C throws away what was typed; what follows it is no answer.
        if ctx.cancel.is_requested() {
            return Ok(None);
        }
        if count == 0 && line.is_empty() {
            return Err(bad("no password was typed"));
        }
        if count == 0 || line.ends_with(b"\n") {
            let text = String::from_utf8(line).map_err(|_| bad("the password is not UTF-8"))?;
            return Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()));
        }
        if 4 * BYTES_MAX < line.len() {
            return check("").map(|()| None);
        }
    }
}

/// While it lives, the terminal shows nothing of what is typed.
struct Unseen(Termios);

impl Unseen {
    fn new() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut unseen = before.clone();
        unseen.local_modes &= !LocalModes::ECHO;
        tcsetattr(&stdin, OptionalActions::Flush, &unseen)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

fn bad(headline: &str) -> CliError {
    CliError::usage(Diagnostic::error("bad-password", headline).help(format!(
        "a password has at least {CHARS_MIN} characters; nothing was changed"
    )))
}

fn unreadable(source: io::Error) -> CliError {
    let error = crate::base::Error::Io {
        doing: "read the password from",
        path: "stdin".into(),
        source,
    };
    error.into()
}
