//! Plain values of the grammar: numbers, words, quoted texts, lists, mappings. Imports: base.

use crate::base::diag::Span;
use crate::base::doc::{Map, Value};

use super::{CHOICES_MAX, Parser, Problem};

/// Characters that end a bare word.
const SPECIAL: &[char] = &[',', '(', ')', '[', ']', '{', '}', '\'', '"'];

/// Would this text, written bare, be read as itself?
pub(in crate::experiment::sweep) fn reads_as_text(text: &str) -> bool {
    let mut chars = text.chars();
    let tame = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+');
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '/')
        && chars.all(tame)
        && matches!(word(text), Ok(Value::Str(_)))
}

/// Reads a bare word.
fn word(text: &str) -> Result<Value, String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "null" => return Ok(Value::Null),
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if let Ok(int) = text.parse::<i64>() {
        return Ok(Value::Int(int));
    }
    if let Ok(int) = text.parse::<u64>() {
        return Ok(Value::UInt(int));
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Ok(Value::Float(float)),
        Ok(_) => Err(format!(
            "`{text}` is not a finite number; put it into quotes if a text is meant"
        )),
        Err(_) => Ok(Value::Str(text.to_owned())),
    }
}

impl Parser<'_> {
    pub(super) fn value(&mut self) -> Result<Value, Problem> {
        self.value_until(&[])
    }

    /// Reads a value; a bare one also ends at `more`.
    fn value_until(&mut self, more: &[char]) -> Result<Value, Problem> {
        self.skip_blanks();
        match self.peek() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote).map(Value::Str),
            Some('[') => self.list(),
            Some('{') => self.map(),
            _ => self.bare(more),
        }
    }

    fn bare(&mut self, more: &[char]) -> Result<Value, Problem> {
        let start = self.pos;
        let len = self
            .rest()
            .find(|c: char| SPECIAL.contains(&c) || more.contains(&c))
            .unwrap_or(self.rest().len());
        let text = self.rest()[..len].trim_end();
        if text.is_empty() {
            return Err(Problem::at(self.here(), "expected a value"));
        }
        if text.contains('$') && self.rest()[len..].starts_with('{') {
            return Err(
                Problem::at(self.since(start), "`${…}` is not supported here")
                    .help("write the value itself"),
            );
        }
        let end = start + text.len();
        let value = word(text).map_err(|e| Problem::at(Span { start, end }, e))?;
        self.pos = end;
        self.skip_blanks();
        Ok(value)
    }

    fn quoted(&mut self, quote: char) -> Result<String, Problem> {
        let start = self.pos;
        self.pos += quote.len_utf8();
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, next)) if next == quote || next == '\\' => text.push(next),
                    Some((_, next)) => {
                        text.push('\\');
                        text.push(next);
                    }
                    None => break,
                },
                c if c == quote => {
                    self.pos += at + c.len_utf8();
                    self.skip_blanks();
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        Err(Problem::at(
            Span {
                start,
                end: start + quote.len_utf8(),
            },
            "this quote is not closed",
        ))
    }

    fn list(&mut self) -> Result<Value, Problem> {
        let open = self.here();
        self.pos += 1;
        self.deeper()?;
        let mut items = Vec::new();
        if !self.eat(']') {
            loop {
                items.push(self.value()?);
                if self.eat(']') {
                    break;
                }
                if !self.eat(',') || CHOICES_MAX < items.len() {
                    return Err(self.unclosed(open, "]"));
                }
            }
        }
        self.depth -= 1;
        self.skip_blanks();
        Ok(Value::List(items))
    }

    fn map(&mut self) -> Result<Value, Problem> {
        let open = self.here();
        self.pos += 1;
        self.deeper()?;
        let mut map = Map::new();
        if !self.eat('}') {
            loop {
                self.skip_blanks();
                let start = self.pos;
                let key = match self.value_until(&[':'])? {
                    Value::Str(text) => text,
                    scalar @ (Value::Null
                    | Value::Bool(_)
                    | Value::Int(_)
                    | Value::UInt(_)
                    | Value::Float(_)) => scalar.to_string(),
                    Value::List(_) | Value::Map(_) => {
                        return Err(Problem::at(self.since(start), "a key must be a plain text"));
                    }
                };
                if !self.eat(':') {
                    return Err(Problem::at(self.here(), "expected `:` and a value"));
                }
                let value = self.value()?;
                if map.insert(key.clone(), value).is_some() {
                    return Err(Problem::at(
                        self.since(start),
                        format!("the key `{key}` is given twice"),
                    ));
                }
                if self.eat('}') {
                    break;
                }
                if !self.eat(',') {
                    return Err(self.unclosed(open, "}"));
                }
            }
        }
        self.depth -= 1;
        self.skip_blanks();
        Ok(Value::Map(map))
    }

    fn unclosed(&self, open: Span, close: &str) -> Problem {
        if self.pos < self.text.len() {
            Problem::at(self.here(), format!("expected `,` or `{close}`"))
        } else {
            Problem::at(open, format!("this is not closed: expected `{close}`"))
        }
    }
}
