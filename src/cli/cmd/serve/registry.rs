//! The registry as `cvops serve` sees it: which version a `models:/` address names now, and its files
//! in a folder. Imports: base, project, serve, track.
//!
//! Asked once a second, so the record stays open and the answer is a look into two indices. The files
//! of a version are put together from the cache in a folder of their own, which goes when the model is
//! in memory; what a crash leaves there has a temporary name, and `cvops gc` removes it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use crate::base::fs::{self, LinkKind};
use crate::project::Project;
use crate::serve::{Brought, Figures, Named, Registry, Target};
use crate::track::artifacts::{Artifacts, path_of_uri};
use crate::track::entity::ModelVersion;
use crate::track::overview::main_metrics;
use crate::track::{Error, Reader, Tracking};
use crate::vision::artifact::ModelFiles;

use super::figures::figures;

/// How the address of a registered model begins.
pub(super) const SCHEME: &str = "models:";
/// Files below this are in the record.
const ARTIFACTS: &str = "mlflow-artifacts:";
/// The file without which a folder is no model that `cvops train` wrote.
const MANIFEST: &str = "model.json";
/// A copy is made where the file system has no better link: a model is brought once per version.
const LINKS: [LinkKind; 3] = [LinkKind::Reflink, LinkKind::Hardlink, LinkKind::Copy];

/// The address of a registered model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelUri {
    name: String,
    which: Which,
}

/// Which of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    /// The one that has this alias.
    Alias(String),
    /// This one.
    Version(i64),
    /// The one with the highest number.
    Latest,
}

impl ModelUri {
    /// Returns the model's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for ModelUri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMS: &str = "a registered model is named `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `models:/NAME/latest`";
        let rest = text
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or(FORMS)?;
        let (name, which) = if let Some((name, alias)) = rest.rsplit_once('@') {
            (name, Which::Alias(alias.to_owned()))
        } else {
            let (name, version) = rest.rsplit_once('/').ok_or(FORMS)?;
            let which = match version.parse() {
                Ok(number) if 0 < number => Which::Version(number),
                _ if version.eq_ignore_ascii_case("latest") => Which::Latest,
                _ => return Err(format!("{FORMS}, and `{version}` is no version")),
            };
            (name, which)
        };
        let is_word = |word: &str| !word.is_empty() && !word.contains(['/', ':']);
        let is_alias = match &which {
            Which::Alias(alias) => is_word(alias),
            Which::Version(_) | Which::Latest => true,
        };
        if is_word(name) && is_alias && !text.chars().any(char::is_control) {
            let name = name.to_owned();
            Ok(Self { name, which })
        } else {
            Err(FORMS.to_owned())
        }
    }
}

impl fmt::Display for ModelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.which {
            Which::Alias(alias) => write!(f, "models:/{name}@{alias}"),
            Which::Version(version) => write!(f, "models:/{name}/{version}"),
            Which::Latest => write!(f, "models:/{name}/latest"),
        }
    }
}

/// A registered model of a project, followed.
pub(super) struct Followed {
    project: Project,
    uri: ModelUri,
    /// Kept open; `None` until there is a record.
    record: Mutex<Option<Tracking>>,
}

impl Followed {
    pub(super) fn new(project: Project, uri: ModelUri) -> Self {
        Self {
            project,
            uri,
            record: Mutex::default(),
        }
    }

    fn ask<T>(&self, question: impl FnOnce(&Reader<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if record.is_none() {
            *record = Tracking::open_existing(&self.project.layout)?;
        }
        match &*record {
            Some(record) => question(&record.reader()),
            None => Err(Error::missing("no run is recorded in this project")),
        }
    }

    /// Returns which version is meant: what an operator asks for goes before what the server was
    /// started with.
    fn which(&self, target: Option<&Target>) -> Result<Which, String> {
        Ok(match target {
            None => self.uri.which.clone(),
            Some(Target::Alias(alias)) => Which::Alias(alias.clone()),
            Some(Target::Version(version)) => {
                let number = version.parse().ok().filter(|number| 0 < *number);
                let wrong = || format!("`{version}` is no version: they are numbers from 1 on");
                Which::Version(number.ok_or_else(wrong)?)
            }
        })
    }

    fn version(&self, reader: &Reader<'_>, which: &Which) -> Result<ModelVersion, Error> {
        let name = &self.uri.name;
        match which {
            Which::Alias(alias) => reader.version_by_alias(name, alias),
            Which::Version(version) => reader.model_version(name, *version),
            Which::Latest => reader
                .latest_versions(name, &[])?
                .into_iter()
                .max_by_key(|version| version.version)
                .ok_or_else(|| Error::missing(format!("`{name}` has no version"))),
        }
    }

    /// Puts the files below `path` of the record into a folder.
    fn place(&self, path: &str) -> Result<Brought, String> {
        let artifacts = Artifacts::open(&self.project);
        let files = self.ask(|reader| {
            let mut files = Vec::new();
            for entry in artifacts.list(reader, path)? {
                if !entry.is_dir
                    && let Some(file) = artifacts.find(reader, &format!("{path}/{}", entry.name))?
                {
                    files.push((entry.name, artifacts.path_of(&file.object)));
                }
            }
            Ok(files)
        });
        let files = files.map_err(|error| error.to_string())?;
        let is_model = |name: &str| name == MANIFEST || ModelFiles::is_onnx(Path::new(name));
        if !files.iter().any(|(name, _)| is_model(name)) {
            return Err(format!(
                "there is no `{MANIFEST}` and no ONNX file below `{ARTIFACTS}/{path}`: it is no model that can be served"
            ));
        }
        let failed = |doing: &str, path: &Path, error: &std::io::Error| {
            format!("{doing} `{}`: {error}", path.display())
        };
        let above = self.project.layout.tmp();
        let kept = Folder(fs::temp_path(&above));
        fs::create_dir_all(&kept.0).map_err(|e| failed("create folder", &kept.0, &e))?;
        for (name, from) in files {
            fs::place(&from, &kept.0.join(&name), &LINKS).map_err(|error| {
                if error.kind() == std::io::ErrorKind::NotFound {
                    format!("`{name}` is not in the cache: `cvops fetch` may bring it")
                } else {
                    failed("read", &from, &error)
                }
            })?;
        }
        Ok(Brought {
            dir: kept.0.clone(),
            kept: Box::new(kept),
            scores: Vec::new(),
        })
    }

    /// Returns what the run of a version says of how well it did. A model is served without, too.
    fn scores(&self, run: &str) -> Figures {
        let run = match self.ask(|reader| reader.find(run)) {
            Ok(run) => run,
            Err(error) => {
                tracing::debug!(run, %error, "the metrics of a version are not known");
                return Vec::new();
            }
        };
        let keys = main_metrics(std::slice::from_ref(&run), usize::MAX).into_iter();
        let numbers = keys.filter_map(|key| {
            let value = run.metric(&key)?;
            Some((key, value))
        });
        figures(numbers.collect())
    }
}

impl Registry for Followed {
    fn named(&self, target: Option<&Target>) -> Result<Named, String> {
        let which = self.which(target)?;
        let uri = ModelUri {
            name: self.uri.name.clone(),
            which,
        };
        let version = self
            .ask(|reader| self.version(reader, &uri.which))
            .map_err(|error| match error {
                Error::Refused { .. } if self.project.config.tracking_uri.is_some() => format!(
                    "the registry of this project has no `{uri}`, and that of `tracking.uri` is not asked"
                ),
                Error::Refused { .. } => format!("the registry has no `{uri}`"),
                error => error.to_string(),
            })?;
        Ok(Named {
            version: version.version.to_string(),
            alias: match uri.which {
                Which::Alias(alias) => Some(alias),
                Which::Version(_) | Which::Latest => None,
            },
            run_id: version.run,
        })
    }

    fn bring(&self, named: &Named) -> Result<Brought, String> {
        let number = named.version.parse().unwrap_or_default();
        let version = self
            .ask(|reader| reader.model_version(&self.uri.name, number))
            .map_err(|error| error.to_string())?;
        let brought = match location(&version.storage, &self.project.root)? {
            Location::Record(path) => self.place(&path)?,
            Location::Folder(dir) => Brought {
                dir,
                kept: Box::new(()),
                scores: Vec::new(),
            },
        };
        let scores = version.run.as_deref().map(|run| self.scores(run));
        Ok(Brought {
            scores: scores.unwrap_or_default(),
            ..brought
        })
    }
}

/// Where the files of a version are.
#[derive(Debug, PartialEq, Eq)]
enum Location {
    /// Below this path of the record.
    Record(String),
    /// In this folder.
    Folder(PathBuf),
}

fn location(storage: &str, root: &Path) -> Result<Location, String> {
    if let Some(path) = path_of_uri(storage) {
        return Ok(Location::Record(path.to_owned()));
    }
    let path = storage.strip_prefix("file://").unwrap_or(storage);
    if path.contains("://") {
        return Err(format!(
            "its files are at `{storage}`, and only what is in the record or in a folder is served"
        ));
    }
    Ok(Location::Folder(root.join(path)))
}

/// A folder of links, which goes with this value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "a folder of links stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_registered_models() {
        let of = |text: &str| text.parse::<ModelUri>().map(|uri| (uri.name, uri.which));
        let named = |name: &str, which| Ok((name.to_owned(), which));
        let alias = Which::Alias("champion".to_owned());
        assert_eq!(of("models:/digits@champion"), named("digits", alias));
        assert_eq!(of("models:/digits/12"), named("digits", Which::Version(12)));
        assert_eq!(
            of("models:/my digits/Latest"),
            named("my digits", Which::Latest)
        );
        for text in [
            "models:digits/1",
            "models:/digits",
            "models:/digits@",
            "models:/@champion",
            "models:/digits/",
            "models:/digits/0",
            "models:/digits/newest",
            "models:/a/b/1",
            "models:/digits@a/b",
        ] {
            let problem = of(text).unwrap_err();
            assert!(problem.contains("models:/NAME@ALIAS"), "{text}: {problem}");
        }
    }

    #[test]
    fn files_are_in_the_record_or_in_a_folder() {
        let root = Path::new("/p");
        let record = |path: &str| Ok(Location::Record(path.to_owned()));
        let folder = |path: &str| Ok(Location::Folder(PathBuf::from(path)));
        assert_eq!(
            location("mlflow-artifacts:/0/a/artifacts/m", root),
            record("0/a/artifacts/m")
        );
        assert_eq!(
            location("mlflow-artifacts://host:5000/0/a", root),
            record("0/a")
        );
        assert_eq!(location("file:///models/a", root), folder("/models/a"));
        assert_eq!(location("models/a", root), folder("/p/models/a"));
        assert!(location("s3://bucket/a", root).is_err());
    }
}
