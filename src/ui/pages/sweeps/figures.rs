//! The charts of a sweep's page. Imports: experiment, `ui::*`.

use std::borrow::Cow;

use super::shown::Shown;
use crate::experiment::sweep::charts;
use crate::experiment::sweep::importance::importance;
use crate::experiment::sweep::study::Study;
use crate::mlflow::Refused;
use crate::ui::asked::Asked;
use crate::ui::parts::figure::Figure;

/// Trials in one drawing, the best ones: more hide each other.
const DRAWN_MAX: usize = 1000;

/// Parameters that have a chart of their own.
const SLICES_MAX: usize = 24;

/// What is drawn.
pub(super) struct Figures {
    pub(super) search: Vec<Figure>,
    pub(super) slices: Vec<Figure>,
    pub(super) contour: Option<Contour>,
    /// Trials that are not drawn.
    pub(super) left_out: usize,
}

/// The metric over two parameters, and which ones there are to choose.
pub(super) struct Contour {
    pub(super) figure: Figure,
    pub(super) names: Vec<String>,
    pub(super) x: String,
    pub(super) y: String,
}

/// Draws a sweep; `None` if no trial has its metric.
///
/// # Errors
/// The contour is asked for over a parameter that is none.
pub(super) fn figures(asked: &Asked, shown: &Shown) -> Result<Option<Figures>, Refused> {
    if shown.study.trials.is_empty() {
        return Ok(None);
    }
    let whole = &shown.study;
    let study = limited(whole);
    let figure = |svg, caption: &str| Figure::new(svg, caption);
    let mut search = vec![figure(charts::history(whole).svg(), "")];
    if !study.axes.is_empty() {
        search.push(figure(charts::parallel(&study).svg(), "").brushed());
    }
    let mut slices = Vec::new();
    if !study.axes.is_empty() {
        slices.push(figure(charts::matters(whole).svg(), charts::MATTERS));
    }
    let varying = (0..study.axes.len()).filter(|&i| varies(&study, i));
    let drawn = varying
        .filter_map(|i| charts::slice(&study, i))
        .take(SLICES_MAX);
    slices.extend(drawn.map(|chart| figure(chart.svg(), "")));
    Ok(Some(Figures {
        search,
        slices,
        contour: contour(asked, &study)?,
        left_out: whole.trials.len() - study.trials.len(),
    }))
}

/// Leaves out the worst trials where there are too many.
fn limited(study: &Study) -> Cow<'_, Study> {
    if study.trials.len() <= DRAWN_MAX {
        return Cow::Borrowed(study);
    }
    let mut study = study.clone();
    let goal = study.goal;
    study.trials.sort_by(|a, b| {
        if goal.is_better(a.value, b.value) {
            std::cmp::Ordering::Less
        } else if goal.is_better(b.value, a.value) {
            std::cmp::Ordering::Greater
        } else {
            a.number.cmp(&b.number)
        }
    });
    study.trials.truncate(DRAWN_MAX);
    study.trials.sort_by_key(|trial| trial.number);
    Cow::Owned(study)
}

/// Has a parameter more than one value? Along an axis without a second one nothing can be seen.
fn varies(study: &Study, axis: usize) -> bool {
    let mut values = study.trials.iter().map(|trial| trial.values.get(axis));
    let first = values.next();
    values.any(|value| Some(value) != first)
}

/// Draws the metric over the two parameters that are asked for, or that matter most.
fn contour(asked: &Asked, study: &Study) -> Result<Option<Contour>, Refused> {
    let mut numeric: Vec<usize> = (0..study.axes.len())
        .filter(|&i| study.axes[i].kind.scale().is_some() && varies(study, i))
        .collect();
    let names: Vec<String> = numeric
        .iter()
        .map(|&i| study.axes[i].name.clone())
        .collect();
    if numeric.len() < 2 {
        return Ok(None);
    }
    let shares: Vec<f64> = importance(study)
        .into_iter()
        .map(|one| one.share.unwrap_or(0.0))
        .collect();
    numeric.sort_by(|a, b| shares[*b].total_cmp(&shares[*a]).then(a.cmp(b)));
    let asked_for = |key: &str| match asked.query.filled(key) {
        None => Ok(None),
        Some(name) => {
            let place = numeric.iter().find(|&&i| study.axes[i].name == name);
            place.copied().map(Some).ok_or_else(|| {
                Refused::invalid(format!(
                    "`{key}={name}`: a parameter of numbers was expected: {}",
                    names.join(", ")
                ))
            })
        }
    };
    let (x, y) = (asked_for("x")?, asked_for("y")?);
    let free = |taken: Option<usize>| numeric.iter().copied().find(|i| Some(*i) != taken);
    let x = x.or_else(|| free(y)).unwrap_or(numeric[0]);
    let y = y.or_else(|| free(Some(x))).unwrap_or(numeric[1]);
    let figure = charts::contour(study, x, y).map(|chart| {
        Figure::new(
            chart.svg(),
            "Bands are guessed from the trials around them; beyond the trials nothing is known.",
        )
    });
    Ok(figure.map(|figure| Contour {
        figure,
        names,
        x: study.axes[x].name.clone(),
        y: study.axes[y].name.clone(),
    }))
}

impl Contour {
    pub(super) fn is_x(&self, name: &str) -> bool {
        self.x == name
    }

    pub(super) fn is_y(&self, name: &str) -> bool {
        self.y == name
    }
}
