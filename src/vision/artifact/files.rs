//! Which files a model is made of: finds out what lies at the place that a user names.
//!
//! Imports: `vision::error`, `base::doc`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::base::doc::{Document, Format, Value};
use crate::vision::Error;

use super::model::ModelArtifact;

/// How the name of a network in ONNX form ends.
const ONNX: &str = "onnx";
/// What MLflow says about a model that it saved.
const MLMODEL: &str = "MLmodel";
/// What keeps the weights of a large network, beside `NAME.onnx`: `NAME.onnx.data`, `NAME.onnx_data`,
/// `NAME.data`.
const OUTSIDE: [&str; 3] = [".onnx.data", ".onnx_data", ".data"];

/// The files of a model, by its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelFiles {
    /// A folder as `cvops train` writes it.
    Trained(PathBuf),
    /// A network from elsewhere: its ONNX file.
    Onnx(PathBuf),
}

impl ModelFiles {
    /// Finds the model at `path`: a folder that `cvops train` wrote, an ONNX file, or a folder with
    /// one, such as MLflow saves it.
    ///
    /// # Errors
    /// A folder holds several ONNX files, or a model of MLflow that has no ONNX form.
    pub fn find(path: &Path) -> Result<Self, Error> {
        if Self::is_onnx(path) {
            return Ok(Self::Onnx(path.to_owned()));
        }
        if ModelArtifact::look(path).is_ok() {
            return Ok(Self::Trained(path.to_owned()));
        }
        let mlmodel = path.join(MLMODEL);
        if mlmodel.is_file() {
            return saved_by_mlflow(path, &mlmodel);
        }
        let mut networks: Vec<PathBuf> = plain_files(path)
            .into_iter()
            .filter(|file| Self::is_onnx(file))
            .collect();
        match networks.len() {
            0 => Ok(Self::Trained(path.to_owned())),
            1 => Ok(Self::Onnx(networks.remove(0))),
            _ => Err(Error::SeveralNetworks {
                path: path.to_owned(),
                names: networks.iter().map(|file| name_of(file)).collect(),
            }),
        }
    }

    /// Is there a model at `path`, as far as file names tell? Returns the files on which it depends,
    /// or the one that is missing.
    pub fn look(path: &Path) -> Result<Vec<PathBuf>, PathBuf> {
        if Self::is_onnx(path) {
            let stem = path.file_stem().unwrap_or_default();
            let outside = OUTSIDE.map(|end| {
                let mut name = stem.to_owned();
                name.push(end);
                path.with_file_name(name)
            });
            let beside = outside.into_iter().chain([description_of(path)]);
            let files =
                std::iter::once(path.to_owned()).chain(beside.filter(|file| file.is_file()));
            return if path.is_file() {
                Ok(files.collect())
            } else {
                Err(path.to_owned())
            };
        }
        ModelArtifact::look(path).map(Vec::from).or_else(|missing| {
            let files = plain_files(path);
            let is_foreign = |file: &PathBuf| Self::is_onnx(file) || name_of(file) == MLMODEL;
            if files.iter().any(is_foreign) {
                Ok(files)
            } else {
                Err(missing)
            }
        })
    }

    /// Is `path`, by its name, an ONNX file, whether it is there or not?
    #[must_use]
    pub fn is_onnx(path: &Path) -> bool {
        let extension = path.extension().and_then(OsStr::to_str);
        extension.is_some_and(|extension| extension.eq_ignore_ascii_case(ONNX)) && !path.is_dir()
    }

    /// Returns the name under which the model at `path` is to be served, if its description says so.
    #[must_use]
    pub fn own_name(path: &Path) -> Option<String> {
        let Ok(Self::Onnx(network)) = Self::find(path) else {
            return None;
        };
        let file = description_of(&network);
        // One that cannot be read is told about when the model is loaded.
        let document = Document::read(&file, &file.display().to_string()).ok()?;
        let Value::Map(keys) = &document.root else {
            return None;
        };
        keys.get("name")?.as_str().map(str::to_owned)
    }
}

/// Returns where the description of the network in the ONNX file `path` is, if it has one.
#[must_use]
pub fn description_of(path: &Path) -> PathBuf {
    path.with_extension("yaml")
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Returns the files directly in a folder that are not hidden, sorted; none if it cannot be read.
fn plain_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| !name_of(path).starts_with('.') && path.is_file())
        .collect();
    files.sort();
    files
}

/// Reads which file of a folder of MLflow's is the network.
fn saved_by_mlflow(dir: &Path, mlmodel: &Path) -> Result<ModelFiles, Error> {
    let name = mlmodel.display().to_string();
    let text = std::fs::read_to_string(mlmodel).map_err(Error::io("read", mlmodel))?;
    let document = Document::parse(&name, text, Format::Yaml)?;
    let wrong = |problem: String| Error::NotAModel {
        path: mlmodel.to_owned(),
        problem,
    };
    let entry = |value: &Value, key: &str| match value {
        Value::Map(map) => map.get(key).cloned(),
        _ => None,
    };
    let Some(Value::Map(flavors)) = entry(&document.root, "flavors") else {
        return Err(wrong("it has no `flavors`".to_owned()));
    };
    let Some(onnx) = flavors.get("onnx") else {
        let known: Vec<&str> = flavors.keys().map(String::as_str).collect();
        return Err(Error::OtherFlavour {
            path: mlmodel.to_owned(),
            flavours: known.join(", "),
        });
    };
    let data = entry(onnx, "data");
    let Some(data) = data.as_ref().and_then(Value::as_str) else {
        return Err(wrong("`flavors.onnx.data` does not name a file".to_owned()));
    };
    let relative = Path::new(data);
    let is_inside = relative
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    if !is_inside || data.is_empty() {
        return Err(wrong(format!(
            "`flavors.onnx.data` is `{data}`, which is no path below its folder"
        )));
    }
    Ok(ModelFiles::Onnx(dir.join(relative)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write_atomic(&dir.path().join(name), text.as_bytes()).unwrap();
        }
        dir
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: Result<&str, &str>) {
        let dir = folder(files);
        let found = ModelFiles::find(dir.path());
        match (found, expected) {
            (Ok(ModelFiles::Onnx(found)), Ok(name)) => assert_eq!(found, dir.path().join(name)),
            (Ok(ModelFiles::Trained(found)), Ok("")) => assert_eq!(found, dir.path()),
            (Err(error), Err(part)) => {
                let text = error.to_string();
                assert!(text.contains(part), "{text}");
            }
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn what_lies_in_a_folder_says_which_model_it_is() {
        check(&[], Ok(""));
        check(&[("net.onnx", "")], Ok("net.onnx"));
        check(&[("net.ONNX", ""), ("net.yaml", "")], Ok("net.ONNX"));
        check(&[("net.onnx", ""), (".old.onnx", "")], Ok("net.onnx"));
        check(
            &[("a.onnx", ""), ("b.onnx", "")],
            Err("holds several ONNX files: `a.onnx`, `b.onnx`"),
        );
        check(
            &[
                ("model.json", ""),
                ("model.safetensors", ""),
                ("a.onnx", ""),
            ],
            Ok(""),
        );
    }

    #[test]
    fn mlflow_says_which_file_it_is() {
        let mlmodel = |text| [("MLmodel", text), ("a.onnx", ""), ("b.onnx", "")];
        check(
            &mlmodel("flavors: {onnx: {data: b.onnx}, python_function: {}}"),
            Ok("b.onnx"),
        );
        check(
            &mlmodel("flavors: {sklearn: {}, python_function: {}}"),
            Err("flavours sklearn, python_function"),
        );
        check(&mlmodel("run_id: 1"), Err("it has no `flavors`"));
        check(
            &mlmodel("flavors: {onnx: {data: ../b.onnx}}"),
            Err("no path below its folder"),
        );
        check(&mlmodel("flavors: {onnx: {}}"), Err("does not name a file"));
        check(&mlmodel("flavors: ["), Err("MLmodel"));
    }

    #[test]
    fn a_file_is_waited_for_under_its_own_name() {
        let dir = folder(&[]);
        let network = dir.path().join("net.onnx");
        assert_eq!(ModelFiles::look(&network), Err(network.clone()));
        let missing = ModelFiles::look(dir.path()).unwrap_err();
        assert_eq!(missing, dir.path().join("model.json"));
        for name in ["net.onnx", "net.yaml", "net.onnx.data", "other.yaml"] {
            fs::write_atomic(&dir.path().join(name), b"name: digits").unwrap();
        }
        let names = |files: Vec<PathBuf>| files.iter().map(|f| name_of(f)).collect::<Vec<_>>();
        let expected = ["net.onnx", "net.onnx.data", "net.yaml"];
        assert_eq!(names(ModelFiles::look(&network).unwrap()), expected);
        assert_eq!(ModelFiles::look(dir.path()).unwrap().len(), 4);
        assert_eq!(ModelFiles::own_name(&network).as_deref(), Some("digits"));
        assert_eq!(ModelFiles::own_name(dir.path()).as_deref(), Some("digits"));
    }
}
