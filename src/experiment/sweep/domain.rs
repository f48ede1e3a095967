//! What values a swept parameter may take, and how that is written. Pure. Imports: base.
//!
//! The written form is the grammar that `grammar` reads (Hydra's), so a journal can be read by
//! people and typed back in: `choice(16,32)`, `tag(log,interval(0.0001,0.1))`.

use std::fmt::{self, Display, Formatter};

use crate::base::doc::Value;

use super::grammar;

/// The values of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// One of these, never empty.
    Choices {
        /// In the order in which they are tried.
        values: Vec<Value>,
        /// Are they tried in an order drawn from the seed instead?
        order: Order,
    },
    /// A number in a range.
    Interval(Interval),
}

/// In which order choices are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As given.
    Given,
    /// As drawn from the seed: `shuffle(…)`.
    Shuffled,
}

/// A range of numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The smallest value; finite.
    pub low: f64,
    /// The largest value; finite, at least `low`.
    pub high: f64,
    /// How values are spread.
    pub spread: Spread,
    /// Which numbers are meant.
    pub number: Number,
}

/// How the values of an interval are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Equal differences are equally likely.
    Linear,
    /// Equal ratios are equally likely; the interval lies above 0.
    Log,
}

/// Which numbers of an interval are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Any.
    Float,
    /// Whole ones.
    Int,
}

impl Domain {
    /// Returns choices in the given order.
    #[must_use]
    pub fn choices(values: Vec<Value>) -> Self {
        Self::Choices {
            values,
            order: Order::Given,
        }
    }
}

impl Display for Domain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Choices { values, order } => {
                let open = if *order == Order::Shuffled {
                    "shuffle(choice("
                } else {
                    "choice("
                };
                f.write_str(open)?;
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { "," }, Written(value))?;
                }
                f.write_str(if *order == Order::Shuffled { "))" } else { ")" })
            }
            Self::Interval(interval) => interval.fmt(f),
        }
    }
}

impl Display for Interval {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (open, close) = match (self.number, self.spread) {
            (Number::Float, Spread::Linear) => ("", ""),
            (Number::Float, Spread::Log) => ("tag(log,", ")"),
            (Number::Int, Spread::Linear) => ("int(", ")"),
            (Number::Int, Spread::Log) => ("int(tag(log,", "))"),
        };
        let end = |value: f64| match self.number {
            Number::Float => format!("{value:?}"),
            Number::Int => format!("{value:.0}"),
        };
        write!(
            f,
            "{open}interval({},{}){close}",
            end(self.low),
            end(self.high)
        )
    }
}

/// A value as the grammar writes it.
#[derive(Clone, Copy, Debug)]
pub struct Written<'v>(pub &'v Value);

impl Display for Written<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Str(text) if grammar::reads_as_text(text) => f.write_str(text),
            Value::Str(text) => {
                let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
                write!(f, "'{escaped}'")
            }
            Value::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { "," }, Written(item))?;
                }
                f.write_str("]")
            }
            Value::Map(map) => {
                f.write_str("{")?;
                for (i, (key, value)) in map.iter().enumerate() {
                    let key = Value::Str(key.clone());
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{}", Written(&key), Written(value))?;
                }
                f.write_str("}")
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => {
                self.0.fmt(f)
            }
        }
    }
}
