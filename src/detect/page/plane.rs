//! Both sets as points in a plane, on the page. Imports: report, drift, `detect::{checked, features, rows}`.

use crate::drift::reduction::{Components, Pca};
use crate::drift::{self, Sample};
use crate::report::chart::{Axis, ScatterChart, ScatterPoint, Shade};
use crate::report::page::{Block, Chart, Section};

use super::super::checked::Checked;
use super::super::features::Input;
use super::super::rows;
use super::{Illustration, PERCENT, shortened};

/// Points of each set, beside the marked ones.
const POINTS_MAX: usize = 300;
/// Inputs in which distances say how alike pictures are, with the least number of features that makes a plane:
/// the probabilities of two classes are one number.
const SPACES: [(Input, usize); 2] = [(Input::Embedding, 2), (Input::Softmax, 3)];

/// Returns the two sets along the two directions in which they vary most together; `None` if they have no
/// input with two directions.
pub(super) fn section(checked: &Checked, about: Illustration<'_>) -> Option<Section> {
    let (input, reference, new) = SPACES.into_iter().find_map(|(input, width_min)| {
        let reference = about.fitted.reference(input)?;
        let new = about.fitted.sample(input, about.new).ok()?;
        (width_min <= reference.width()).then_some((input, reference, new))
    })?;
    let block = match chart(checked, reference, &new) {
        Ok(chart) => Block::Charts(vec![chart]),
        Err(error) => Block::Prose(format!("They cannot be drawn: {error}.")),
    };
    let seen = if input == Input::Embedding {
        "by what enters the last layer of the network"
    } else {
        "by the probabilities of the classes"
    };
    Some(Section {
        heading: "In the eyes of the model".to_owned(),
        blocks: vec![
            Block::Prose(format!(
                "Pictures of both sets {seen}: pictures that the model takes for similar lie close together. \
                 Where the new ones lie alone is what the reference does not know."
            )),
            block,
        ],
    })
}

fn chart(checked: &Checked, reference: &Sample, new: &Sample) -> Result<Chart, drift::Error> {
    let unlike = checked.witnesses.iter().flat_map(|found| &found.unlike);
    let unlike: Vec<_> = unlike.filter(|one| one.row < new.rows()).collect();
    let of_reference = spread_out(reference.rows());
    let mut of_new = spread_out(new.rows());
    of_new.retain(|row| unlike.iter().all(|one| one.row != *row));
    let unmarked = of_new.len();
    of_new.extend(unlike.iter().map(|one| one.row));

    let old = rows::pick(reference, &of_reference)?;
    let new = rows::pick(new, &of_new)?;
    let both = Sample::new([old.values(), new.values()].concat(), old.width())?;
    let pca = Pca::fit(&both, Components::Count(2))?;
    let old = pca.transform(&old)?;
    let new = pca.transform(&new)?;
    let point = |sample: &Sample, row: usize, group| {
        let place = sample.row(row);
        ScatterPoint {
            shade: Shade::Group(group),
            ..ScatterPoint::plain(place[0], place[1])
        }
    };
    // In turns, so that neither set hides the other.
    let mut points = Vec::with_capacity(both.rows());
    for row in 0..old.rows().max(unmarked) {
        points.extend((row < old.rows()).then(|| point(&old, row, 0)));
        points.extend((row < unmarked).then(|| point(&new, row, 1)));
    }
    for (at, one) in unlike.iter().enumerate() {
        points.push(ScatterPoint {
            marked: true,
            title: one.picture.as_deref().map_or(String::new(), shortened),
            ..point(&new, unmarked + at, 1)
        });
    }
    let chart = ScatterChart {
        title: "Reference and new pictures".to_owned(),
        x: Axis::linear("first principal component"),
        y: Axis::linear("second principal component"),
        points,
        groups: ["reference", "new"].map(str::to_owned).to_vec(),
        shade: Axis::linear(""),
    };
    let ringed = if unlike.is_empty() {
        ""
    } else {
        " Those with a ring are most unlike the reference."
    };
    Ok(Chart {
        svg: chart.svg(),
        caption: format!(
            "The plane shows {} of how they vary.{ringed}",
            PERCENT.show(pca.explained())
        ),
    })
}

/// Returns at most [`POINTS_MAX`] of `rows` rows, evenly spaced.
fn spread_out(rows: usize) -> Vec<usize> {
    let stride = rows.div_ceil(POINTS_MAX).max(1);
    (0..rows).step_by(stride).collect()
}
