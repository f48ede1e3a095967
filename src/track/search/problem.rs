//! Where a filter or an order of runs is wrong, and what could stand there: for people, beside what
//! a client is told in MLflow's words. Imports: lexer, parser, typed, attributes.

use std::ops::Range;

use super::attributes::{Attribute, Entity, RunAttribute, Use};
use super::lexer::{Kind, Token, tokens};
use super::parser::{self, Operand};
use super::typed::{self, Clause};
use crate::track::error::Error;

/// A place that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, in bytes; empty: something is missing there.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What could stand there.
    pub expected: String,
}

const NAME_EXPECTED: &str = "a name: `metrics.NAME`, `params.NAME`, `tags.KEY`, `dataset.name`, or an attribute such as `status`";
const OPERATOR_EXPECTED: &str = "a comparison: `=`, `!=`, `<`, `<=`, `>`, `>=`, `LIKE`, `ILIKE`, `IN`, `IS NULL`, `IS NOT NULL`";
const VALUE_EXPECTED: &str = "a number, or a text in single quotes";

/// Finds the first place of a filter of runs that is wrong.
#[must_use]
pub fn problem_of_filter(filter: &str) -> Option<Problem> {
    if let Err(error) = parser::comparisons(filter) {
        return Some(of_tokens(filter).unwrap_or_else(|| whole(filter, &error)));
    }
    let all = tokens(filter);
    let mut rest = all.as_slice();
    while let Some(first) = rest.first() {
        if parser::is_and(first) {
            rest = &rest[1..];
            continue;
        }
        let (one, length) = parser::comparison(filter, rest)?;
        if let Err(error) = typed::clause::<RunAttribute>(&one) {
            return Some(of_clause(filter, &rest[..length], &one, &error));
        }
        rest = &rest[length..];
    }
    typed::filter::<RunAttribute>(filter)
        .err()
        .map(|error| whole(filter, &error))
}

fn whole(text: &str, error: &Error) -> Problem {
    Problem {
        at: 0..text.len(),
        message: error.to_string(),
        expected: String::new(),
    }
}

/// Finds the first token that no comparison can have where it stands.
fn of_tokens(filter: &str) -> Option<Problem> {
    let all = tokens(filter);
    let mut rest = all.as_slice();
    while let Some(first) = rest.first() {
        if parser::is_and(first) {
            rest = &rest[1..];
        } else if let Some((_, length)) = parser::comparison(filter, rest) {
            rest = &rest[length..];
        } else {
            return Some(of_comparison(filter, rest));
        }
    }
    None
}

fn of_comparison(filter: &str, rest: &[Token<'_>]) -> Problem {
    let problem = |token: Option<&Token<'_>>, expected: &str| {
        let at = token.map_or(filter.len()..filter.len(), span);
        let message = match token {
            None => "something is missing at the end".to_owned(),
            Some(token) if token.kind == Kind::Other && token.text == "'" => {
                "this quote is not closed".to_owned()
            }
            Some(token) => format!("`{}` cannot stand here", parser::shortened(token.text)),
        };
        Problem {
            at,
            message,
            expected: expected.to_owned(),
        }
    };
    let first = rest.first();
    if let Some(token) = first
        && parser::word(token).is_some_and(|word| word.eq_ignore_ascii_case("or"))
    {
        return Problem {
            at: span(token),
            message: "`OR` is not known: all comparisons must hold".to_owned(),
            expected: "`AND`".to_owned(),
        };
    }
    if !matches!(first.map(|token| token.kind), Some(Kind::Name(_))) {
        return problem(first, NAME_EXPECTED);
    }
    let Some((operator, at)) = parser::operator(rest) else {
        return problem(rest.get(1), OPERATOR_EXPECTED);
    };
    let expected = match operator.as_str() {
        "IN" | "NOT IN" => "a list of texts: `('a', 'b')`",
        _ => VALUE_EXPECTED,
    };
    match rest.get(at) {
        Some(open) if open.kind == Kind::Open => Problem {
            at: span(open),
            message: "this parenthesis is not closed".to_owned(),
            expected: "`)` behind the list".to_owned(),
        },
        token => problem(token, expected),
    }
}

fn span(token: &Token<'_>) -> Range<usize> {
    token.start..token.start + token.text.len()
}

/// Tells which part of a comparison is to blame.
fn of_clause(
    filter: &str,
    tokens: &[Token<'_>],
    one: &parser::Comparison<'_>,
    error: &Error,
) -> Problem {
    let whole = || {
        let (first, last) = (tokens.first(), tokens.last());
        let start = first.map_or(0, |token| token.start);
        start..last.map_or(filter.len(), |token| span(token).end)
    };
    let message = error.to_string();
    let name = tokens.first().map_or_else(whole, span);
    let entity = match typed::entity::<RunAttribute>(&one.name) {
        Ok(entity) => entity,
        Err(error) => {
            return Problem {
                at: name,
                message: error.to_string(),
                expected: NAME_EXPECTED.to_owned(),
            };
        }
    };
    if entity == Entity::Attribute
        && typed::attribute::<RunAttribute>(one.name.key, Use::Both).is_err()
    {
        let names = RunAttribute::NAMES.iter().map(|(name, ..)| *name);
        return Problem {
            at: name,
            message: format!(
                "runs have no attribute `{}`",
                parser::shortened(one.name.key)
            ),
            expected: match crate::base::diag::nearest(one.name.key, names) {
                Some(near) => {
                    format!("`{near}`, or `metrics.`, `params.` or `tags.` before the name")
                }
                None => NAME_EXPECTED.to_owned(),
            },
        };
    }
    // The operator is to blame if another one makes sense of what stands there.
    let operators = ["=", "IN", ">"];
    let is_operator = operators.into_iter().any(|operator| {
        let other = parser::Comparison {
            operator: operator.to_owned(),
            ..one.clone()
        };
        one.operand != Operand::None && typed::clause::<RunAttribute>(&other).is_ok()
    });
    let at_operand = parser::operator(tokens).map_or(1, |(_, at)| at);
    let part = |tokens: &[Token<'_>]| match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => first.start..span(last).end,
        _ => whole(),
    };
    let split = at_operand.min(tokens.len());
    if is_operator || one.operand == Operand::None {
        return Problem {
            at: part(&tokens[1.min(split)..split]),
            message,
            expected: OPERATOR_EXPECTED.to_owned(),
        };
    }
    let expected = match typed::clause::<RunAttribute>(&parser::Comparison {
        operator: "=".to_owned(),
        operand: Operand::Number("0"),
        ..one.clone()
    }) {
        Ok(Clause::Metric { .. } | Clause::Number { .. }) => "a number",
        _ => "a text in single quotes: `'value'`",
    };
    Problem {
        at: part(&tokens[split..]),
        message,
        expected: expected.to_owned(),
    }
}

/// Finds what is wrong with an order of runs.
#[must_use]
pub fn problem_of_order(order: &str) -> Option<Problem> {
    let error = typed::orders::<RunAttribute>(&[order.to_owned()]).err()?;
    Some(Problem {
        expected: "a name as in a filter, then `ASC` or `DESC`".to_owned(),
        ..whole(order, &error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_that_is_wrong_is_pointed_at() {
        let check = |filter: &str, at: &str, message: &str| {
            let found = problem_of_filter(filter).unwrap_or_else(|| panic!("{filter}"));
            assert_eq!(&filter[found.at.clone()], at, "{filter}: {found:?}");
            assert!(found.message.contains(message), "{filter}: {found:?}");
            assert!(!found.expected.is_empty(), "{filter}: {found:?}");
        };
        check("metrics.m >", "", "missing");
        check("metrics.m", "", "missing");
        check("metrics.m 0.5", "0.5", "cannot stand");
        check("metrics.m > 1 OR params.p = 'a'", "OR", "`OR`");
        check("params.p = 'a", "'", "not closed");
        check("status IN ('a'", "(", "not closed");
        check("metrics.m > 0 AND )", ")", "cannot stand");
        check("metric.x > 1 AND foo.m = 1", "foo.m", "Invalid entity");
        check("stats = 'x'", "stats", "no attribute `stats`");
        check("params.p = 5", "5", "quoted string");
        check("params.p > 'a'", ">", "comparator");
        check("metrics.m = 'a'", "'a'", "numeric");
        check("metrics.m LIKE 5", "LIKE", "comparator");
        check("metrics.m IS NULL", "IS NULL", "only supported for");
        check("params.p = a", "a", "not quoted");
        check("status IN ('a', 'b')", "('a', 'b')", "Only ['run_id']");
        for fine in [
            "",
            "metrics.m > 0 AND params.`a b` = 'x' tags.t IS NULL",
            "AND",
        ] {
            assert_eq!(problem_of_filter(fine), None, "{fine}");
        }
        assert!(problem_of_order("metrics.m DOWN").is_some());
        assert_eq!(problem_of_order("metrics.`a b` DESC"), None);
    }

    proptest::proptest! {
        /// A filter has a problem exactly if it is refused, and its place lies in it.
        #[test]
        fn what_is_refused_has_a_place(pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "metrics.m", "params.`q r`", "tags.'", "=", "!=", ">", "LIKE", "IN", "IS NULL", "'", "'a'",
                "\"b\"", "('a', 'b')", "(", ")", "1", "AND", "OR", "status", "run_id", "dataset.name", "é", "x.y",
            ]), 0..7)) {
            let filter = pieces.join(" ");
            let refused = typed::filter::<RunAttribute>(&filter).is_err();
            let found = problem_of_filter(&filter);
            proptest::prop_assert_eq!(found.is_some(), refused, "{}: {:?}", filter, found);
            if let Some(problem) = found {
                proptest::prop_assert!(filter.get(problem.at.clone()).is_some());
            }
        }
    }
}
