//! Puts what a store holds into the record and the cache. Imports: base, store, db, and the types of
//! this folder.
//!
//! Things are written in groups: first the files of all runs of a group into the cache, one sync for
//! all, then the group in one transaction. A kill leaves whole runs and objects that nobody names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::base::cancel::Cancel;
use crate::base::clock::Timestamp;
use crate::base::{ObjectId, fs};
use crate::store::{self, Cache};
use crate::track::db::{self, Put, Tracking};
use crate::track::entity::Lifecycle;
use crate::track::error::Error;

use super::{
    Broken, Found, ImportedExperiment, ImportedFile, ImportedModel, ImportedRegistered,
    ImportedRun, Item, Place, jsonl, mlruns, place,
};

/// Runs and models that one transaction takes at most.
const GROUP_MAX: usize = 64;
/// Points of metrics after which a group is written.
const POINTS_MAX: usize = 100_000;

/// Does an import write, or only say what it would?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It writes.
    Write,
    /// It counts.
    Dry,
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// New experiments.
    pub experiments: usize,
    /// New runs.
    pub runs: usize,
    /// Runs that were there already.
    pub known_runs: usize,
    /// New logged models.
    pub models: usize,
    /// Logged models that were there already.
    pub known_models: usize,
    /// New versions of registered models.
    pub versions: usize,
    /// Versions that were there already.
    pub known_versions: usize,
    /// Artifacts put into the cache.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Where artifacts should have been that are not here.
    pub missing: Vec<String>,
    /// Runs and models whose artifacts are on a server or in a bucket, and stay there.
    pub elsewhere: usize,
    /// Objects that lines name and the cache does not have.
    pub absent: usize,
    /// What could not be imported.
    pub broken: Vec<Broken>,
}

/// An import under way.
pub struct Import<'a> {
    tracking: &'a mut Tracking,
    cache: &'a Cache,
    cancel: &'a Cancel,
    mode: Mode,
    /// The experiment that all runs go to.
    experiment: Option<String>,
    /// How experiments of the store are there.
    theirs: BTreeMap<String, Lifecycle>,
    /// Experiments that are deleted here, to which nothing is added.
    closed: BTreeSet<String>,
    /// Experiments that a dry import would make.
    planned: BTreeSet<String>,
    /// Whose artifacts a place holds: by URI, the id of a run or model.
    homes: BTreeMap<String, String>,
    group: Vec<Ready>,
    points: usize,
    imported: Imported,
}

enum Ready {
    Experiment(ImportedExperiment),
    Run(Box<ImportedRun>),
    Model(Box<ImportedModel>),
}

impl<'a> Import<'a> {
    /// Begins an import; with `experiment` all runs go there.
    #[must_use]
    pub fn new(
        tracking: &'a mut Tracking,
        cache: &'a Cache,
        cancel: &'a Cancel,
        mode: Mode,
        experiment: Option<&str>,
    ) -> Self {
        Self {
            tracking,
            cache,
            cancel,
            mode,
            experiment: experiment.map(str::to_owned),
            theirs: BTreeMap::new(),
            closed: BTreeSet::new(),
            planned: BTreeSet::new(),
            homes: BTreeMap::new(),
            group: Vec::new(),
            points: 0,
            imported: Imported::default(),
        }
    }

    /// Imports all of a store: a folder of MLflow, a database of MLflow, or a file of ours.
    ///
    /// # Errors
    /// It is none of these or cannot be read, the record or the cache cannot be written, or the
    /// caller cancelled.
    pub fn run(mut self, path: &Path) -> Result<Imported, Error> {
        let take = &mut |item| self.take(item);
        if path.is_dir() {
            let inside = path.join("mlruns");
            let is_inside = !mlruns::is_store(path) && mlruns::is_store(&inside);
            let store = if is_inside { &inside } else { path };
            if !mlruns::is_store(store) {
                return Err(Error::invalid(format!(
                    "`{}` is no store of MLflow: no folder in it has a `meta.yaml`",
                    path.display()
                )));
            }
            mlruns::read(store, take)?;
        } else if db::is_sqlite(path) {
            db::read_mlflow(path, take)?;
        } else {
            jsonl::read(path, take)?;
        }
        self.flush()?;
        Ok(self.imported)
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.cancel.is_requested() {
            return Err(store::Error::Cancelled.into());
        }
        Ok(())
    }

    fn take(&mut self, item: Item) -> Result<(), Error> {
        self.go_on()?;
        match item {
            Item::Experiment(experiment) => self.take_experiment(experiment)?,
            Item::Run(run, place) => self.take_run(run, &place)?,
            Item::Model(model, place) => self.take_model(model, &place)?,
            Item::Registered(model) => self.take_registered(*model)?,
            Item::Broken(broken) => self.imported.broken.push(broken),
        }
        if GROUP_MAX <= self.group.len() || POINTS_MAX <= self.points {
            self.flush()?;
        }
        Ok(())
    }

    fn take_experiment(&mut self, experiment: ImportedExperiment) -> Result<(), Error> {
        self.theirs
            .insert(experiment.name.clone(), experiment.lifecycle);
        if self.experiment.is_some() {
            return Ok(());
        }
        if self.mode == Mode::Dry {
            return self.plan(&experiment.name);
        }
        self.group.push(Ready::Experiment(experiment));
        Ok(())
    }

    /// Notes that an experiment would be made, if there is none of the name.
    fn plan(&mut self, name: &str) -> Result<(), Error> {
        let here = self.tracking.reader().lifecycle_of_experiment(name)?;
        if here.is_none() && self.planned.insert(name.to_owned()) {
            self.imported.experiments += 1;
        }
        Ok(())
    }

    /// Finds out where something of an experiment goes; nothing: it cannot.
    fn target(&mut self, theirs: &str, lifecycle: Lifecycle) -> Result<Option<String>, Error> {
        let name = self.experiment.clone().unwrap_or_else(|| theirs.to_owned());
        if lifecycle == Lifecycle::Deleted {
            return Ok(Some(name));
        }
        if self.closed.contains(&name) {
            return Ok(None);
        }
        let here = self.tracking.reader().lifecycle_of_experiment(&name)?;
        if here == Some(Lifecycle::Deleted) {
            self.imported.broken.push(Broken::new(
                format!("experiment `{name}`"),
                "it is deleted here, so its runs were left out: restore it, or name another one with `--experiment`",
            ));
            self.closed.insert(name);
            return Ok(None);
        }
        Ok(Some(name))
    }

    /// What is in a deleted experiment is deleted, whatever an old store says of it.
    fn in_deleted(&self, experiment: &str) -> bool {
        self.theirs.get(experiment) == Some(&Lifecycle::Deleted)
    }

    fn take_run(&mut self, mut run: Box<ImportedRun>, place: &Place) -> Result<(), Error> {
        let id = run.id.to_string();
        self.remember(place, &id);
        if self.tracking.reader().has_run(&id)? {
            self.imported.known_runs += 1;
            return Ok(());
        }
        if let Some(ms) = times(&run).find(|ms| !is_time(*ms)) {
            self.refuse_time(&format!("run `{id}`"), ms);
            return Ok(());
        }
        if self.in_deleted(&run.experiment) {
            run.lifecycle = Lifecycle::Deleted;
        }
        let Some(experiment) = self.target(&run.experiment, run.lifecycle)? else {
            return Ok(());
        };
        run.experiment = experiment;
        let outputs = run.artifacts.iter().map(|artifact| artifact.object);
        let outputs: Vec<ObjectId> = outputs.collect();
        self.count_absent(outputs.into_iter());
        if place.found == Found::Elsewhere {
            run.elsewhere = Some(place.uri.clone());
        }
        run.files = self.take_files(place, std::mem::take(&mut run.files))?;
        if self.mode == Mode::Dry {
            self.imported.runs += 1;
            return self.plan(&run.experiment);
        }
        self.points += run.metrics.iter().map(|m| m.points.len()).sum::<usize>();
        self.group.push(Ready::Run(run));
        Ok(())
    }

    fn take_model(&mut self, mut model: Box<ImportedModel>, place: &Place) -> Result<(), Error> {
        let id = model.model.id.clone();
        // It becomes part of a path.
        let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if id.is_empty() || !id.bytes().all(is_word) {
            let what = format!("logged model `{id}`");
            let broken = Broken::new(what, "its id is none of MLflow's");
            self.imported.broken.push(broken);
            return Ok(());
        }
        self.remember(place, &id);
        if self.tracking.reader().has_logged_model(&id)? {
            self.imported.known_models += 1;
            return Ok(());
        }
        if self.in_deleted(&model.experiment) {
            model.lifecycle = Lifecycle::Deleted;
        }
        let Some(experiment) = self.target(&model.experiment, model.lifecycle)? else {
            return Ok(());
        };
        model.experiment = experiment;
        model.model.artifact_uri = match place.found {
            Found::Elsewhere => place.uri.clone(),
            _ => String::new(),
        };
        model.files = self.take_files(place, std::mem::take(&mut model.files))?;
        if self.mode == Mode::Dry {
            self.imported.models += 1;
            return self.plan(&model.experiment);
        }
        self.group.push(Ready::Model(model));
        Ok(())
    }

    /// With such a time in it, the record could not be read any more.
    fn refuse_time(&mut self, what: &str, ms: i64) {
        let problem = format!("{ms} is no time in milliseconds since 1970");
        self.imported.broken.push(Broken::new(what, problem));
    }

    fn remember(&mut self, place: &Place, owner: &str) {
        if !place.uri.is_empty() {
            self.homes
                .insert(place::normal(&place.uri), owner.to_owned());
        }
    }

    /// Puts artifacts into the cache; `listed` are those that are there by their hashes.
    fn take_files(
        &mut self,
        place: &Place,
        listed: Vec<ImportedFile>,
    ) -> Result<Vec<ImportedFile>, Error> {
        let folder = match &place.found {
            Found::Folder(folder) => folder,
            Found::Listed => {
                self.count_absent(listed.iter().map(|file| file.object));
                return Ok(listed);
            }
            Found::Empty => return Ok(Vec::new()),
            Found::Missing => {
                self.imported.missing.push(place.uri.clone());
                return Ok(Vec::new());
            }
            Found::Elsewhere => {
                self.imported.elsewhere += 1;
                return Ok(Vec::new());
            }
        };
        let entries = match fs::walk(folder, &|_, _| true) {
            Ok(entries) => entries,
            Err((path, error)) => {
                let broken = Broken::new(format!("`{}`", path.display()), error.to_string());
                self.imported.broken.push(broken);
                return Ok(Vec::new());
            }
        };
        let mut files = Vec::with_capacity(entries.len());
        for entry in entries {
            self.go_on()?;
            let size = entry.metadata.len();
            if self.mode == Mode::Write {
                let path = folder.join(&entry.relative);
                let readable = std::fs::File::open(&path);
                if let Err(error) = readable {
                    let broken = Broken::new(format!("`{}`", path.display()), error.to_string());
                    self.imported.broken.push(broken);
                    continue;
                }
                if !place::is_inside(&path, folder) {
                    let problem = "it is a link that leads out of the artifacts";
                    let broken = Broken::new(format!("`{}`", path.display()), problem);
                    self.imported.broken.push(broken);
                    continue;
                }
                let modified = entry.metadata.modified().ok();
                let modified = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                files.push(ImportedFile {
                    path: entry.relative,
                    object: ObjectId::File(self.cache.insert_file(&path)?),
                    size,
                    modified_ms: modified
                        .and_then(|at| i64::try_from(at.as_millis()).ok())
                        .unwrap_or(0),
                });
            }
            self.imported.files += 1;
            self.imported.bytes += size;
        }
        Ok(files)
    }

    fn count_absent(&mut self, objects: impl Iterator<Item = ObjectId>) {
        let here = |object: &ObjectId| self.cache.object_path(object).is_file();
        self.imported.absent += objects.filter(|object| !here(object)).count();
    }

    /// Writes the group down.
    fn flush(&mut self) -> Result<(), Error> {
        self.points = 0;
        let group = std::mem::take(&mut self.group);
        if group.is_empty() {
            return Ok(());
        }
        self.cache.make_durable()?;
        let imported = &mut self.imported;
        let counts = self.tracking.change(|writing| {
            let mut counts = Imported::default();
            for ready in &group {
                let (put, new, known) = match ready {
                    Ready::Experiment(experiment) => {
                        let put = writing.import_experiment(experiment)?;
                        (put, &mut counts.experiments, None)
                    }
                    Ready::Run(run) => {
                        let here = writing.lifecycle_of_experiment(&run.experiment)?;
                        counts.experiments += usize::from(here.is_none());
                        let put = writing.import_run(run)?;
                        (put, &mut counts.runs, Some(&mut counts.known_runs))
                    }
                    Ready::Model(model) => {
                        let put = writing.import_logged_model(model)?;
                        (put, &mut counts.models, Some(&mut counts.known_models))
                    }
                };
                match (put, known) {
                    (Put::New, _) => *new += 1,
                    (Put::Known, Some(known)) => *known += 1,
                    (Put::Known, None) => {}
                }
            }
            Ok(counts)
        })?;
        imported.experiments += counts.experiments;
        imported.runs += counts.runs;
        imported.known_runs += counts.known_runs;
        imported.models += counts.models;
        imported.known_models += counts.known_models;
        Ok(())
    }

    fn take_registered(&mut self, mut model: ImportedRegistered) -> Result<(), Error> {
        self.flush()?;
        for version in &mut model.versions {
            let found = match self.home_of(&version.storage)? {
                None => self.home_of(&version.source)?,
                found => found,
            };
            if let Some(storage) = found {
                let keeps_source = ["runs:/", "models:/"]
                    .iter()
                    .any(|scheme| version.source.starts_with(scheme));
                if !keeps_source {
                    version.source.clone_from(&storage);
                }
                version.storage = storage;
            }
        }
        let put = match self.mode {
            Mode::Dry => self.tracking.reader().compare_registered(&model)?,
            Mode::Write => self
                .tracking
                .change(|writing| writing.import_registered(&model))?,
        };
        self.imported.versions += put.new;
        self.imported.known_versions += put.known;
        for version in put.taken {
            self.imported.broken.push(Broken::new(
                format!("version {version} of the model `{}`", model.model.name),
                "another version has this number here",
            ));
        }
        Ok(())
    }

    /// Returns where something is now that was in the artifacts of a run or a logged model.
    fn home_of(&self, uri: &str) -> Result<Option<String>, Error> {
        let named = uri
            .strip_prefix("runs:/")
            .or_else(|| uri.strip_prefix("models:/"));
        if let Some(named) = named {
            let (owner, rest) = named.split_once('/').unwrap_or((named, ""));
            let home = self.tracking.reader().artifact_uri_of(owner)?;
            return Ok(home.map(|home| join(&home, rest)));
        }
        let whole = place::normal(uri);
        let mut begin = whole.as_str();
        loop {
            if let Some(owner) = self.homes.get(begin) {
                let home = self.tracking.reader().artifact_uri_of(owner)?;
                let rest = whole[begin.len()..].trim_start_matches('/');
                return Ok(home.map(|home| join(&home, rest)));
            }
            match begin.rsplit_once('/') {
                Some((shorter, _)) => begin = shorter,
                None => return Ok(None),
            }
        }
    }
}

/// Returns the times that a run holds, milliseconds since 1970.
fn times(run: &ImportedRun) -> impl Iterator<Item = i64> {
    let own = [Some(run.started_ms), run.ended_ms, run.deleted_ms];
    let logged = run.metrics.iter().flat_map(|metric| {
        let points = metric.points.iter().map(|point| point.at_ms);
        points.chain([metric.last.at_ms])
    });
    own.into_iter().flatten().chain(logged)
}

/// Is this a time that the clock can show (years -9999 to 9999)?
fn is_time(ms: i64) -> bool {
    Timestamp::from_millisecond(ms).is_ok()
}

fn join(uri: &str, rest: &str) -> String {
    if rest.is_empty() {
        uri.to_owned()
    } else {
        format!("{uri}/{rest}")
    }
}
