//! Finds comparisons in a filter, and the name and way of an order. What they mean is not known here:
//! `typed` says it. Imports: error, lexer.

use super::lexer::{Kind, Name, Quoting, Token, tokens};
use crate::track::error::Error;

/// A comparison, as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison<'a> {
    pub(super) name: Name<'a>,
    /// `=`, `LIKE`, `NOT IN`, `IS NULL`, …: keywords in capitals.
    pub(super) operator: String,
    pub(super) operand: Operand<'a>,
}

/// What a name is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand<'a> {
    /// Nothing: `IS NULL`.
    None,
    /// A text in single or double quotes, without them.
    Text(&'a str),
    /// A number, as written.
    Number(&'a str),
    /// A word, or something in back-ticks.
    Word(&'a str),
    /// Something in parentheses.
    List {
        /// What stands there.
        items: List,
        /// As written.
        text: &'a str,
    },
}

/// What stands in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum List {
    Texts(Vec<String>),
    Empty,
    /// Something other than texts.
    OtherThanTexts,
    /// No list.
    IllFormed,
}

impl Operand<'_> {
    /// Returns it as written, for a message.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Text(text) => format!("'{text}'"),
            Self::Number(text) | Self::Word(text) | Self::List { text, .. } => (*text).to_owned(),
        }
    }
}

/// More comparisons than a person writes; SQLite has limits as well.
const COMPARISONS_MAX: usize = 200;

/// Longer filters are refused: they would be cut into more tokens than memory should hold. So many
/// ids as MLflow's own statement can take (32,766) fit.
const FILTER_BYTES_MAX: usize = 2 << 20;

/// Longer orders are refused.
const ORDER_BYTES_MAX: usize = 10_000;

/// Parentheses in parentheses mean nothing; deeper ones are not looked through, which would take
/// long for many of them.
const DEPTH_MAX: usize = 16;

/// Longer excerpts of what was asked are cut in messages.
const SHOWN_MAX: usize = 300;

/// Returns the comparisons of a filter. Between them stands `AND`; MLflow does not mind if it is
/// missing or stands at an end, so neither is minded here.
pub(super) fn comparisons(filter: &str) -> Result<Vec<Comparison<'_>>, Error> {
    if FILTER_BYTES_MAX < filter.len() {
        return Err(Error::invalid(format!(
            "Invalid filter string: at most {FILTER_BYTES_MAX} bytes are supported, got {}",
            filter.len()
        )));
    }
    let all = tokens(filter);
    let mut rest = all.as_slice();
    let mut found = Vec::new();
    let mut invalid = Vec::new();
    while let Some(first) = rest.first() {
        if is_and(first) {
            rest = &rest[1..];
        } else if let Some((one, length)) = comparison(filter, rest) {
            found.push(one);
            rest = &rest[length..];
        } else {
            let length = group(rest);
            invalid.push(format!("'{}'", text_of(filter, &rest[..length])));
            rest = &rest[length..];
        }
    }
    if !invalid.is_empty() {
        let clauses = shortened(&invalid.join(", "));
        return Err(Error::invalid(format!(
            "Invalid clause(s) in filter string: {clauses}"
        )));
    }
    if COMPARISONS_MAX < found.len() {
        return Err(Error::invalid(format!(
            "Invalid filter string: at most {COMPARISONS_MAX} comparisons are supported, got {}",
            found.len()
        )));
    }
    Ok(found)
}

/// Cuts a text for a message.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the comparison at the beginning and how many tokens it has.
pub(super) fn comparison<'a>(
    filter: &'a str,
    rest: &[Token<'a>],
) -> Option<(Comparison<'a>, usize)> {
    let Kind::Name(name) = rest.first()?.kind else {
        return None;
    };
    let (operator, at) = operator(rest)?;
    let of_list = matches!(operator.as_str(), "IN" | "NOT IN");
    let operand = if matches!(operator.as_str(), "IS NULL" | "IS NOT NULL") {
        Operand::None
    } else {
        let value = rest.get(at)?;
        match value.kind {
            Kind::Open => Operand::List {
                items: list(&rest[at..]),
                text: text_of(filter, &rest[at..at + closed_group(&rest[at..])?]),
            },
            _ if of_list || is_and(value) => return None,
            Kind::Single(text) => Operand::Text(text),
            Kind::Name(Name {
                entity: None,
                key,
                quoting: Quoting::Double,
            }) => Operand::Text(key),
            Kind::Name(_) => Operand::Word(value.text),
            Kind::Number => Operand::Number(value.text),
            Kind::Operator | Kind::Close | Kind::Comma | Kind::Other => return None,
        }
    };
    let length = match &operand {
        Operand::None => at,
        Operand::List { .. } => at + group(&rest[at..]),
        Operand::Text(_) | Operand::Number(_) | Operand::Word(_) => at + 1,
    };
    let one = Comparison {
        name,
        operator,
        operand,
    };
    Some((one, length))
}

/// Returns the operator behind the name, and where what follows it begins.
pub(super) fn operator(rest: &[Token<'_>]) -> Option<(String, usize)> {
    let first = rest.get(1)?;
    if first.kind == Kind::Operator {
        return Some((first.text.to_owned(), 2));
    }
    let capitals = |at: usize| {
        rest.get(at)
            .and_then(word)
            .map(str::to_ascii_uppercase)
            .unwrap_or_default()
    };
    let words = [capitals(1), capitals(2), capitals(3)];
    match words.each_ref().map(String::as_str) {
        ["IN" | "LIKE" | "ILIKE" | "RLIKE", ..] => Some((words[0].clone(), 2)),
        ["IS", "NULL", _] => Some(("IS NULL".to_owned(), 3)),
        ["IS", "NOT", "NULL"] => Some(("IS NOT NULL".to_owned(), 4)),
        ["NOT", "IN" | "LIKE" | "ILIKE" | "RLIKE", _] => Some((format!("NOT {}", words[1]), 3)),
        _ => None,
    }
}

/// Returns the bare word that a token is.
pub(super) fn word<'a>(token: &Token<'a>) -> Option<&'a str> {
    match token.kind {
        Kind::Name(Name {
            entity: None,
            key,
            quoting: Quoting::Bare,
        }) => Some(key),
        _ => None,
    }
}

pub(super) fn is_and(token: &Token<'_>) -> bool {
    word(token).is_some_and(|word| word.eq_ignore_ascii_case("and"))
}

/// Returns how many tokens belong together at the beginning: parentheses with what they hold, or one.
fn group(rest: &[Token<'_>]) -> usize {
    closed_group(rest).unwrap_or(1)
}

/// As `group`; `None`: a parenthesis is opened and not closed, or they are too deep.
fn closed_group(rest: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in rest.iter().enumerate() {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
        if DEPTH_MAX < depth {
            return None;
        }
    }
    None
}

/// Reads the list whose parenthesis is opened at the beginning.
fn list(rest: &[Token<'_>]) -> List {
    let inside = &rest[1..group(rest).max(2) - 1];
    if inside.is_empty() {
        return List::Empty;
    }
    let mut texts = Vec::new();
    let mut are_texts = true;
    // A comma behind the last is fine, as in Python.
    for pair in inside.chunks(2) {
        match pair[0].kind {
            Kind::Single(text) => texts.push(text.to_owned()),
            Kind::Name(Name {
                entity: None,
                key,
                quoting: Quoting::Double,
            }) => texts.push(key.to_owned()),
            Kind::Number => are_texts = false,
            _ => return List::IllFormed,
        }
        if pair.get(1).is_some_and(|token| token.kind != Kind::Comma) {
            return List::IllFormed;
        }
    }
    if are_texts {
        List::Texts(texts)
    } else {
        List::OtherThanTexts
    }
}

fn text_of<'a>(filter: &'a str, tokens: &[Token<'_>]) -> &'a str {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => &filter[first.start..last.start + last.text.len()],
        _ => "",
    }
}

/// Returns the name and the way (`None`: not said) of an order.
pub(super) fn order(text: &str) -> Result<(Name<'_>, Option<&str>), Error> {
    let all = if text.len() <= ORDER_BYTES_MAX {
        tokens(text)
    } else {
        Vec::new()
    };
    let (name, way) = match all.as_slice() {
        [name] => (name, None),
        [name, way] => (name, word(way)),
        _ => (
            &Token {
                kind: Kind::Other,
                text: "",
                start: 0,
            },
            None,
        ),
    };
    match name.kind {
        Kind::Name(name) if all.len() == 1 || way.is_some() => Ok((name, way)),
        _ => Err(Error::invalid(format!(
            "Invalid order_by clause '{}'. Could not be parsed.",
            shortened(text)
        ))),
    }
}
