//! How values look inside a text, as DVC writes them; and mappings as command-line options.
//!
//! Booleans are `true` and `false`, nothing is `None`, numbers are as Python prints them. Imports:
//! base, project.

use std::fmt::Write as _;

use crate::base::doc::{Value, python};
use crate::project::{BoolFlags, ListFlags, Parsing};

/// Returns a plain value as text; `None` for a list or mapping.
pub(super) fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "None".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::UInt(u) => u.to_string(),
        Value::Float(x) => float(*x),
        Value::Str(text) => text.clone(),
        Value::List(_) | Value::Map(_) => return None,
    })
}

/// A list inside a list, or a mapping inside a list: no options can say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NestedList {
    /// The option's name.
    pub(super) key: String,
}

/// Returns a mapping as command-line options: `--name value` for each entry, the entries of inner
/// mappings under dotted names.
///
/// # Errors
/// A list holds a list or mapping.
pub(super) fn options(value: &Value, parsing: Parsing) -> Result<String, NestedList> {
    let mut text = String::new();
    write_options(&mut text, "", value, parsing)?;
    Ok(text.trim_end().to_owned())
}

fn write_options(
    text: &mut String,
    name: &str,
    value: &Value,
    parsing: Parsing,
) -> Result<(), NestedList> {
    match value {
        Value::Map(map) => {
            for (key, inner) in map {
                let dotted = match name {
                    "" => key.clone(),
                    above => format!("{above}.{key}"),
                };
                write_options(text, &dotted, inner, parsing)?;
            }
        }
        Value::Bool(true) => *text += &format!("--{name} "),
        Value::Bool(false) => {
            if parsing.bools == BoolFlags::BooleanOptional {
                *text += &format!("--no-{name} ");
            }
        }
        Value::List(items) => {
            for (i, item) in items.iter().enumerate() {
                let item = match item {
                    Value::Str(item) => quote(item),
                    // Python's own spelling: no rule of options applies inside a list.
                    Value::Bool(true) => "True".to_owned(),
                    Value::Bool(false) => "False".to_owned(),
                    other => plain(other).ok_or_else(|| NestedList {
                        key: name.to_owned(),
                    })?,
                };
                if i == 0 || parsing.lists == ListFlags::Append {
                    *text += &format!("--{name} ");
                }
                *text += &format!("{item} ");
            }
        }
        Value::Str(item) => *text += &format!("--{name} {} ", quote(item)),
        other => {
            let _ = write!(text, "--{name} {} ", plain(other).unwrap_or_default());
        }
    }
    Ok(())
}

/// Quotes a text for the shell, in the form of Python's `shlex.quote`.
fn quote(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// Returns a float as Python prints it.
fn float(x: f64) -> String {
    match x {
        x if x.is_nan() => "nan".to_owned(),
        f64::INFINITY => "inf".to_owned(),
        f64::NEG_INFINITY => "-inf".to_owned(),
        x => python::float(x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::{Document, Format};

    fn value(yaml: &str) -> Value {
        let document = Document::parse("f", yaml.to_owned(), Format::Yaml);
        document.unwrap().root
    }

    #[test]
    fn plain_values_look_as_in_python() {
        for (yaml, expected) in [
            ("true", "true"),
            ("null", "None"),
            ("5", "5"),
            ("0.50", "0.5"),
            ("1.0", "1.0"),
            ("1e-3", "0.001"),
            ("0.0001", "0.0001"),
            ("1e-5", "1e-05"),
            ("1.5e-7", "1.5e-07"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("1e22", "1e+22"),
            ("-2.5e+100", "-2.5e+100"),
            ("-0.0", "-0.0"),
            (".inf", "inf"),
            ("-.inf", "-inf"),
            (".nan", "nan"),
            ("a b", "a b"),
        ] {
            assert_eq!(plain(&value(yaml)).as_deref(), Some(expected), "{yaml}");
        }
        assert_eq!(plain(&value("[1]")), None);
    }

    /// Seen with DVC 3.67.1.
    #[test]
    fn mappings_become_options() {
        let yaml = "{lr: 0.1, on: true, off: false, layers: [1, 2], name: a b, deep: {x: 1}, none: null, e: {}, f: []}";
        let check = |parsing, expected: &str| {
            assert_eq!(options(&value(yaml), parsing).as_deref(), Ok(expected));
        };
        let (bools, lists) = (BoolFlags::default(), ListFlags::default());
        check(
            Parsing::default(),
            "--lr 0.1 --on --layers 1 2 --name 'a b' --deep.x 1 --none None",
        );
        check(
            Parsing {
                bools: BoolFlags::BooleanOptional,
                lists,
            },
            "--lr 0.1 --on --no-off --layers 1 2 --name 'a b' --deep.x 1 --none None",
        );
        check(
            Parsing {
                bools,
                lists: ListFlags::Append,
            },
            "--lr 0.1 --on --layers 1 --layers 2 --name 'a b' --deep.x 1 --none None",
        );
        let inside = value("{a: [true, null, 1.5, x y], q: it's, e: ''}");
        assert_eq!(
            options(&inside, Parsing::default()).as_deref(),
            Ok("--a True None 1.5 'x y' --q 'it'\"'\"'s' --e ''")
        );
        let nested = options(&value("{a: {b: [[1]]}}"), Parsing::default());
        assert_eq!(nested.unwrap_err().key, "a.b");
    }
}
