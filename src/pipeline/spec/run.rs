//! `retry:`, `timeout:` and `resources:` of a stage: how it is run, which is no input of its result.
//!
//! Imports: base.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::base::diag::nearest;
use crate::base::doc::{Fields, On, Value};
use crate::base::units;

/// Most attempts beyond the first.
const RETRIES_MAX: u64 = 100;
/// More CPUs and GPUs than any machine has.
const COUNT_MAX: u64 = 65_536;

/// How a stage is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunSpec {
    /// When it is tried again.
    pub retry: Retry,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// What it needs of the machine.
    pub resources: Resources,
}

/// When a stage that failed is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// Attempts beyond the first.
    pub max: u32,
    /// After which kinds of failure.
    pub on: BTreeSet<FailureKind>,
}

/// How an attempt can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// A command ended with a failure.
    Failed,
    /// It took longer than its `timeout`.
    Timeout,
    /// A scheduler took the machine away.
    Preempted,
    /// The machine failed.
    NodeFail,
}

impl FailureKind {
    /// Every kind with the word for it.
    const NAMES: [(&str, Self); 4] = [
        ("failed", Self::Failed),
        ("timeout", Self::Timeout),
        ("preempted", Self::Preempted),
        ("node_fail", Self::NodeFail),
    ];

    /// What is nobody's mistake is tried again; a command that says that it failed is asked for by
    /// name.
    const DEFAULT: [Self; 3] = [Self::Timeout, Self::Preempted, Self::NodeFail];
}

/// What a stage needs of the machine while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPUs; `None`: nobody said, and only the number of jobs counts.
    pub cpus: Option<NonZeroU32>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// GPUs; `None`: nobody said, and it sees all of them.
    pub gpus: Option<u32>,
    /// How long a scheduler is asked for.
    pub time: Option<Duration>,
}

impl Resources {
    /// Is there something that must be there before the stage may start?
    #[must_use]
    pub fn asks_for_something(&self) -> bool {
        self.cpus.is_some() || self.memory.is_some() || self.gpus.is_some_and(|n| n != 0)
    }
}

/// Reads the keys from a stage; problems are reported to `stage`.
pub(super) fn read(stage: &Fields<'_, '_>) -> RunSpec {
    RunSpec {
        retry: read_retry(stage),
        timeout: duration(stage, "timeout"),
        resources: read_resources(stage),
    }
}

fn read_retry(stage: &Fields<'_, '_>) -> Retry {
    let by_default = || FailureKind::DEFAULT.into_iter().collect();
    match stage.get("retry") {
        None => Retry::default(),
        Some(Value::Map(_)) => {
            let fields = stage.section("retry");
            if !fields.has("max") {
                fields.problem(
                    "max",
                    On::Key,
                    "missing-key",
                    format!("`{}` has no `max`", fields.at()),
                    Some("for example `retry: {max: 2}`".to_owned()),
                );
            }
            let max = fields.int("max", 0, 0..=RETRIES_MAX);
            let on = if fields.has("on") {
                failure_kinds(&fields)
            } else {
                by_default()
            };
            fields.finish();
            Retry {
                max: u32::try_from(max).unwrap_or(0),
                on,
            }
        }
        Some(_) => Retry {
            max: u32::try_from(stage.int("retry", 0, 0..=RETRIES_MAX)).unwrap_or(0),
            on: by_default(),
        },
    }
}

fn failure_kinds(retry: &Fields<'_, '_>) -> BTreeSet<FailureKind> {
    let mut kinds = BTreeSet::new();
    for text in retry.texts("on") {
        match FailureKind::NAMES.iter().find(|(name, _)| *name == text) {
            Some((_, kind)) => {
                kinds.insert(*kind);
            }
            None => {
                let known = FailureKind::NAMES.map(|(name, _)| name);
                retry.problem(
                    "on",
                    On::Value,
                    "unknown-choice",
                    format!(
                        "`{text}` in `{}` is none of {}",
                        retry.path("on"),
                        known.map(|name| format!("`{name}`")).join(", ")
                    ),
                    nearest(text, known).map(|name| format!("did you mean `{name}`?")),
                );
            }
        }
    }
    kinds
}

fn read_resources(stage: &Fields<'_, '_>) -> Resources {
    match stage.get("resources") {
        None => return Resources::default(),
        Some(Value::Map(_)) => {}
        Some(other) => {
            stage.problem(
                "resources",
                On::Value,
                "wrong-type",
                format!(
                    "`{}` must be a mapping, not {}",
                    stage.path("resources"),
                    other.kind()
                ),
                Some("for example `resources: {cpus: 2, memory: 4GiB, gpus: 1}`".to_owned()),
            );
            return Resources::default();
        }
    }
    let fields = stage.section("resources");
    let count = |key: &'static str, least: u64| {
        let n = fields.optional_int(key, least..=COUNT_MAX)?;
        u32::try_from(n).ok()
    };
    let resources = Resources {
        cpus: count("cpus", 1).and_then(NonZeroU32::new),
        memory: memory(&fields),
        gpus: count("gpus", 0),
        time: duration(&fields, "time"),
    };
    fields.finish();
    resources
}

fn memory(fields: &Fields<'_, '_>) -> Option<u64> {
    let value = fields.get("memory")?;
    let read = match value {
        Value::Str(text) => units::parse_bytes(text),
        Value::Int(n) => u64::try_from(*n).ok().filter(|n| *n != 0),
        _ => None,
    };
    if read.is_none() {
        fields.problem(
            "memory",
            On::Value,
            "bad-value",
            format!("`{}` must be {}", fields.path("memory"), units::BYTES_FORM),
            Some("for example `memory: 4GiB`".to_owned()),
        );
    }
    read
}

fn duration(fields: &Fields<'_, '_>, key: &'static str) -> Option<Duration> {
    let read = match fields.get(key)? {
        Value::Str(text) => units::parse_duration(text),
        number @ (Value::Int(_) | Value::Float(_)) => units::parse_duration(&number.to_string()),
        _ => None,
    };
    if read.is_none() {
        fields.problem(
            key,
            On::Value,
            "bad-value",
            format!("`{}` must be {}", fields.path(key), units::DURATION_FORM),
            Some(format!("for example `{key}: 2h`")),
        );
    }
    read
}

/// Returns the schemas of the keys.
pub(super) fn json_schemas() -> [(&'static str, Json); 3] {
    let names = FailureKind::NAMES.map(|(name, _)| name);
    let kinds = json!({"enum": names});
    let duration = |about: &str| {
        json!({
            "description": format!("{about}: seconds, or a text such as 90s, 2h, 1h 30m"),
            "oneOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}],
        })
    };
    [
        (
            "retry",
            json!({
                "description": "how often a stage that failed is tried again, and after which failures",
                "oneOf": [
                    {"type": "integer", "minimum": 0, "maximum": RETRIES_MAX},
                    {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["max"],
                        "properties": {
                            "max": {"type": "integer", "minimum": 0, "maximum": RETRIES_MAX, "description": "attempts beyond the first"},
                            "on": {
                                "description": "default: timeout, preempted, node_fail",
                                "oneOf": [kinds, {"type": "array", "items": kinds}],
                            },
                        },
                    },
                ],
            }),
        ),
        ("timeout", duration("how long one attempt may take")),
        (
            "resources",
            json!({
                "description": "what the stage needs while it runs; it waits until that is free",
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "cpus": {"type": "integer", "minimum": 1},
                    "memory": {"description": "bytes, or a text such as 512MiB, 4GiB", "oneOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]},
                    "gpus": {"type": "integer", "minimum": 0, "description": "it sees so many (CUDA_VISIBLE_DEVICES)"},
                    "time": duration("what a scheduler is asked for"),
                },
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Error;
    use crate::base::doc::{Document, Format, KeyPath, Problems};

    fn parse(text: &str) -> Result<RunSpec, Vec<String>> {
        let document = Document::parse("p.yaml", text.to_owned(), Format::Yaml).unwrap();
        let problems = Problems::new(&document);
        let fields = problems.fields(KeyPath::root());
        let spec = read(&fields);
        fields.finish();
        problems.into_result(spec).map_err(|error| match error {
            Error::Document { problems, .. } => problems.into_iter().map(|d| d.headline).collect(),
            other => vec![other.to_string()],
        })
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(parse("{}").unwrap(), RunSpec::default());
        let spec = parse(
            "retry: {max: 2, on: [failed, timeout]}\ntimeout: 2h\nresources: {cpus: 2, memory: 4GiB, gpus: 1, time: 90}\n",
        )
        .unwrap();
        assert_eq!(spec.retry.max, 2);
        let on: Vec<_> = spec.retry.on.into_iter().collect();
        assert_eq!(on, [FailureKind::Failed, FailureKind::Timeout]);
        assert_eq!(spec.timeout, Some(Duration::from_hours(2)));
        assert_eq!(spec.resources.cpus, NonZeroU32::new(2));
        assert_eq!(spec.resources.memory, Some(4 << 30));
        assert_eq!(spec.resources.gpus, Some(1));
        assert_eq!(spec.resources.time, Some(Duration::from_secs(90)));
        let short = parse("retry: 3\n").unwrap().retry;
        assert_eq!(short.max, 3);
        assert!(short.on.contains(&FailureKind::Timeout));
        assert!(!short.on.contains(&FailureKind::Failed));
    }

    #[test]
    fn every_mistake_is_named() {
        let problems = parse(
            "retry: {on: timeuot, mx: 1}\ntimeout: soon\nresources: {cpus: 0, memory: much, gpu: 1}\n",
        )
        .unwrap_err();
        assert_eq!(problems.len(), 7, "{problems:#?}");
        assert!(parse("resources: 2").is_err());
        assert!(parse("retry: often").is_err());
    }
}
