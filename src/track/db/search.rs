//! Searches as MLflow's clients make them. A filter and an order become one statement, or a few that
//! each walk an index; whatever the client wrote is bound, never part of the statement.
//! `statement` builds and runs them, `page` reads and writes page tokens, the others say what a
//! search means in tables: `runs` (`rows` shows them as a table, `cells` reads what stands in it), `registry` (experiments too), `logged_models`.
//! Imports: base, entity, search, error, rusqlite.
//!
//! **Paging.** A page goes on behind the last row of the page before, by the values of its order: it
//! does not shift while runs arrive, and costs what the first page costs. Every order ends with an
//! id, so that no two rows are equal.
//!
//! **Case.** `LIKE` minds case; `ILIKE` folds ASCII letters only, as SQLite's `lower` does.

mod cells;
mod logged_models;
mod page;
mod registry;
mod rows;
#[cfg(test)]
mod rows_tests;
mod runs;
mod statement;
#[cfg(test)]
mod tests;

use crate::track::error::Error;

/// Refuses a number of results that no search answers.
fn check_max_results(max: usize, limit: usize) -> Result<(), Error> {
    let must = if max == 0 {
        "a positive integer".to_owned()
    } else if limit < max {
        format!("at most {limit}")
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!(
        "Invalid value {max} for parameter 'max_results' supplied. It must be {must}"
    )))
}
