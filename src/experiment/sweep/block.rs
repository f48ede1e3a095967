//! Reads a sweep written as YAML: the `sweep:` block of `pipeline.yaml`, or a file of its own.
//!
//! Key names follow W&B's sweep files (docs.wandb.ai, "Sweep configuration options"); `run_cap`,
//! `max_parallel` and `early_terminate` are read beside ours. What says how a program is started
//! there (`program`, `command`, `project`, `entity`) says nothing here: the stages are the program.
//! Imports: base, pipeline.

use crate::base::Error;
use crate::base::diag::nearest;
use crate::base::doc::{Document, Fields, KeyPath, On, Problems, Value};
use crate::base::units::parse_duration;
use crate::pipeline::spec::ParamRef;
use crate::project::PARAMS_FILE;

use super::domain::{Domain, Interval, Number, Spread};
use super::grammar::{self, Expected};
use super::metric::Goal;
use super::request::Request;
use super::sampler::Method;
use super::space::{Dimension, Space};

const DISTRIBUTIONS: [&str; 8] = [
    "categorical",
    "constant",
    "uniform",
    "int_uniform",
    "q_uniform",
    "log_uniform",
    "log_uniform_values",
    "int_log_uniform_values",
];

/// Distributions of W&B that are not drawn from yet.
const DISTRIBUTIONS_LATER: [&str; 9] = [
    "normal",
    "q_normal",
    "log_normal",
    "q_log_normal",
    "inv_log_uniform",
    "inv_log_uniform_values",
    "q_log_uniform",
    "q_log_uniform_values",
    "beta",
];

/// Reads the block at `at` of `document`; `None` if there is none.
///
/// # Errors
/// All problems of the block, with their places.
pub fn read(document: &Document, at: &KeyPath) -> Result<Option<Request>, Error> {
    if at.get(&document.root).is_none_or(|v| *v == Value::Null) {
        return Ok(None);
    }
    let problems = Problems::new(document);
    let fields = problems.fields(at.clone());
    let mut request = Request {
        name: fields.optional_text("name").map(str::to_owned),
        trials: fields.optional_int("trials", 1..=u64::MAX >> 1),
        seed: fields.optional_int("seed", 0..=u64::MAX >> 1),
        ..Request::default()
    };
    let cap = fields.optional_int("run_cap", 1..=u64::MAX >> 1);
    request.trials = request.trials.or(cap);
    let parallel = fields.optional_int("max_parallel", 1..=1024);
    let jobs = fields.optional_int("jobs", 1..=1024).or(parallel);
    request.jobs = jobs.map(|n| n as usize);
    request.method = fields.optional_text("method").and_then(|name| {
        Method::parse(name)
            .map_err(|e| report(&fields, "method", &e))
            .ok()
    });
    request.timeout = fields.optional_text("timeout").and_then(|text| {
        let duration = parse_duration(text).filter(|time| !time.is_zero());
        if duration.is_none() {
            fields.problem(
                "timeout",
                On::Value,
                "bad-duration",
                format!("`{text}` is no duration above 0"),
                Some("write `90s`, `30m` or `2h`".to_owned()),
            );
        }
        duration
    });
    request.targets = fields
        .texts("targets")
        .into_iter()
        .map(str::to_owned)
        .collect();
    read_metric(&fields, &mut request);
    let on_failure = fields.section("on_failure");
    request.max_failures = on_failure.optional_int("max_failures", 1..=1_000_000);
    on_failure.finish();
    for key in ["early_stop", "early_terminate", "executor", "executors"] {
        if fields.get(key).is_some() {
            fields.problem(
                key,
                On::Key,
                "unsupported-key",
                format!("`{key}` is not supported by this version of cvops"),
                Some("drop it: every trial runs to its end, on this machine".to_owned()),
            );
        }
    }
    for key in [
        "program",
        "command",
        "project",
        "entity",
        "description",
        "desc",
    ] {
        let _ = fields.get(key);
    }
    read_parameters(&fields.section("parameters"), "", &mut request.space);
    fields.check_unknown();
    drop(fields);
    problems.into_result(Some(request))
}

fn report(fields: &Fields<'_, '_>, key: &str, error: &super::error::SweepError) {
    let diagnostic = crate::base::ToDiagnostics::to_diagnostics(error).swap_remove(0);
    fields.problem(
        key,
        On::Value,
        diagnostic.code,
        diagnostic.headline,
        diagnostic.help,
    );
}

fn read_metric(fields: &Fields<'_, '_>, request: &mut Request) {
    match fields.get("metric") {
        None => {}
        Some(Value::Str(name)) => request.metric = Some(name.clone()),
        Some(_) => {
            let metric = fields.section("metric");
            request.metric = metric.optional_text("name").map(str::to_owned);
            request.goal = metric.optional_text("goal").and_then(|goal| {
                Goal::parse(goal)
                    .map_err(|e| report(&metric, "goal", &e))
                    .ok()
            });
            if metric.get("target").is_some() {
                metric.problem(
                    "target",
                    On::Key,
                    "unsupported-key",
                    "`target` is not supported by this version of cvops",
                    Some("end the sweep with `cvops params sweep stop`".to_owned()),
                );
            }
            metric.finish();
        }
    }
}

/// Reads parameters by name; W&B nests them with `parameters:` inside one.
fn read_parameters(fields: &Fields<'_, '_>, prefix: &str, space: &mut Space) {
    let problems = fields.problems();
    for (name, value) in fields.entries() {
        let at = fields.path(name);
        let full = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        let domain = match value {
            Value::Map(map) if map.contains_key("parameters") => {
                let inner = problems.fields(at);
                read_parameters(&inner.section("parameters"), &full, space);
                inner.finish();
                continue;
            }
            Value::Map(_) => read_domain(&problems.fields(at.clone())),
            Value::List(values) if !values.is_empty() => Some(Domain::choices(values.clone())),
            Value::Str(spec) => match grammar::parse_spec(spec) {
                Ok(domain) => Some(domain),
                Err(error) => {
                    let help = error.help.unwrap_or_else(|| {
                        "write `choice(a,b)`, `interval(0,1)`, or `values: [a, b]`".to_owned()
                    });
                    problems.report(
                        &at,
                        On::Value,
                        "sweep-grammar",
                        format!("`{spec}` cannot be read: {}", error.problem),
                        "",
                        Some(help),
                    );
                    None
                }
            },
            Value::List(_) => {
                problems.report(
                    &at,
                    On::Value,
                    "no-values",
                    format!("`{full}` has no values"),
                    "",
                    None,
                );
                None
            }
            constant => Some(Domain::choices(vec![constant.clone()])),
        };
        let Some(domain) = domain else { continue };
        match parameter(&full) {
            Ok((param, presence)) => {
                if let Err(error) = space.add(Dimension {
                    param,
                    presence,
                    domain,
                }) {
                    problems.report(
                        &fields.path(name),
                        On::Key,
                        "given-twice",
                        error.to_string(),
                        "",
                        None,
                    );
                }
            }
            Err(problem) => {
                problems.report(&fields.path(name), On::Key, "bad-key", problem, "", None);
            }
        }
    }
}

/// Reads `key`, `+key` or `file:key`.
fn parameter(name: &str) -> Result<(ParamRef, Expected), String> {
    let plain = name.trim_start_matches('+');
    let presence = if plain.len() == name.len() {
        Expected::Present
    } else {
        Expected::Any
    };
    let (file, key) = plain.rsplit_once(':').unwrap_or((PARAMS_FILE, plain));
    let param = ParamRef {
        file: file.parse().map_err(|e| format!("{e}"))?,
        key: key.parse().map_err(|e| format!("{e}"))?,
    };
    Ok((param, presence))
}

fn read_domain(fields: &Fields<'_, '_>) -> Option<Domain> {
    let get = |key: &'static str| fields.get(key);
    let (values, value) = (get("values"), get("value"));
    let (min, max, q) = (get("min"), get("max"), get("q"));
    let distribution = fields.optional_text("distribution");
    let problem = |key: &str, text: String, help: &str| {
        fields.problem(key, On::Value, "bad-domain", text, Some(help.to_owned()));
        None
    };
    // Said first: which other keys such a distribution needs is beside the point.
    if let Some(name) = distribution.filter(|name| DISTRIBUTIONS_LATER.contains(name)) {
        return problem(
            "distribution",
            format!("the distribution `{name}` is not supported yet"),
            &format!("known: {}", DISTRIBUTIONS.join(", ")),
        );
    }
    if get("probabilities").is_some() {
        fields.problem(
            "probabilities",
            On::Key,
            "unsupported-key",
            "`probabilities` are not supported yet",
            Some("drop them: all values are equally likely".to_owned()),
        );
        return None;
    }
    fields.check_unknown();
    if let Some(values) = values {
        return match values.as_list() {
            Some(items) if !items.is_empty() => Some(Domain::choices(items.to_vec())),
            _ => problem(
                "values",
                format!("`{}` must be a list of values", fields.path("values")),
                "write `values: [16, 32]`",
            ),
        };
    }
    if let Some(value) = value {
        return Some(Domain::choices(vec![value.clone()]));
    }
    let at = fields.at();
    let (Some(min), Some(max)) = (min, max) else {
        return problem(
            "min",
            format!("`{at}` needs `values`, `value`, or `min` and `max`"),
            "for example `{min: 0.0, max: 0.5}`",
        );
    };
    let (Some(low), Some(high)) = (min.as_f64(), max.as_f64()) else {
        return problem(
            "min",
            format!("`min` and `max` of `{at}` must be numbers"),
            "for example `{min: 0.0, max: 0.5}`",
        );
    };
    if !(low.is_finite() && high.is_finite() && low <= high) {
        return problem(
            "max",
            format!("`max` of `{at}` must not be below `min`"),
            "swap the two",
        );
    }
    let whole = min.as_i64().is_some() && max.as_i64().is_some();
    let default = if whole { "int_uniform" } else { "uniform" };
    let name = distribution.unwrap_or(if q.is_some() { "q_uniform" } else { default });
    let interval = |low: f64, high: f64, spread, number| {
        if spread == Spread::Log && low <= 0.0 {
            return problem(
                "min",
                format!("`min` of `{at}` must be above 0 for `{name}`"),
                "a logarithm needs it",
            );
        }
        Some(Domain::Interval(Interval {
            low,
            high,
            spread,
            number,
        }))
    };
    match name {
        "uniform" => interval(low, high, Spread::Linear, Number::Float),
        "int_uniform" if whole => interval(low, high, Spread::Linear, Number::Int),
        "log_uniform_values" => interval(low, high, Spread::Log, Number::Float),
        "int_log_uniform_values" if whole => interval(low, high, Spread::Log, Number::Int),
        // W&B's `log_uniform` is given by the natural logarithms of its ends.
        "log_uniform" => interval(low.exp(), high.exp(), Spread::Log, Number::Float),
        "q_uniform" => match q.and_then(Value::as_f64) {
            Some(step) if step.is_finite() && 0.0 < step => {
                let text = match (whole, q.and_then(Value::as_i64)) {
                    (true, Some(step)) => format!("range({low},{},{step})", high + 1.0),
                    _ => format!("range({low:?},{:?},{step:?})", high + step / 2.0),
                };
                grammar::parse_spec(&text)
                    .map_or_else(|e| problem("q", e.problem, "choose a larger step"), Some)
            }
            _ => problem(
                "q",
                format!("`q` of `{at}` must be a step above 0"),
                "for example `q: 0.1`",
            ),
        },
        "int_uniform" | "int_log_uniform_values" => problem(
            "min",
            format!("`min` and `max` of `{at}` must be whole numbers for `{name}`"),
            "use `uniform` for any numbers",
        ),
        _ => {
            let help = match nearest(name, DISTRIBUTIONS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known: {}", DISTRIBUTIONS.join(", ")),
            };
            problem(
                "distribution",
                format!("the distribution `{name}` is not supported"),
                &help,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::Format;

    fn block(text: &str) -> Result<Option<Request>, Error> {
        let document = Document::parse("sweep.yaml", text.to_owned(), Format::Yaml).unwrap();
        read(&document, &KeyPath::root())
    }

    #[test]
    fn a_wandb_file_is_read() {
        let text = "program: train.py\nmethod: random\nmetric: {name: 'm.json:val.acc', goal: maximize}\nrun_cap: 5\nparameters:\n  lr: {distribution: log_uniform_values, min: 1.0e-4, max: 1.0e-1}\n  bs: {values: [16, 32]}\n  depth: {min: 2, max: 6}\n  drop: {distribution: q_uniform, min: 0, max: 0.5, q: 0.1}\n  wd: {min: 0.0, max: 1.0}\n  opt: {value: adam}\n  opt2: {parameters: {beta: {values: [1]}}}\n  x: range(3)\n  y: [1, a]\n";
        let request = block(text).unwrap().unwrap();
        assert_eq!(
            (request.trials, request.method),
            (Some(5), Some(Method::Random))
        );
        let dimensions: Vec<String> = request
            .space
            .dimensions
            .iter()
            .map(|d| format!("{}={}", d.param, d.domain))
            .collect();
        assert_eq!(
            dimensions,
            [
                "lr=tag(log,interval(0.0001,0.1))",
                "bs=choice(16,32)",
                "depth=int(interval(2,6))",
                "drop=choice(0.0,0.1,0.2,0.3,0.4,0.5)",
                "wd=interval(0.0,1.0)",
                "opt=choice(adam)",
                "opt2.beta=choice(1)",
                "x=choice(0,1,2)",
                "y=choice(1,a)",
            ]
        );
    }

    #[test]
    fn what_is_not_supported_yet_is_said_alone() {
        let text = "parameters:\n  a: {distribution: normal, mu: 0, sigma: 1}\n  b: {values: [1, 2], probabilities: [0.1, 0.9]}\n";
        let Err(Error::Document { problems, .. }) = block(text) else {
            panic!()
        };
        let told: Vec<_> = problems.iter().map(|p| p.headline.as_str()).collect();
        assert_eq!(
            told,
            [
                "the distribution `normal` is not supported yet",
                "`probabilities` are not supported yet"
            ]
        );
    }

    #[test]
    fn every_problem_is_reported_with_its_place() {
        let text = "method: tpe\nmetrik: x\nmetric: {goal: best}\nparameters:\n  a: {min: 2}\n  b: {distribution: normal, min: 0, max: 1}\n  c: {vals: [1]}\n  d: choise(1)\ntimeout: soon\nearly_stop: {type: asha}\n";
        let Err(Error::Document { problems, .. }) = block(text) else {
            panic!()
        };
        let codes: Vec<_> = problems.iter().map(|p| p.code).collect();
        assert_eq!(
            codes,
            [
                "unsupported-method",
                "unknown-key",
                "unknown-goal",
                "bad-domain",
                "bad-domain",
                "bad-domain",
                "unknown-key",
                "sweep-grammar",
                "bad-duration",
                "unsupported-key"
            ]
        );
    }
}
