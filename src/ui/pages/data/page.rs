//! The page of prepared data. Imports: http, mlflow, report, `ui::*`.

use askama::Template;

use super::oddities::{self, Oddity};
use super::samples::{AugmentedPart, Grid, STRIPS_MAX, Strip, augmented, grid, strips};
use crate::base::units;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::report::chart::{Arrangement, GroupedBars, GroupedRow, NumberFormat};
use crate::ui::asked::{Asked, Query};
use crate::ui::layout::{Layout, Section};
use crate::ui::outputs::{Output, Outputs, unusable};
use crate::ui::parts::chip::Tone;
use crate::ui::parts::table::{Cell, Column, DataTable, Markup, as_file};
use crate::ui::prepared::{CARD, Card, SPLITS, Samples};
use crate::ui::reply;
use crate::ui::site::Site;

/// Where `preprocess` usually writes.
const USUAL: &str = "data/prepared";
/// Bars of the chart; the table has all classes.
const BARS_MAX: usize = 60;
/// The largest class may be this many times the smallest before it is worth a word.
const IMBALANCE: f64 = 2.0;

/// A choice in a form.
struct Choosable {
    value: String,
    text: String,
    is_chosen: bool,
}

/// A number with what it counts.
struct Figure {
    title: &'static str,
    value: String,
    note: String,
    tone: Tone,
    href: String,
}

#[derive(Template)]
#[template(path = "pages/data/page.html")]
struct Page<'a> {
    layout: Layout,
    query: &'a Query,
    outputs: &'a Outputs,
    folders: Vec<Choosable>,
    runs: Vec<Choosable>,
    run_id: String,
    images: u64,
    class_count: usize,
    facts: Vec<(&'static str, Markup)>,
    figures: Vec<Figure>,
    imbalance: Option<String>,
    chart: Markup,
    counts: DataTable,
    oddities: Vec<Oddity>,
    classes: Vec<Choosable>,
    splits: Vec<Choosable>,
    strips: Vec<Strip>,
    grid: Option<Grid>,
    more_classes: usize,
    augmented: Option<AugmentedPart>,
    /// Why no picture is to be seen.
    blind: Option<String>,
}

impl Page<'_> {
    fn lists_run(&self) -> bool {
        self.runs.iter().any(|run| run.is_chosen)
    }

    /// Returns the pairs that a form with its own fields keeps.
    fn kept(&self) -> impl Iterator<Item = &(String, String)> {
        let kept = ["run", "folder", "theme"];
        self.query
            .0
            .iter()
            .filter(move |(name, _)| kept.contains(&name.as_str()))
    }
}

#[derive(Template)]
#[template(path = "pages/data/nothing.html")]
struct NothingPage<'a> {
    layout: Layout,
    run: Option<&'a str>,
    problems: Vec<String>,
    runs: Vec<Choosable>,
}

/// What is shown.
pub(super) struct Shelf<'a> {
    pub(super) asked: &'a Asked,
    pub(super) outputs: &'a Outputs,
    pub(super) output: &'a Output,
    pub(super) card: &'a Card,
    pub(super) samples: &'a Samples,
    /// Why `samples` are none, if there are more than can be shown.
    pub(super) too_many: Option<String>,
}

/// Answers `/data`.
pub(super) fn answer(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let outputs = Outputs::of(site, asked, asked.query.filled("run"))?;
    let folders = outputs.folders_with(CARD);
    let named = asked.query.filled("folder");
    let output = match named {
        None => folders.first(),
        Some(named) => {
            let found = folders.iter().find(|output| output.path == named);
            let missing = || Refused::missing(format!("no output `{named}` holds prepared data"));
            Some(found.ok_or_else(missing)?)
        }
    };
    let Some(output) = output else {
        return nothing(site, asked, &outputs);
    };
    let folder = &output.path;
    let card =
        Card::read(&outputs, folder).map_err(|e| unusable(&format!("{folder}/{CARD}"), &e))?;
    let Some(card) = card else {
        return nothing(site, asked, &outputs);
    };
    // The card alone is worth a page.
    let too_many = Samples::too_many(&outputs, folder);
    let samples = match too_many {
        Some(_) => None,
        None => Samples::of(&site.parsed, &outputs, folder)?,
    };
    let shelf = Shelf {
        asked,
        outputs: &outputs,
        output,
        card: &card,
        samples: &samples.unwrap_or_default(),
        too_many,
    };
    page(site, &shelf, &folders)
}

fn nothing(site: &Site, asked: &Asked, outputs: &Outputs) -> Result<Response, Refused> {
    let page = NothingPage {
        layout: layout(site, asked, outputs),
        run: outputs.run.as_ref().map(|run| run.name.as_str()),
        problems: outputs
            .warnings
            .iter()
            .map(|w| w.headline.clone())
            .collect(),
        runs: runs(asked, USUAL, "")?,
    };
    reply::html(asked, &page)
}

fn layout(site: &Site, asked: &Asked, outputs: &Outputs) -> Layout {
    let layout = Layout::new(site, asked, Section::Data, "Data");
    match &outputs.run {
        Some(run) => layout
            .crumb("Runs", "/runs")
            .crumb(run.name.clone(), format!("/runs/{}", run.id)),
        None => layout,
    }
}

fn runs(asked: &Asked, folder: &str, chosen: &str) -> Result<Vec<Choosable>, Refused> {
    const RUNS_MAX: usize = 50;
    let runs = asked
        .shared
        .read(|reader| reader.runs_with_output(folder, RUNS_MAX))?;
    let choosable = runs.into_iter().map(|run| {
        let value = run.id.to_string();
        Choosable {
            is_chosen: value == chosen,
            value,
            text: run.name,
        }
    });
    Ok(choosable.collect())
}

fn page(site: &Site, shelf: &Shelf<'_>, folders: &[&Output]) -> Result<Response, Refused> {
    let Shelf {
        asked,
        outputs,
        output,
        card,
        samples,
        ..
    } = *shelf;
    let counts = count_table(shelf);
    let oddities = oddities::of(asked, outputs, &output.path, card, Some(samples));
    let tables: Vec<&DataTable> = std::iter::once(&counts)
        .chain(oddities.iter().map(|o| &o.table))
        .collect();
    if let Some(file) = as_file(asked, &tables)? {
        return Ok(file);
    }
    let class = chosen_class(shelf)?;
    let split = chosen_split(shelf)?;
    let run_id = outputs.run_id().unwrap_or_default();
    let blind = match site.eye {
        None => {
            let text = "This program was built without vision: it cannot look into prepared data.";
            Some(text.to_owned())
        }
        Some(_) => shelf.too_many.clone(),
    };
    let is_seen = blind.is_none();
    let page = Page {
        layout: layout(site, asked, outputs),
        query: &asked.query,
        outputs,
        folders: folders
            .iter()
            .map(|folder| choosable(&folder.path, folder.path == output.path))
            .collect(),
        runs: runs(asked, &output.path, &run_id)?,
        images: card.all(),
        class_count: card.classes.len(),
        facts: facts(shelf)?,
        figures: figures(shelf, &oddities),
        imbalance: imbalance(card),
        chart: Markup::svg(&chart(card)),
        classes: names(&card.classes, class),
        splits: SPLITS
            .iter()
            .map(|name| choosable(name, split == *name))
            .collect(),
        strips: if is_seen && class.is_none() {
            strips(shelf, split)
        } else {
            Vec::new()
        },
        more_classes: card.classes.len().saturating_sub(STRIPS_MAX),
        grid: class
            .filter(|_| is_seen)
            .map(|class| grid(shelf, split, class))
            .transpose()?,
        augmented: is_seen.then(|| augmented(site, shelf, class)).transpose()?,
        counts,
        oddities,
        run_id,
        blind,
    };
    reply::html(asked, &page)
}

fn choosable(name: &str, is_chosen: bool) -> Choosable {
    Choosable {
        value: name.to_owned(),
        text: name.to_owned(),
        is_chosen,
    }
}

fn names(classes: &[String], chosen: Option<usize>) -> Vec<Choosable> {
    let name = |(at, name): (usize, &String)| choosable(name, chosen == Some(at));
    classes.iter().enumerate().map(name).collect()
}

fn chosen_class(shelf: &Shelf<'_>) -> Result<Option<usize>, Refused> {
    let Some(name) = shelf.asked.query.filled("class") else {
        return Ok(None);
    };
    let found = shelf.card.classes.iter().position(|class| class == name);
    let unknown = || Refused::invalid(format!("`class={name}`: no such class"));
    found.map(Some).ok_or_else(unknown)
}

fn chosen_split(shelf: &Shelf<'_>) -> Result<&'static str, Refused> {
    let Some(name) = shelf.asked.query.filled("split") else {
        return Ok(SPLITS[0]);
    };
    let known = SPLITS.into_iter().find(|split| *split == name);
    known.ok_or_else(|| {
        let known = SPLITS.join("`, `");
        Refused::invalid(format!("`split={name}`: expected one of `{known}`"))
    })
}

#[derive(Template)]
#[template(
    source = "{% if href.is_empty() %}<code>{{ text }}</code>{% else %}<a href=\"{{ href }}\">{{ text }}</a>{% endif %}",
    ext = "html"
)]
struct Fact<'a> {
    text: &'a str,
    href: &'a str,
}

/// Where the data came from: the stage, its hash, the run that left it.
fn facts(shelf: &Shelf<'_>) -> Result<Vec<(&'static str, Markup)>, Refused> {
    let fact = |text: &str, href: &str| Markup::of(&Fact { text, href });
    let mut facts = vec![("Folder", fact(&shelf.output.path, "")?)];
    if let Some(stage) = &shelf.output.stage {
        let href = format!("/pipeline/{}", crate::ui::asked::segment(stage));
        facts.push(("Written by", fact(stage, &href)?));
    }
    if let Some(object) = shelf.output.object {
        facts.push(("Content", fact(&object.hash().short(), "")?));
        let path = &shelf.output.path;
        let runs = shelf
            .asked
            .shared
            .read(|reader| reader.runs_with_output(path, 50))?;
        // Of the runs that used this content the first made it, or found it in the cache.
        let same = runs.into_iter().rev().find(|run| run.object == object);
        if let Some(run) = same.filter(|_| shelf.outputs.run.is_none()) {
            facts.push((
                "First seen in run",
                fact(&run.name, &format!("/runs/{}", run.id))?,
            ));
        }
    }
    Ok(facts)
}

fn figures(shelf: &Shelf<'_>, oddities: &[Oddity]) -> Vec<Figure> {
    let splits = SPLITS.iter().map(|split| Figure {
        title: split,
        value: shelf.card.total(split).to_string(),
        note: "pictures".to_owned(),
        tone: Tone::Plain,
        href: String::new(),
    });
    let odd = oddities
        .iter()
        .filter(|odd| odd.id != "skipped")
        .map(|odd| Figure {
            title: odd.heading,
            value: odd.count.to_string(),
            note: match (odd.id, odd.count) {
                ("corrupt", count) => units::count(count, "file")
                    .split_once(' ')
                    .map_or("", |x| x.1)
                    .to_owned(),
                (_, 1) => "group of files".to_owned(),
                _ => "groups of files".to_owned(),
            },
            tone: match (odd.count, odd.id) {
                (0, _) => Tone::Good,
                (_, "leakage" | "conflicts") => Tone::Bad,
                _ => Tone::Warn,
            },
            href: if odd.count == 0 {
                String::new()
            } else {
                format!("#{}", odd.id)
            },
        });
    splits.chain(odd).collect()
}

/// Says so if training pictures are spread unevenly.
fn imbalance(card: &Card) -> Option<String> {
    let of = |class: &usize| card.count("train", *class);
    let classes = || 0..card.classes.len();
    let (most, least) = (classes().max_by_key(of)?, classes().min_by_key(of)?);
    let (largest, smallest) = (of(&most), of(&least));
    let ratio = largest as f64 / smallest.max(1) as f64;
    (IMBALANCE <= ratio).then(|| {
        format!(
            "`{}` has {ratio:.1} times as many training pictures as `{}` ({largest} and {smallest}): \
             accuracy mostly tells of the large classes, macro F1 of all.",
            card.classes[most], card.classes[least]
        )
    })
}

fn chart(card: &Card) -> crate::report::Svg {
    let classes = card.classes.iter().enumerate().take(BARS_MAX);
    GroupedBars {
        title: "Pictures of each class".to_owned(),
        subtitle: String::new(),
        axis_title: "pictures".to_owned(),
        format: NumberFormat::Decimals(0),
        arrangement: Arrangement::Stacked,
        parts: SPLITS.map(str::to_owned).to_vec(),
        rows: classes
            .map(|(at, class)| GroupedRow {
                label: class.clone(),
                values: SPLITS.map(|split| card.count(split, at) as f64).to_vec(),
            })
            .collect(),
    }
    .svg()
}

fn count_table(shelf: &Shelf<'_>) -> DataTable {
    let mut table = DataTable::new(shelf.asked, "counts", "Pictures of each class");
    table.columns = vec![Column::text("class", "Class")];
    table
        .columns
        .extend(SPLITS.map(|split| Column::number(split, split)));
    table.columns.push(Column::number("all", "all"));
    table.columns.push(Column::number("share", "share"));
    let whole = shelf.card.all();
    let row = |(class, name): (usize, &String)| {
        let all = shelf.card.of_class(class);
        let share = all as f64 / whole.max(1) as f64;
        let href = shelf
            .asked
            .href_with(&[("class", Some(name)), ("page", None)]);
        let mut row = vec![Cell::Link {
            text: name.clone(),
            href: format!("{href}#samples"),
        }];
        row.extend(SPLITS.map(|split| Cell::Number(shelf.card.count(split, class) as f64)));
        row.push(Cell::Number(all as f64));
        row.push(Cell::Shown {
            value: share,
            text: format!("{:.1} %", share * 100.0),
        });
        row
    };
    table.rows = shelf.card.classes.iter().enumerate().map(row).collect();
    table
}
