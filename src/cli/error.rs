//! The error of a command: its class and what is shown. Every room's error becomes one here.

use crate::base::{self, Diagnostic, ToDiagnostics};
use crate::{pipeline, project, store};

use super::exit::ErrorClass;

/// An error on its way to the user.
#[derive(Clone, Debug)]
pub(super) struct CliError {
    pub(super) class: ErrorClass,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl CliError {
    /// A mistake in the arguments.
    pub(super) fn usage(diagnostic: Diagnostic) -> Self {
        Self {
            class: ErrorClass::Usage,
            diagnostics: vec![diagnostic],
        }
    }
}

fn base_class(error: &base::Error) -> ErrorClass {
    match error {
        base::Error::Io { .. } | base::Error::Database { .. } => ErrorClass::Failed,
        base::Error::Document { .. } | base::Error::NewerDatabase { .. } => ErrorClass::Usage,
    }
}

impl From<base::Error> for CliError {
    fn from(error: base::Error) -> Self {
        Self {
            class: base_class(&error),
            diagnostics: error.to_diagnostics(),
        }
    }
}

impl From<project::Error> for CliError {
    fn from(error: project::Error) -> Self {
        let class = project_class(&error);
        Self {
            class,
            diagnostics: error.to_diagnostics(),
        }
    }
}

fn project_class(error: &project::Error) -> ErrorClass {
    match error {
        project::Error::Base(e) => base_class(e),
        project::Error::Cancelled => ErrorClass::Interrupted,
        _ => ErrorClass::Usage,
    }
}

impl From<store::Error> for CliError {
    fn from(error: store::Error) -> Self {
        let class = store_class(&error);
        Self {
            class,
            diagnostics: error.to_diagnostics(),
        }
    }
}

fn store_class(error: &store::Error) -> ErrorClass {
    match error {
        store::Error::Cancelled => ErrorClass::Interrupted,
        _ => ErrorClass::Failed,
    }
}

impl From<pipeline::Error> for CliError {
    fn from(error: pipeline::Error) -> Self {
        let class = pipeline_class(&error);
        Self {
            class,
            diagnostics: error.to_diagnostics(),
        }
    }
}

fn pipeline_class(error: &pipeline::Error) -> ErrorClass {
    use pipeline::Error as E;
    match error {
        E::Base(e) => base_class(e),
        E::Project(e) => project_class(e),
        E::Store(e) => store_class(e),
        E::NoPipeline { .. }
        | E::UnknownTarget { .. }
        | E::MissingDependency { .. }
        | E::MissingParamsFile { .. }
        | E::MissingParam { .. } => ErrorClass::Usage,
        E::At { error, .. } => pipeline_class(error),
        E::Several(errors) => errors.first().map_or(ErrorClass::Failed, pipeline_class),
        E::Spawn { .. }
        | E::Failed { .. }
        | E::NotProduced { .. }
        | E::NotRestorable { .. }
        | E::Bug(_) => ErrorClass::Failed,
        E::Cancelled => ErrorClass::Interrupted,
    }
}

#[cfg(feature = "vision")]
impl From<crate::vision::Error> for CliError {
    fn from(error: crate::vision::Error) -> Self {
        let class = vision_class(&error);
        Self {
            class,
            diagnostics: error.to_diagnostics(),
        }
    }
}

/// What was asked for cannot be (a path, a parameter, two things that do not go together): usage.
/// What is there is bad (pictures, damaged files, a training that diverges): failed.
#[cfg(feature = "vision")]
fn vision_class(error: &crate::vision::Error) -> ErrorClass {
    use crate::vision::Error as E;
    match error {
        E::Base(e) => base_class(e),
        E::Cancelled(_) => ErrorClass::Interrupted,
        E::NoDataset { .. }
        | E::OutputInsideInput { .. }
        | E::OutputNotOurs { .. }
        | E::PreparedVersion { .. }
        | E::EmptySplit { .. }
        | E::ModelShape { .. }
        | E::ModelTooLarge { .. }
        | E::NoBackEnd { .. }
        | E::NoDevice { .. }
        | E::NothingToStopBy
        | E::ModelVersion { .. }
        | E::InputSize { .. } => ErrorClass::Usage,
        E::NoClasses { .. }
        | E::OneClass { .. }
        | E::EmptyClasses { .. }
        | E::UnknownClasses { .. }
        | E::SplitTwice { .. }
        | E::NoTrainSplit { .. }
        | E::NameNotUtf8 { .. }
        | E::TooManyCorrupt { .. }
        | E::TooFewImages { .. }
        | E::NotPrepared { .. }
        | E::ModelLimits
        | E::Weights(_)
        | E::NotFinite { .. }
        | E::Optimiser { .. }
        | E::NotAModel { .. } => ErrorClass::Failed,
    }
}
