//! Builds a statement out of clauses and orders, and runs it. Imports: search, error, rusqlite.

use std::cmp::Ordering;

use rusqlite::ToSql;
use rusqlite::types::Value;

use crate::track::error::Error;
use crate::track::search::{Direction, Number, Relation, Test, Text};

use super::super::Reader;
use super::page::bad_token;

/// A statement that finds rows in an order.
#[derive(Debug)]
pub(super) struct Statement {
    /// The columns that name a row.
    ids: &'static [&'static str],
    /// Tables and joins.
    pub(super) from: String,
    /// All must hold.
    pub(super) conditions: Vec<String>,
    /// The order.
    pub(super) terms: Vec<Term>,
    /// What is bound.
    values: Vec<Value>,
}

/// One term of an order.
#[derive(Clone, Debug)]
pub(super) enum Term {
    /// An expression.
    Sorted(String, Direction),
    /// The same in all rows of this statement.
    Fixed(&'static str),
}

/// A row: what names it, and the values it is ordered by.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) ids: Vec<Value>,
    pub(super) keys: Vec<Value>,
}

impl Found {
    /// Returns a number that names the row.
    pub(super) fn number(&self, at: usize) -> i64 {
        match self.ids.get(at) {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        }
    }

    /// Returns a text that names the row.
    pub(super) fn text(&self, at: usize) -> String {
        match self.ids.get(at) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }
}

/// A table of keys and texts, and which of its rows, called `x`, belong to a row of the search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed {
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) of: &'static str,
}

impl Statement {
    pub(super) fn new(ids: &'static [&'static str], from: &str) -> Self {
        Self {
            ids,
            from: from.to_owned(),
            conditions: Vec::new(),
            terms: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Binds a value; returns the name it has in the statement.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    /// Binds several values at once, as a subquery.
    pub(super) fn bind_list(&mut self, values: &serde_json::Value) -> String {
        let list = self.bind(values.to_string());
        format!("(SELECT value FROM json_each({list}))")
    }

    /// Adds an order.
    pub(super) fn sort(&mut self, expression: impl Into<String>, direction: Direction) {
        self.terms.push(Term::Sorted(expression.into(), direction));
    }

    /// Returns the condition that a text expression passes the test.
    pub(super) fn text(&mut self, expression: &str, test: &Text) -> String {
        match test {
            Text::Equal(value) => format!("{expression} = {}", self.bind(value.clone())),
            Text::NotEqual(value) => format!("{expression} <> {}", self.bind(value.clone())),
            Text::Like(pattern) => format!("{expression} LIKE {}", self.bind(pattern.clone())),
            Text::ILike(pattern) => {
                let pattern = self.bind(pattern.clone());
                format!("lower({expression}) LIKE lower({pattern})")
            }
            Text::In(values) => {
                let list = self.bind_list(&serde_json::json!(values));
                format!("{expression} IN {list}")
            }
            Text::NotIn(values) => {
                let list = self.bind_list(&serde_json::json!(values));
                format!("{expression} NOT IN {list}")
            }
        }
    }

    /// Returns the condition that a number expression compares so.
    pub(super) fn number(&mut self, expression: &str, relation: Relation, value: Number) -> String {
        let value = match value {
            Number::Integer(value) => self.bind(value),
            Number::Real(value) => self.bind(value),
        };
        format!("{expression} {} {value}", symbol(relation))
    }

    /// Returns the condition that a tag or param passes the test.
    ///
    /// A subquery for a value rather than EXISTS: SQLite joins the table of an EXISTS where it likes,
    /// and would then sort what came in the order of an index.
    pub(super) fn keyed(&mut self, keyed: Keyed, key: &str, test: &Test) -> String {
        let Keyed {
            table,
            key: column,
            of,
        } = keyed;
        let key = self.bind(key.to_owned());
        let rows = format!("FROM {table} x WHERE {of} AND x.{column} = {key}");
        match test {
            Test::Is(test) => format!("(SELECT {} {rows})", self.text("x.value", test)),
            Test::Present => format!("(SELECT 1 {rows}) IS NOT NULL"),
            Test::Missing => format!("(SELECT 1 {rows}) IS NULL"),
        }
    }

    /// Turns the order round.
    pub(super) fn reverse(&mut self) {
        for term in &mut self.terms {
            if let Term::Sorted(_, direction) = term {
                *direction = reversed(*direction);
            }
        }
    }

    /// Returns a statement that counts its rows, up to `limit`, and what is bound in it.
    pub(super) fn build_count(mut self, limit: i64) -> (String, Vec<Value>) {
        let limit = self.bind(limit);
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {} WHERE {} LIMIT {limit})",
            self.from,
            self.conditions.join(" AND "),
        );
        (sql, self.values)
    }

    /// Returns a statement that reads these columns of its rows, in no order, and what is bound in it.
    pub(super) fn build_all(self, columns: &[String]) -> (String, Vec<Value>) {
        let sql = format!(
            "SELECT {} FROM {} WHERE {}",
            columns.join(", "),
            self.from,
            self.conditions.join(" AND "),
        );
        (sql, self.values)
    }

    /// Returns the statement and what is bound in it: at most `limit` rows behind `after`.
    pub(super) fn build(
        mut self,
        after: Option<&[Value]>,
        limit: usize,
    ) -> Result<(String, Vec<Value>), Error> {
        if let Some(keys) = after {
            self.go_on_behind(keys)?;
        }
        let columns: Vec<&str> = self
            .ids
            .iter()
            .copied()
            .chain(self.terms.iter().map(|term| match term {
                Term::Sorted(expression, _) => expression.as_str(),
                Term::Fixed(value) => value,
            }))
            .collect();
        let order: Vec<String> = self
            .terms
            .iter()
            .filter_map(|term| match term {
                Term::Sorted(expression, Direction::Ascending) => Some(expression.clone()),
                Term::Sorted(expression, Direction::Descending) => {
                    Some(format!("{expression} DESC"))
                }
                Term::Fixed(_) => None,
            })
            .collect();
        let mut sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {}",
            columns.join(", "),
            self.from,
            self.conditions.join(" AND "),
            order.join(", ")
        );
        let limit = self.bind(i64::try_from(limit).unwrap_or(i64::MAX));
        sql += &format!(" LIMIT {limit}");
        Ok((sql, self.values))
    }

    /// Adds the condition that a row comes behind the one with these keys.
    fn go_on_behind(&mut self, keys: &[Value]) -> Result<(), Error> {
        if keys.len() != self.terms.len() {
            return Err(bad_token());
        }
        let sorted: Vec<(String, Direction, Value)> = self
            .terms
            .iter()
            .zip(keys)
            .filter_map(|(term, key)| match term {
                Term::Sorted(expression, direction) => {
                    Some((expression.clone(), *direction, key.clone()))
                }
                Term::Fixed(_) => None,
            })
            .collect();
        // An index is entered at the first key; the rest of the condition is no range to SQLite.
        if let Some((expression, direction, key)) = sorted.first()
            && *key != Value::Null
        {
            let key = self.bind(key.clone());
            let beyond = beyond(*direction);
            self.conditions
                .push(format!("{expression} {beyond}= {key}"));
        }
        let mut condition: Option<String> = None;
        for (expression, direction, key) in sorted.into_iter().rev() {
            let key = self.bind(key);
            let beyond = beyond(direction);
            condition = Some(match condition {
                None => format!("{expression} {beyond} {key}"),
                Some(rest) => {
                    format!("({expression} {beyond} {key} OR ({expression} IS {key} AND {rest}))")
                }
            });
        }
        self.conditions.extend(condition);
        Ok(())
    }

    /// Finds at most `limit` rows behind `after`, in order.
    pub(super) fn find(
        self,
        reader: &Reader<'_>,
        after: Option<&[Value]>,
        limit: usize,
    ) -> Result<Vec<Found>, Error> {
        let (ids, all) = (self.ids.len(), self.ids.len() + self.terms.len());
        let (sql, values) = self.build(after, limit)?;
        let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
        reader.rows(&sql, &values, |row| {
            let read = |from: usize, to: usize| -> rusqlite::Result<Vec<Value>> {
                (from..to).map(|at| row.get(at)).collect()
            };
            Ok(Found {
                ids: read(0, ids)?,
                keys: read(ids, all)?,
            })
        })
    }
}

pub(super) fn symbol(relation: Relation) -> &'static str {
    match relation {
        Relation::Equal => "=",
        Relation::NotEqual => "<>",
        Relation::Less => "<",
        Relation::AtMost => "<=",
        Relation::Greater => ">",
        Relation::AtLeast => ">=",
    }
}

pub(super) fn reversed(direction: Direction) -> Direction {
    match direction {
        Direction::Ascending => Direction::Descending,
        Direction::Descending => Direction::Ascending,
    }
}

fn beyond(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => ">",
        Direction::Descending => "<",
    }
}

/// Compares the keys of two rows as SQLite orders them.
pub(super) fn compare(a: &[Value], b: &[Value], directions: &[Direction]) -> Ordering {
    for ((a, b), direction) in a.iter().zip(b).zip(directions) {
        let ascending = match (a, b) {
            (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
            // There is no NaN: SQLite has none.
            (Value::Real(a), Value::Real(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (a, b) => place(a).cmp(&place(b)),
        };
        let ordering = match direction {
            Direction::Ascending => ascending,
            Direction::Descending => ascending.reverse(),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}

/// The place of a type in SQLite's order.
fn place(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    }
}
