//! Runs as a table, one row per run. Columns are called as those of `mlflow.search_runs`, so that a
//! notebook that read MLflow's table reads this one. Imports: base, run, and the types of this folder.

use crate::base::clock::Timestamp;
use crate::base::doc::python;
use crate::track::db::Names;
use crate::track::error::Error;

use super::ImportedRun;

/// Columns that every run has.
const FIXED: [&str; 7] = [
    "run_id",
    "run_name",
    "experiment",
    "status",
    "lifecycle_stage",
    "start_time",
    "end_time",
];

/// Returns the line of the columns, with its end.
///
/// # Errors
/// None that is known of.
pub fn head(names: &Names) -> Result<String, Error> {
    let metrics = names.metrics.iter().map(|name| format!("metrics.{name}"));
    let params = names.params.iter().map(|name| format!("params.{name}"));
    let tags = names.tags.iter().map(|name| format!("tags.{name}"));
    let fixed = FIXED.iter().map(|&name| name.to_owned());
    line(fixed.chain(metrics).chain(params).chain(tags))
}

/// Returns the line of a run, with its end. What the run does not have is empty.
///
/// # Errors
/// None that is known of.
pub fn row(run: &ImportedRun, names: &Names) -> Result<String, Error> {
    let fixed = [
        run.id.to_string(),
        run.name.clone(),
        run.experiment.clone(),
        run.status.as_str().to_owned(),
        run.lifecycle.as_str().to_owned(),
        time(run.started_ms),
        run.ended_ms.map(time).unwrap_or_default(),
    ];
    let metrics = names.metrics.iter().map(|name| {
        let metric = run.metrics.iter().find(|metric| metric.name == *name);
        metric.map(|m| number(m.last.value)).unwrap_or_default()
    });
    let params = names.params.iter().map(|name| {
        let param = run.params.iter().find(|param| param.name == *name);
        param.map(|param| param.value.clone()).unwrap_or_default()
    });
    let tags = names.tags.iter().map(|name| {
        let tag = run.tags.iter().find(|tag| tag.key == *name);
        tag.map(|tag| tag.value.clone()).unwrap_or_default()
    });
    line(fixed.into_iter().chain(metrics).chain(params).chain(tags))
}

fn line(fields: impl Iterator<Item = String>) -> Result<String, Error> {
    let failed = |what: String| Error::BadRecord { what };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(fields)
        .map_err(|e| failed(e.to_string()))?;
    let bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| failed(e.to_string()))
}

/// Returns a number as Python writes it, and as pandas reads it.
fn number(value: f64) -> String {
    if value.is_nan() {
        "nan".to_owned()
    } else if value.is_infinite() {
        if value < 0.0 { "-inf" } else { "inf" }.to_owned()
    } else {
        python::float(value)
    }
}

/// Returns a time as pandas writes it: `2023-11-14 22:13:20.500000+00:00`.
fn time(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(at) if ms % 1000 == 0 => at.strftime("%Y-%m-%d %H:%M:%S+00:00").to_string(),
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string(),
        Err(_) => ms.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::entity::Tag;
    use crate::track::exchange::{ImportedMetric, ImportedPoint};
    use crate::track::run::RunId;

    #[test]
    fn a_run_is_a_row() {
        let id: RunId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let mut run = ImportedRun::new(id, "a, \"b\"", 1_700_000_000_500);
        run.name = "x\ny".to_owned();
        run.ended_ms = Some(1_700_000_001_000);
        run.tags = vec![Tag::new("k", "ü")];
        let point = |value| ImportedPoint {
            step: 0,
            at_ms: 0,
            value,
        };
        for (name, value) in [("f1", 1.0), ("loss", f64::NAN)] {
            run.metrics
                .extend(ImportedMetric::logged(name, vec![point(value)]));
        }
        let names = Names {
            metrics: ["f1", "loss", "other"].map(str::to_owned).into(),
            params: ["lr".to_owned()].into(),
            tags: ["k".to_owned()].into(),
        };
        assert_eq!(
            head(&names).unwrap(),
            "run_id,run_name,experiment,status,lifecycle_stage,start_time,end_time,\
             metrics.f1,metrics.loss,metrics.other,params.lr,tags.k\n"
        );
        assert_eq!(
            row(&run, &names).unwrap(),
            "0123456789abcdef0123456789abcdef,\"x\ny\",\"a, \"\"b\"\"\",RUNNING,active,\
             2023-11-14 22:13:20.500000+00:00,2023-11-14 22:13:21+00:00,1.0,nan,,,ü\n"
        );
    }
}
