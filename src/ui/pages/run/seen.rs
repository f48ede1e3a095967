//! What is read of a run for any of its pages. Imports: track, `ui::asked`.

use crate::mlflow::Refused;
use crate::track::artifacts::{Entry, FileRecord, check_path, path_of_uri};
use crate::track::db::RunDetail;
use crate::track::entity::{Lifecycle, RunRecord};
use crate::track::{Artifacts, Reader, RunId, Status};
use crate::ui::asked::Asked;

/// A run as its pages see it.
#[derive(Clone, Debug)]
pub(in crate::ui::pages) struct Seen {
    pub(in crate::ui::pages) record: RunRecord,
    pub(in crate::ui::pages) detail: RunDetail,
    /// The name of its experiment.
    pub(in crate::ui::pages) experiment: String,
}

/// Returns the run that the path names.
///
/// # Errors
/// It is no run id.
pub(super) fn run_of(asked: &Asked) -> Result<RunId, Refused> {
    id_of(asked.param(0))
}

/// Reads a run id.
///
/// # Errors
/// It is none: no run has it.
pub(super) fn id_of(text: &str) -> Result<RunId, Refused> {
    let short: String = text.chars().take(80).collect();
    text.parse()
        .map_err(|_| Refused::missing(format!("there is no run `{short}`: an id has 32 digits")))
}

impl Seen {
    /// Reads the run that the path names.
    ///
    /// # Errors
    /// There is none.
    pub(in crate::ui::pages) fn of(asked: &Asked) -> Result<Self, Refused> {
        let id = run_of(asked)?;
        Ok(asked.shared.read(|reader| Self::read(reader, id))?)
    }

    /// Reads a run.
    ///
    /// # Errors
    /// There is none.
    pub(in crate::ui::pages) fn read(
        reader: &Reader<'_>,
        id: RunId,
    ) -> Result<Self, crate::track::Error> {
        let record = reader.record(id)?;
        Ok(Self {
            experiment: reader.experiment(record.info.experiment)?.name,
            detail: reader.run_detail(id)?,
            record,
        })
    }

    pub(in crate::ui::pages) fn id(&self) -> RunId {
        self.record.info.id
    }

    /// Returns the address of the run's page.
    pub(in crate::ui::pages) fn href(&self) -> String {
        format!("/runs/{}", self.id())
    }

    pub(super) fn goes_on(&self) -> bool {
        self.record.info.status == Status::Running && !self.is_deleted()
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.record.info.lifecycle == Lifecycle::Deleted
    }

    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        let mut tags = self.record.tags.iter();
        tags.find(|tag| tag.key == key)
            .map(|tag| tag.value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Returns where its artifacts are among those that are kept here, `None` if they are elsewhere.
    pub(in crate::ui::pages) fn root(&self) -> Option<&str> {
        path_of_uri(&self.record.info.artifact_uri)
    }

    /// Returns what is in a folder of its artifacts.
    ///
    /// # Errors
    /// The path is none, or the record cannot be read.
    pub(super) fn list(
        &self,
        reader: &Reader<'_>,
        artifacts: &Artifacts,
        folder: &str,
    ) -> Result<Vec<Entry>, crate::track::Error> {
        match self.root() {
            Some(root) => artifacts.list(reader, &join(root, folder)),
            None => Ok(Vec::new()),
        }
    }

    /// Returns a file of its artifacts.
    ///
    /// # Errors
    /// The path is none, or the record cannot be read.
    pub(super) fn file(
        &self,
        reader: &Reader<'_>,
        artifacts: &Artifacts,
        path: &str,
    ) -> Result<Option<FileRecord>, crate::track::Error> {
        check_path(path)?;
        match self.root() {
            Some(root) => artifacts.find(reader, &join(root, path)),
            None => Ok(None),
        }
    }
}

/// Puts a folder and a path in it together; either may be empty.
pub(in crate::ui::pages) fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}
