//! The error of a command: its class and what is shown. Every room's error becomes one here.

use crate::base::{self, Diagnostic, ToDiagnostics};
use crate::{compare, data, experiment, http, pipeline, project, store, track};

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

    /// Shows paths below `dir` relative to it: the user typed `data/raw`, and the rooms below were
    /// handed the whole path.
    #[cfg(feature = "vision")]
    pub(super) fn seen_from(mut self, dir: &std::path::Path) -> Self {
        // Below the top folder every path is as long as it can be.
        if dir.parent().is_none() {
            return self;
        }
        let prefix = format!("`{}/", dir.display());
        let shorten = |text: &mut String| *text = text.replace(&prefix, "`");
        for diagnostic in &mut self.diagnostics {
            shorten(&mut diagnostic.headline);
            diagnostic.notes.iter_mut().for_each(shorten);
            diagnostic.help.iter_mut().for_each(shorten);
        }
        self
    }
}

fn base_class(error: &base::Error) -> ErrorClass {
    match error {
        base::Error::Io { .. } | base::Error::Database { .. } => ErrorClass::Failed,
        base::Error::Document { .. }
        | base::Error::Edit { .. }
        | base::Error::NewerDatabase { .. } => ErrorClass::Usage,
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
        project::Error::Git { .. } => ErrorClass::Failed,
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
        store::Error::Project(e) => project_class(e),
        store::Error::Base(e) => base_class(e),
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
        | E::Pattern { .. }
        | E::StageExists { .. }
        | E::BadName { .. }
        | E::Generated { .. }
        | E::MissingDependency { .. }
        | E::FrozenMissing { .. }
        | E::OutInGit { .. }
        | E::MissingParamsFile { .. }
        | E::MissingParam { .. }
        | E::PortShared { .. }
        | E::NeverFits { .. }
        | E::PersistLinked { .. } => ErrorClass::Usage,
        E::At { error, .. } | E::Keeping { error, .. } | E::GaveUp { error, .. } => {
            pipeline_class(error)
        }
        E::Several(errors) => errors.first().map_or(ErrorClass::Failed, pipeline_class),
        E::Spawn { .. }
        | E::Failed { .. }
        | E::TimedOut { .. }
        | E::NotItsResult { .. }
        | E::NotProduced { .. }
        | E::PortTaken { .. }
        | E::ServiceEnded { .. }
        | E::ServiceNotReady { .. }
        | E::Bug(_) => ErrorClass::Failed,
        E::Cancelled => ErrorClass::Interrupted,
    }
}

impl From<http::Error> for CliError {
    fn from(error: http::Error) -> Self {
        Self {
            class: http_class(&error),
            diagnostics: error.to_diagnostics(),
        }
    }
}

fn http_class(error: &http::Error) -> ErrorClass {
    use http::Error as E;
    match error {
        E::Base(e) => base_class(e),
        E::UnknownHost { .. } | E::PortForbidden { .. } | E::AddressNotHere { .. } => {
            ErrorClass::Usage
        }
        // Files that the user names: what is in them is an input.
        E::NoSocket { .. } | E::Tls(_) => ErrorClass::Usage,
        E::PortBusy { .. }
        | E::SocketBusy { .. }
        | E::Bind { .. }
        | E::BindUnix { .. }
        | E::Runtime(_)
        | E::Metrics(_) => ErrorClass::Failed,
    }
}

impl From<track::Error> for CliError {
    fn from(error: track::Error) -> Self {
        Self {
            class: track_class(&error),
            diagnostics: error.to_diagnostics(),
        }
    }
}

fn track_class(error: &track::Error) -> ErrorClass {
    use track::Error as E;
    match error {
        E::Project(e) => project_class(e),
        E::Store(e) => store_class(e),
        E::Base(e) | E::Database(e) => base_class(e),
        E::BadRecord { .. } | E::WriterGone | E::Panicked => ErrorClass::Failed,
        E::NoRuns
        | E::Refused { .. }
        | E::UnknownRun { .. }
        | E::AmbiguousRun { .. }
        | E::UnknownExperiment { .. }
        | E::UnknownMetric { .. }
        | E::AmbiguousMetric { .. }
        | E::StillRunning { .. }
        | E::UnknownUser { .. }
        | E::UserExists { .. }
        | E::UnknownToken { .. }
        | E::AmbiguousToken { .. }
        | E::UnknownTag { .. } => ErrorClass::Usage,
    }
}

impl From<compare::Error> for CliError {
    fn from(error: compare::Error) -> Self {
        Self {
            class: compare_class(&error),
            diagnostics: error.to_diagnostics(),
        }
    }
}

impl From<data::Error> for CliError {
    fn from(error: data::Error) -> Self {
        Self {
            class: data_class(&error),
            diagnostics: error.to_diagnostics(),
        }
    }
}

fn data_class(error: &data::Error) -> ErrorClass {
    match error {
        data::Error::Project(e) => project_class(e),
        data::Error::Store(e) => store_class(e),
        data::Error::Pipeline(e) => pipeline_class(e),
        data::Error::Base(e) => base_class(e),
        data::Error::Revision { error, .. } => data_class(error),
        data::Error::SeveralPipelines { .. } => ErrorClass::Usage,
        data::Error::NothingToHash { .. }
        | data::Error::ChangedMeanwhile { .. }
        | data::Error::Incomplete { .. }
        | data::Error::NoRun { .. }
        | data::Error::NotInCache { .. }
        | data::Error::NotPushed { .. } => ErrorClass::Failed,
        data::Error::Several(errors) => errors.first().map_or(ErrorClass::Failed, data_class),
        data::Error::Path { .. }
        | data::Error::NothingThere { .. }
        | data::Error::NoMatch { .. }
        | data::Error::Pattern { .. }
        | data::Error::NotData { .. }
        | data::Error::Ignored { .. }
        | data::Error::BehindLink { .. }
        | data::Error::FolderLink { .. }
        | data::Error::InGit { .. }
        | data::Error::StageOutput { .. }
        | data::Error::Overlap { .. }
        | data::Error::HoldsIgnoreFile { .. }
        | data::Error::Nested { .. }
        | data::Error::IntoItself { .. }
        | data::Error::NotTracked { .. }
        | data::Error::DataNamed { .. }
        | data::Error::OutputNamed { .. }
        | data::Error::InTheWay { .. }
        | data::Error::Part { .. }
        | data::Error::Unrecorded { .. } => ErrorClass::Usage,
    }
}

fn compare_class(error: &compare::Error) -> ErrorClass {
    match error {
        compare::Error::Project(e) => project_class(e),
        compare::Error::Store(e) => store_class(e),
        compare::Error::Pipeline(e) => pipeline_class(e),
        compare::Error::Track(e) => track_class(e),
        compare::Error::Base(e) => base_class(e),
        compare::Error::UnknownSide { .. }
        | compare::Error::UnknownTarget { .. }
        | compare::Error::NotText { .. }
        | compare::Error::NoMetrics { .. }
        | compare::Error::NoTable { .. } => ErrorClass::Usage,
    }
}

impl From<experiment::Error> for CliError {
    fn from(error: experiment::Error) -> Self {
        Self {
            class: experiment_class(&error),
            diagnostics: error.to_diagnostics(),
        }
    }
}

fn experiment_class(error: &experiment::Error) -> ErrorClass {
    match error {
        experiment::Error::Project(e) => project_class(e),
        experiment::Error::Store(e) => store_class(e),
        experiment::Error::Pipeline(e) => pipeline_class(e),
        experiment::Error::Track(e) => track_class(e),
        experiment::Error::Compare(e) => compare_class(e),
        experiment::Error::Sweep(_) | experiment::Error::Grammar(_) => ErrorClass::Usage,
        experiment::Error::SharedStage { error, .. } | experiment::Error::Variant { error, .. } => {
            pipeline_class(error)
        }
        experiment::Error::Base(e) => base_class(e),
        experiment::Error::NothingToApply { .. } => ErrorClass::Usage,

        experiment::Error::OutputsGone { .. } => ErrorClass::Failed,
    }
}

impl From<crate::mlflow::Error> for CliError {
    fn from(error: crate::mlflow::Error) -> Self {
        use crate::mlflow::Error as E;
        let class = match &error {
            E::NoUsers { .. } => ErrorClass::Usage,
            E::Base(e) => base_class(e),
            E::Start { .. } => ErrorClass::Failed,
            E::Http(e) => http_class(e),
            E::Track(e) => track_class(e),
        };
        Self {
            class,
            diagnostics: error.to_diagnostics(),
        }
    }
}

#[cfg(feature = "vision")]
impl From<crate::serve::Error> for CliError {
    fn from(error: crate::serve::Error) -> Self {
        Self {
            class: serve_class(&error),
            diagnostics: error.to_diagnostics(),
        }
    }
}

#[cfg(feature = "vision")]
fn serve_class(error: &crate::serve::Error) -> ErrorClass {
    use crate::serve::Error as E;
    match error {
        E::Base(e) => base_class(e),
        E::Http(e) => http_class(e),
        E::Vision(e) => vision_class(e),
        E::LockDiffers { .. }
        | E::LockAbsent { .. }
        | E::NoKeyFile { .. }
        | E::NoKeys { .. }
        | E::KeyExists { .. }
        | E::UnknownKey { .. } => ErrorClass::Usage,
        E::NotFinite { .. } | E::NoFiles { .. } | E::KeyFileOwner { .. } | E::Start { .. } => {
            ErrorClass::Failed
        }
    }
}

#[cfg(feature = "vision")]
impl From<crate::detect::Error> for CliError {
    fn from(error: crate::detect::Error) -> Self {
        Self {
            class: detect_class(&error),
            diagnostics: error.to_diagnostics(),
        }
    }
}

/// What cannot be compared or fitted is what was asked for: files, parameters, a model.
#[cfg(feature = "vision")]
fn detect_class(error: &crate::detect::Error) -> ErrorClass {
    use crate::detect::Error as E;
    match error {
        E::Base(e) => base_class(e),
        E::Vision(e) => vision_class(e),
        E::Drift(_)
        | E::Numbers { .. }
        | E::NoPictures
        | E::NoInput { .. }
        | E::Classes { .. }
        | E::Length { .. }
        | E::Label { .. }
        | E::Detector { .. }
        | E::Watch { .. }
        | E::InputMissing { .. }
        | E::NotTwoClasses { .. }
        | E::NoTruth
        | E::ReferenceTooSmall { .. }
        | E::NoOutlierScore { .. }
        | E::NothingFitted { .. }
        | E::NotFitted { .. }
        | E::FittedVersion { .. }
        | E::OtherModel { .. }
        | E::OtherClasses { .. }
        | E::NothingServed { .. }
        | E::Windows { .. }
        | E::UnknownDetector { .. } => ErrorClass::Usage,
    }
}

#[cfg(feature = "vision")]
impl From<crate::audit::Error> for CliError {
    fn from(error: crate::audit::Error) -> Self {
        use crate::audit::Error as E;
        let class = match &error {
            E::Base(e) => base_class(e),
            E::Vision(e) => vision_class(e),
            E::OtherClasses { .. } => ErrorClass::Usage,
            E::Statistics { .. } => ErrorClass::Failed,
        };
        Self {
            class,
            diagnostics: error.to_diagnostics(),
        }
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
        E::Base(e) | E::Description(e) => base_class(e),
        E::Cancelled(_) => ErrorClass::Interrupted,
        E::NoDataset { .. }
        | E::NoManifest { .. }
        | E::NoExclusions { .. }
        | E::OutputInsideInput { .. }
        | E::OutputNotOurs { .. }
        | E::PreparedVersion { .. }
        | E::EmptySplit { .. }
        | E::ModelShape { .. }
        | E::ModelDepthwise { .. }
        | E::ModelResidual { .. }
        | E::ModelTooLarge { .. }
        | E::NoBackEnd { .. }
        | E::NoDevice { .. }
        | E::NothingToStopBy
        | E::ModelVersion { .. }
        | E::SeveralNetworks { .. }
        | E::NoOnnx { .. }
        | E::InputSize { .. } => ErrorClass::Usage,
        E::Manifest { .. }
        | E::Idx { .. }
        | E::NoClasses { .. }
        | E::OneClass { .. }
        | E::EmptyClasses { .. }
        | E::UnknownClasses { .. }
        | E::SplitTwice { .. }
        | E::NoTrainSplit { .. }
        | E::NameNotUtf8 { .. }
        | E::NotALine { .. }
        | E::TooManyCorrupt { .. }
        | E::TooFewImages { .. }
        | E::NotPrepared { .. }
        | E::ModelLimits
        | E::Weights(_)
        | E::NotFinite { .. }
        | E::Optimiser { .. }
        | E::NotAModel { .. }
        | E::OtherFlavour { .. }
        | E::Onnx { .. } => ErrorClass::Failed,
    }
}
