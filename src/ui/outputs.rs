//! The outputs that a page shows: those of the workspace, or those that a run left in the cache. A
//! page of an old run looks the same however far the workspace has moved on.
//! Imports: base, mlflow (the words of a refusal), pipeline, project, store, track.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::SystemTime;

use crate::base::{ArtifactPath, Diagnostic, ObjectId, ToDiagnostics};
use crate::mlflow::{Code, Refused};
use crate::pipeline::index::Index;
use crate::pipeline::{self, lock_files};
use crate::project::Project;
use crate::store::Presence;
use crate::track::artifacts::{Artifacts, FileRecord, OutputRecord, path_of_uri};
use crate::track::{self, RunId, Shared};

use super::asked::Asked;
use super::site::Site;

/// One output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ui) struct Output {
    /// Relative to the project.
    pub(in crate::ui) path: String,
    /// The stage that writes it, in the workspace.
    pub(in crate::ui) stage: Option<String>,
    /// What a repro recorded of it last.
    pub(in crate::ui) object: Option<ObjectId>,
}

/// A run that outputs are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ui) struct OfRun {
    /// Its id.
    pub(in crate::ui) id: RunId,
    /// Its name.
    pub(in crate::ui) name: String,
}

/// Outputs, and how their files are opened.
#[derive(Debug)]
pub(in crate::ui) struct Outputs {
    files: Files,
    /// The run they are of; `None`: the workspace.
    pub(in crate::ui) run: Option<OfRun>,
    /// Sorted by path.
    pub(in crate::ui) all: Vec<Output>,
    /// What of the pipeline could not be read.
    pub(in crate::ui) warnings: Vec<Diagnostic>,
}

#[derive(Debug)]
enum Files {
    /// Below this folder.
    Workspace(PathBuf),
    /// Those of a run.
    Run(Box<Kept>),
}

#[derive(Debug)]
struct Kept {
    shared: Shared,
    artifacts: Artifacts,
    /// The folder of the run's artifacts; `None`: they are elsewhere.
    root: Option<String>,
}

impl Outputs {
    /// Returns the outputs of the run with the id `run`, of the workspace if it is `None`.
    ///
    /// # Errors
    /// There is no such run, or the record or the project cannot be read.
    pub(in crate::ui) fn of(
        site: &Site,
        asked: &Asked,
        run: Option<&str>,
    ) -> Result<Self, Refused> {
        let Some(text) = run else {
            return Ok(Self::of_workspace(&site.project));
        };
        let id: RunId = text
            .parse()
            .map_err(|e: track::run::ParseRunIdError| Refused::missing(e.to_string()))?;
        Self::of_run(&asked.shared, &asked.artifacts, id)
    }

    /// As `of`, to open files only: what the pipeline says of the workspace is not read.
    ///
    /// # Errors
    /// There is no such run, or the record cannot be read.
    pub(in crate::ui) fn files_of(
        site: &Site,
        asked: &Asked,
        run: Option<&str>,
    ) -> Result<Self, Refused> {
        if run.is_some() {
            return Self::of(site, asked, run);
        }
        Ok(Self {
            files: Files::Workspace(site.project.root.clone()),
            run: None,
            all: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// Returns the outputs of the pipeline files in the workspace.
    fn of_workspace(project: &Project) -> Self {
        let read = || {
            let (graph, warnings) = Index::load(project)?.sound_graph()?;
            // A lock that is broken costs the hashes, not the page.
            let lock = lock_files::read(project, &graph).unwrap_or_default();
            let mut all = Vec::new();
            for stage in graph.stages() {
                for path in stage.outs.keys() {
                    let entry = lock.stages.get(&stage.name);
                    let presence = entry.and_then(|entry| entry.outs.get(path));
                    all.push(Output {
                        path: path.as_str().to_owned(),
                        stage: Some(stage.name.as_str().to_owned()),
                        object: presence.and_then(Presence::object),
                    });
                }
            }
            all.sort_by(|a, b| a.path.cmp(&b.path));
            Ok((all, warnings))
        };
        // What cannot be read is said on the page.
        let (all, warnings) =
            read().unwrap_or_else(|error: pipeline::Error| (Vec::new(), error.to_diagnostics()));
        Self {
            files: Files::Workspace(project.root.clone()),
            run: None,
            all,
            warnings,
        }
    }

    fn of_run(shared: &Shared, artifacts: &Artifacts, run: RunId) -> Result<Self, Refused> {
        let (info, records) = shared.read(|reader| {
            let info = reader.run_info(run)?;
            Ok((info, reader.outputs(run)?))
        })?;
        let output = |record: OutputRecord| Output {
            path: record.path,
            stage: None,
            object: Some(record.object),
        };
        Ok(Self {
            all: records.into_iter().map(output).collect(),
            run: Some(OfRun {
                id: run,
                name: info.name.clone(),
            }),
            files: Files::Run(Box::new(Kept {
                shared: shared.clone(),
                artifacts: artifacts.clone(),
                root: path_of_uri(&info.artifact_uri).map(str::to_owned),
            })),
            warnings: Vec::new(),
        })
    }

    /// Opens the file `path`; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or the cache or the record cannot.
    pub(in crate::ui) fn open(&self, path: &str) -> io::Result<Option<File>> {
        let Ok(path) = path.parse::<ArtifactPath>() else {
            return Ok(None);
        };
        match &self.files {
            Files::Workspace(root) => match File::open(path.under(root)) {
                Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
                Err(e) if is_absent(&e) => Ok(None),
                Err(e) => Err(e),
            },
            Files::Run(kept) => kept.open(path.as_str()),
        }
    }

    /// Reads the file `path`; `None` if there is none.
    ///
    /// # Errors
    /// As `open`, or it has more than `bytes_max` bytes.
    pub(in crate::ui) fn read(&self, path: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes)?;
        if bytes_max < bytes.len() as u64 {
            let problem = format!("it has more than {} MiB", bytes_max >> 20);
            return Err(io::Error::other(problem));
        }
        Ok(Some(bytes))
    }

    /// Returns a text that changes when the file `path` changes; `None` if there is no such file.
    pub(in crate::ui) fn identity(&self, path: &str) -> Option<String> {
        match &self.files {
            Files::Workspace(root) => {
                let path = path.parse::<ArtifactPath>().ok()?;
                let metadata = std::fs::metadata(path.under(root)).ok()?;
                let since = metadata
                    .modified()
                    .ok()?
                    .duration_since(SystemTime::UNIX_EPOCH);
                let nanos = since.map_or(0, |since| since.as_nanos());
                Some(format!("{path} {} {nanos}", metadata.len()))
            }
            Files::Run(kept) => {
                let found = kept.find(path).ok()??;
                Some(found.object.to_string())
            }
        }
    }

    /// Returns how the outputs are called: the name of the run, or `workspace`.
    pub(in crate::ui) fn title(&self) -> &str {
        self.run.as_ref().map_or("workspace", |run| &run.name)
    }

    /// Returns the pair of a query that names the run, for links.
    pub(in crate::ui) fn run_id(&self) -> Option<String> {
        self.run.as_ref().map(|run| run.id.to_string())
    }

    /// Returns the output folders that hold a file `name`.
    pub(in crate::ui) fn folders_with(&self, name: &str) -> Vec<&Output> {
        let holds = |output: &&Output| self.identity(&format!("{}/{name}", output.path)).is_some();
        self.all.iter().filter(holds).collect()
    }
}

impl Kept {
    fn find(&self, path: &str) -> Result<Option<FileRecord>, track::Error> {
        let Some(root) = &self.root else {
            return Ok(None);
        };
        let path = format!("{root}/{path}");
        self.shared
            .read(|reader| self.artifacts.find(reader, &path))
    }

    fn open(&self, path: &str) -> io::Result<Option<File>> {
        let found = self.find(path).map_err(io::Error::other)?;
        let opened = found.map(|file| self.artifacts.open_file(&file));
        Ok(opened.transpose().map_err(io::Error::other)?.flatten())
    }
}

/// Says that the file `path` is not what it should be.
pub(in crate::ui) fn unusable(path: &str, problem: &dyn std::fmt::Display) -> Refused {
    Refused::new(
        Code::InvalidParameterValue,
        format!("`{path}` cannot be shown: {problem}"),
    )
}

/// Is nothing there, or something else than the folder that a path needs?
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
