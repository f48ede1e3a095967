//! What `cvops metrics`, `params` and `plots` show: files named at the top level of the pipeline
//! file, in which direction a metric improves, and what a plot puts on its axes. Imports: base.

use std::collections::BTreeMap;

use crate::base::ArtifactPath;
use crate::base::doc::{Fields, KeyPath, Map, On, Value};

use super::paths::path_in;

/// In which direction a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Larger is better.
    Max,
    /// Smaller is better.
    Min,
}

/// Parts of names whose metrics are better when smaller.
const BETTER_SMALL: [&str; 5] = ["loss", "error", "ece", "brier", "latency"];

impl Direction {
    /// Returns the direction of a metric that declares none, by the words of its name.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let name = name.to_lowercase();
        // `ece` is a word of its own: `precedence` and `recent` are none.
        let mut words = name.split(|c: char| !c.is_alphanumeric());
        let is_small = words.any(|word| {
            BETTER_SMALL
                .iter()
                .any(|small| word == *small || (*small != "ece" && word.contains(small)))
        });
        if is_small { Self::Min } else { Self::Max }
    }
}

/// What a plot shows on its axes, where the pipeline file says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axes {
    /// The field along the horizontal axis.
    pub x: Option<String>,
    /// The fields drawn as curves.
    pub y: Vec<String>,
    /// The heading.
    pub title: Option<String>,
    /// How it is drawn, in DVC's words (`confusion`).
    pub template: Option<String>,
}

/// Files that the top level of a pipeline file names, whether or not a stage writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Params files.
    pub params: Vec<ArtifactPath>,
    /// Metrics files.
    pub metrics: BTreeMap<ArtifactPath, Option<Direction>>,
    /// Plots.
    pub plots: BTreeMap<ArtifactPath, Axes>,
}

impl Shown {
    /// Reads the sections of the top level; `folder` is that of the file.
    pub(super) fn read(root: &Fields<'_, '_>, folder: Option<&ArtifactPath>) -> Self {
        let base = folder.map_or("", ArtifactPath::as_str);
        let mut shown = Self::default();
        for (file, _) in entries(root, "params", base) {
            shown.params.push(file);
        }
        for (file, options) in entries(root, "metrics", base) {
            let direction = match options.and_then(|o| o.get("direction")) {
                None => None,
                Some(Value::Str(d)) if d == "max" => Some(Direction::Max),
                Some(Value::Str(d)) if d == "min" => Some(Direction::Min),
                Some(_) => {
                    root.problem(
                        "metrics",
                        On::Value,
                        "unknown-choice",
                        format!("`direction` of `{file}` must be one of `max`, `min`"),
                        None,
                    );
                    None
                }
            };
            shown.metrics.insert(file, direction);
        }
        shown.read_plots(root, base);
        shown
    }

    /// A plot is a file, or a name of its own whose `y` names files.
    fn read_plots(&mut self, root: &Fields<'_, '_>, base: &str) {
        for (file, options) in entries(root, "plots", base) {
            let axes = options.map(|o| axes(o.iter())).unwrap_or_default();
            let Some(Value::Map(files)) = options.and_then(|o| o.get("y")) else {
                self.plots.insert(file, axes);
                continue;
            };
            for (inner, fields) in files {
                let Some(path) = path_in(root.problems(), base, inner, &root.path("plots")) else {
                    continue;
                };
                let axes = Axes {
                    y: texts(Some(fields)),
                    title: axes.title.clone().or_else(|| Some(file.to_string())),
                    ..axes.clone()
                };
                self.plots.insert(path, axes);
            }
        }
    }
}

/// Returns the axes that the options of a plot declare.
pub(super) fn axes<'d>(options: impl Iterator<Item = (&'d String, &'d Value)>) -> Axes {
    let options: BTreeMap<&str, &Value> = options.map(|(k, v)| (k.as_str(), v)).collect();
    let text = |key| {
        let value = options.get(key).copied();
        value.and_then(Value::as_str).map(str::to_owned)
    };
    Axes {
        x: text("x"),
        y: texts(options.get("y").copied()),
        title: text("title"),
        template: text("template"),
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Str(one)) => vec![one.clone()],
        Some(Value::List(items)) => {
            let items = items.iter().filter_map(Value::as_str);
            items.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the paths of a list (or mapping) with the options of each.
fn entries<'d>(
    root: &Fields<'_, 'd>,
    key: &'static str,
    base: &str,
) -> Vec<(ArtifactPath, Option<&'d Map>)> {
    let at = root.path(key);
    let mut found = Vec::new();
    let mut add = |text: &str, options: Option<&'d Map>, place| {
        if let Some(path) = path_in(root.problems(), base, text, &place) {
            found.push((path, options));
        }
    };
    let wrong = |place: &KeyPath, got: &Value| {
        root.problems().report(
            place,
            On::Value,
            "wrong-type",
            format!("`{place}` must be a path, or one path with options"),
            format!("this is {}", got.kind()),
            None,
        );
    };
    match root.get(key) {
        None => {}
        Some(Value::Str(text)) => add(text, None, at),
        Some(Value::Map(map)) => {
            for (text, options) in map {
                add(text, options.as_map(), at.key(text));
            }
        }
        Some(Value::List(items)) => {
            for (i, item) in items.iter().enumerate() {
                match item {
                    Value::Str(text) => add(text, None, at.index(i)),
                    Value::Map(map) => {
                        for (text, options) in map {
                            add(text, options.as_map(), at.index(i).key(text));
                        }
                    }
                    other => wrong(&at.index(i), other),
                }
            }
        }
        Some(other) => wrong(&at, other),
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_direction() {
        for name in [
            "val_loss",
            "log_loss",
            "ece",
            "test.brier",
            "latency_ms",
            "RMSError",
        ] {
            assert_eq!(Direction::of_name(name), Direction::Min, "{name}");
        }
        for name in ["accuracy", "macro.f1", "precedence", "roc_auc", "images"] {
            assert_eq!(Direction::of_name(name), Direction::Max, "{name}");
        }
    }
}
