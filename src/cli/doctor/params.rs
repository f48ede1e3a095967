//! `params.yaml`: can it be read, and would the commands for pictures take what it says?
//! Imports: base, pipeline, project, vision, serve.

use crate::base::doc::Document;
use crate::cli::error::CliError;
use crate::pipeline::StageGraph;
use crate::project::{PARAMS_FILE, Project};

use super::Finding;

/// What was found, and what else must be known of it.
pub(super) struct Examined {
    pub(super) findings: Vec<Finding>,
    /// The port that `cvops serve` takes from it, if it says one.
    pub(super) port: Option<u16>,
}

pub(super) fn examine(project: &Project, graph: Option<&StageGraph>) -> Examined {
    let path = project.root.join(PARAMS_FILE);
    let mut examined = Examined {
        findings: Vec::new(),
        port: None,
    };
    if !path.exists() {
        return examined;
    }
    match Document::read(&path, PARAMS_FILE) {
        Ok(document) => values(project, graph, &document, &mut examined),
        Err(error) => examined.findings = Finding::of_error("params", &CliError::from(error)),
    }
    if examined.findings.is_empty() {
        examined.findings.push(Finding::ok("params", PARAMS_FILE));
    }
    examined
}

#[cfg(not(feature = "vision"))]
fn values(_: &Project, _: Option<&StageGraph>, _: &Document, _: &mut Examined) {}

/// Reads what the vision commands read. In a project that does not use them, a section `train` is
/// somebody else's and may say what it likes.
#[cfg(feature = "vision")]
fn values(
    project: &Project,
    graph: Option<&StageGraph>,
    document: &Document,
    examined: &mut Examined,
) {
    use crate::cli::params::{SECTIONS, misspelt};
    let is_ours = match graph {
        Some(graph) => graph
            .stages()
            .iter()
            .flat_map(|stage| &stage.commands)
            .any(|command| is_vision(command)),
        None => !project.pipeline_file().exists(),
    };
    if !is_ours {
        return;
    }
    match read(document) {
        Ok(port) => examined.port = Some(port),
        Err(error) => examined.findings = Finding::of_error("params", &CliError::from(error)),
    }
    for section in SECTIONS {
        if let Some(warning) = misspelt(document, section) {
            let place = super::one_line(&warning);
            let help = format!("rename it to `{section}` if that is meant");
            examined
                .findings
                .push(Finding::warning("params", place, help));
        }
    }
}

/// Does a stage's command call one of ours that reads `params.yaml`?
#[cfg(feature = "vision")]
fn is_vision(command: &str) -> bool {
    const COMMANDS: [&str; 6] = [
        "preprocess",
        "train",
        "evaluate",
        "drift",
        "serve",
        "summary",
    ];
    let mut words = command.split_whitespace();
    let program = |word: &str| word.rsplit('/').next() == Some("cvops");
    words.any(program)
        && words.clone().any(|word| COMMANDS.contains(&word))
        && !words.any(|word| word == "--params" || word.starts_with("--params="))
}

/// Reads every section; returns the port of the server.
#[cfg(feature = "vision")]
fn read(document: &Document) -> Result<u16, crate::base::Error> {
    use crate::base::doc::{KeyPath, Problems};
    use crate::detect::DriftParams;
    use crate::serve::Config;
    use crate::vision::evaluate::EvaluateParams;
    use crate::vision::model::ModelSpec;
    use crate::vision::params::PreprocessParams;
    use crate::vision::train::TrainParams;
    let problems = Problems::new(document);
    let root = problems.fields(KeyPath::root());
    let _ = PreprocessParams::read(root.section("preprocess"));
    let _ = ModelSpec::read(root.section("model"));
    let _ = TrainParams::read(root.section("train"));
    let _ = EvaluateParams::read(root.section("evaluate"));
    let _ = DriftParams::read(root.section("drift"));
    let serve = Config::read(root.section("serve"));
    problems.into_result(serve.port)
}

#[cfg(all(test, feature = "vision"))]
mod tests {
    use super::is_vision;

    #[test]
    fn commands_of_ours_are_known() {
        for (command, expected) in [
            ("cvops train --out m", true),
            ("cd x && ../target/release/cvops -q evaluate", true),
            ("cvops train --params other.yaml", false),
            ("python train.py", false),
            ("cvops metrics show", false),
            ("echo cvops", false),
        ] {
            assert_eq!(is_vision(command), expected, "{command}");
        }
    }
}
