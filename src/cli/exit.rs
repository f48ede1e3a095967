//! Exit codes, in one place: 0 done, 1 failed, 2 usage or configuration, 3 changes (only with
//! `--exit-code`), 130 interrupted. Imports: nothing.

/// Everything went well.
pub(super) const DONE: u8 = 0;
/// Wrong arguments or configuration.
pub(super) const USAGE: u8 = 2;

/// There are changes, and `--exit-code` asked for them.
pub(super) const CHANGES: u8 = 3;

/// How a command that ran to its end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All done.
    Done,
    /// A stage failed, or a check found something; the details were shown.
    Failed,
    /// `--exit-code` was given and there are changes.
    Changes,
    /// A check could not be made, or not all of it; the details were shown.
    #[cfg(feature = "vision")]
    Unmade,
    /// Stopped by Ctrl-C or SIGTERM; what finished was recorded.
    Interrupted,
}

/// What kind of error ended a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorClass {
    /// The work failed.
    Failed,
    /// The arguments, the configuration or the project's files are wrong.
    Usage,
    /// Stopped by the user.
    Interrupted,
}

/// Returns the exit code of an outcome.
pub(super) fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => DONE,
        Outcome::Failed => 1,
        Outcome::Changes => CHANGES,
        #[cfg(feature = "vision")]
        Outcome::Unmade => USAGE,
        Outcome::Interrupted => 130,
    }
}

/// Returns the exit code of an error.
pub(super) fn error_code(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Failed => 1,
        ErrorClass::Usage => USAGE,
        ErrorClass::Interrupted => 130,
    }
}
