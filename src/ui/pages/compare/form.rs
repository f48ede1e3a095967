//! What of the runs is shown: as the URL says, or what shows most. Imports: mlflow, track,
//! `ui::asked`, `compare::*`.

use super::quantity::{Quantity, better};
use super::sides::Sides;
use crate::mlflow::Refused;
use crate::track::table::ColumnRef;
use crate::ui::asked::Asked;
use crate::ui::pages::series::unique;

/// So many charts of curves are shown unless others are chosen.
const CHARTS: usize = 12;
/// So many axes of parallel coordinates.
const AXES: usize = 8;

/// An entry of a list to choose from.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) chosen: bool,
}

/// A list to choose one or several of.
pub(super) struct Choices {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) is_multiple: bool,
    pub(super) entries: Vec<Choice>,
}

/// What is chosen.
pub(super) struct Form {
    /// The pairs that say which runs are meant: they go on with the form.
    pub(super) hidden: Vec<(String, String)>,
    pub(super) lists: Vec<Choices>,
    pub(super) quantities: Vec<Quantity>,
    /// Metrics whose curves are drawn.
    pub(super) metrics: Vec<String>,
    pub(super) band_over: Vec<String>,
    /// The metric that runs are judged by.
    pub(super) by: Option<usize>,
    pub(super) axes: Vec<usize>,
    pub(super) x: Option<usize>,
    pub(super) y: Option<usize>,
    pub(super) z: Option<usize>,
    pub(super) shade: Option<usize>,
}

impl Form {
    /// Reads the query.
    ///
    /// # Errors
    /// It names what none of the runs has.
    pub(super) fn of(asked: &Asked, sides: &Sides) -> Result<Self, Refused> {
        let quantities = Quantity::all(sides);
        let one = |name: &str| -> Result<Option<usize>, Refused> {
            let found = asked.query.filled(name);
            found.map(|text| place(&quantities, name, text)).transpose()
        };
        let by = one("by")?.or_else(|| judge(&quantities));
        let of_params = |test: &dyn Fn(&Quantity) -> bool| -> Vec<usize> {
            let places = quantities.iter().enumerate();
            places
                .filter(|(_, q)| matches!(q.column, ColumnRef::Param(_)) && q.differs && test(q))
                .map(|(place, _)| place)
                .collect()
        };
        let numbers = of_params(&|q| q.is_number() && 2 <= q.known());
        let mut axes = Vec::new();
        for text in unique(asked.query.all("axis").filter(|text| !text.is_empty())) {
            axes.push(place(&quantities, "axis", &text)?);
        }
        if axes.is_empty() {
            axes = of_params(&|_| true).into_iter().take(AXES).collect();
            axes.extend(by);
        }
        let metrics = metrics(asked, &quantities, sides.runs.len())?;
        let mut form = Self {
            hidden: Vec::new(),
            lists: Vec::new(),
            metrics,
            band_over: unique(asked.query.all("band_over").filter(|text| !text.is_empty())),
            x: one("x")?.or(numbers.first().copied()),
            y: one("y")?.or(by),
            z: one("z")?.or(by),
            shade: one("shade")?,
            by,
            axes,
            quantities,
        };
        // With a second number the contour lies over both, and the scatter chart keeps its metric.
        if form.z == form.y && asked.query.filled("y").is_none() {
            form.z = form.z.filter(|_| 1 < numbers.len());
        }
        for name in &form.band_over {
            let param = ColumnRef::Param(name.clone());
            if !form.quantities.iter().any(|q| q.column == param) {
                return Err(Refused::invalid(format!(
                    "`band_over={name}`: none of these runs has a param `{name}`"
                )));
            }
        }
        form.hidden = [
            "run",
            "experiment",
            "filter",
            "theme",
            "over",
            "smooth",
            "log",
            "off",
        ]
        .iter()
        .flat_map(|name| {
            let values = asked.query.all(name);
            values.map(|value| ((*name).to_owned(), value.to_owned()))
        })
        .collect();
        form.lists = form.lists();
        Ok(form)
    }

    /// Returns the second quantity of a contour: y if it was chosen among params, else the second
    /// number among the params.
    pub(super) fn contour_axes(&self) -> Option<(usize, usize, usize)> {
        let (x, z) = (self.x?, self.z?);
        let is_metric = |at: usize| matches!(self.quantities[at].column, ColumnRef::Metric(_));
        let y = match self.y {
            Some(y) if y != z && !is_metric(y) => Some(y),
            _ => (0..self.quantities.len()).find(|&at| {
                let q = &self.quantities[at];
                at != x && !is_metric(at) && q.differs && q.is_number() && 2 <= q.known()
            }),
        }?;
        (x != z && x != y).then_some((x, y, z))
    }

    fn lists(&self) -> Vec<Choices> {
        let of_quantities = |name, label, is_multiple, chosen: &[usize], all: bool| Choices {
            name,
            label,
            is_multiple,
            entries: self
                .quantities
                .iter()
                .enumerate()
                .filter(|(place, q)| {
                    chosen.contains(place) || (q.differs && (all || q.is_number()))
                })
                .map(|(place, q)| Choice {
                    value: q.column.to_string(),
                    text: q.column.to_string(),
                    chosen: chosen.contains(&place),
                })
                .collect(),
        };
        let one = |place: Option<usize>| place.into_iter().collect::<Vec<_>>();
        let names = |name, label, all: Vec<&str>, chosen: &[String]| Choices {
            name,
            label,
            is_multiple: true,
            entries: all
                .into_iter()
                .map(|text| Choice {
                    value: text.to_owned(),
                    text: text.to_owned(),
                    chosen: chosen.iter().any(|name| name == text),
                })
                .collect(),
        };
        let mut by = of_quantities("by", "Judged by", false, &one(self.by), false);
        by.entries
            .retain(|entry| entry.value.starts_with("metrics."));
        let of_kind = |is_metric: bool| -> Vec<&str> {
            self.quantities
                .iter()
                .filter(|q| matches!(q.column, ColumnRef::Metric(_)) == is_metric)
                .filter(|q| is_metric || q.differs)
                .map(|q| q.column.name())
                .collect()
        };
        let mut lists = vec![
            names("metric", "Curves", of_kind(true), &self.metrics),
            names("band_over", "Bands over", of_kind(false), &self.band_over),
            of_quantities("axis", "Parallel axes", true, &self.axes, true),
            by,
            of_quantities("x", "x", false, &one(self.x), false),
            of_quantities("y", "y", false, &one(self.y), false),
            of_quantities("z", "z of the contour", false, &one(self.z), false),
            of_quantities("shade", "Shaded by", false, &one(self.shade), true),
        ];
        for list in lists.iter_mut().filter(|list| !list.is_multiple) {
            let nothing = Choice {
                value: String::new(),
                text: "automatic".to_owned(),
                chosen: false,
            };
            list.entries.insert(0, nothing);
        }
        lists.retain(|list| 1 < list.entries.len());
        lists
    }
}

fn place(quantities: &[Quantity], name: &str, text: &str) -> Result<usize, Refused> {
    let column: ColumnRef = text.parse().map_err(|()| {
        Refused::invalid(format!(
            "`{name}={text}`: expected `params.NAME` or `metrics.NAME`"
        ))
    })?;
    let found = quantities.iter().position(|q| q.column == column);
    found.ok_or_else(|| Refused::invalid(format!("`{name}={text}`: none of these runs has it")))
}

/// Returns the metric that most runs have, of those whose name tells what is better; else of all.
fn judge(quantities: &[Quantity]) -> Option<usize> {
    let rank = |q: &Quantity| {
        let told = better(q.column.name()).map_or(0, |_| 1);
        // How well it learnt its own lessons is not what one wants to know.
        let is_of_training = q.column.name().contains("train");
        (q.differs, told, !is_of_training, q.known())
    };
    let metrics = quantities.iter().enumerate();
    metrics
        .filter(|(_, q)| matches!(q.column, ColumnRef::Metric(_)) && 0 < q.known())
        .max_by(|(a, x), (b, y)| rank(x).cmp(&rank(y)).then(b.cmp(a)))
        .map(|(place, _)| place)
}

/// Returns the metrics whose curves are drawn.
fn metrics(asked: &Asked, quantities: &[Quantity], runs: usize) -> Result<Vec<String>, Refused> {
    let chosen = unique(asked.query.all("metric").filter(|text| !text.is_empty()));
    for name in &chosen {
        place(quantities, "metric", &format!("metrics.{name}"))?;
    }
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    // What only one of several runs has cannot be compared.
    let least = runs.min(2);
    Ok(quantities
        .iter()
        .filter(|q| matches!(q.column, ColumnRef::Metric(_)))
        .filter(|q| least <= q.values.iter().filter(|value| !value.is_nan()).count())
        .map(|q| q.column.name().to_owned())
        .collect())
}

/// How many charts of curves there are at most unless they were chosen.
pub(super) fn charts_max(asked: &Asked) -> usize {
    if asked.query.all("metric").any(|text| !text.is_empty()) {
        usize::MAX
    } else {
        CHARTS
    }
}
