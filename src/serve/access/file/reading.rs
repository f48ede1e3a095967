//! Reads a file of keys: all that is wrong is told by its place, and nothing is shown of what stands there.
//! Pure. Imports: base, `serve::access::key`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::base;
use crate::base::clock::Timestamp;
use crate::base::diag::{Diagnostic, Label};
use crate::base::doc::{Document, Fields, Format, KeyPath, On, Problems, Value};
use crate::base::secret::Mark;
use crate::serve::access::key::{ApiKey, Scope, without_keys};

/// Reads the keys in `text`, in its order; `name` is how messages call the file.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn read(name: &str, text: String) -> Result<Vec<ApiKey>, base::Error> {
    read_text(name, text).map_err(without_content)
}

fn read_text(name: &str, text: String) -> Result<Vec<ApiKey>, base::Error> {
    let document = Document::parse(name, text, Format::Yaml)?;
    let problems = Problems::new(&document);
    let keys = read_keys(&problems);
    problems.into_result(keys)
}

/// Takes out of an error what stands in the file: a key that was pasted where a name or a hash belongs would
/// be on the terminal and in the log. Places are told by line and column.
fn without_content(mut error: base::Error) -> base::Error {
    if let base::Error::Document { problems, .. } = &mut error {
        for problem in problems {
            hide_content(problem);
        }
    }
    error
}

fn hide_content(problem: &mut Diagnostic) {
    for Label { source, span, text } in std::mem::take(&mut problem.labels) {
        let (line, column) = source.line_column(span.start);
        let place = format!("at {}:{line}:{column}", source.name);
        problem.notes.push(if text.is_empty() {
            place
        } else {
            format!("{place}: {text}")
        });
    }
    let texts = std::iter::once(&mut problem.headline)
        .chain(&mut problem.notes)
        .chain(&mut problem.help);
    for text in texts {
        *text = without_keys(text);
    }
}

fn read_keys(problems: &Problems<'_>) -> Vec<ApiKey> {
    let root = problems.fields(KeyPath::root());
    let list: &[Value] = match root.get("keys") {
        None => &[],
        Some(Value::List(list)) => list,
        Some(other) => {
            let headline = format!("`keys` must be a list of keys, and is {}", other.kind());
            root.problem("keys", On::Value, "wrong-type", headline, None);
            &[]
        }
    };
    root.check_unknown();
    let mut keys: Vec<ApiKey> = Vec::new();
    let mut marks = BTreeMap::new();
    for index in 0..list.len() {
        let fields = problems.fields(KeyPath::root().key("keys").index(index));
        let read = read_key(&fields);
        fields.check_unknown();
        let Some(key) = read else { continue };
        if keys.iter().any(|other| other.name == key.name) {
            let headline = format!("there are two keys with the name `{}`", key.name);
            fields.problem("name", On::Value, "twice", headline, None);
        }
        if let Some(other) = marks.insert(*key.mark.as_bytes(), key.name.clone()) {
            let headline = format!("`{other}` and `{}` are the same key", key.name);
            fields.problem("blake3", On::Value, "twice", headline, None);
        }
        keys.push(key);
    }
    keys
}

fn read_key(fields: &Fields<'_, '_>) -> Option<ApiKey> {
    let name = required(fields, "name").and_then(|text| parsed(fields, "name", text));
    let mark = required(fields, "blake3").and_then(|text| mark(fields, text));
    let scopes = scopes(fields);
    let created = required(fields, "created").and_then(|text| time(fields, "created", text));
    let expires = match fields.optional_text("expires") {
        None => None,
        // A time that cannot be read is none that is far away.
        Some(text) => Some(time(fields, "expires", text)?),
    };
    Some(ApiKey {
        name: name?,
        mark: mark?,
        scopes: scopes?,
        created: created?,
        expires,
    })
}

fn required<'d>(fields: &Fields<'_, 'd>, key: &'static str) -> Option<&'d str> {
    if !fields.has(key) {
        let headline = format!("`{}` is missing", fields.path(key));
        fields.problem(key, On::Value, "missing-key", headline, None);
        return None;
    }
    fields.optional_text(key)
}

fn parsed<T: FromStr<Err: fmt::Display>>(
    fields: &Fields<'_, '_>,
    key: &'static str,
    text: &str,
) -> Option<T> {
    let parsed = text.parse::<T>();
    if let Err(error) = &parsed {
        let headline = format!("`{}` is not valid", fields.path(key));
        fields.problem(
            key,
            On::Value,
            "bad-value",
            headline,
            Some(error.to_string()),
        );
    }
    parsed.ok()
}

fn scopes(fields: &Fields<'_, '_>) -> Option<BTreeSet<Scope>> {
    let texts = fields.texts("scopes");
    let is_empty = match fields.get("scopes") {
        None => true,
        Some(Value::List(list)) => list.is_empty(),
        Some(_) => false,
    };
    if is_empty {
        let headline = format!("`{}` is missing", fields.path("scopes"));
        let help = "for example `scopes: [predict]`".to_owned();
        fields.problem("scopes", On::Value, "missing-key", headline, Some(help));
        return None;
    }
    let scopes = texts.into_iter();
    scopes.map(|text| parsed(fields, "scopes", text)).collect()
}

fn time(fields: &Fields<'_, '_>, key: &'static str, text: &str) -> Option<Timestamp> {
    let time = text.parse().ok();
    if time.is_none() {
        let headline = format!("`{}` is no time", fields.path(key));
        let help = "in UTC, for example `2027-01-31T12:00:00Z`".to_owned();
        fields.problem(key, On::Value, "bad-value", headline, Some(help));
    }
    time
}

fn mark(fields: &Fields<'_, '_>, text: &str) -> Option<Mark> {
    let mark = Mark::from_hex(text);
    if mark.is_none() {
        let headline = format!(
            "`{}` is no hash of a key, which has 64 hexadecimal digits",
            fields.path("blake3")
        );
        let help = "`cvops serve keys add` makes a key and puts its hash here".to_owned();
        fields.problem("blake3", On::Value, "bad-value", headline, Some(help));
    }
    mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diag::ToDiagnostics;

    fn problems(text: &str) -> Vec<Diagnostic> {
        match read("keys.yaml", text.to_owned()) {
            Ok(keys) => panic!("{keys:?}"),
            Err(error) => error.to_diagnostics(),
        }
    }

    #[test]
    fn every_problem_is_told_and_no_secret() {
        let hash = "0".repeat(64);
        let good = format!("name: a, blake3: '{hash}', scopes: [predict]");
        let made = "created: 2026-01-01T00:00:00Z";
        for (text, expected) in [
            (
                "keys: 3",
                "`keys` must be a list of keys, and is a whole number",
            ),
            ("kes: []", "unknown key `kes`"),
            (
                "keys: [{name: a b, blake3: cvk_secret, scopes: [read], created: today}]",
                "`keys[0].name` is not valid; \
                 `keys[0].blake3` is no hash of a key, which has 64 hexadecimal digits; \
                 `keys[0].scopes` is not valid; `keys[0].created` is no time",
            ),
            (
                "keys: [{name: cvk_secret, blake3: 1, scopes: [cvk_secret], created: cvk_secret, expires: cvk_secret}]",
                "`keys[0].name` is not valid; `keys[0].blake3` must be a text; \
                 `keys[0].scopes` is not valid; `keys[0].created` is no time; \
                 `keys[0].expires` is no time",
            ),
            (
                "keys: [{cvk_secret: web}]",
                "`keys[0].name` is missing; `keys[0].blake3` is missing; \
                 `keys[0].scopes` is missing; `keys[0].created` is missing; \
                 unknown key `cvk_…` in `keys[0]`",
            ),
            ("cvk_secret: []", "unknown key `cvk_…`"),
            (
                "cvk_secret",
                "`keys.yaml` must be a mapping of keys to values",
            ),
            (
                "cvk_secret: 1\ncvk_secret: 2\n",
                "`keys.yaml` has the key `cvk_…` twice",
            ),
            (
                "keys: [{name: [cvk_secret}]",
                "`keys.yaml` cannot be parsed",
            ),
            (
                &format!("keys: [{{{good}}}]"),
                "`keys[0].created` is missing",
            ),
            (
                &format!("keys: [{{{good}, {made}, expires: never}}]"),
                "`keys[0].expires` is no time",
            ),
            (
                &format!("keys: [{{{good}, {made}}}, {{{good}, {made}}}]"),
                "there are two keys with the name `a`; `a` and `a` are the same key",
            ),
            (
                &format!("keys: [{{name: a, blake3: '{hash}', scopes: [], {made}}}]"),
                "`keys[0].scopes` is missing",
            ),
            ("keys: [1]", "`keys[0]` must be a mapping of keys to values"),
        ] {
            let problems = problems(text);
            let told: Vec<&str> = problems.iter().map(|d| d.headline.as_str()).collect();
            let told = told.join("; ");
            assert!(told.starts_with(expected), "{text}\n{told}");
            // Whatever a diagnostic has, the command line shows: also the text that a label points into.
            let all = format!("{problems:?}");
            assert!(!all.contains("secret"), "{all}");
            assert!(all.contains("keys.yaml:1:"), "{all}");
        }
    }

    #[test]
    fn a_file_without_keys_has_none() {
        for text in ["", "keys: []", "# nothing\n", "keys:\n"] {
            let keys = read("keys.yaml", text.to_owned());
            assert!(keys.unwrap().is_empty(), "{text}");
        }
    }
}
