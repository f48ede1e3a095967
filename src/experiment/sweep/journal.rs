//! The journal of a sweep: `.cvops/sweeps/NAME/journal.jsonl`, one JSON object per line, only
//! appended to, each line synced before the driver goes on.
//!
//! **After a kill** the lines before the last one are whole; a torn last line is passed over and cut
//! off when the sweep goes on. A trial that was started and has no end runs again with the same
//! values. While a driver lives it holds a lock on the journal, so two cannot write and `status`
//! knows whether the sweep runs. Imports: base, pipeline, project.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::doc::Value;
use crate::base::{self, Diagnostic, fs};
use crate::pipeline::spec::ParamRef;
use crate::project::Layout;

use super::baseline::Inputs;
use super::domain::Domain;
use super::error::SweepError;
use super::grammar::{self, Expected};
use super::metric::{Goal, MetricRef};
use super::sampler::Method;
use super::space::{Dimension, Space};
use super::state::{Definition, Finished, Sweep, Trial, TrialState};

/// The version of the lines this program writes and reads.
const VERSION: u32 = 1;
const FILE: &str = "journal.jsonl";
/// How often, and after what time, a lock that somebody else has is tried again.
const PEEKS: u32 = 10;
const PEEK: Duration = Duration::from_millis(10);

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// The sweep begins.
    Created(Created),
    /// It goes on after an end; limits given anew replace the old ones.
    Resumed {
        /// Milliseconds since 1970.
        at_ms: i64,
        /// Trials in all.
        trials: Option<u64>,
    },
    /// A trial begins.
    Started {
        /// Its number, from 1.
        trial: u64,
        /// Milliseconds since 1970.
        at_ms: i64,
        /// Its values: a mapping from parameter names.
        params: Value,
    },
    /// A trial reported its metric.
    Finished {
        /// Its number.
        trial: u64,
        /// The metric.
        value: f64,
        /// How long it took.
        seconds: f64,
        /// Stages whose commands ran, with how long each took in seconds.
        #[serde(with = "in_order")]
        ran: Vec<(String, f64)>,
        /// Stages whose outputs came from the cache.
        restored: Vec<String>,
        /// The run it is recorded as.
        run: Option<String>,
    },
    /// A trial failed.
    Failed {
        /// Its number.
        trial: u64,
        /// Why, in one sentence.
        error: String,
        /// How long it took.
        seconds: f64,
        /// The run it is recorded as.
        run: Option<String>,
    },
    /// The driver ended in an orderly way.
    Ended {
        /// Milliseconds since 1970.
        at_ms: i64,
        /// `complete`, `interrupted`, `stopped`, `timeout`, `failures`.
        why: String,
    },
}

/// Durations of stages as a JSON object that keeps its order, which is that of the pipeline.
mod in_order {
    use std::fmt;

    use serde::de::{Deserializer, MapAccess, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(
        pairs: &[(String, f64)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(pairs.iter().map(|(name, seconds)| (name, seconds)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, f64)>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(String, f64)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("stages with their seconds")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// What a sweep is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// `VERSION`.
    pub version: u32,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Method by name.
    pub method: String,
    /// Seed of all draws.
    pub seed: u64,
    /// Trials in all; absent: until the method has no more.
    pub trials: Option<u64>,
    /// Metrics file.
    pub metric_file: String,
    /// Key in it.
    pub metric_key: String,
    /// `maximize` or `minimize`.
    pub goal: String,
    /// Stages or outputs that each trial brings up to date; none: all.
    pub targets: Vec<String>,
    /// The parameters.
    pub space: Vec<SpaceLine>,
    /// Hash over all other parameters: trials with others cannot be compared.
    pub base: String,
    /// What the stages are made of beside parameters: see `baseline`.
    #[serde(default)]
    pub inputs: Inputs,
    /// The run that the trials' runs belong to.
    pub run: Option<String>,
}

/// One parameter of a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceLine {
    /// Params file.
    pub file: String,
    /// Key in it.
    pub key: String,
    /// May it be new (`+key`)?
    pub add: bool,
    /// The domain in the grammar of the command line.
    pub spec: String,
}

/// Returns the folder of the sweep `name`.
#[must_use]
pub fn folder(layout: &Layout, name: &str) -> PathBuf {
    layout.sweeps().join(name)
}

/// Returns the file whose presence asks a running sweep to end after its running trials.
#[must_use]
pub fn stop_file(layout: &Layout, name: &str) -> PathBuf {
    folder(layout, name).join("stop")
}

/// Returns the log of a trial (0: of the stages that all trials share).
#[must_use]
pub fn log_file(layout: &Layout, name: &str, trial: u64) -> PathBuf {
    let file = match trial {
        0 => "shared.log".to_owned(),
        n => format!("trial-{n}.log"),
    };
    folder(layout, name).join(file)
}

/// Returns the names of all sweeps, sorted.
#[must_use]
pub fn names(layout: &Layout) -> Vec<String> {
    let entries = std::fs::read_dir(layout.sweeps())
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = entries
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| exists(layout, name))
        .collect();
    names.sort_unstable();
    names
}

/// Does the sweep `name` exist? One whose driver died before its first line was whole does not: the
/// name is free.
#[must_use]
pub fn exists(layout: &Layout, name: &str) -> bool {
    first_line(layout, name).is_some()
}

/// Returns when the sweep `name` began, milliseconds since 1970; `None` if its first line does not say.
#[must_use]
pub fn began(layout: &Layout, name: &str) -> Option<i64> {
    match serde_json::from_slice(&first_line(layout, name)?) {
        Ok(Record::Created(created)) => Some(created.at_ms),
        Ok(_) | Err(_) => None,
    }
}

/// Reads no more than the first line, if that is whole.
fn first_line(layout: &Layout, name: &str) -> Option<Vec<u8>> {
    let file = std::fs::File::open(folder(layout, name).join(FILE)).ok()?;
    let mut line = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut line).ok()?;
    line.ends_with(b"\n").then_some(line)
}

/// Returns how many bytes the journal of the sweep `name` has: it only grows. `None` if there is none.
#[must_use]
pub fn length(layout: &Layout, name: &str) -> Option<u64> {
    let metadata = std::fs::metadata(folder(layout, name).join(FILE));
    metadata.ok().map(|metadata| metadata.len())
}

/// Is a driver of the sweep `name` alive?
#[must_use]
pub fn is_running(layout: &Layout, name: &str) -> bool {
    fs::is_locked(&folder(layout, name).join(FILE))
}

/// The journal, open for writing.
#[derive(Debug)]
pub struct Journal {
    name: String,
    file: fs::Appender,
    path: PathBuf,
    /// Bytes of whole lines that were there when it was opened.
    whole: usize,
}

impl Journal {
    /// Opens the journal of the sweep `name` for this process alone, creating it if need be.
    ///
    /// # Errors
    /// Another process has it, or it cannot be created.
    pub fn open(layout: &Layout, name: &str) -> Result<Self, super::super::Error> {
        let dir = folder(layout, name);
        fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
        let path = dir.join(FILE);
        let file = fs::Appender::open(&path).map_err(base::Error::io("open", &path))?;
        let mut is_ours = file.try_lock().map_err(base::Error::io("lock", &path))?;
        // `status` holds a shared lock for an instant, to see whether the sweep runs.
        for _ in 0..PEEKS {
            if is_ours {
                break;
            }
            std::thread::sleep(PEEK);
            is_ours = file.try_lock().map_err(base::Error::io("lock", &path))?;
        }
        if !is_ours {
            return Err(SweepError::new("sweep-runs", format!("the sweep `{name}` is running already"))
                .help(format!("watch it with `cvops params sweep status {name}`, or end it with `cvops params sweep stop {name}`"))
                .into());
        }
        fs::sync_dir(&dir).map_err(base::Error::io("sync", &dir))?;
        // A torn line at the end would swallow the next record.
        let bytes = std::fs::read(&path).map_err(base::Error::io("read", &path))?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        if whole < bytes.len() {
            file.cut(whole as u64)
                .map_err(base::Error::io("mend", &path))?;
        }
        Ok(Self {
            name: name.to_owned(),
            file,
            path,
            whole,
        })
    }

    /// Returns the name of the sweep.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Was there no line when it was opened? Only then a sweep may begin in it: another driver may
    /// have taken the name since it was found to be free.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.whole == 0
    }

    /// Appends a record and makes it durable.
    ///
    /// # Errors
    /// The disk is full, or the file cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<(), base::Error> {
        let mut line = serde_json::to_vec(record)
            .map_err(|e| base::Error::io("write", &self.path)(std::io::Error::other(e)))?;
        line.push(b'\n');
        self.file
            .append(&line)
            .and_then(|()| self.file.sync())
            .map_err(base::Error::io("write", &self.path))
    }
}

/// Reads the sweep `name`.
///
/// # Errors
/// There is none, or its journal is damaged before its last line.
pub fn read(layout: &Layout, name: &str) -> Result<Sweep, super::super::Error> {
    let path = folder(layout, name).join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(no_sweep(layout, name).into());
        }
        Err(e) => return Err(base::Error::io("read", &path)(e).into()),
    };
    Ok(replay(name, &path, &bytes)?)
}

fn no_sweep(layout: &Layout, name: &str) -> SweepError {
    let names = names(layout);
    let error = SweepError::new("unknown-sweep", format!("there is no sweep `{name}`"));
    match base::diag::nearest(name, names.iter().map(String::as_str)) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.help("start one: `cvops params sweep train.epochs=1,2`"),
        None => error.help(format!("sweeps: {}", names.join(", "))),
    }
}

fn replay(name: &str, path: &Path, bytes: &[u8]) -> Result<Sweep, SweepError> {
    let damaged = |line: usize, why: String| {
        SweepError::of(
            Diagnostic::error(
                "damaged-journal",
                format!("line {line} of `{}` cannot be read: {why}", path.display()),
            )
            .help("start a sweep of another name: trials that ran are restored from the cache"),
        )
    };
    let mut sweep: Option<Sweep> = None;
    // What follows the last line break is a line that was being written when the driver died.
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    for (index, line) in bytes[..whole].split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let at = index + 1;
        let record: Record =
            serde_json::from_slice(line).map_err(|e| damaged(at, e.to_string()))?;
        match (&mut sweep, record) {
            (None, Record::Created(created)) => {
                sweep = Some(Sweep {
                    name: name.to_owned(),
                    definition: definition(created).map_err(|e| damaged(at, e))?,
                    trials: Vec::new(),
                    ended: None,
                });
            }
            (None, _) => {
                return Err(damaged(
                    at,
                    "the first line must say what the sweep is about".to_owned(),
                ));
            }
            (Some(sweep), record) => take(sweep, record).map_err(|e| damaged(at, e))?,
        }
    }
    sweep.ok_or_else(|| {
        SweepError::new(
            "empty-sweep",
            format!("the sweep `{name}` was stopped before it began"),
        )
        .help(format!(
            "start it again: its folder `{}` holds nothing of worth",
            path.parent().unwrap_or(path).display()
        ))
    })
}

/// Returns where a trial stands, or would: they are in the order of their numbers.
fn place(sweep: &Sweep, number: u64) -> Result<usize, usize> {
    sweep.trials.binary_search_by_key(&number, |t| t.number)
}

fn take(sweep: &mut Sweep, record: Record) -> Result<(), String> {
    let end = |sweep: &mut Sweep, number: u64, state: TrialState| {
        let place = place(sweep, number);
        let place = place.map_err(|_| format!("trial {number} ends without a start"))?;
        sweep.trials[place].state = state;
        Ok(())
    };
    match record {
        Record::Created(_) => Err("a sweep begins once".to_owned()),
        Record::Resumed { trials, .. } => {
            sweep.definition.trials = trials;
            sweep.ended = None;
            Ok(())
        }
        Record::Ended { why, .. } => {
            sweep.ended = Some(why);
            Ok(())
        }
        Record::Started { trial, params, .. } => {
            let mut values = Vec::new();
            for dimension in &sweep.definition.space.dimensions {
                let name = dimension.param.to_string();
                let value = params.as_map().and_then(|map| map.get(&name)).cloned();
                values.push(value.ok_or(format!("trial {trial} has no `{name}`"))?);
            }
            match place(sweep, trial) {
                // Started again after a kill.
                Ok(place) => sweep.trials[place].state = TrialState::Open,
                Err(place) => sweep.trials.insert(
                    place,
                    Trial {
                        number: trial,
                        values,
                        state: TrialState::Open,
                    },
                ),
            }
            Ok(())
        }
        Record::Finished {
            trial,
            value,
            seconds,
            ran,
            restored,
            run,
        } => end(
            sweep,
            trial,
            TrialState::Finished(Finished {
                value,
                seconds,
                ran,
                restored,
                run,
            }),
        ),
        Record::Failed {
            trial,
            error,
            seconds,
            run,
        } => end(
            sweep,
            trial,
            TrialState::Failed {
                error,
                seconds,
                run,
            },
        ),
    }
}

fn definition(created: Created) -> Result<Definition, String> {
    if created.version != VERSION {
        return Err(format!(
            "it is of version {}, this program reads {VERSION}",
            created.version
        ));
    }
    let mut space = Space::default();
    for line in &created.space {
        let param = ParamRef {
            file: line.file.parse().map_err(|e| format!("{e}"))?,
            key: line.key.parse().map_err(|e| format!("{e}"))?,
        };
        let domain: Domain = grammar::parse_spec(&line.spec).map_err(|e| e.problem)?;
        let presence = if line.add {
            Expected::Any
        } else {
            Expected::Present
        };
        space
            .add(Dimension {
                param,
                presence,
                domain,
            })
            .map_err(|e| e.to_string())?;
    }
    Ok(Definition {
        space,
        method: Method::parse(&created.method).map_err(|e| e.to_string())?,
        seed: created.seed,
        trials: created.trials,
        metric: MetricRef {
            file: created.metric_file.parse().map_err(|e| format!("{e}"))?,
            key: created.metric_key.parse().map_err(|e| format!("{e}"))?,
        },
        goal: Goal::parse(&created.goal).map_err(|e| e.to_string())?,
        targets: created.targets,
        base: created.base,
        inputs: created.inputs,
        run: created.run,
        at_ms: created.at_ms,
    })
}

impl Definition {
    /// Returns the journal's first line.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let line = |d: &Dimension| SpaceLine {
            file: d.param.file.to_string(),
            key: d.param.key.to_string(),
            add: d.presence == Expected::Any,
            spec: d.domain.to_string(),
        };
        Record::Created(Created {
            version: VERSION,
            at_ms: self.at_ms,
            method: self.method.name().to_owned(),
            seed: self.seed,
            trials: self.trials,
            metric_file: self.metric.file.to_string(),
            metric_key: self.metric.key.to_string(),
            goal: self.goal.name().to_owned(),
            targets: self.targets.clone(),
            space: self.space.dimensions.iter().map(line).collect(),
            base: self.base.clone(),
            inputs: self.inputs.clone(),
            run: self.run.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition_for_tests() -> Definition {
        let specs = ["lr=tag(log,interval(1e-4,1e-1))", "+conf/p.yaml:bs=16,32"];
        let overrides = specs.iter().map(|s| grammar::parse(s).unwrap()).collect();
        Definition {
            space: Space::of_overrides(overrides).unwrap(),
            method: Method::Random,
            seed: 7,
            trials: Some(3),
            metric: MetricRef {
                file: "m.json".parse().unwrap(),
                key: "val.acc".parse().unwrap(),
            },
            goal: Goal::Maximize,
            targets: vec!["train".into()],
            base: "abc".into(),
            inputs: Inputs::from([("`train.py`".into(), "1".into())]),
            run: None,
            at_ms: 1,
        }
    }

    #[test]
    fn a_sweep_is_read_back_and_a_torn_line_is_passed_over() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &crate::project::CVOPS);
        let definition = definition_for_tests();
        let values = vec![Value::Float(0.01), Value::Int(16)];
        let mut journal = Journal::open(&layout, "s").unwrap();
        assert!(journal.is_new());
        assert!(is_running(&layout, "s"));
        assert!(Journal::open(&layout, "s").is_err());
        journal.append(&definition.to_record()).unwrap();
        for trial in 1..=3 {
            let params = definition.named(&values);
            journal
                .append(&Record::Started {
                    trial,
                    at_ms: 2,
                    params,
                })
                .unwrap();
        }
        let finished = |trial, value| Record::Finished {
            trial,
            value,
            seconds: 1.5,
            ran: vec![("train".into(), 1.25), ("judge".into(), 0.5)],
            restored: vec![],
            run: None,
        };
        journal.append(&finished(2, 0.5)).unwrap();
        journal
            .append(&Record::Failed {
                trial: 1,
                error: "no".into(),
                seconds: 1.0,
                run: None,
            })
            .unwrap();
        journal.file.append(b"{\"event\":\"fini").unwrap();
        drop(journal);

        let sweep = read(&layout, "s").unwrap();
        assert_eq!(sweep.definition, definition);
        assert_eq!(sweep.counts(), (1, 1));
        assert_eq!(sweep.trials[2].state, TrialState::Open);
        assert_eq!(sweep.trials[0].values, values);

        let mut journal = Journal::open(&layout, "s").unwrap();
        assert!(!journal.is_new());
        journal.append(&finished(3, 0.75)).unwrap();
        drop(journal);
        let sweep = read(&layout, "s").unwrap();
        let (best, result) = sweep.best().unwrap();
        assert_eq!(best.number, 3);
        let order: Vec<&str> = result.ran.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["train", "judge"]);
        assert_eq!(names(&layout), ["s"]);
        assert!(!is_running(&layout, "s"));
    }

    #[test]
    fn damage_in_the_middle_is_an_error_and_a_missing_sweep_too() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &crate::project::CVOPS);
        let mut journal = Journal::open(&layout, "sweep-1").unwrap();
        journal.append(&definition_for_tests().to_record()).unwrap();
        journal.file.append(b"garbage\n").unwrap();
        assert!(
            read(&layout, "sweep-1")
                .unwrap_err()
                .to_string()
                .contains("line 2")
        );
        assert!(
            read(&layout, "sweep-2")
                .unwrap_err()
                .to_string()
                .contains("no sweep")
        );
    }
}
