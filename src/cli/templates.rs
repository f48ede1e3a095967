//! The files that `cvops init --template` writes, filled in. Imports: project, vision.

use crate::project::PARAMS_FILE;
use crate::vision::dataset::Starter;

const PIPELINE: &str = include_str!("templates/pipeline.yaml");
const PARAMS: &str = include_str!("templates/params.yaml");

/// The repository's own, so that what is checked there is what users get.
macro_rules! own {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../", $name)))),*]
    };
}

const MONITORING: [(&str, &str); 7] = own![
    "docker-compose.yml",
    "deploy/prometheus/prometheus.yml",
    "deploy/prometheus/rules/cvops.rules.yml",
    "deploy/prometheus/rules/cvops_test.yml",
    "deploy/grafana/provisioning/datasources/prometheus.yml",
    "deploy/grafana/provisioning/dashboards/cvops.yml",
    "deploy/grafana/dashboards/cvops-serving.json",
];

/// A project has no source of cvops to build the image from.
const BUILD: &str = "  build:\n    context: .\n    dockerfile: deploy/Dockerfile\n";

/// A file to write: its name within the project, and its text.
pub(super) type File = (&'static str, String);

/// Returns the files of a project that reads its pictures from `data`, all of which lies in `folder`
/// (both relative, `/`-separated, without control characters).
pub(super) fn vision(data: &str, folder: &str, starter: &Starter) -> [File; 2] {
    [
        ("pipeline.yaml", pipeline(data, folder)),
        (PARAMS_FILE, params(starter)),
    ]
}

/// Returns the containers of server, Prometheus and Grafana, with all that they read.
pub(super) fn monitoring() -> Vec<File> {
    let text = |text: &str| text.replace(BUILD, "").replace(" up --build", " up");
    MONITORING
        .iter()
        .map(|(name, content)| (*name, text(content)))
        .collect()
}

fn pipeline(data: &str, folder: &str) -> String {
    // Prepared data inside the pictures' folder would be its own input.
    let prepared = if folder == "data" {
        "prepared"
    } else {
        "data/prepared"
    };
    let is_plain = |path: &str| {
        path.chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
    };
    // The command is a folded block, which takes the shell's quotes as they are; JSON strings are YAML.
    let shell = if is_plain(data) {
        data.to_owned()
    } else {
        format!("'{}'", data.replace('\'', r"'\''"))
    };
    let yaml = if is_plain(folder) {
        folder.to_owned()
    } else {
        serde_json::Value::from(folder).to_string()
    };
    PIPELINE
        .replace("@PREPARED@", prepared)
        .replace("@DATA_SHELL@", &shell)
        .replace("@DATA_YAML@", &yaml)
}

fn params(starter: &Starter) -> String {
    let share = |key: &str, value: Option<f64>, what: &str| match value {
        Some(value) => format!("  {:<19} # {what}\n", format!("{key}: {value}")),
        None => String::new(),
    };
    let split = share(
        "val",
        starter.val,
        "share of the training pictures kept for validation",
    ) + &share("test", starter.test, "share kept for the final test");
    PARAMS
        .replace("@SPLIT@", &split)
        .replace("@EPOCHS@", &starter.epochs.to_string())
        .replace("@BATCH_SIZE@", &starter.batch_size.to_string())
        .replace("@TOP_K@", &starter.top_k.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::{Document, Format, KeyPath, Problems};
    use crate::vision::evaluate::EvaluateParams;
    use crate::vision::model::ModelSpec;
    use crate::vision::params::PreprocessParams;
    use crate::vision::train::TrainParams;

    #[test]
    fn every_reader_accepts_the_parameters() {
        let starter = Starter::unseen();
        let document = Document::parse("params.yaml", params(&starter), Format::Yaml).unwrap();
        let problems = Problems::new(&document);
        let section = |name: &'static str| problems.fields(KeyPath::root()).section(name);
        let preprocess = PreprocessParams::read(section("preprocess"));
        let _ = ModelSpec::read(section("model"));
        let train = TrainParams::read(section("train"));
        let evaluate = EvaluateParams::read(section("evaluate"));
        let serve = crate::serve::Config::read(section("serve"));
        problems.into_result(()).unwrap();
        assert_eq!(serve.port, 5001);
        assert_eq!((preprocess.val, preprocess.test), (0.1, 0.2));
        assert_eq!((train.batch_size, evaluate.top_k), (64, 3));
    }

    #[test]
    fn containers_of_a_project_are_not_built_from_source() {
        let [compose, ..] = &monitoring()[..] else {
            panic!("no files");
        };
        assert_eq!(compose.0, "docker-compose.yml");
        assert!(!compose.1.contains("build"), "{}", compose.1);
        assert!(compose.1.contains("image: cvops:local"));
    }
}
