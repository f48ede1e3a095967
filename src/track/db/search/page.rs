//! Page tokens: base64 of JSON. Ours holds the order it belongs to (a hash) and the keys of the last
//! row; MLflow's `{"offset": n}` is taken as well. Imports: base, table, error, base64, rusqlite.

use std::fmt::Debug;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

use crate::base::ContentHash;
use crate::track::error::Error;
use crate::track::table::PageAt;

use super::statement::Found;

/// Which part of the answer is wanted.
#[derive(Debug)]
pub(super) struct Paging {
    order: String,
    from: From,
    max: usize,
}

#[derive(Debug)]
enum From {
    Offset(usize),
    After(Vec<Value>),
    Before(Vec<Value>),
    End,
}

/// A page, and the tokens of those beside it.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) found: Vec<Found>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

/// Our token. Keys carry their type: `i` an integer, `r` the bits of a number, `t` a text, `n` none.
#[derive(Serialize, Deserialize)]
struct Token {
    order: String,
    after: Vec<String>,
}

/// MLflow's token; what else it holds does not matter.
#[derive(Deserialize)]
struct Offset {
    offset: serde_json::Value,
}

/// Longer hashes would only make longer tokens.
const ORDER_CHARS: usize = 16;

impl Paging {
    /// Reads a token for an order.
    pub(super) fn of(order: &impl Debug, max: usize, token: Option<&str>) -> Result<Self, Error> {
        match token.filter(|token| !token.is_empty()) {
            None => Self::at(order, max, &PageAt::Offset(0)),
            Some(token) => Self::at(order, max, &PageAt::After(token.to_owned())),
        }
    }

    /// Finds a page's place in an order.
    pub(super) fn at(order: &impl Debug, max: usize, at: &PageAt) -> Result<Self, Error> {
        let order = ContentHash::of(format!("{order:?}").as_bytes()).to_string();
        let order: String = order.chars().take(ORDER_CHARS).collect();
        let from = match at {
            PageAt::Offset(offset) => From::Offset(*offset),
            PageAt::End => From::End,
            PageAt::After(token) => read(token, &order).ok_or_else(bad_token)?,
            PageAt::Before(token) => match read(token, &order) {
                Some(From::After(keys)) => From::Before(keys),
                _ => return Err(bad_token()),
            },
        };
        Ok(Self { order, from, max })
    }

    /// Returns the keys of the row behind which the page begins, or before which it ends.
    pub(super) fn beside(&self) -> Option<&[Value]> {
        match &self.from {
            From::Offset(_) | From::End => None,
            From::After(keys) | From::Before(keys) => Some(keys),
        }
    }

    /// Is the page looked for from its end?
    pub(super) fn is_backward(&self) -> bool {
        matches!(self.from, From::Before(_) | From::End)
    }

    /// Returns how many rows must be found: one more than the page has tells whether it is the last.
    pub(super) fn limit(&self) -> usize {
        let skipped = match &self.from {
            From::Offset(offset) => *offset,
            From::After(_) | From::Before(_) | From::End => 0,
        };
        skipped.saturating_add(self.max).saturating_add(1)
    }

    /// Returns the page and the token of the next one.
    pub(super) fn cut(&self, mut found: Vec<Found>) -> (Vec<Found>, Option<String>) {
        if let From::Offset(offset) = &self.from {
            found.drain(..(*offset).min(found.len()));
        }
        let is_last = found.len() <= self.max;
        found.truncate(self.max);
        let next = match found.last() {
            Some(last) if !is_last => Some(self.token(&last.keys)),
            _ => None,
        };
        (found, next)
    }

    /// Returns the page, and the tokens by which those beside it are found. What was looked for from
    /// the end comes last first.
    pub(super) fn cut_both(&self, mut found: Vec<Found>) -> Cut {
        if let From::Offset(offset) = &self.from {
            found.drain(..(*offset).min(found.len()));
        }
        let is_more = self.max < found.len();
        found.truncate(self.max);
        if self.is_backward() {
            found.reverse();
        }
        let (is_before, is_behind) = match &self.from {
            From::Offset(offset) => (0 < *offset, is_more),
            From::After(_) => (true, is_more),
            From::Before(_) => (is_more, true),
            From::End => (is_more, false),
        };
        let token = |at: Option<&Found>| match at {
            Some(one) => Some(self.token(&one.keys)),
            // All rows of the page are gone: its neighbours are those of the place it had.
            None => self.beside().map(|keys| self.token(keys)),
        };
        Cut {
            previous: is_before.then(|| token(found.first())).flatten(),
            next: is_behind.then(|| token(found.last())).flatten(),
            found,
        }
    }

    fn token(&self, keys: &[Value]) -> String {
        let after = keys.iter().map(|key| match key {
            Value::Integer(number) => format!("i{number}"),
            Value::Real(number) => format!("r{:016x}", number.to_bits()),
            Value::Text(text) => format!("t{text}"),
            Value::Null | Value::Blob(_) => "n".to_owned(),
        });
        let token = serde_json::json!({"order": self.order, "after": after.collect::<Vec<_>>()});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }
}

pub(super) fn bad_token() -> Error {
    Error::invalid("Invalid page token, could not base64-decode")
}

fn read(token: &str, order: &str) -> Option<From> {
    let bytes = URL_SAFE_NO_PAD
        .decode(token)
        .or_else(|_| STANDARD.decode(token))
        .ok()?;
    if let Ok(Offset { offset }) = serde_json::from_slice(&bytes) {
        let offset = offset
            .as_u64()
            .or_else(|| offset.as_str().and_then(|text| text.parse().ok()))?;
        return Some(From::Offset(usize::try_from(offset).ok()?));
    }
    let token: Token = serde_json::from_slice(&bytes).ok()?;
    let keys: Option<Vec<Value>> = token.after.iter().map(|key| value(key)).collect();
    (token.order == order).then_some(From::After(keys?))
}

fn value(key: &str) -> Option<Value> {
    let mut chars = key.chars();
    let kind = chars.next()?;
    let rest = chars.as_str();
    match kind {
        'i' => rest.parse().ok().map(Value::Integer),
        'r' => u64::from_str_radix(rest, 16)
            .ok()
            .map(|bits| Value::Real(f64::from_bits(bits))),
        't' => Some(Value::Text(rest.to_owned())),
        'n' => rest.is_empty().then_some(Value::Null),
        _ => None,
    }
}
