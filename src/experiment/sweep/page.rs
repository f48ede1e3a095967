//! The page of a sweep, `.cvops/sweeps/NAME/report.html`: history, parallel coordinates, which
//! parameter matters, all trials. Imports: base, project, report.

use std::path::PathBuf;

use crate::base::{self, fs, units};
use crate::project::Layout;
use crate::report::page::{Block, Chart, Page, Section, Tile};

use super::charts;
use super::domain::Written;
use super::journal;
use super::state::{Sweep, TrialState};
use super::study::Study;
use super::table;

/// Returns where the page of the sweep `name` is.
#[must_use]
pub fn file(layout: &Layout, name: &str) -> PathBuf {
    journal::folder(layout, name).join("report.html")
}

/// Writes the page.
///
/// # Errors
/// The file cannot be written.
pub fn write(layout: &Layout, sweep: &Sweep) -> Result<(), base::Error> {
    let path = file(layout, &sweep.name);
    fs::write_atomic(&path, page(sweep).html().as_bytes()).map_err(base::Error::io("write", &path))
}

/// Returns the page.
#[must_use]
pub fn page(sweep: &Sweep) -> Page {
    let study = Study::of(sweep);
    let definition = &sweep.definition;
    let chart = |svg, caption: &str| Chart {
        svg,
        caption: caption.to_owned(),
    };
    let mut sections = vec![Section {
        heading: "Result".to_owned(),
        blocks: vec![Block::Tiles(tiles(sweep))],
    }];
    if !study.trials.is_empty() {
        sections.push(Section {
            heading: "Search".to_owned(),
            blocks: vec![Block::Charts(vec![
                chart(charts::history(&study).svg(), ""),
                chart(charts::parallel(&study).svg(), ""),
            ])],
        });
        let mut drawn = vec![chart(charts::matters(&study).svg(), charts::MATTERS)];
        let slices = (0..study.axes.len()).filter_map(|index| charts::slice(&study, index));
        drawn.extend(slices.map(|slice| chart(slice.svg(), "")));
        sections.push(Section {
            heading: "Parameters".to_owned(),
            blocks: vec![Block::Charts(drawn)],
        });
    }
    sections.push(Section {
        heading: "Trials".to_owned(),
        blocks: vec![Block::Table {
            table: table::trials(sweep, false),
            caption: String::new(),
        }],
    });
    let failed = sweep.trials.iter().filter_map(|t| match &t.state {
        TrialState::Failed { error, .. } => {
            Some(Block::Prose(format!("Trial {}: {error}", t.number)))
        }
        TrialState::Open | TrialState::Finished(_) => None,
    });
    let failed: Vec<Block> = failed.collect();
    if !failed.is_empty() {
        sections.push(Section {
            heading: "Failures".to_owned(),
            blocks: failed,
        });
    }
    let space = definition
        .space
        .dimensions
        .iter()
        .map(|d| (d.param.to_string(), d.domain.to_string()));
    let facts = [
        ("metric".to_owned(), definition.metric.to_string()),
        ("goal".to_owned(), definition.goal.name().to_owned()),
        ("method".to_owned(), definition.method.name().to_owned()),
        ("seed".to_owned(), definition.seed.to_string()),
    ];
    Page {
        title: format!("Sweep {}", sweep.name),
        subtitle: subtitle(sweep),
        facts: facts.into_iter().chain(space).collect(),
        sections,
        footer: String::new(),
    }
}

fn subtitle(sweep: &Sweep) -> String {
    let (finished, failed) = sweep.counts();
    let mut text = format!("{} finished", units::count(finished, "trial"));
    if failed != 0 {
        text += &format!(", {failed} failed");
    }
    if let Some((trial, best)) = sweep.best() {
        text += &format!(
            "; best {} = {} with {}",
            sweep.definition.metric.key,
            table::number(best.value),
            super::trial::describe(&sweep.definition, &trial.values)
        );
    }
    text
}

fn tiles(sweep: &Sweep) -> Vec<Tile> {
    let (finished, failed) = sweep.counts();
    let tile = |label: &str, value: String, note: String| Tile {
        label: label.to_owned(),
        value,
        note,
    };
    let mut tiles = Vec::new();
    if let Some((trial, best)) = sweep.best() {
        let note = format!("trial {}", trial.number);
        tiles.push(tile(
            &sweep.definition.metric.key.to_string(),
            table::number(best.value),
            note,
        ));
        for (dimension, value) in sweep.definition.space.dimensions.iter().zip(&trial.values) {
            tiles.push(tile(
                &dimension.param.to_string(),
                Written(value).to_string(),
                "of the best trial".to_owned(),
            ));
        }
    }
    let note = if failed == 0 {
        String::new()
    } else {
        format!("{failed} failed")
    };
    tiles.push(tile("trials", (finished + failed).to_string(), note));
    tiles
}
