//! What clients log to a run: metrics with their history, params, tags. Imports: base, entity, run,
//! validate, curve, rusqlite.
//!
//! The latest value of a metric is the one of the highest (step, time, value); NaN is below every
//! number. A point that is there already is not stored again, so that a client may send a batch twice.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::track::entity::{MetricPoint, ModelMetric, Page, Tag, latest_order};
use crate::track::error::Error;
use crate::track::run::RunId;
use crate::track::validate;

use super::{Reader, Writing, curve, kept};

/// What a client adds to a run in one request.
#[derive(Clone, Debug, Default)]
pub struct LoggedBatch {
    /// Points of metrics.
    pub metrics: Vec<LoggedPoint>,
    /// Params.
    pub params: Vec<Tag>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A point of a metric, with what it tells of.
#[derive(Clone, Debug)]
pub struct LoggedPoint {
    /// Name, value, time, step.
    pub point: MetricPoint,
    /// The logged model it was computed for.
    pub model: Option<String>,
    /// The dataset it was computed on, by name and digest.
    pub dataset: Option<(String, String)>,
}

/// A metric while a batch is written.
struct Open {
    id: i64,
    /// The latest point.
    latest: Latest,
    is_changed: bool,
}

#[derive(Clone, Copy)]
struct Latest {
    step: i64,
    at_ms: i64,
    value: f64,
}

impl Latest {
    fn of(point: &MetricPoint) -> Self {
        Self {
            step: point.step,
            at_ms: point.at_ms,
            value: point.value,
        }
    }

    fn is_before(self, other: Self) -> bool {
        let key = |latest: Self| (latest.step, latest.at_ms, latest.value);
        latest_order(key(self), key(other)) == Ordering::Less
    }
}

impl Writing<'_> {
    /// Adds what a client logged to a run, all or nothing.
    ///
    /// # Errors
    /// There is no such run that is active, a key or value cannot be, or a param has another value
    /// already.
    pub fn log_batch_of(&self, id: RunId, batch: &LoggedBatch) -> Result<(), Error> {
        let (number, experiment) = self.active_run(id)?;
        self.log_params(id, number, &batch.params)?;
        self.log_points(number, experiment, &batch.metrics)?;
        for logged in &batch.metrics {
            if let Some(model) = &logged.model {
                let metric = ModelMetric {
                    point: logged.point.clone(),
                    run: id.to_string(),
                    dataset: logged.dataset.clone(),
                };
                self.log_logged_model_metric(model, &metric)?;
            }
        }
        for tag in &batch.tags {
            self.put_run_tag(number, &tag.key, &tag.value)?;
        }
        Ok(())
    }

    fn log_params(&self, id: RunId, number: i64, params: &[Tag]) -> Result<(), Error> {
        let mut differing: Vec<String> = Vec::new();
        for param in params {
            let value = validate::cut(&param.value, validate::PARAM_VALUE_CHARS_MAX);
            let added = self.execute(
                "INSERT OR IGNORE INTO params (run, name, file, key, value, typed)
                 VALUES (?1, ?2, '', ?2, ?3, 0)",
                &[&number, &param.key, &value],
            )?;
            if added == 1 {
                continue;
            }
            let old = self.row(
                "SELECT value FROM params WHERE run = ?1 AND name = ?2",
                &[&number, &param.key],
                |row| row.get::<_, String>(0),
            )?;
            if let Some(old) = old.filter(|old| old != value) {
                differing.push(format!(
                    "{{'key': '{}', 'old value': '{old}', 'new value': '{value}'}}",
                    param.key
                ));
            }
        }
        if differing.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "Changing param values is not allowed. Params were already logged='[{}]' for run ID='{id}'.",
            differing.join(", ")
        )))
    }

    fn log_points(
        &self,
        number: i64,
        experiment: i64,
        metrics: &[LoggedPoint],
    ) -> Result<(), Error> {
        let mut open: BTreeMap<&str, Open> = BTreeMap::new();
        let mut work = || -> rusqlite::Result<()> {
            let mut add = self.db.prepare_cached(
                "INSERT OR IGNORE INTO points (metric, at_ms, step, value, is_number)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for LoggedPoint { point, .. } in metrics {
                let latest = Latest::of(point);
                let metric = match open.get_mut(point.name.as_str()) {
                    Some(metric) => metric,
                    None => {
                        let metric = self.open_metric(number, experiment, &point.name, latest)?;
                        open.entry(&point.name).or_insert(metric)
                    }
                };
                if metric.latest.is_before(latest) {
                    metric.latest = latest;
                    metric.is_changed = true;
                }
                let value = kept(point.value);
                add.execute((
                    metric.id,
                    point.at_ms,
                    point.step,
                    value.unwrap_or(0.0),
                    value.is_some(),
                ))?;
            }
            for metric in open.values().filter(|metric| metric.is_changed) {
                let Latest { step, at_ms, value } = metric.latest;
                self.db
                    .prepare_cached(
                        "UPDATE metrics SET step = ?2, at_ms = ?3, value = ?4 WHERE id = ?1",
                    )?
                    .execute((metric.id, step, at_ms, kept(value)))?;
            }
            Ok(())
        };
        work().map_err(|e| self.failed(e))
    }

    /// Finds a metric of a run, or makes it with this first point.
    fn open_metric(
        &self,
        number: i64,
        experiment: i64,
        name: &str,
        first: Latest,
    ) -> rusqlite::Result<Open> {
        let mut find = self.db.prepare_cached(
            "SELECT id, step, at_ms, value FROM metrics WHERE run = ?1 AND name = ?2",
        )?;
        let mut found = find.query((number, name))?;
        if let Some(row) = found.next()? {
            let latest = Latest {
                step: row.get(1)?,
                at_ms: row.get(2)?,
                value: row.get::<_, Option<f64>>(3)?.unwrap_or(f64::NAN),
            };
            return Ok(Open {
                id: row.get(0)?,
                latest,
                is_changed: false,
            });
        }
        self.db
            .prepare_cached(
                "INSERT INTO metrics (run, experiment, name, file, key, value, step, at_ms)
                 VALUES (?1, ?2, ?3, '', ?3, ?4, ?5, ?6)",
            )?
            .execute((
                number,
                experiment,
                name,
                kept(first.value),
                first.step,
                first.at_ms,
            ))?;
        Ok(Open {
            id: self.db.last_insert_rowid(),
            latest: first,
            is_changed: false,
        })
    }
}

/// A place in a history: time, step, is it a number, value.
type Place = (i64, i64, bool, f64);

fn compare(a: &Place, b: &Place) -> Ordering {
    (a.0, a.1, a.2)
        .cmp(&(b.0, b.1, b.2))
        .then(a.3.total_cmp(&b.3))
}

fn token_of((at, step, is_number, value): &Place) -> String {
    let text = format!("{at} {step} {is_number} {}", value.to_bits());
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// Returns the token behind which the points of a history come that follow `point`.
#[must_use]
pub fn token_behind(point: &MetricPoint) -> String {
    let number = kept(point.value);
    token_of(&(
        point.at_ms,
        point.step,
        number.is_some(),
        number.unwrap_or(0.0),
    ))
}

fn place_of(token: &str) -> Result<Place, Error> {
    let read = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut words = text.split(' ');
        let place = (
            words.next()?.parse().ok()?,
            words.next()?.parse().ok()?,
            words.next()?.parse().ok()?,
            f64::from_bits(words.next()?.parse().ok()?),
        );
        Some(place)
    };
    read().ok_or_else(|| Error::invalid("Invalid page token, could not base64-decode"))
}

impl Reader<'_> {
    /// Returns a metric's history by time, step and value: all of it, or at most `max` points after
    /// the place that `token` names. Empty if the run does not have the metric.
    ///
    /// # Errors
    /// There is no such run, or the token is none of ours.
    pub fn metric_history(
        &self,
        id: RunId,
        name: &str,
        max: Option<usize>,
        token: Option<&str>,
    ) -> Result<Page<MetricPoint>, Error> {
        let number = self.number(id)?;
        let after = token
            .filter(|token| !token.is_empty())
            .map(place_of)
            .transpose()?;
        let mut places = self.places(number, name, max, after)?;
        let more = max.is_some_and(|max| max < places.len());
        places.truncate(max.unwrap_or(usize::MAX));
        let next = more.then(|| places.last().map(token_of)).flatten();
        Ok(Page {
            items: places.iter().map(|place| point(name, place)).collect(),
            next,
        })
    }

    /// Returns points of a metric of several runs, each run's by step, time and value. Of more than
    /// `max_per_run` steps an even sample is taken, the first and the last always.
    ///
    /// # Errors
    /// There is no such run.
    pub fn metric_histories(
        &self,
        ids: &[RunId],
        name: &str,
        steps: Option<(i64, i64)>,
        max_per_run: usize,
    ) -> Result<Vec<(RunId, MetricPoint)>, Error> {
        let mut all = Vec::new();
        for &id in ids {
            let mut places = self.places(self.number(id)?, name, None, None)?;
            if let Some((first, last)) = steps {
                places.retain(|place| (first..=last).contains(&place.1));
            }
            places.sort_by(|a, b| a.1.cmp(&b.1).then(compare(a, b)));
            sample(&mut places, max_per_run);
            all.extend(places.iter().map(|place| (id, point(name, place))));
        }
        Ok(all)
    }

    /// Returns at least `max + 1` points after a place, if there are as many, in the order of
    /// histories.
    fn places(
        &self,
        number: i64,
        name: &str,
        max: Option<usize>,
        after: Option<Place>,
    ) -> Result<Vec<Place>, Error> {
        let metric = self.row(
            "SELECT m.id, m.at_ms, c.points FROM metrics m LEFT JOIN curves c ON c.id = m.curve
             WHERE m.run = ?1 AND m.name = ?2",
            &[&number, &name],
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get(1)?,
                    row.get::<_, Option<Vec<u8>>>(2)?,
                ))
            },
        )?;
        let Some((metric, at_ms, bytes)) = metric else {
            return Ok(Vec::new());
        };
        let limit = max.map_or(-1, |max| {
            i64::try_from(max).map_or(-1, |max| max.saturating_add(1))
        });
        let (at, step, is_number, value) = after.unwrap_or(BEFORE_ALL);
        let mut places: Vec<Place> = self.rows(
            "SELECT at_ms, step, is_number, value FROM points
             WHERE metric = ?1 AND (at_ms, step, is_number, value) > (?2, ?3, ?4, ?5)
             ORDER BY at_ms, step, is_number, value LIMIT ?6",
            &[&metric, &at, &step, &is_number, &value, &limit],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        let whole = bytes.as_deref().map(curve::of_bytes).unwrap_or_default();
        let whole = whole.into_iter().map(|(step, value)| {
            let number = kept(value);
            (at_ms, step, number.is_some(), number.unwrap_or(0.0))
        });
        let after = after.unwrap_or(BEFORE_ALL);
        places.extend(whole.filter(|place| compare(&after, place) == Ordering::Less));
        places.sort_by(compare);
        Ok(places)
    }
}

/// Before every point.
const BEFORE_ALL: Place = (i64::MIN, i64::MIN, false, -1.0);

fn point(name: &str, &(at_ms, step, is_number, value): &Place) -> MetricPoint {
    MetricPoint {
        name: name.to_owned(),
        value: if is_number { value } else { f64::NAN },
        at_ms,
        step,
    }
}

/// Keeps at most `max` points, of `max` steps as far as there are as many: first and last always.
/// `places` are in the order of their steps.
fn sample(places: &mut Vec<Place>, max: usize) {
    let mut steps: Vec<i64> = places.iter().map(|place| place.1).collect();
    steps.dedup();
    if max < steps.len() {
        let kept: Vec<i64> = evenly(steps.len(), max).map(|i| steps[i]).collect();
        places.retain(|place| kept.binary_search(&place.1).is_ok());
    }
    if max < places.len() {
        *places = evenly(places.len(), max).map(|i| places[i]).collect();
    }
}

/// Returns `max` of the numbers below `count`, which are more: the last one, and as many as may be
/// from the first on at equal distances.
fn evenly(count: usize, max: usize) -> impl Iterator<Item = usize> {
    let spaces = max.saturating_sub(1);
    let before = (0..spaces).map(move |i| i * (count - 1) / spaces);
    before.chain((0 < max).then_some(count - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_keeps_both_ends() {
        let mut places: Vec<Place> = (0..1000).map(|i| (0, i, true, 0.0)).collect();
        sample(&mut places, 10);
        let steps: Vec<i64> = places.iter().map(|p| p.1).collect();
        assert_eq!(steps.len(), 10);
        assert_eq!((steps[0], steps[9]), (0, 999));
        sample(&mut places, 1);
        assert_eq!(places, [(0, 999, true, 0.0)]);
        let mut same: Vec<Place> = (0..1000).map(|i| (i, 7, true, 0.0)).collect();
        sample(&mut same, 10);
        assert_eq!((same.len(), same[0].0, same[9].0), (10, 0, 999));
        sample(&mut Vec::new(), 0);
    }

    #[test]
    fn tokens_are_places() {
        let place = (5, -1, true, f64::NEG_INFINITY);
        assert_eq!(place_of(&token_of(&place)).unwrap(), place);
        for bad in ["", "x", "eyJvZmZzZXQiOiA0fQ==", "😀"] {
            assert!(place_of(bad).is_err(), "{bad}");
        }
    }
}
