//! Reads a Python literal: what `ast.literal_eval` takes and a params file can say. Tuples and sets
//! are lists. Imports: `base::doc`.

use crate::base::doc::value::{Map, Value};

use super::DEPTH_MAX;
use super::token::Token;

/// What tokens are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Value(Value),
    /// No literal, or one that no params file can say (bytes, complex numbers, `...`).
    Other,
    /// A literal whose value cannot be kept.
    Refused(String),
}

/// Why reading stops.
enum Stop {
    Other,
    Refused(String),
}

/// Reads all of `tokens` as one value.
pub(super) fn read(tokens: &[Token<'_>]) -> Literal {
    let mut reader = Reader { tokens, depth: 0 };
    match reader.whole() {
        Ok(value) => Literal::Value(value),
        Err(Stop::Other) => Literal::Other,
        Err(Stop::Refused(message)) => Literal::Refused(message),
    }
}

struct Reader<'s, 't> {
    tokens: &'s [Token<'t>],
    depth: usize,
}

impl Reader<'_, '_> {
    fn next_is(&mut self, op: char) -> bool {
        let is = self.tokens.first() == Some(&Token::Op(op));
        if is {
            self.tokens = &self.tokens[1..];
        }
        is
    }

    /// A value, or several with commas: a tuple.
    fn whole(&mut self) -> Result<Value, Stop> {
        let first = self.value()?;
        if self.tokens.is_empty() {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.next_is(',') {
            if self.tokens.is_empty() {
                break;
            }
            items.push(self.value()?);
        }
        if self.tokens.is_empty() {
            Ok(Value::List(items))
        } else {
            Err(Stop::Other)
        }
    }

    fn value(&mut self) -> Result<Value, Stop> {
        let (first, rest) = self.tokens.split_first().ok_or(Stop::Other)?;
        if DEPTH_MAX < self.depth {
            return Err(Stop::Refused("this is nested too deeply".to_owned()));
        }
        self.tokens = rest;
        self.depth += 1;
        let value = match first {
            Token::Name("None") => Value::Null,
            Token::Name("True") => Value::Bool(true),
            Token::Name("False") => Value::Bool(false),
            Token::Name("set") if self.next_is('(') && self.next_is(')') => Value::List(Vec::new()),
            Token::Number(text) => number(text, false)?,
            Token::Op(sign @ ('-' | '+')) => self.signed(*sign)?,
            Token::Text(text) => {
                let mut text = text.clone();
                // Texts beside each other are one.
                while let Some((Token::Text(more), rest)) = self.tokens.split_first() {
                    text.push_str(more);
                    self.tokens = rest;
                }
                if self.tokens.first() == Some(&Token::OtherText) {
                    return Err(Stop::Other);
                }
                Value::Str(text)
            }
            Token::Op('[') => Value::List(self.items(']')?.0),
            Token::Op('(') => match self.items(')')? {
                (mut items, Commas::None) if items.len() == 1 => items.remove(0),
                (items, _) => Value::List(items),
            },
            Token::Op('{') => self.braces()?,
            _ => return Err(Stop::Other),
        };
        self.depth -= 1;
        Ok(value)
    }

    fn signed(&mut self, sign: char) -> Result<Value, Stop> {
        match self.tokens.split_first() {
            Some((Token::Number(text), rest)) => {
                self.tokens = rest;
                number(text, sign == '-')
            }
            // `-(1)` and `--1`.
            _ => match (sign, self.value()?) {
                ('-', Value::Int(n)) => n.checked_neg().map(Value::Int).ok_or(Stop::Other),
                ('-', Value::Float(x)) => Ok(Value::Float(-x)),
                ('+', value @ (Value::Int(_) | Value::UInt(_) | Value::Float(_))) => Ok(value),
                _ => Err(Stop::Other),
            },
        }
    }

    fn items(&mut self, close: char) -> Result<(Vec<Value>, Commas), Stop> {
        let mut items = Vec::new();
        let mut commas = Commas::None;
        while !self.next_is(close) {
            items.push(self.value()?);
            if self.next_is(',') {
                commas = Commas::Some;
            } else if self.next_is(close) {
                break;
            } else {
                return Err(Stop::Other);
            }
        }
        Ok((items, commas))
    }

    /// A mapping or a set.
    fn braces(&mut self) -> Result<Value, Stop> {
        if self.next_is('}') {
            return Ok(Value::Map(Map::new()));
        }
        let first = self.value()?;
        if !self.next_is(':') {
            let mut items = vec![first];
            if self.next_is(',') {
                items.extend(self.items('}')?.0);
            } else if !self.next_is('}') {
                return Err(Stop::Other);
            }
            return Ok(Value::List(items));
        }
        let mut map = Map::new();
        map.insert(key(first)?, self.value()?);
        while !self.next_is('}') {
            if !self.next_is(',') {
                return Err(Stop::Other);
            }
            if self.next_is('}') {
                break;
            }
            let name = key(self.value()?)?;
            if !self.next_is(':') {
                return Err(Stop::Other);
            }
            map.insert(name, self.value()?);
        }
        Ok(Value::Map(map))
    }
}

/// Were there any between the items?
enum Commas {
    None,
    Some,
}

fn key(value: Value) -> Result<String, Stop> {
    match value {
        Value::Str(text) => Ok(text),
        Value::List(_) | Value::Map(_) => Err(Stop::Other),
        scalar => Ok(scalar.to_string()),
    }
}

fn number(text: &str, is_negative: bool) -> Result<Value, Stop> {
    let lower = text.to_ascii_lowercase();
    // Python allows single underscores between digits.
    if lower.starts_with('_') || lower.ends_with('_') || lower.contains("__") {
        return Err(Stop::Other);
    }
    let digits = lower.replace('_', "");
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)];
    let radix = radix
        .iter()
        .find_map(|(prefix, base)| Some((digits.strip_prefix(prefix)?, *base)));
    let (whole, base) = radix.unwrap_or((&digits, 10));
    let is_whole = !whole.is_empty() && whole.chars().all(|c| c.is_digit(base));
    if is_whole {
        let has_zeros = base == 10 && whole.len() > 1 && whole.starts_with('0');
        if has_zeros && whole.chars().any(|c| c != '0') {
            return Err(Stop::Other);
        }
        return whole_number(whole, base, is_negative).ok_or_else(|| {
            Stop::Refused(format!(
                "`{text}` is beyond 64 bits; write it as a text in quotes"
            ))
        });
    }
    // Rust reads the same floats, and words besides.
    let is_float = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match digits.parse::<f64>() {
        Ok(x) if is_float && base == 10 => Ok(Value::Float(if is_negative { -x } else { x })),
        _ => Err(Stop::Other),
    }
}

fn whole_number(digits: &str, base: u32, is_negative: bool) -> Option<Value> {
    let number = u64::from_str_radix(digits, base).ok()?;
    let signed = i128::from(number) * if is_negative { -1 } else { 1 };
    match i64::try_from(signed) {
        Ok(int) => Some(Value::Int(int)),
        Err(_) if is_negative => None,
        Err(_) => Some(Value::UInt(number)),
    }
}
