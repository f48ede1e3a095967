//! Which models are served, as `serve.models` of params.yaml names them. The table of keys stands in
//! `config`. Imports: `base::doc`, `serve::drift`.

use crate::base::doc::{Fields, On, Value};

use super::drift::{DriftFolder, read_folder};

/// A model to serve, as written: what a text names is known to `cli`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The name under which it is served.
    pub name: String,
    /// A folder, or `models:/…`.
    pub model: String,
    /// What answers a share of the requests in its stead, 0 to 1.
    pub canary: Option<(String, f64)>,
    /// What is asked as well and only compared.
    pub shadow: Option<String>,
    /// Which detectors of drift watch its answers; where none are named, none do.
    pub drift: DriftFolder,
}

/// Reads `serve.models`, in the order of the file.
pub(super) fn read(section: &Fields<'_, '_>) -> Vec<ModelConfig> {
    let problems = section.problems();
    let mut models = Vec::new();
    for (name, value) in section.entries() {
        let at = section.path(name);
        if !matches!(value, Value::Map(_)) {
            let headline = format!("`{at}` must be a mapping with at least `model`");
            let help = format!("such as `{name}: {{model: models:/{name}@champion}}`");
            problems.report(&at, On::Value, "wrong-type", headline, "", Some(help));
            continue;
        }
        let fields = problems.fields(at.clone());
        if name.trim().is_empty() || name.contains('/') || name.chars().any(char::is_control) {
            let headline = format!("`{name}` is no name for a model that is served");
            let help = "a name is part of paths: it has a visible character and no `/`".to_owned();
            problems.report(&at, On::Key, "bad-name", headline, "", Some(help));
        }
        models.extend(one(name, fields));
    }
    models
}

fn one(name: &str, fields: Fields<'_, '_>) -> Option<ModelConfig> {
    let model = required(&fields, "model");
    let canary = fields.has("canary").then(|| {
        let canary = fields.section("canary");
        let model = required(&canary, "model");
        let percent = canary.optional_float("percent", 0.0..=100.0);
        if !canary.has("percent") {
            missing(
                &canary,
                "percent",
                "the share of the requests that it answers, 0 to 100",
            );
        }
        canary.finish();
        Some((model?, percent? / 100.0))
    });
    let shadow = fields.optional_text("shadow").map(str::to_owned);
    let drift = read_folder(&fields, "a folder or `false`");
    fields.finish();
    Some(ModelConfig {
        name: name.to_owned(),
        model: model?,
        canary: canary.flatten(),
        shadow,
        drift,
    })
}

fn required(fields: &Fields<'_, '_>, key: &'static str) -> Option<String> {
    if !fields.has(key) {
        missing(fields, key, "a folder, or `models:/NAME@ALIAS`");
    }
    fields.optional_text(key).map(str::to_owned)
}

fn missing(fields: &Fields<'_, '_>, key: &str, what: &str) {
    let headline = format!("`{}` has no `{key}`", fields.at());
    fields.problem(
        key,
        On::Key,
        "missing-key",
        headline,
        Some(format!("give {what}")),
    );
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::read;
    use super::*;

    #[test]
    fn models_with_a_canary_and_a_shadow() {
        let text = "serve:\n  models:\n    b:\n      model: models:/b@champion\n      \
            canary: {model: models:/b@challenger, percent: 5}\n      shadow: models/next\n    a: {model: models/a, drift: models/drift-a}\n";
        let models = read(text).unwrap().models;
        let b = ModelConfig {
            name: "b".to_owned(),
            model: "models:/b@champion".to_owned(),
            canary: Some(("models:/b@challenger".to_owned(), 0.05)),
            shadow: Some("models/next".to_owned()),
            drift: DriftFolder::Usual,
        };
        let a = ModelConfig {
            name: "a".to_owned(),
            model: "models/a".to_owned(),
            canary: None,
            shadow: None,
            drift: DriftFolder::Named("models/drift-a".into()),
        };
        assert_eq!(models, [b, a]);
        assert_eq!(read("serve: {}\n").unwrap().models, []);
    }

    #[test]
    fn says_what_is_missing() {
        for (text, expected) in [
            (
                "{a: models/a}",
                "`serve.models.a` must be a mapping with at least `model`",
            ),
            ("{a: {}}", "`serve.models.a` has no `model`"),
            (
                "{a: {model: m, drift: true}}",
                "`serve.models.a.drift` must be a folder or `false`",
            ),
            (
                "{a/b: {model: m}}",
                "`a/b` is no name for a model that is served",
            ),
            (
                "{a: {model: m, canary: {model: n}}}",
                "`serve.models.a.canary` has no `percent`",
            ),
            (
                "{a: {model: m, canary: {model: n, percent: 101}}}",
                "`serve.models.a.canary.percent` must be a number from 0 to 100",
            ),
            (
                "{a: {model: m, shaddow: n}}",
                "unknown key `shaddow` in `serve.models.a` (did you mean `shadow`?)",
            ),
        ] {
            let problems = read(&format!("serve:\n  models: {text}\n")).unwrap_err();
            assert!(problems[0].starts_with(expected), "{text}: {problems:?}");
        }
    }
}
