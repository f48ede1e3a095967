//! `Document`: a parsed file that keeps its text, so that messages can point into it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::base::Error;
use crate::base::diag::{Diagnostic, Source, Span};

use super::ini;
use super::key_path::KeyPath;
use super::locate::{self, Located, Places};
use super::py;
use super::value::Value;
use super::yaml::{self, Fault};

/// The grammar of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.0.
    Toml,
    /// A Python program, read for the literals it assigns; never written.
    Python,
    /// INI as DVC's settings are written; no file name tells it.
    Ini,
}

impl Format {
    /// Returns the format that a file name tells; YAML where it tells none.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        match path.extension().and_then(|e| e.to_str()) {
            Some("json") => Self::Json,
            Some("toml") => Self::Toml,
            Some("py") => Self::Python,
            _ => Self::Yaml,
        }
    }
}

/// A file's text and what it says.
#[derive(Clone, Debug)]
pub struct Document {
    /// Name and text.
    pub source: Arc<Source>,
    /// Its grammar.
    pub format: Format,
    /// Its content.
    pub root: Value,
    /// Where its values stand; found when the first message needs it.
    places: OnceLock<Places>,
    /// Values that were made from others: where what they were made of stands in the text.
    made_from: Option<Arc<BTreeMap<KeyPath, KeyPath>>>,
}

impl Document {
    /// Puts a document together from a text and what it was parsed to.
    pub(super) fn new(source: Arc<Source>, format: Format, root: Value) -> Self {
        Self {
            source,
            format,
            root,
            places: OnceLock::new(),
            made_from: None,
        }
    }

    /// Returns a document of the same text that says `root` instead. `made_from` leads from places
    /// in `root` that the text does not have to the ones that they were made from; what is inside
    /// such a place follows it.
    #[must_use]
    pub fn derived(&self, root: Value, made_from: BTreeMap<KeyPath, KeyPath>) -> Self {
        Self {
            source: Arc::clone(&self.source),
            format: self.format,
            root,
            places: self.places.clone(),
            made_from: Some(Arc::new(made_from)),
        }
    }

    /// Parses `text`; `name` is how messages call the file.
    ///
    /// # Errors
    /// The text breaks the grammar; the message points at the place.
    pub fn parse(name: &str, text: String, format: Format) -> Result<Self, Error> {
        let source = Arc::new(Source {
            name: name.to_owned(),
            text,
        });
        let root = match format {
            Format::Yaml => parse_yaml(&source),
            Format::Json => parse_json(&source),
            Format::Toml => parse_toml(&source),
            Format::Python => {
                py::read(&source.text).map_err(|f| syntax_error(&source, f.at, &f.message))
            }
            Format::Ini => ini::parse(&source.text).map_err(|problem| problem.diagnostic(&source)),
        };
        match root {
            Ok(root) => Ok(Self::new(source, format, root)),
            Err(problem) => Err(Error::Document {
                name: name.to_owned(),
                problems: vec![problem],
            }),
        }
    }

    /// Reads and parses the file at `path`, shown to the user as `name`.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, or breaks the grammar.
    pub fn read(path: &Path, name: &str) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(name, text, Format::of_path(path)),
            Err(e) => {
                let offset = e.utf8_error().valid_up_to();
                let problem = Diagnostic::error(
                    "not-utf8",
                    format!("`{name}` is not UTF-8 text (first bad byte at offset {offset})"),
                )
                .help("save the file as UTF-8");
                Err(Error::Document {
                    name: name.to_owned(),
                    problems: vec![problem],
                })
            }
        }
    }

    /// Returns where the value (and its key, if it has one) stands in the text.
    #[must_use]
    pub fn locate(&self, path: &KeyPath) -> Option<Located> {
        let places = self
            .places
            .get_or_init(|| Places::of(&self.source.text, self.format));
        match self.origin(path) {
            Some(origin) => places.find(origin.keys()),
            None => places.find(path.keys()),
        }
    }

    /// Returns what a made value was made from.
    fn origin(&self, path: &KeyPath) -> Option<KeyPath> {
        let made_from = self.made_from.as_ref()?;
        (1..=path.keys().len()).rev().find_map(|count| {
            let origin = made_from.get(&path.first(count))?;
            Some(origin.then(&path.keys()[count..]))
        })
    }
}

fn syntax_error(source: &Arc<Source>, offset: usize, message: &str) -> Diagnostic {
    let text = &source.text;
    // Point at something visible: step back from the end of the text and from line breaks.
    let mut start = offset.min(text.len());
    while start > 0 && (start == text.len() || !text.is_char_boundary(start)) {
        start -= 1;
    }
    let end = text[start..]
        .chars()
        .next()
        .map_or(start, |c| start + c.len_utf8());
    let diagnostic = Diagnostic::error("syntax", format!("`{}` cannot be parsed", source.name));
    let diagnostic = diagnostic.label(source, Span { start, end }, message);
    if let Some(line) = text.lines().position(|l| l.starts_with("<<<<<<< ")) {
        return diagnostic
            .note(format!("line {} holds a git conflict marker", line + 1))
            .help("resolve the conflict (keep one side and delete the markers), then run again");
    }
    if text.lines().any(|l| l.starts_with('\t')) {
        return diagnostic.help("YAML indents with spaces, never with tabs");
    }
    diagnostic
}

/// Returns the message about a key that stands twice, if that is what is wrong with the text.
fn duplicate_key(source: &Arc<Source>, message: &str) -> Option<Diagnostic> {
    if !message.contains("duplicate key") {
        return None;
    }
    let found = locate::duplicate(&source.text)?;
    let headline = format!("`{}` has the key `{}` twice", source.name, found.key);
    let diagnostic = Diagnostic::error("duplicate-key", headline)
        .label(source, found.second, "second time")
        .label(source, found.first, "first time");
    Some(diagnostic.help("drop one of the two, or rename it"))
}

fn parse_yaml(source: &Arc<Source>) -> Result<Value, Diagnostic> {
    let text = &source.text;
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(i, _)| i);
    yaml::read(text).map_err(|fault| match fault {
        Fault::DuplicateKey(key) => duplicate_key(source, &format!("duplicate key `{key}`"))
            .unwrap_or_else(|| syntax_error(source, 0, &format!("duplicate key `{key}`"))),
        Fault::Meaning(at, message) => syntax_error(source, byte(at), &message),
        Fault::Syntax(at, message) => {
            // The other parser says better what it missed.
            let (at, message) = match serde_yaml::from_str::<serde_yaml::Value>(text) {
                Ok(_) => (byte(at), message),
                Err(e) => (e.location().map_or(0, |l| l.index()), e.to_string()),
            };
            // It appends " at line L column C"; the caret says that already.
            let end = message.rfind(" at line ").unwrap_or(message.len());
            syntax_error(source, at, &message[..end])
        }
    })
}

fn parse_json(source: &Arc<Source>) -> Result<Value, Diagnostic> {
    // A byte order mark, as editors on Windows leave it, is no part of the text.
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    serde_json::from_str(text).map_err(|e| {
        let line_start: usize = source
            .text
            .split_inclusive('\n')
            .take(e.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let mut message = e.to_string();
        if let Some(at) = message.rfind(" at line ") {
            message.truncate(at);
        }
        if let Some(diagnostic) = duplicate_key(source, &message) {
            return diagnostic;
        }
        let before = match e.line() {
            0 | 1 => source.text.len() - text.len(),
            _ => 0,
        };
        let offset = line_start + before + e.column().saturating_sub(1);
        syntax_error(source, offset, &message)
    })
}

fn parse_toml(source: &Arc<Source>) -> Result<Value, Diagnostic> {
    toml::from_str(&source.text).map_err(|e: toml::de::Error| {
        let offset = e.span().map_or(0, |s| s.start);
        syntax_error(source, offset, e.message())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str, format: Format) -> Result<Value, Error> {
        Document::parse("f", text.to_owned(), format).map(|d| d.root)
    }

    #[test]
    fn three_formats_say_the_same() {
        let yaml = parse("a: 1\nb: [x, 2.5, true]\nc: {d: null}\n", Format::Yaml).unwrap();
        let json = parse(
            r#"{"a": 1, "b": ["x", 2.5, true], "c": {"d": null}}"#,
            Format::Json,
        );
        assert_eq!(yaml, json.unwrap());
        let toml = parse("a = 1\nb = ['x', 2.5, true]\n[c]\n", Format::Toml).unwrap();
        assert_eq!(
            KeyPath::root().key("b").get(&toml),
            KeyPath::root().key("b").get(&yaml)
        );
    }

    #[test]
    fn yaml_corners() {
        let merged = parse(
            "base: &b {x: 1, y: 2}\nz:\n  <<: *b\n  y: 3\n",
            Format::Yaml,
        )
        .unwrap();
        assert_eq!(
            merged.to_string(),
            r#"{"base": {"x": 1, "y": 2}, "z": {"x": 1, "y": 3}}"#
        );
        assert_eq!(parse("", Format::Yaml).unwrap(), Value::Null);
        assert_eq!(
            parse("1: a", Format::Yaml).unwrap().to_string(),
            r#"{"1": "a"}"#
        );
        assert!(parse("a: 1\na: 2\n", Format::Yaml).is_err());
        assert!(parse("a: !tag x\n", Format::Yaml).is_err());
        assert_eq!(
            parse("lr: 1e-3", Format::Yaml).unwrap().to_string(),
            r#"{"lr": 0.001}"#
        );
    }

    #[test]
    fn made_values_stand_where_they_were_made_from() {
        let text = "a: {do: {cmd: x}}\nb: 1\n";
        let document = Document::parse("f", text.to_owned(), Format::Yaml).unwrap();
        let path = |text: &str| text.parse::<KeyPath>().unwrap();
        let made_from = BTreeMap::from([(path("a@1"), path("a.do"))]);
        let made = document.derived(Value::Null, made_from);
        let shown = |at: &str| {
            let value = made.locate(&path(at))?.value;
            Some(&text[value.start..value.end])
        };
        assert_eq!(shown("a@1.cmd"), Some("x"));
        assert_eq!(shown("b"), Some("1"));
        assert_eq!(shown("a@2.cmd"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ a-c:\\-\\[\\]{},\n'\"&*!<|>#%\t0-9é]{0,40}") {
            for format in [Format::Yaml, Format::Json, Format::Toml] {
                let _ = parse(&text, format);
            }
        }
    }
}
