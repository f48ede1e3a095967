//! `/ajax-api/cvops/series`: histories of metrics for charts, in as few points as a screen shows, and
//! the same for the charts that pages are sent with. Imports: mlflow, report, track, `ui::asked`.
//!
//! `?run=ID…&key=NAME…&x=step|time|wall&from=&to=&points=&band_over=PARAM…` → `{"x": "step", "points":
//! 500, "series": [{"run", "name", "key", "points", "total", "sampled", "not_numbers"}]}`. `x` is a step,
//! seconds since the run began, or milliseconds since 1970. A point is `[x, y]`; `[x, least, greatest,
//! last, count]` where `sampled`; `[x, low, mean, high]` of a band. A y of `null` is no number.
//! The outer `points` is what was asked for, or less where there are many series: a series of more is
//! `sampled`, into at most twice as many.
//! All series of an answer together are read from 100,000,000 points at most; more are refused.
//! With `band_over` runs that have the same params but for these are one series: mean ± standard
//! deviation (of a sample).

mod bands;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::http::Response;
use crate::mlflow::Refused;
use crate::report::Svg;
use crate::report::chart::{Axis as ChartAxis, Band, LineChart, Naming, ScaleKind, Series};
use crate::track::db::{PointsLeft, SeriesQuery};
use crate::track::series::{Axis, Bucket, Downsampled};
use crate::track::{Error, Reader, RunId, Shared};
use crate::ui::asked::{Asked, Query};
use crate::ui::parts::number::whole;
use crate::ui::reply;
use crate::ui::site::{Endpoint, Site};

pub(in crate::ui) use bands::{GroupOfRuns, groups};

pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[Endpoint::get("/ajax-api/cvops/series", answer)];

/// Runs times metrics of one request.
const SERIES_MAX: usize = 600;
const POINTS: usize = 500;
const POINTS_MAX: usize = 5000;

/// About so many points are told in one answer, of all its series together: the more series, the
/// fewer of each, but never fewer than a small chart shows.
const POINTS_OF_ALL: usize = 200_000;
const POINTS_LEAST: usize = 50;

/// So many points are read for one answer at most, of all its series together: that takes some 20 s.
const POINTS_READ_MAX: u64 = 100_000_000;

/// So many ids that are none are named when they are refused, with so many characters each.
const BAD_NAMED_MAX: usize = 10;
const BAD_CHARS_MAX: usize = 60;

/// Which series are meant.
#[derive(Clone, Debug)]
pub(in crate::ui) struct SeriesAsk {
    /// The runs, with what they are called.
    pub(in crate::ui) runs: Vec<(RunId, String)>,
    /// The flat names of metrics.
    pub(in crate::ui) keys: Vec<String>,
    /// What they are drawn over.
    pub(in crate::ui) axis: Axis,
    /// From where to where.
    pub(in crate::ui) range: Option<(i64, i64)>,
    /// About how many points each.
    pub(in crate::ui) points: usize,
    /// Params over which runs are put together to bands; none: each run by itself.
    pub(in crate::ui) band_over: Vec<String>,
}

/// One series, as the script of a chart reads it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct OneSeries {
    run: String,
    pub(in crate::ui) name: String,
    key: String,
    points: Vec<Point>,
    total: u64,
    sampled: bool,
    not_numbers: u64,
}

/// A point as it is told; what is no number becomes `null`.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
enum Point {
    /// x, y.
    Whole([f64; 2]),
    /// x, low, middle, high.
    OfBand([f64; 4]),
    /// x, least, greatest, last, count.
    Bucket([f64; 5]),
}

impl Point {
    /// Returns x and y of the curve.
    fn last(&self) -> (f64, f64) {
        match *self {
            Self::Whole([x, y]) | Self::OfBand([x, _, y, _]) | Self::Bucket([x, _, _, y, _]) => {
                (x, y)
            }
        }
    }
}

#[derive(Serialize)]
struct Told {
    x: &'static str,
    /// About how many points each series has at most.
    points: usize,
    series: Vec<OneSeries>,
}

fn answer(_: &Site, asked: &Asked) -> Result<Response, Refused> {
    let ids = run_ids(&asked.query)?;
    let keys: Vec<String> = unique(asked.query.all("key"));
    if ids.is_empty() || keys.is_empty() {
        return Err(Refused::invalid(
            "at least one `run` and one `key` (a metric) have to be named",
        ));
    }
    if SERIES_MAX < ids.len() * keys.len() {
        return Err(Refused::invalid(format!(
            "{} runs of {} metrics are more than {SERIES_MAX} series at once",
            ids.len(),
            keys.len()
        )));
    }
    let (axis, x) = axis(&asked.query)?;
    let points = asked.query.number("points", POINTS)?;
    let mut ask = SeriesAsk {
        runs: Vec::new(),
        points: points_each(points, ids.len() * keys.len()),
        keys,
        axis,
        range: range(&asked.query, axis)?,
        band_over: unique(asked.query.all("band_over")),
    };
    let found = read(&asked.shared, &mut ask, ids, points_left())?;
    let told = Told {
        x,
        points: ask.points,
        series: told(&ask, &found),
    };
    reply::json(asked, &told)
}

/// Reads the series of some runs, which become those of `ask`.
///
/// # Errors
/// A run does not exist, or there are more points than may be read.
fn read(
    shared: &Shared,
    ask: &mut SeriesAsk,
    ids: Vec<RunId>,
    mut left: PointsLeft,
) -> Result<Vec<OfRun>, Refused> {
    let max = whole(left.left());
    let (mut runs, mut found) = (Vec::new(), Vec::new());
    for id in ids {
        // Each run in a moment of its own: while one is kept SQLite's log cannot be taken up.
        let (name, of_run) = shared.read(|reader| {
            let name = reader.run_info(id)?.name;
            Ok((name, OfRun::read(reader, ask, id, &mut left)?))
        })?;
        if left.is_exceeded() {
            return Err(Refused::invalid(format!(
                "these series have more than {max} points together, which are not read at once: ask for fewer runs or metrics, or for a part of them (`x=time`, `from` and `to`)"
            )));
        }
        runs.push((id, name));
        found.push(of_run);
    }
    ask.runs = named_apart(runs);
    Ok(found)
}

/// Returns of how many points each of some series may be, if so many are wished for.
fn points_each(wished: usize, series: usize) -> usize {
    let share = POINTS_OF_ALL / series.max(1);
    wished.clamp(10, POINTS_MAX).min(share.max(POINTS_LEAST))
}

/// Returns the runs that a query names, each once, in its order.
///
/// # Errors
/// Some are no run ids: they are named.
pub(in crate::ui) fn run_ids(query: &Query) -> Result<Vec<RunId>, Refused> {
    let texts = unique(query.all("run").filter(|text| !text.is_empty()));
    let (mut ids, mut bad) = (Vec::new(), Vec::new());
    for text in &texts {
        match text.parse() {
            Ok(id) => ids.push(id),
            Err(_) => bad.push(text),
        }
    }
    if bad.is_empty() {
        return Ok(ids);
    }
    let named = bad.iter().take(BAD_NAMED_MAX).map(|text| {
        let cut = text.char_indices().nth(BAD_CHARS_MAX);
        match cut {
            Some((end, _)) => format!("`run={}…`", &text[..end]),
            None => format!("`run={text}`"),
        }
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let more = match bad.len().saturating_sub(BAD_NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(Refused::invalid(format!(
        "{named}{more}: expected the id of a run, 32 of the digits 0-9 and a-f"
    )))
}

/// Returns texts in their order, each once.
pub(in crate::ui) fn unique<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for text in texts {
        if !seen.iter().any(|known| known == text) {
            seen.push(text.to_owned());
        }
    }
    seen
}

/// Tells runs of one name apart by the beginning of their ids.
pub(in crate::ui) fn named_apart(runs: Vec<(RunId, String)>) -> Vec<(RunId, String)> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (_, name) in &runs {
        *times.entry(name.clone()).or_default() += 1;
    }
    let apart = |(id, name): (RunId, String)| match times.get(&name) {
        Some(&n) if 1 < n => (id, format!("{name} ({})", id.short())),
        _ => (id, name),
    };
    runs.into_iter().map(apart).collect()
}

fn axis(query: &Query) -> Result<(Axis, &'static str), Refused> {
    match query.filled("x") {
        None | Some("step") => Ok((Axis::Step, "step")),
        Some("time") => Ok((Axis::Relative, "time")),
        Some("wall") => Ok((Axis::Wall, "wall")),
        Some(other) => Err(Refused::invalid(format!(
            "`x={other}`: expected `step`, `time` or `wall`"
        ))),
    }
}

/// Returns the range in the units of the record.
fn range(query: &Query, axis: Axis) -> Result<Option<(i64, i64)>, Refused> {
    let (from, to) = (
        query.number("from", f64::NAN)?,
        query.number("to", f64::NAN)?,
    );
    if from.is_nan() && to.is_nan() {
        return Ok(None);
    }
    if to < from {
        return Err(Refused::invalid(format!(
            "`from={from}` is behind `to={to}`"
        )));
    }
    // Casts saturate, and what is not said is NaN.
    let unit = if axis == Axis::Relative { 1000.0 } else { 1.0 };
    let low = if from.is_nan() {
        i64::MIN
    } else {
        (from * unit).floor() as i64
    };
    let high = if to.is_nan() {
        i64::MAX
    } else {
        (to * unit).ceil() as i64
    };
    Ok(Some((low, high)))
}

/// Returns how many points may be read for one answer.
pub(in crate::ui) fn points_left() -> PointsLeft {
    PointsLeft::new(POINTS_READ_MAX)
}

/// Reads series; a run that has not logged a metric has none of it. What would be more points than are
/// `left` is left out: the script of a chart asks for it, and is told if it is too much.
///
/// # Errors
/// A run does not exist.
pub(in crate::ui) fn load(
    reader: &Reader<'_>,
    ask: &SeriesAsk,
    left: &mut PointsLeft,
) -> Result<Vec<OneSeries>, Error> {
    let runs = ask.runs.iter();
    let found = runs.map(|(run, _)| OfRun::read(reader, ask, *run, left));
    Ok(told(ask, &found.collect::<Result<Vec<_>, _>>()?))
}

/// What was read of a run.
struct OfRun {
    /// If runs are put together.
    params: BTreeMap<String, String>,
    /// For each key.
    histories: Vec<Option<Downsampled>>,
}

impl OfRun {
    fn read(
        reader: &Reader<'_>,
        ask: &SeriesAsk,
        run: RunId,
        left: &mut PointsLeft,
    ) -> Result<Self, Error> {
        let params = if ask.band_over.is_empty() {
            BTreeMap::new()
        } else {
            let params = reader.record(run)?.params.into_iter();
            params.map(|param| (param.key, param.value)).collect()
        };
        let history = |key: &String| {
            let query = SeriesQuery {
                run,
                metric: key,
                axis: ask.axis,
                range: ask.range,
                points: ask.points,
            };
            reader.series(&query, left)
        };
        Ok(Self {
            params,
            histories: ask.keys.iter().map(history).collect::<Result<_, _>>()?,
        })
    }
}

/// Puts together what was read of the runs of `ask`, in their order.
fn told(ask: &SeriesAsk, found: &[OfRun]) -> Vec<OneSeries> {
    let groups = if ask.band_over.is_empty() {
        Vec::new()
    } else {
        let params: Vec<_> = found.iter().map(|of_run| of_run.params.clone()).collect();
        groups(&params, &ask.band_over)
    };
    let mut all = Vec::new();
    for (at, key) in ask.keys.iter().enumerate() {
        let of_key = found.iter().map(|run| run.histories.get(at)?.as_ref());
        if ask.band_over.is_empty() {
            for ((run, name), found) in ask.runs.iter().zip(of_key) {
                all.extend(found.map(|found| one(ask, (*run, name), key, found)));
            }
        } else {
            let of_key: Vec<Option<&Downsampled>> = of_key.collect();
            let bands = groups.iter();
            all.extend(bands.filter_map(|group| band(ask, group, key, &of_key)));
        }
    }
    all
}

fn place(axis: Axis, x: i64) -> f64 {
    let unit = if axis == Axis::Relative { 1000.0 } else { 1.0 };
    x as f64 / unit
}

fn name_of(ask: &SeriesAsk, name: &str, key: &str) -> String {
    match (ask.keys.len(), ask.runs.len()) {
        (1, _) => name.to_owned(),
        (_, 1) => key.to_owned(),
        _ => format!("{name} · {key}"),
    }
}

fn one(ask: &SeriesAsk, (run, name): (RunId, &str), key: &str, found: &Downsampled) -> OneSeries {
    let point = |bucket: &Bucket| {
        let x = place(ask.axis, bucket.x);
        let &Bucket { min, max, last, .. } = bucket;
        let point = if found.is_whole {
            Point::Whole([x, last])
        } else {
            Point::Bucket([x, min, max, last, bucket.count as f64])
        };
        (bucket.x, point)
    };
    let mut points: Vec<(i64, Point)> = found.buckets.iter().map(point).collect();
    if found.is_whole {
        // Where a point is no number the curve has a gap.
        let gap = |x: i64| (x, Point::Whole([place(ask.axis, x), f64::NAN]));
        points.extend(found.strange.iter().map(|strange| gap(strange.x)));
        points.sort_by_key(|point| point.0);
    }
    OneSeries {
        run: run.to_string(),
        name: name_of(ask, name, key),
        key: key.to_owned(),
        points: points.into_iter().map(|point| point.1).collect(),
        total: found.total,
        sampled: !found.is_whole,
        not_numbers: found.strange.iter().map(|s| s.nan + s.infinite).sum(),
    }
}

/// Returns the band of a group; `None` if none of its runs has the metric.
fn band(
    ask: &SeriesAsk,
    group: &GroupOfRuns,
    key: &str,
    found: &[Option<&Downsampled>],
) -> Option<OneSeries> {
    let members: Vec<&Downsampled> = group
        .members
        .iter()
        .filter_map(|&index| *found.get(index)?)
        .collect();
    let curves: Vec<Vec<(f64, f64)>> = members
        .iter()
        .map(|one| {
            let points = one.buckets.iter();
            points
                .map(|bucket| (place(ask.axis, bucket.x), bucket.mean))
                .collect()
        })
        .filter(|curve: &Vec<_>| !curve.is_empty())
        .collect();
    if curves.is_empty() {
        return None;
    }
    let points = bands::band(&curves);
    let name = format!("{} ({} runs)", group.name, curves.len());
    Some(OneSeries {
        run: String::new(),
        name: name_of(ask, &name, key),
        key: key.to_owned(),
        points: points
            .into_iter()
            .map(|(x, low, middle, high)| Point::OfBand([x, low, middle, high]))
            .collect(),
        total: members.iter().map(|one| one.total).sum(),
        sampled: members.iter().any(|one| !one.is_whole),
        not_numbers: members
            .iter()
            .flat_map(|one| one.strange.iter())
            .map(|strange| strange.nan + strange.infinite)
            .sum(),
    })
}

impl OneSeries {
    /// Has it more than one point, so that there is something to draw?
    pub(in crate::ui) fn is_curve(&self) -> bool {
        1 < self.points.len()
    }

    /// Returns of how many points it was made.
    pub(in crate::ui) fn total(&self) -> u64 {
        self.total
    }

    fn is_band(&self) -> bool {
        matches!(self.points.first(), Some(Point::OfBand(_)))
    }
}

/// Draws series as the page is sent with them: the script draws them anew.
pub(in crate::ui) fn drawn(title: &str, x_title: &str, series: &[OneSeries]) -> Svg {
    let curves = series.iter().filter(|one| !one.is_band());
    let curves = curves.map(|one| Series {
        name: one.name.clone(),
        points: one.points.iter().map(Point::last).collect(),
    });
    let bands = series.iter().filter(|one| one.is_band()).map(|one| {
        let points = one.points.iter().filter_map(|point| match *point {
            Point::OfBand([x, low, middle, high]) => Some((x, low, middle, high)),
            Point::Whole(_) | Point::Bucket(_) => None,
        });
        Band {
            name: one.name.clone(),
            points: points.collect(),
        }
    });
    let bands: Vec<Band> = bands.collect();
    LineChart {
        title: title.to_owned(),
        x: ChartAxis::linear(x_title),
        y: ChartAxis {
            title: String::new(),
            scale: ScaleKind::Linear,
        },
        series: curves.collect(),
        naming: Naming::Marked,
    }
    .svg_with(&bands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Layout;
    use crate::project::personality::CVOPS;
    use crate::track::entity::{ExperimentId, MetricPoint};
    use crate::track::{LoggedBatch, LoggedPoint, NewRecord, Writing};

    #[test]
    fn many_series_share_the_points_of_an_answer() {
        assert_eq!(points_each(POINTS_MAX, 1), POINTS_MAX);
        assert_eq!(points_each(1_000_000, 40), POINTS_MAX);
        assert_eq!(points_each(2000, SERIES_MAX), 333);
        assert_eq!(points_each(0, 1), 10);
        assert_eq!(points_each(2000, 100_000), POINTS_LEAST);
    }

    #[test]
    fn more_points_than_may_be_read_are_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let shared = Shared::open(&Layout::new(tmp.path(), &CVOPS)).unwrap();
        let record = |name: &'static str| {
            let new = NewRecord {
                experiment: ExperimentId(0),
                user: String::new(),
                name: Some(name.to_owned()),
                started_ms: 1000,
                tags: Vec::new(),
            };
            let metrics = (0..3).map(|step| LoggedPoint {
                point: MetricPoint {
                    name: "loss".into(),
                    value: 1.0,
                    at_ms: 1000 + step,
                    step,
                },
                model: None,
                dataset: None,
            });
            let batch = LoggedBatch {
                metrics: metrics.collect(),
                ..LoggedBatch::default()
            };
            let work = move |writing: &Writing<'_>| {
                let id = writing.create_record(&new)?.info.id;
                writing.log_batch_of(id, &batch)?;
                Ok(id)
            };
            shared.change(work).unwrap()
        };
        let ids = vec![record("a"), record("b")];
        let mut ask = SeriesAsk {
            runs: Vec::new(),
            keys: vec!["loss".to_owned()],
            axis: Axis::Step,
            range: None,
            points: POINTS,
            band_over: Vec::new(),
        };
        let found = read(&shared, &mut ask, ids.clone(), PointsLeft::new(6)).unwrap();
        assert_eq!((found.len(), ask.runs.len()), (2, 2));
        let Err(refused) = read(&shared, &mut ask, ids, PointsLeft::new(5)) else {
            panic!("6 points were read where 5 may be");
        };
        assert!(
            refused
                .message
                .starts_with("these series have more than 5 points together"),
            "{}",
            refused.message
        );
    }

    #[test]
    fn ids_that_are_none_are_named() {
        let id = "0a".repeat(16);
        let of = |values: &[&str]| {
            let pairs = values.iter().map(|v| ("run".to_owned(), (*v).to_owned()));
            run_ids(&Query(pairs.collect())).map_err(|refused| refused.message)
        };
        assert_eq!(of(&[&id, "", &id]).unwrap().len(), 1);
        assert_eq!(
            of(&["x", &id, &"y".repeat(70)]).unwrap_err(),
            format!(
                "`run=x`, `run={}…`: expected the id of a run, 32 of the digits 0-9 and a-f",
                "y".repeat(60)
            )
        );
        let many: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let told = of(&many).unwrap_err();
        assert!(told.contains("`run=9` and 2 more: expected"), "{told}");
    }

    #[test]
    fn a_point_is_told_as_an_array_and_what_is_no_number_as_null() {
        let told = |point: Point| serde_json::to_string(&point).unwrap();
        assert_eq!(told(Point::Whole([1.0, f64::NAN])), "[1.0,null]");
        assert_eq!(
            told(Point::OfBand([0.5, 1.0, 2.0, 3.0])),
            "[0.5,1.0,2.0,3.0]"
        );
        assert_eq!(
            told(Point::Bucket([7.0, -1.0, 1.0, 0.0, 9.0])),
            "[7.0,-1.0,1.0,0.0,9.0]"
        );
    }
}
