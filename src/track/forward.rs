//! Sends recorded runs to another tracking server, MLflow's or ours. Imports: base, project, client,
//! db, entity, validate.
//!
//! **Local first.** A run is recorded here as ever; the record is what waits to be sent. A pass looks
//! at the runs that the server gets (`db::forwards` says which), and sends of each what is not there
//! yet: values, then files, then that it has ended, so that a run that has ended there is whole. After
//! each step a mark is set. A pass that ends early, by a server that goes away or a kill, has sent
//! something that is not marked; sending it again changes nothing: params and tags are the same, a
//! point equal in key, time, step and value is stored once, a file replaces itself. A run is made once,
//! because it is looked for by the tag `cvops.run_id` before.
//!
//! **Not sent:** outputs of stages other than metrics and plots (`push` is for those), and logged
//! models.

use std::collections::BTreeMap;
use std::fs::File;

use serde_json::{Value as Json, json};

use crate::base::{ContentHash, ObjectId};
use crate::project::Project;

use super::artifacts::{self, Artifacts};
use super::client::rest::{Rest, RestError};
use super::client::wire;
use super::db::{Forwarded, MetricMark, Span, Tracking, Waiting};
use super::entity::{MetricPoint, RunRecord, Tag};
use super::error::Error;
use super::run::Status;
use super::validate;

/// Names the run that a run of a server is the copy of.
pub const COPY_TAG: &str = "cvops.run_id";
const PARENT_TAG: &str = "mlflow.parentRunId";

/// Points of one request: MLflow takes as many.
const POINTS_MAX: usize = 1000;
/// Params, or tags, of one request: MLflow takes as many.
const PAIRS_MAX: usize = 100;
/// Bytes of the params, or tags, of one request; MLflow takes a body of 1 MB.
const PAIRS_BYTES_MAX: usize = 400_000;
/// A file in the workspace is looked at up to this size, where the cache does not have it.
const WORKSPACE_BYTES_MAX: u64 = 16 << 20;

/// Which outputs of stages are sent with a run, by their path in the project.
pub type Sends = dyn Fn(&str) -> bool + Send + Sync;

/// What a pass is about.
pub struct Pass<'a> {
    /// The server.
    pub rest: &'a Rest,
    /// Whose runs.
    pub project: &'a Project,
    /// Which outputs of stages go with them.
    pub sends: &'a Sends,
    /// Which runs are looked at.
    pub span: Span,
    /// Nothing more is begun when this says no.
    pub goes_on: &'a dyn Fn() -> bool,
}

/// A run that the server does not have, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why; `None`: it goes on, or the pass ended before.
    pub problem: Option<String>,
}

/// What came of a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Runs that are there now, all of each, and were not before.
    pub sent: usize,
    /// Runs of which something waits.
    pub left: Vec<Left>,
    /// What every run would meet, so that the pass has ended.
    pub ended_by: Option<String>,
}

impl Passed {
    /// Is there nothing that should be there and is not?
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.ended_by.is_none() && self.left.iter().all(|left| left.problem.is_none())
    }
}

/// Why a run was not sent.
enum Stop {
    /// This one cannot be.
    Run(String),
    /// No run can be.
    All(String),
    /// The server has lost the run.
    Lost,
    /// The time is over.
    Late,
    /// The record here cannot be used.
    Record(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Record(error)
    }
}

impl From<RestError> for Stop {
    fn from(error: RestError) -> Self {
        if error.ends_all() {
            Self::All(error.to_string())
        } else {
            Self::Run(error.to_string())
        }
    }
}

/// Sends what the server does not have.
///
/// # Errors
/// The record here cannot be read or written. What the server does is told in `Passed`.
pub fn pass(tracking: &mut Tracking, pass: &Pass<'_>) -> Result<Passed, Error> {
    let uri = pass.rest.uri();
    let waiting = tracking
        .reader()
        .forward_waiting(uri, pass.span, COPY_TAG)?;
    let mut passed = Passed::default();
    let mut sender = Sender {
        pass,
        tracking,
        artifacts: Artifacts::open(pass.project),
        experiments: BTreeMap::new(),
        is_checked: false,
    };
    for run in waiting {
        let problem = if passed.ended_by.is_some() {
            Some(None)
        } else {
            let mut result = sender.send(&run, run.forwarded.clone());
            if matches!(result, Err(Stop::Lost)) {
                // Once more, as if it had never been there.
                sender
                    .tracking
                    .change(|writing| writing.forget_forwarded(uri, run.number))?;
                result = sender.send(&run, None);
            }
            match result {
                Ok(Sent::Whole { is_news }) => {
                    passed.sent += usize::from(is_news);
                    None
                }
                Ok(Sent::GoesOn) | Err(Stop::Late) => Some(None),
                Err(Stop::Run(problem)) => Some(Some(problem)),
                Err(Stop::Lost) => Some(Some("the server has lost it".to_owned())),
                Err(Stop::All(problem)) => {
                    passed.ended_by = Some(problem.clone());
                    Some(Some(problem))
                }
                Err(Stop::Record(error)) => return Err(error),
            }
        };
        if let Some(problem) = problem {
            passed.left.push(Left {
                id: run.id.to_string(),
                name: run.name,
                problem,
            });
        }
    }
    Ok(passed)
}

enum Sent {
    /// All of it is there.
    Whole { is_news: bool },
    /// All that there is is there, and more will come.
    GoesOn,
}

struct Sender<'a> {
    pass: &'a Pass<'a>,
    tracking: &'a mut Tracking,
    artifacts: Artifacts,
    /// Ids of experiments there, by name.
    experiments: BTreeMap<String, String>,
    /// Is it known that the server is not this very record?
    is_checked: bool,
}

impl Sender<'_> {
    fn send(&mut self, run: &Waiting, known: Option<Forwarded>) -> Result<Sent, Stop> {
        let record = self.tracking.reader().record(run.id)?;
        let mut to = match known {
            Some(to) => to,
            None => self.find_or_create(run, &record)?,
        };
        let print = print_of(&record);
        let is_changed = to.sent != print;
        let mut is_news = is_changed;
        if is_changed {
            self.send_pairs(&record, &to)?;
        }
        is_news |= self.send_metrics(run, &to)?;
        let has_ended = match record.info.status {
            Status::Finished | Status::Failed | Status::Killed => true,
            Status::Running | Status::Scheduled => false,
        };
        if has_ended {
            is_news |= self.send_files(run, &record, &to)?;
        }
        if is_changed {
            self.update(&record, &to)?;
        }
        if is_news || to.done != has_ended {
            to.sent = print;
            to.done = has_ended;
            self.change(|writing, uri| writing.set_forwarded(uri, run.number, &to))?;
        }
        Ok(if has_ended {
            Sent::Whole { is_news }
        } else {
            Sent::GoesOn
        })
    }

    fn change(
        &mut self,
        work: impl FnOnce(&super::Writing<'_>, &str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let uri = self.pass.rest.uri();
        self.tracking.change(|writing| work(writing, uri))
    }

    fn in_time(&self) -> Result<(), Stop> {
        if (self.pass.goes_on)() {
            Ok(())
        } else {
            Err(Stop::Late)
        }
    }

    /// Asks something of a run; one that the server does not know any more is lost.
    fn post(&self, path: &str, body: &Json) -> Result<Json, Stop> {
        self.in_time()?;
        let answer = self.pass.rest.post(path, body);
        answer.map_err(|error| {
            if error.is_missing() {
                Stop::Lost
            } else {
                error.into()
            }
        })
    }

    /// Returns the run there: the one that is a copy of `run`, else a new one.
    fn find_or_create(&mut self, run: &Waiting, record: &RunRecord) -> Result<Forwarded, Stop> {
        self.check_server(run)?;
        let experiment = self.experiment(record)?;
        let id = run.id.to_string();
        let search = json!({
            "experiment_ids": [experiment],
            "filter": format!("tags.`{COPY_TAG}` = '{id}'"),
            "run_view_type": "ALL",
            "max_results": 1,
        });
        let found = self.post("runs/search", &search)?;
        let info = match found.pointer("/runs/0/info") {
            Some(info) => info.clone(),
            None => {
                let mut tags = vec![json!({"key": COPY_TAG, "value": id})];
                if let Some(parent) = self.parent(record)? {
                    tags.push(json!({"key": PARENT_TAG, "value": parent}));
                }
                let create = json!({
                    "experiment_id": experiment,
                    "run_name": record.info.name,
                    "user_id": record.info.user,
                    "start_time": record.info.started_ms,
                    "tags": tags,
                });
                let made = self.post("runs/create", &create)?;
                made.pointer("/run/info").cloned().unwrap_or_default()
            }
        };
        let word = |key: &str| info.get(key).and_then(Json::as_str).map(str::to_owned);
        let (Some(there), Some(artifacts)) = (word("run_id"), word("artifact_uri")) else {
            return Err(Stop::All(format!(
                "`{}` does not answer as a tracking server does",
                self.pass.rest.uri()
            )));
        };
        let to = Forwarded {
            run: there,
            experiment,
            artifacts,
            sent: String::new(),
            done: false,
        };
        self.change(|writing, uri| writing.set_forwarded(uri, run.number, &to))?;
        Ok(to)
    }

    /// A server of this very record would get copies of copies.
    fn check_server(&mut self, run: &Waiting) -> Result<(), Stop> {
        if self.is_checked {
            return Ok(());
        }
        self.in_time()?;
        match self
            .pass
            .rest
            .get("runs/get", &[("run_id", &run.id.to_string())])
        {
            Ok(_) => Err(Stop::All(format!(
                "`{}` is the server of this project's own record, which has the runs already",
                self.pass.rest.uri()
            ))),
            Err(error) if error.is_missing() => {
                self.is_checked = true;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the id there of the experiment of a run, which is made if there is none.
    fn experiment(&mut self, record: &RunRecord) -> Result<String, Stop> {
        let name = self
            .tracking
            .reader()
            .experiment(record.info.experiment)?
            .name;
        if let Some(id) = self.experiments.get(&name) {
            return Ok(id.clone());
        }
        self.in_time()?;
        let rest = self.pass.rest;
        let ask = || rest.get("experiments/get-by-name", &[("experiment_name", &name)]);
        let answer = match ask() {
            Err(error) if error.is_missing() => {
                match rest.post("experiments/create", &json!({"name": name})) {
                    // Somebody else was faster.
                    Err(error) if error.is_taken() => ask()?,
                    answer => answer?,
                }
            }
            answer => answer?,
        };
        let id = answer
            .pointer("/experiment/experiment_id")
            .or_else(|| answer.get("experiment_id"))
            .and_then(Json::as_str)
            .ok_or_else(|| {
                Stop::All(format!(
                    "`{}` does not answer as a tracking server does",
                    rest.uri()
                ))
            })?
            .to_owned();
        self.experiments.insert(name, id.clone());
        Ok(id)
    }

    /// Returns the id there of the run that this one is a part of.
    fn parent(&self, record: &RunRecord) -> Result<Option<String>, Error> {
        let parent = record.tags.iter().find(|tag| tag.key == PARENT_TAG);
        match parent {
            Some(parent) => self
                .tracking
                .reader()
                .forwarded_run(self.pass.rest.uri(), &parent.value),
            None => Ok(None),
        }
    }

    /// Sends params, tags and datasets.
    fn send_pairs(&self, record: &RunRecord, to: &Forwarded) -> Result<(), Stop> {
        let params = remote_pairs(&record.params, validate::PARAM_VALUE_CHARS_MAX);
        for params in chunks(&params) {
            let body = json!({"run_id": to.run, "params": pairs(params)});
            self.post("runs/log-batch", &body)?;
        }
        let mut tags = record.tags.clone();
        if let Some(parent) = self.parent(record)?
            && let Some(tag) = tags.iter_mut().find(|tag| tag.key == PARENT_TAG)
        {
            tag.value = parent;
        }
        let tags = remote_pairs(&tags, validate::TAG_VALUE_CHARS_MAX);
        for tags in chunks(&tags) {
            let body = json!({"run_id": to.run, "tags": pairs(tags)});
            self.post("runs/log-batch", &body)?;
        }
        if !record.datasets.is_empty() {
            let body = json!({"run_id": to.run, "datasets": datasets(record)});
            self.post("runs/log-inputs", &body)?;
        }
        Ok(())
    }

    /// Sends points that are not there; says whether there were any.
    fn send_metrics(&mut self, run: &Waiting, to: &Forwarded) -> Result<bool, Stop> {
        let uri = self.pass.rest.uri();
        let reader = self.tracking.reader();
        let prints = reader.metric_prints(run.number)?;
        let marks = reader.metric_marks(uri, run.number)?;
        let mut is_news = false;
        // Many metrics have one point: those of several go in one request.
        let mut batch: Vec<Json> = Vec::new();
        let mut marking: Vec<(String, MetricMark)> = Vec::new();
        for (name, print) in prints {
            let mark = marks.get(&name);
            if mark.is_some_and(|mark| mark.print == print) {
                continue;
            }
            is_news = true;
            let history = self
                .tracking
                .reader()
                .metric_history(run.id, &name, None, None)?
                .items;
            let unsent = not_sent(&history, mark);
            let key = remote_key(&name);
            for point in unsent {
                if batch.len() == POINTS_MAX {
                    self.post_points(to, &mut batch)?;
                }
                batch.push(wire(&key, point));
            }
            marking.push((name, mark_of(&history, print)));
            if POINTS_MAX / 2 < batch.len() {
                self.post_points(to, &mut batch)?;
                self.mark(run, &mut marking)?;
            }
        }
        self.post_points(to, &mut batch)?;
        self.mark(run, &mut marking)?;
        Ok(is_news)
    }

    fn post_points(&self, to: &Forwarded, batch: &mut Vec<Json>) -> Result<(), Stop> {
        if batch.is_empty() {
            return Ok(());
        }
        let body = json!({"run_id": to.run, "metrics": std::mem::take(batch)});
        self.post("runs/log-batch", &body).map(drop)
    }

    fn mark(
        &mut self,
        run: &Waiting,
        marking: &mut Vec<(String, MetricMark)>,
    ) -> Result<(), Error> {
        if marking.is_empty() {
            return Ok(());
        }
        let marking = std::mem::take(marking);
        self.change(|writing, uri| {
            for (name, mark) in &marking {
                writing.mark_metric(uri, run.number, name, mark)?;
            }
            Ok(())
        })
    }

    /// Sends files that are not there; says whether there were any.
    fn send_files(
        &mut self,
        run: &Waiting,
        record: &RunRecord,
        to: &Forwarded,
    ) -> Result<bool, Stop> {
        // Where a server has its clients write elsewhere, that is not ours to write.
        let Some(there) = artifacts::path_of_uri(&to.artifacts) else {
            return Ok(false);
        };
        let there = there.to_owned();
        let Some(here) = artifacts::path_of_uri(&record.info.artifact_uri) else {
            return Ok(false);
        };
        let uri = self.pass.rest.uri();
        let sent = self.tracking.reader().forwarded_files(uri, run.number)?;
        let mut is_news = false;
        for path in self.files(run, here)? {
            let reader = self.tracking.reader();
            let Some(file) = self.artifacts.find(&reader, &format!("{here}/{path}"))? else {
                continue;
            };
            let object = file.object.to_string();
            if sent.get(&path) == Some(&object) {
                continue;
            }
            let Some(bytes) = self.open(&path, &file)? else {
                // What the cache has lost cannot be sent; `cvops status` tells of it.
                tracing::debug!(path, "a file of a run is not in the cache");
                continue;
            };
            self.in_time()?;
            self.pass.rest.put(&format!("{there}/{path}"), bytes)?;
            self.change(|writing, uri| writing.mark_file(uri, run.number, &path, &object))?;
            is_news = true;
        }
        Ok(is_news)
    }

    /// Returns the files of a run that are sent, as paths in its tree `here`.
    fn files(&self, run: &Waiting, here: &str) -> Result<Vec<String>, Error> {
        let reader = self.tracking.reader();
        let mut files = reader.uploads_below(here)?;
        for output in self.tracking.get(run.id)?.artifacts {
            if !(self.pass.sends)(&output.path) {
                continue;
            }
            match output.object {
                ObjectId::File(_) => files.push(output.path),
                ObjectId::Tree(_) => self.walk(here, &output.path, &mut files)?,
            }
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    fn walk(&self, here: &str, folder: &str, files: &mut Vec<String>) -> Result<(), Error> {
        let reader = self.tracking.reader();
        for entry in self.artifacts.list(&reader, &format!("{here}/{folder}"))? {
            let path = format!("{folder}/{}", entry.name);
            if entry.is_dir {
                self.walk(here, &path, files)?;
            } else {
                files.push(path);
            }
        }
        Ok(())
    }

    /// Opens a file: from the cache, or, where an output is kept in git, from the workspace if that
    /// still has it.
    fn open(&self, path: &str, file: &artifacts::FileRecord) -> Result<Option<File>, Error> {
        if let Some(bytes) = self.artifacts.open_file(file)? {
            return Ok(Some(bytes));
        }
        let ObjectId::File(hash) = file.object else {
            return Ok(None);
        };
        if WORKSPACE_BYTES_MAX < file.size {
            return Ok(None);
        }
        let path = self.pass.project.root.join(path);
        let is_it = std::fs::read(&path).is_ok_and(|bytes| ContentHash::of(&bytes) == hash);
        Ok(is_it.then(|| File::open(&path).ok()).flatten())
    }

    /// Says how far the run is.
    fn update(&self, record: &RunRecord, to: &Forwarded) -> Result<(), Stop> {
        let info = &record.info;
        let mut body = json!({
            "run_id": to.run,
            "status": info.status.as_str(),
            "run_name": info.name,
        });
        if let Some(ended) = info.ended_ms {
            body["end_time"] = json!(ended);
        }
        self.post("runs/update", &body).map(drop)
    }
}

/// Returns the fingerprint of all of a run but its metrics and files.
fn print_of(record: &RunRecord) -> String {
    let info = &record.info;
    let all = json!([
        info.name,
        info.status.as_str(),
        info.ended_ms,
        pairs(&record.params),
        pairs(&record.tags),
        datasets(record),
    ]);
    ContentHash::of(all.to_string().as_bytes()).to_string()
}

fn pairs(pairs: &[Tag]) -> Json {
    let pair = |tag: &Tag| json!({"key": tag.key, "value": tag.value});
    pairs.iter().map(pair).collect()
}

fn datasets(record: &RunRecord) -> Json {
    let one = |input: &super::entity::DatasetInput| {
        let dataset = &input.dataset;
        let mut json = json!({
            "name": dataset.name,
            "digest": dataset.digest,
            "source_type": dataset.source_type,
            "source": dataset.source,
        });
        for (key, text) in [("schema", &dataset.schema), ("profile", &dataset.profile)] {
            if let Some(text) = text {
                json[key] = json!(text);
            }
        }
        json!({"tags": pairs(&input.tags), "dataset": json})
    };
    record.datasets.iter().map(one).collect()
}

/// Returns keys and values as every server takes them; of two that become one key, the first.
fn remote_pairs(pairs: &[Tag], value_chars_max: usize) -> Vec<Tag> {
    let mut remote: BTreeMap<String, String> = BTreeMap::new();
    for pair in pairs {
        let value = validate::cut(&pair.value, value_chars_max).to_owned();
        remote.entry(remote_key(&pair.key)).or_insert(value);
    }
    remote
        .into_iter()
        .map(|(key, value)| Tag { key, value })
        .collect()
}

/// Returns a key as every server takes it: keys of the pipeline may hold anything.
fn remote_key(key: &str) -> String {
    let is_fit = |key: &str| validate::check_key(key, "key").is_ok();
    if is_fit(key) {
        return key.to_owned();
    }
    let key = validate::cut(key, validate::KEY_CHARS_MAX);
    let mut text = [0; 4];
    let fit: String = key
        .chars()
        .map(|c| {
            // A point or a slash alone is no key, and still may be a part of one.
            let fits = matches!(c, '.' | '/') || is_fit(c.encode_utf8(&mut text));
            if fits { c } else { '_' }
        })
        .collect();
    if is_fit(&fit) {
        return fit;
    }
    let flat = fit.replace('/', "_");
    if is_fit(&flat) {
        flat
    } else {
        format!("_{}", flat.replace('.', "_"))
            .chars()
            .take(validate::KEY_CHARS_MAX)
            .collect()
    }
}

/// Cuts pairs into what requests hold.
fn chunks(pairs: &[Tag]) -> Vec<&[Tag]> {
    let mut chunks = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (i, pair) in pairs.iter().enumerate() {
        // Six bytes of JSON for a character that has to be escaped.
        let size = pair.key.len() + 6 * pair.value.len();
        if from < i && (i - from == PAIRS_MAX || PAIRS_BYTES_MAX < bytes + size) {
            chunks.push(&pairs[from..i]);
            (from, bytes) = (i, 0);
        }
        bytes += size;
    }
    if from < pairs.len() {
        chunks.push(&pairs[from..]);
    }
    chunks
}

/// Returns the points of a history, which is in the order of time, that may be missing there.
fn not_sent<'p>(history: &'p [MetricPoint], mark: Option<&MetricMark>) -> &'p [MetricPoint] {
    let Some(mark) = mark else { return history };
    let earlier = history.partition_point(|point| point.at_ms < mark.at_ms);
    if i64::try_from(earlier) == Ok(mark.earlier) {
        &history[earlier..]
    } else {
        history
    }
}

/// Returns the mark of a history that was sent.
fn mark_of(history: &[MetricPoint], print: String) -> MetricMark {
    let at_ms = history.last().map_or(0, |point| point.at_ms);
    let earlier = history.partition_point(|point| point.at_ms < at_ms);
    MetricMark {
        print,
        at_ms,
        earlier: i64::try_from(earlier).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_ms: i64) -> MetricPoint {
        MetricPoint {
            name: "loss".to_owned(),
            value: 1.0,
            at_ms,
            step: at_ms,
        }
    }

    #[test]
    fn points_are_sent_from_the_newest_time_on_unless_an_older_one_came() {
        let history: Vec<_> = [1, 2, 3, 3].map(point).into();
        let mark = mark_of(&history, String::new());
        assert_eq!((mark.at_ms, mark.earlier), (3, 2));
        let count = |times: &[i64]| {
            let history: Vec<_> = times.iter().map(|&at| point(at)).collect();
            not_sent(&history, Some(&mark)).len()
        };
        // The time that was the newest goes again: more may have come in the same millisecond.
        assert_eq!(count(&[1, 2, 3, 3, 3, 4]), 4);
        assert_eq!(count(&[1, 2, 2, 3, 3]), 5);
        assert_eq!(not_sent(&history, None).len(), 4);
    }

    #[test]
    fn keys_become_such_that_servers_take() {
        for (key, remote) in [
            ("loss", "loss"),
            ("params.yaml:train.lr", "params.yaml:train.lr"),
            ("eval/a b", "eval/a b"),
            ("a[0]*", "a_0__"),
            ("../a", ".._a"),
            ("a//b", "a__b"),
            ("..", "___"),
        ] {
            let found = remote_key(key);
            assert!(validate::check_key(&found, "key").is_ok(), "{key}: {found}");
            if key != "../a" {
                assert_eq!(found, remote);
            }
        }
        assert_eq!(remote_key(&"é".repeat(300)).chars().count(), 250);
    }

    #[test]
    fn pairs_are_cut_by_number_and_size() {
        let tag = |i: usize, size| Tag::new(format!("k{i:03}"), "x".repeat(size));
        let lengths = |pairs: &[Tag]| chunks(pairs).iter().map(|c| c.len()).collect::<Vec<_>>();
        let small: Vec<_> = (0..250).map(|i| tag(i, 1)).collect();
        assert_eq!(lengths(&small), [100, 100, 50]);
        let large: Vec<_> = (0..25).map(|i| tag(i, 6000)).collect();
        assert_eq!(lengths(&large), [11, 11, 3]);
        assert!(lengths(&[]).is_empty());
    }
}
