//! The number that a sweep improves: which file and key it stands under, which way is better, and
//! what a trial reported. Imports: base, pipeline, compare.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use crate::base::ArtifactPath;
use crate::base::diag::nearest;
use crate::base::doc::{KeyPath, Value};
use crate::compare::parse::metrics_file;
use crate::pipeline::Plan;
use crate::pipeline::spec::{Direction, OutKind};

use super::error::SweepError;

/// Where the number stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricRef {
    /// The metrics file, a declared output.
    pub file: ArtifactPath,
    /// The key in it.
    pub key: KeyPath,
}

impl Display for MetricRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.key)
    }
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Larger.
    Maximize,
    /// Smaller.
    Minimize,
}

impl Goal {
    /// Returns the goal of `metric` when the user gives none: the direction that its file declares,
    /// else what its name tells.
    #[must_use]
    pub fn of_metric(metric: &MetricRef, plan: &Plan<'_>) -> Self {
        let mut stages = plan.order().iter().map(|&i| &plan.graph().stages()[i]);
        let declared = stages
            .find_map(|s| s.outs.get(&metric.file))
            .and_then(|out| out.direction);
        match declared.unwrap_or_else(|| Direction::of_name(&metric.key.to_string())) {
            Direction::Max => Self::Maximize,
            Direction::Min => Self::Minimize,
        }
    }

    /// Returns the name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Maximize => "maximize",
            Self::Minimize => "minimize",
        }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(name: &str) -> Result<Self, SweepError> {
        match name {
            "maximize" | "max" => Ok(Self::Maximize),
            "minimize" | "min" => Ok(Self::Minimize),
            _ => Err(
                SweepError::new("unknown-goal", format!("there is no goal `{name}`"))
                    .help("use `maximize` or `minimize`"),
            ),
        }
    }

    /// Is `new` better than `old`?
    #[must_use]
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self {
            Self::Maximize => old < new,
            Self::Minimize => new < old,
        }
    }
}

/// Finds the metric that the user means: `FILE:KEY`, a bare key, or the only number there is.
///
/// # Errors
/// No stage of the plan writes it, or it is not clear which one is meant; what there is is listed.
pub fn resolve(text: Option<&str>, plan: &Plan<'_>, root: &Path) -> Result<MetricRef, SweepError> {
    let files: Vec<ArtifactPath> = plan
        .order()
        .iter()
        .flat_map(|&i| &plan.graph().stages()[i].outs)
        .filter(|(_, out)| out.kind == OutKind::Metric)
        .map(|(path, _)| path.clone())
        .collect();
    if files.is_empty() {
        return Err(SweepError::new(
            "no-metrics",
            "a sweep needs a metric, and no stage to be run declares one",
        )
        .help("list the file in which a stage reports its numbers under `metrics:` in `pipeline.yaml`"));
    }
    // What the last run reported: only to know which keys there are.
    let known: Vec<(ArtifactPath, Vec<String>)> = files
        .iter()
        .map(|file| {
            let document = metrics_file(&file.under(root), file.as_str()).ok();
            (
                file.clone(),
                document.map_or_else(Vec::new, |d| numbers(&d.root)),
            )
        })
        .collect();
    let all = || -> Vec<String> {
        known
            .iter()
            .flat_map(|(file, keys)| keys.iter().map(move |key| format!("{file}:{key}")))
            .collect()
    };
    match text {
        None => match &all()[..] {
            [only] => split(only, &files),
            [] => Err(
                SweepError::new("which-metric", "which metric shall the sweep improve?")
                    .note(format!("metrics files: {}", listed(&files)))
                    .help(format!("name it: `--metric {}:KEY`", files[0])),
            ),
            several => Err(SweepError::new(
                "which-metric",
                "which metric shall the sweep improve?",
            )
            .note(format!("known metrics: {}", shortened(several)))
            .help(format!("name it: `--metric {}`", several[0]))),
        },
        Some(text) if text.contains(':') => split(text, &files),
        Some(key) => {
            let having: Vec<&ArtifactPath> = known
                .iter()
                .filter(|(_, keys)| keys.iter().any(|k| k == key))
                .map(|(file, _)| file)
                .collect();
            match (&having[..], &files[..]) {
                ([file], _) => split(&format!("{file}:{key}"), &files),
                // Nothing has run yet, so nobody knows better.
                ([], [file]) if all().is_empty() => split(&format!("{file}:{key}"), &files),
                ([], _) => {
                    let keys = known.iter().flat_map(|(_, keys)| keys).map(String::as_str);
                    let near = nearest(key, keys);
                    let error = SweepError::new(
                        "unknown-metric",
                        format!("no metrics file has the metric `{key}`"),
                    )
                    .note(format!("metrics files: {}", listed(&files)));
                    Err(error.help(match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!(
                            "if it is a new one, name its file: `--metric {}:{key}`",
                            files[0]
                        ),
                    }))
                }
                (several, _) => Err(SweepError::new(
                    "which-metric",
                    format!("{} metrics files have the key `{key}`", several.len()),
                )
                .help(format!("name the file: `--metric {}:{key}`", several[0]))),
            }
        }
    }
}

fn split(text: &str, files: &[ArtifactPath]) -> Result<MetricRef, SweepError> {
    let (file, key) = text.rsplit_once(':').unwrap_or((text, ""));
    let key = key.parse::<KeyPath>().map_err(|e| {
        SweepError::new("bad-metric", e.to_string()).help("write `--metric FILE:KEY`")
    })?;
    match files.iter().find(|f| f.as_str() == file) {
        Some(file) => Ok(MetricRef {
            file: file.clone(),
            key,
        }),
        None => {
            let near = nearest(file, files.iter().map(ArtifactPath::as_str));
            Err(SweepError::new(
                "unknown-metric",
                format!("no stage to be run declares the metrics file `{file}`"),
            )
            .help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("metrics files: {}", listed(files)),
            }))
        }
    }
}

/// Reads what a trial reported.
///
/// # Errors
/// One sentence: the file or the key is not there, or it is no finite number.
pub fn read(metric: &MetricRef, root: &Path) -> Result<f64, String> {
    let MetricRef { file, key } = metric;
    let document = metrics_file(&file.under(root), file.as_str()).map_err(|e| {
        let first = crate::base::ToDiagnostics::to_diagnostics(&e).swap_remove(0);
        format!("the metrics file cannot be read: {}", first.headline)
    })?;
    match key.get(&document.root) {
        Some(value) => match value.as_f64() {
            Some(number) if number.is_finite() => Ok(number),
            Some(number) if number.is_nan() => {
                Err(format!("`{metric}` is NaN: the stage computed no number"))
            }
            Some(number) => {
                let sign = if number < 0.0 { "-" } else { "" };
                Err(format!(
                    "`{metric}` is {sign}Infinity: a trial is judged by a finite number"
                ))
            }
            None => Err(format!("`{metric}` is {}, not a number", value.kind())),
        },
        None => {
            let known = numbers(&document.root);
            let name = key.to_string();
            Err(match nearest(&name, known.iter().map(String::as_str)) {
                Some(near) => format!("`{file}` has no metric `{name}`; did you mean `{near}`?"),
                None if known.is_empty() => {
                    format!("`{file}` has no metric `{name}`, nor any other number")
                }
                None => format!(
                    "`{file}` has no metric `{name}`; it has {}",
                    shortened(&known)
                ),
            })
        }
    }
}

/// Returns the keys under which numbers stand.
fn numbers(root: &Value) -> Vec<String> {
    fn visit(value: &Value, at: &KeyPath, out: &mut Vec<String>) {
        match value {
            Value::Map(map) => map.iter().for_each(|(k, v)| visit(v, &at.key(k), out)),
            Value::Int(_) | Value::UInt(_) | Value::Float(_) if !at.is_root() => {
                out.push(at.to_string());
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    visit(root, &KeyPath::root(), &mut out);
    out
}

fn listed(files: &[ArtifactPath]) -> String {
    files
        .iter()
        .map(|f| format!("`{f}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Lists names, not more than fit a message.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if SHOWN < names.len() {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_read_beside_what_is_no_number() {
        let tmp = tempfile::tempdir().unwrap();
        let text = r#"{"acc": 0.5, "loss": NaN, "norm": -Infinity, "note": "NaN?"}"#;
        crate::base::fs::write_atomic(&tmp.path().join("m.json"), text.as_bytes()).unwrap();
        let of = |key: &str| {
            let metric = MetricRef {
                file: "m.json".parse().unwrap(),
                key: key.parse().unwrap(),
            };
            read(&metric, tmp.path())
        };
        assert_eq!(of("acc"), Ok(0.5));
        assert!(of("loss").unwrap_err().contains("`m.json:loss` is NaN"));
        assert!(of("norm").unwrap_err().contains("is -Infinity"));
        assert!(of("note").unwrap_err().contains("not a number"));
        assert!(of("los").unwrap_err().contains("did you mean `loss`?"));
    }
}
