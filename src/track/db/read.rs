//! Finding and reading runs. Imports: base, run, overview, owner,
//! rusqlite.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{OptionalExtension, Row, ToSql};

use crate::base::ObjectId;
use crate::base::diag::nearest;
use crate::track::error::{Candidate, Error};
use crate::track::overview::is_table;
use crate::track::run::{Artifact, Git, Key, Metric, Point, Run, RunId, StageRecord, Status};

use super::{Reader, Tracking, curve, time, write};

/// Shorter beginnings of an id are refused: they would soon name several runs.
const PREFIX_MIN: usize = 4;

/// How many runs are looked through for the one that was probably meant.
const NEAREST_AMONG: usize = 1000;

/// Runs whose details are read by one statement.
const CHUNK: usize = 500;

/// The last of all runs.
const LAST: &str = "last";

/// In which order runs are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The one that began last first.
    #[default]
    Newest,
    /// By the last value of the metric called so, the highest first; runs without it at the end.
    Highest(String),
    /// The lowest first.
    Lowest(String),
}

/// Which runs are listed. The default lists all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those of this experiment.
    pub experiment: Option<String>,
    /// Only parts of this run.
    pub parent: Option<RunId>,
    /// Only those that ended so (or go on).
    pub status: Vec<Status>,
    /// The order.
    pub order: Order,
    /// At most so many.
    pub limit: Option<usize>,
}

/// Runs of one name within one run are attempts at the same part: a trial that was killed runs
/// again under its name. Returns the place of the one that is meant in `found`, newest first: the
/// newest that was not killed, else the newest. `None`: they are no such attempts.
fn last_attempt(found: &[(i64, Run)]) -> Option<usize> {
    let (_, first) = found.first()?;
    let is_same =
        |run: &Run| run.parent.is_some() && run.parent == first.parent && run.name == first.name;
    let are_attempts = 1 < found.len() && found.iter().all(|(_, run)| is_same(run));
    let alive = found
        .iter()
        .position(|(_, run)| run.status != Status::Killed);
    are_attempts.then(|| alive.unwrap_or(0))
}

impl Tracking {
    /// See `Reader::find`.
    ///
    /// # Errors
    /// As there.
    pub fn find(&self, text: &str) -> Result<Run, Error> {
        self.reader().find(text)
    }

    /// See `Reader::get`.
    ///
    /// # Errors
    /// As there.
    pub fn get(&self, id: RunId) -> Result<Run, Error> {
        self.reader().get(id)
    }

    /// See `Reader::list`.
    ///
    /// # Errors
    /// As there.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Run>, Error> {
        self.reader().list(filter)
    }

    /// See `Reader::count`.
    ///
    /// # Errors
    /// As there.
    pub fn count(&self) -> Result<usize, Error> {
        self.reader().count()
    }

    /// See `Reader::experiments`.
    ///
    /// # Errors
    /// As there.
    pub fn experiments(&self) -> Result<Vec<String>, Error> {
        self.reader().experiments()
    }

    /// See `Reader::metric_key`.
    ///
    /// # Errors
    /// As there.
    pub fn metric_key(&self, name: &str) -> Result<Key, Error> {
        self.reader().metric_key(name)
    }

    /// See `Reader::history`.
    ///
    /// # Errors
    /// As there.
    pub fn history(&self, id: RunId, key: &Key) -> Result<Vec<Point>, Error> {
        self.reader().history(id, key)
    }

    /// See `Reader::lock_text`.
    ///
    /// # Errors
    /// As there.
    pub fn lock_text(&self, id: RunId) -> Result<Option<String>, Error> {
        self.reader().lock_text(id)
    }
}

impl Reader<'_> {
    /// Finds a run by its id, the beginning of its id (at least 4 digits), its name, or `last`. Of
    /// several attempts at one part of a run, the last one is meant.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn find(&self, text: &str) -> Result<Run, Error> {
        if text == LAST {
            let filter = Filter {
                limit: Some(1),
                ..Filter::default()
            };
            return self.list(&filter)?.pop().ok_or(Error::NoRuns);
        }
        let mut found = self.heads("r.name = ?1", &[&text], "")?;
        if found.is_empty() && is_hex(text) && PREFIX_MIN <= text.len() {
            let begin = text.to_ascii_lowercase();
            // `g` follows the last hexadecimal digit.
            let end = format!("{begin}g");
            found = self.heads("r.id >= ?1 AND r.id < ?2", &[&begin, &end], "")?;
        }
        if let Some(last) = last_attempt(&found) {
            found = vec![found.swap_remove(last)];
        }
        if found.len() == 1 {
            self.fill(&mut found)?;
        }
        let mut runs: Vec<Run> = found.into_iter().map(|(_, run)| run).collect();
        match runs.len() {
            0 => Err(self.unknown(text)?),
            1 => Ok(runs.remove(0)),
            _ => Err(Error::AmbiguousRun {
                text: text.to_owned(),
                candidates: runs.iter().map(Candidate::of).collect(),
            }),
        }
    }

    /// Returns the run with this id.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, id: RunId) -> Result<Run, Error> {
        self.find(&id.to_string())
    }

    fn unknown(&self, text: &str) -> Result<Error, Error> {
        let newest = format!("LIMIT {NEAREST_AMONG}");
        let runs = self.heads("TRUE", &[], &newest)?;
        if runs.is_empty() {
            return Ok(Error::NoRuns);
        }
        let names = runs.iter().map(|(_, run)| run.name.as_str());
        Ok(Error::UnknownRun {
            nearest: nearest(text, names.chain([LAST])).map(str::to_owned),
            is_short: is_hex(text) && text.len() < PREFIX_MIN,
            text: text.to_owned(),
        })
    }

    /// Lists runs with all that is recorded of them.
    ///
    /// # Errors
    /// The experiment or metric asked for is unknown, or the database cannot be read.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Run>, Error> {
        let mut conditions = vec!["TRUE".to_owned()];
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        if let Some(name) = &filter.experiment {
            let known = self.experiments()?;
            if !known.contains(name) {
                return Err(Error::UnknownExperiment {
                    name: name.clone(),
                    nearest: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
                });
            }
            values.push(Box::new(name.clone()));
            conditions.push(format!("e.name = ?{}", values.len()));
        }
        if let Some(parent) = filter.parent {
            values.push(Box::new(parent.to_string()));
            conditions.push(format!("r.parent = ?{}", values.len()));
        }
        let order = match &filter.order {
            Order::Newest => String::new(),
            Order::Highest(metric) | Order::Lowest(metric) => {
                let key = self.metric_key(metric)?;
                values.push(Box::new(key.key));
                values.push(Box::new(key.file));
                let (of_key, of_file) = (values.len() - 1, values.len());
                let of = format!("run = r.number AND key = ?{of_key} AND file = ?{of_file}");
                let value = format!("(SELECT value FROM metrics WHERE {of} ORDER BY id LIMIT 1)");
                let way = match filter.order {
                    Order::Lowest(_) => "ASC",
                    _ => "DESC",
                };
                format!("{value} IS NULL, {value} {way},")
            }
        };
        // The status of a run whose process died is known only after a look at the process, so
        // rows are chosen by status here and not by SQL; then the limit is applied here as well.
        let limit = match filter.limit {
            Some(n) if filter.status.is_empty() => format!("LIMIT {n}"),
            _ => String::new(),
        };
        let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
        let mut runs = self.heads_ordered(&conditions.join(" AND "), &values, &order, &limit)?;
        if !filter.status.is_empty() {
            runs.retain(|(_, run)| filter.status.contains(&run.status));
            runs.truncate(filter.limit.unwrap_or(usize::MAX));
        }
        self.fill(&mut runs)?;
        Ok(runs.into_iter().map(|(_, run)| run).collect())
    }

    /// Returns how many runs there are.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn count(&self) -> Result<usize, Error> {
        let n: i64 = self
            .db
            .query_row(
                "SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'",
                [],
                |row| row.get(0),
            )
            .map_err(|e| self.failed(e))?;
        Ok(usize::try_from(n).unwrap_or(0))
    }

    /// Returns the names of the experiments.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn experiments(&self) -> Result<Vec<String>, Error> {
        self.rows(
            "SELECT name FROM experiments WHERE lifecycle_stage = 'active' ORDER BY id",
            &[],
            |row| row.get(0),
        )
    }

    /// Returns the key of the metric that a person calls `name`: a key, or `file:key`. Of several
    /// files with the key, one that an evaluation writes counts before tables of curves.
    ///
    /// # Errors
    /// No run has it, or several files do.
    pub fn metric_key(&self, name: &str) -> Result<Key, Error> {
        let read = |row: &Row<'_>| Ok(Key::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let called = "SELECT DISTINCT file, key FROM metrics
             WHERE key = ?1 OR file || ':' || key = ?1 ORDER BY file, key";
        let mut found = self.rows(called, &[&name], read)?;
        let in_full = |key: &Key| format!("{}:{}", key.file, key.key) == name;
        if let Some(at) = found.iter().position(in_full) {
            return Ok(found.swap_remove(at));
        }
        if found.iter().any(|key| !is_table(&key.file)) {
            found.retain(|key| !is_table(&key.file));
        }
        match found.len() {
            0 => {}
            1 => return Ok(found.swap_remove(0)),
            _ => {
                return Err(Error::AmbiguousMetric {
                    name: name.to_owned(),
                    candidates: found
                        .into_iter()
                        .map(|key| format!("{}:{}", key.file, key.key))
                        .collect(),
                });
            }
        }
        let keys = self.rows("SELECT DISTINCT file, key FROM metrics", &[], read)?;
        let full: Vec<String> = keys.iter().map(Key::to_string).collect();
        let known = keys
            .iter()
            .map(|k| k.key.as_str())
            .chain(full.iter().map(String::as_str));
        Err(Error::UnknownMetric {
            name: name.to_owned(),
            nearest: nearest(name, known).map(str::to_owned),
        })
    }

    /// Returns the history of a metric, by step and time; empty if the run does not have it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn history(&self, id: RunId, key: &Key) -> Result<Vec<Point>, Error> {
        let of: [&dyn ToSql; 3] = [&id.to_string(), &key.file, &key.key];
        let mut points = self.rows(
            "SELECT p.step, p.at_ms, iif(p.is_number, p.value, NULL) FROM points p
             JOIN metrics m ON m.id = p.metric JOIN runs r ON r.number = m.run
             WHERE r.id = ?1 AND m.file = ?2 AND m.key = ?3
             ORDER BY p.step, p.at_ms, p.is_number, p.value",
            &of,
            |row| Ok((row.get(0)?, row.get(1)?, number(row, 2)?)),
        )?;
        let curves: Vec<(i64, Vec<u8>)> = self.rows(
            "SELECT m.at_ms, c.points FROM curves c
             JOIN metrics m ON m.curve = c.id JOIN runs r ON r.number = m.run
             WHERE r.id = ?1 AND m.file = ?2 AND m.key = ?3",
            &of,
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        for (at, bytes) in curves {
            let curve = curve::of_bytes(&bytes).into_iter();
            points.extend(curve.map(|(step, value)| (step, at, value)));
        }
        points.sort_by_key(|(step, at, _): &(i64, i64, f64)| (*step, *at));
        points
            .into_iter()
            .map(|(step, at, value)| {
                Ok(Point {
                    step,
                    at: time(at)?,
                    value,
                })
            })
            .collect()
    }

    /// Returns the lock as it stood after the run.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn lock_text(&self, id: RunId) -> Result<Option<String>, Error> {
        self.db
            .query_row(
                "SELECT l.text FROM runs r JOIN locks l ON l.id = r.lock WHERE r.id = ?1",
                [id.to_string()],
                |row| row.get(0),
            )
            .optional()
            .map_err(|e| self.failed(e))
    }

    fn heads(
        &self,
        condition: &str,
        values: &[&dyn ToSql],
        limit: &str,
    ) -> Result<Vec<(i64, Run)>, Error> {
        self.heads_ordered(condition, values, "", limit)
    }

    /// Reads runs without params, metrics, stages, artifacts and tags, with their numbers.
    fn heads_ordered(
        &self,
        condition: &str,
        values: &[&dyn ToSql],
        order: &str,
        limit: &str,
    ) -> Result<Vec<(i64, Run)>, Error> {
        let sql = format!(
            "SELECT r.number, r.id, r.name, e.name, r.parent, r.status, r.started_ms, r.ended_ms,
                    r.command, r.targets, r.git_commit, r.git_branch, r.git_dirty, r.owner
             FROM runs r JOIN experiments e ON e.id = r.experiment
             WHERE r.lifecycle_stage = 'active' AND {condition} ORDER BY {order} r.started_ms DESC, r.number DESC {limit}"
        );
        self.rows(&sql, values, |row| Ok((row.get(0)?, head(row)?)))?
            .into_iter()
            .map(|(number, run)| Ok((number, run?)))
            .collect()
    }

    /// Reads what `heads` left out.
    fn fill(&self, runs: &mut [(i64, Run)]) -> Result<(), Error> {
        let place: BTreeMap<i64, usize> = runs
            .iter()
            .enumerate()
            .map(|(place, (number, _))| (*number, place))
            .collect();
        let numbers: Vec<String> = runs.iter().map(|(number, _)| number.to_string()).collect();
        for chunk in numbers.chunks(CHUNK) {
            let of = format!("[{}]", chunk.join(","));
            self.fill_chunk(runs, &place, &of)?;
        }
        Ok(())
    }

    fn fill_chunk(
        &self,
        runs: &mut [(i64, Run)],
        place: &BTreeMap<i64, usize>,
        of: &str,
    ) -> Result<(), Error> {
        let mut each = |sql: &str, add: Add<'_>| -> Result<(), Error> {
            let results = self.rows(sql, &[&of], |row| {
                let number: i64 = row.get(0)?;
                match place.get(&number).and_then(|i| runs.get_mut(*i)) {
                    Some((_, run)) => add(run, row),
                    None => Ok(Ok(())),
                }
            })?;
            results.into_iter().collect()
        };
        each(
            "SELECT run, file, key, value, typed FROM params WHERE run IN (SELECT value FROM json_each(?1))",
            &mut |run, row| {
                let value: String = row.get(3)?;
                run.params
                    .insert(key(row)?, write::value_of(value, row.get(4)?));
                Ok(Ok(()))
            },
        )?;
        each(
            "SELECT run, file, key, value, step, at_ms FROM metrics WHERE run IN (SELECT value FROM json_each(?1)) ORDER BY id",
            &mut |run, row| {
                let (value, step) = (number(row, 3)?, row.get(4)?);
                let key = key(row)?;
                Ok(time(row.get(5)?).map(|at| {
                    run.metrics.push(Metric {
                        key,
                        value,
                        step,
                        at,
                    });
                }))
            },
        )?;
        each(
            "SELECT run, key, value FROM tags WHERE run IN (SELECT value FROM json_each(?1))",
            &mut |run, row| {
                run.tags.insert(row.get(1)?, row.get(2)?);
                Ok(Ok(()))
            },
        )?;
        each(
            "SELECT run, path, object, size, files, stage FROM artifacts WHERE run IN (SELECT value FROM json_each(?1)) ORDER BY path",
            &mut |run, row| {
                let hash: String = row.get(2)?;
                let (path, stage) = (row.get(1)?, row.get(5)?);
                let size: i64 = row.get(3)?;
                let files: Option<i64> = row.get(4)?;
                Ok(object(&hash).map(|object| {
                    run.artifacts.push(Artifact {
                        path,
                        object,
                        size: u64::try_from(size).unwrap_or(0),
                        files: files.and_then(|n| u64::try_from(n).ok()),
                        stage,
                    });
                }))
            },
        )?;
        each(
            "SELECT run, name, outcome, took_ms, message FROM stages WHERE run IN (SELECT value FROM json_each(?1)) ORDER BY run, place",
            &mut |run, row| {
                let (name, outcome, message): (_, String, _) =
                    (row.get(1)?, row.get(2)?, row.get(4)?);
                let took = Duration::from_millis(u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0));
                Ok(outcome
                    .parse()
                    .map_err(|what| Error::BadRecord { what })
                    .map(|outcome| {
                        run.stages.push(StageRecord {
                            name,
                            outcome,
                            took,
                            message,
                        });
                    }))
            },
        )
    }
}

/// Could this be the beginning of an id?
fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Adds a row to the run it belongs to; the inner error is a value that this program does not know.
type Add<'a> = &'a mut dyn FnMut(&mut Run, &Row<'_>) -> rusqlite::Result<Result<(), Error>>;

/// Reads a run's own row; the inner error is a value that this program does not know.
fn head(row: &Row<'_>) -> rusqlite::Result<Result<Run, Error>> {
    let id: String = row.get(1)?;
    let parent: Option<String> = row.get(4)?;
    let status: String = row.get(5)?;
    let (started, ended): (i64, Option<i64>) = (row.get(6)?, row.get(7)?);
    let targets: String = row.get(9)?;
    let commit: Option<String> = row.get(10)?;
    let (branch, dirty) = (row.get(11)?, row.get(12)?);
    let owner: Option<String> = row.get(13)?;
    let (name, experiment, command) = (row.get(2)?, row.get(3)?, row.get(8)?);
    let git = commit.map(|commit| Git {
        commit,
        branch,
        dirty,
    });
    let build = || {
        let unknown = |what: String| Error::BadRecord { what };
        let status = match status.parse().map_err(unknown)? {
            Status::Running if write::is_abandoned(owner.as_deref()) => Status::Killed,
            status => status,
        };
        let parse = |text: &str| text.parse::<RunId>().map_err(|e| unknown(e.to_string()));
        Ok(Run {
            id: parse(&id)?,
            name,
            experiment,
            parent: parent.as_deref().map(parse).transpose()?,
            status,
            started: time(started)?,
            ended: ended.map(time).transpose()?,
            command,
            targets: serde_json::from_str(&targets).unwrap_or_default(),
            git,
            stages: Vec::new(),
            params: BTreeMap::new(),
            metrics: Vec::new(),
            artifacts: Vec::new(),
            tags: BTreeMap::new(),
        })
    };
    Ok(build())
}

/// Reads a param's or metric's name from columns 1 and 2.
fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?))
}

/// Reads a number; NULL stands for NaN, which SQLite does not keep.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<f64> {
    Ok(row.get::<_, Option<f64>>(column)?.unwrap_or(f64::NAN))
}

fn object(text: &str) -> Result<ObjectId, Error> {
    text.parse().map_err(|_| Error::BadRecord {
        what: format!("the object `{text}`"),
    })
}
