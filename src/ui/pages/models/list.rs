//! `/models`: what is registered. Imports: track, `ui::*`.

use askama::Template;

use super::difference::main_metric;
use super::evidence::{Evidence, METRIC_TAG};
use super::{brief, may_write, model_href, stage_cell, version_href};
use crate::http::{Response, StatusCode};
use crate::mlflow::Refused;
use crate::track::entity::{ModelVersion, RegisteredModel, View};
use crate::track::{Error, Reader, Search};
use crate::ui::asked::Asked;
use crate::ui::layout::{Layout, Section};
use crate::ui::parts::number::number;
use crate::ui::parts::table::{Cell, Column, DataTable, Sort, Sorted, as_file};
use crate::ui::parts::time::Ago;
use crate::ui::reply;
use crate::ui::site::Site;

/// Models on one page.
const PAGE: usize = 100;

/// The order unless another one is asked for.
const USUAL: &str = "name ASC";

#[derive(Template)]
#[template(path = "pages/models/list.html")]
struct Page {
    layout: Layout,
    table: DataTable,
    filter: String,
    order: String,
    problem: String,
    next: Option<String>,
    may_write: bool,
    is_new: bool,
}

struct Row {
    model: RegisteredModel,
    latest: Option<ModelVersion>,
    metric: Option<(String, f64)>,
}

pub(super) fn page(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let filter = asked.query.filled("filter").unwrap_or_default().trim();
    let order = asked.query.filled("order").unwrap_or(USUAL);
    let search = Search {
        filter: grammar_of(filter),
        order_by: vec![order.to_owned()],
        view: View::Active,
        max_results: PAGE,
        page_token: asked.query.filled("cursor").map(str::to_owned),
    };
    let found = asked.shared.read(|reader| {
        let page = match reader.search_registered_models(&search) {
            Ok(page) => page,
            Err(Error::Refused { message, .. }) => return Ok(Err(message)),
            Err(error) => return Err(error),
        };
        let rows: Result<Vec<Row>, Error> =
            page.items.into_iter().map(|one| row(reader, one)).collect();
        Ok(Ok((rows?, page.next)))
    })?;
    let (rows, next, problem) = match found {
        Ok((rows, next)) => (rows, next, String::new()),
        Err(problem) => (Vec::new(), None, problem),
    };
    let mut table = table(asked, order, &rows);
    if !problem.is_empty() {
        "No models: the search was not understood.".clone_into(&mut table.empty);
    } else if !filter.is_empty() {
        "No model is like that.".clone_into(&mut table.empty);
    }
    let is_wrong = !problem.is_empty();
    if !is_wrong && let Some(file) = as_file(asked, &[&table])? {
        return Ok(file);
    }
    let page = Page {
        layout: Layout::new(site, asked, Section::Models, "Models"),
        is_new: rows.is_empty() && filter.is_empty() && !is_wrong,
        table,
        filter: filter.to_owned(),
        order: order.to_owned(),
        problem,
        next: next.map(|token| asked.href_with(&[("cursor", Some(&token))])),
        may_write: may_write(asked),
    };
    let mut response = reply::html(asked, &page)?;
    if is_wrong {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

/// Returns a filter in MLflow's grammar: a text without a comparison is part of a name.
fn grammar_of(text: &str) -> String {
    let is_grammar = text.contains(['=', '<', '>'])
        || text
            .split_whitespace()
            .any(|word| ["like", "ilike", "in", "is"].contains(&word.to_lowercase().as_str()));
    if text.is_empty() || is_grammar {
        return text.to_owned();
    }
    let quote = if text.contains('\'') { '"' } else { '\'' };
    format!("name ILIKE {quote}%{text}%{quote}")
}

fn row(reader: &Reader<'_>, model: RegisteredModel) -> Result<Row, Error> {
    let latest = model.latest.iter().max_by_key(|version| version.version);
    let latest = latest.cloned();
    let metric = match &latest {
        Some(version) => {
            let evidence = Evidence::read(reader, version.clone())?;
            let tag = model.tags.iter().find(|tag| tag.key == METRIC_TAG);
            let key = main_metric(&[&evidence], tag.map(|tag| tag.value.as_str()));
            key.and_then(|key| Some((key.key.clone(), evidence.metric(&key)?)))
        }
        None => None,
    };
    Ok(Row {
        model,
        latest,
        metric,
    })
}

fn table(asked: &Asked, order: &str, rows: &[Row]) -> DataTable {
    let sorted = |column: Column, key: &str| {
        let now = match order.trim().split_once(' ').unwrap_or((order, "ASC")) {
            (name, way) if name == key && way.trim().eq_ignore_ascii_case("desc") => {
                Sorted::Descending
            }
            (name, _) if name == key => Sorted::Ascending,
            _ => Sorted::Not,
        };
        let way = if now == Sorted::Ascending {
            "DESC"
        } else {
            "ASC"
        };
        let order = format!("{key} {way}");
        let href = asked.href_with(&[("order", Some(&order)), ("cursor", None)]);
        Column {
            sort: Some(Sort { href, now }),
            ..column
        }
    };
    let mut table = DataTable::new(asked, "models", "Registered models");
    table.columns = vec![
        sorted(Column::text("name", "Model"), "name"),
        Column::number("latest", "Latest"),
        Column::text("aliases", "Aliases"),
        Column::text("stage", "Stage of the latest"),
        Column::number("metric", "Metric of the latest"),
        Column::text("description", "Description"),
        sorted(Column::text("updated", "Updated"), "last_updated_timestamp"),
    ];
    table.rows = rows.iter().map(|row| cells(asked, row)).collect();
    table
}

fn cells(asked: &Asked, row: &Row) -> Vec<Cell> {
    let model = &row.model;
    let latest = row.latest.as_ref();
    let aliases = model.aliases.iter().map(|(alias, version)| {
        let text = format!("{alias} → {version}");
        (text, version_href(&model.name, *version))
    });
    let aliases: Vec<(String, String)> = aliases.collect();
    vec![
        Cell::Link {
            text: model.name.clone(),
            href: model_href(&model.name),
        },
        latest.map_or(Cell::Empty, |version| Cell::Shown {
            value: version.version as f64,
            text: version.version.to_string(),
        }),
        if aliases.is_empty() {
            Cell::Empty
        } else {
            Cell::Links(aliases)
        },
        latest.map_or(Cell::Empty, |version| stage_cell(&version.stage)),
        row.metric
            .as_ref()
            .map_or(Cell::Empty, |(name, value)| Cell::Shown {
                value: *value,
                text: format!("{name} {}", number(*value)),
            }),
        match model.description.as_deref().map(brief) {
            Some(text) if !text.is_empty() => Cell::Text(text),
            Some(_) | None => Cell::Empty,
        },
        Cell::Time(Ago {
            at_ms: model.updated_ms,
            now_ms: asked.now_ms,
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_part_of_a_name_and_a_comparison_is_one() {
        for (text, expected) in [
            ("", ""),
            ("cat", "name ILIKE '%cat%'"),
            ("o'hare", "name ILIKE \"%o'hare%\""),
            ("name = 'cats'", "name = 'cats'"),
            ("name ilike 'c%'", "name ilike 'c%'"),
        ] {
            assert_eq!(grammar_of(text), expected);
        }
    }
}
