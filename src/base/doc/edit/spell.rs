//! Values as YAML or JSON on one line. Imports: `base::doc`.

use crate::base::doc::Value;

pub(super) fn is_one_line(text: &str) -> bool {
    !text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
}

/// Returns a text in double quotes; JSON's escapes are YAML's as well (YAML 1.2, section 5.7).
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns a value on one line, for a place outside brackets.
pub(super) fn scalar_or_flow(value: &Value, is_json: bool) -> String {
    match value {
        Value::Str(text) if !is_json && is_one_line(text) => plain(text),
        other => flow(other, is_json),
    }
}

/// Returns a text without quotes where YAML reads it as the same text, else with them. Readers of
/// YAML 1.1 (`PyYAML` in a stage) count: what they take for a number or truth value gets quotes.
fn plain(text: &str) -> String {
    if is_other_in_yaml_1_1(text) {
        return format!("'{text}'");
    }
    match serde_yaml::to_string(text) {
        Ok(shown) if !shown.trim_end().contains('\n') => shown.trim_end().to_owned(),
        _ => quoted(text),
    }
}

/// Does YAML 1.1 read this as a truth value or a number, and YAML 1.2 as a text? `yes`, `off`, `017`,
/// `1_000`, `12:30` (<https://yaml.org/type/bool.html>, `int.html`, `float.html` beside it).
fn is_other_in_yaml_1_1(text: &str) -> bool {
    const WORDS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    if WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return true;
    }
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    number.starts_with(|c: char| c.is_ascii_digit())
        && number
            .chars()
            .all(|c| c.is_ascii_hexdigit() || "_:.xo".contains(c))
        && number
            .chars()
            .all(|c| !c.is_ascii_alphabetic() || number.starts_with('0'))
        && number.matches('.').count() <= 1
}

/// Returns a value on one line, for any place.
pub(super) fn flow(value: &Value, is_json: bool) -> String {
    match value {
        Value::Str(text) if !is_json && is_one_line(text) => {
            // Between brackets more characters mean something; quotes do no harm.
            let is_harmless = |c: char| c.is_alphanumeric() || "_-./+ ".contains(c);
            match plain(text) {
                shown if text.chars().all(is_harmless) => shown,
                _ => quoted(text),
            }
        }
        Value::Float(x) if !is_json && !x.is_finite() => match (x.is_nan(), *x < 0.0) {
            (true, _) => ".nan".to_owned(),
            (false, true) => "-.inf".to_owned(),
            (false, false) => ".inf".to_owned(),
        },
        Value::List(items) => {
            let shown: Vec<_> = items.iter().map(|v| flow(v, is_json)).collect();
            format!("[{}]", shown.join(", "))
        }
        Value::Map(map) => {
            let shown: Vec<_> = map
                .iter()
                .map(|(k, v)| {
                    let key = flow(&Value::Str(k.clone()), is_json);
                    format!("{key}: {}", flow(v, is_json))
                })
                .collect();
            format!("{{{}}}", shown.join(", "))
        }
        other => other.to_string(),
    }
}
