//! Pictures that show the difference, and what is strange one by one, on the page. Imports: report, `base::units`,
//! `detect::{checked, fitted, tables}`.

use crate::base::units;
use crate::report::Tone;
use crate::report::page::{Block, Picture, PictureFact, Section, fitting};

use super::super::checked::{Checked, Witness};
use super::super::tables::number;
use super::{Illustration, PERCENT, shortened};

/// Bytes that a gallery may add to the page.
const ROOM: usize = 400_000;

/// Returns the new pictures that are most unlike the reference, and typical ones of the reference; `None` if there
/// is none to show.
pub(super) fn unlike(checked: &Checked, about: Illustration<'_>) -> Option<Section> {
    let found = checked.witnesses.as_ref()?;
    let new = |one| of_new(one, "witness", about);
    let unlike = fitting(found.unlike.iter().filter_map(new), ROOM);
    if unlike.is_empty() {
        return None;
    }
    let old = |one| of_reference(one, about);
    let typical = fitting(found.typical.iter().filter_map(old), ROOM);
    let mut blocks = vec![
        Block::Prose(format!(
            "New pictures around which there are most others like them and fewest of the reference, the most \
             unlike first: by the witness function of the maximum mean discrepancy of the {}. Below 0, a \
             picture is more like the new ones.",
            found.input.name()
        )),
        Block::Pictures(unlike),
    ];
    if !typical.is_empty() {
        let text = "For comparison, pictures of the reference that are typical of it and least like the new ones:";
        blocks.extend([Block::Prose(text.to_owned()), Block::Pictures(typical)]);
    }
    Some(Section {
        heading: "New pictures most unlike the reference".to_owned(),
        blocks,
    })
}

/// Returns how many pictures are strange one by one, and the strangest.
pub(super) fn outliers(checked: &Checked, about: Illustration<'_>) -> Option<Section> {
    let found = checked.outliers.as_ref()?;
    let text = format!(
        "{} of {} ({}) have a score above {} ({}); of pictures like those of the reference, {} have. Many \
         outliers without drift are a few strange pictures among usual ones; drift without outliers is a shift \
         of all.",
        units::count(found.rows, "picture"),
        checked.rows,
        PERCENT.show(found.share),
        number(found.threshold),
        found.method,
        PERCENT.show(found.false_positives),
    );
    let picture = |one| of_new(one, "score", about);
    let strangest = fitting(found.strangest.iter().filter_map(picture), ROOM);
    let mut blocks = vec![Block::Prose(text)];
    if !strangest.is_empty() {
        blocks.push(Block::Pictures(strangest));
    }
    Some(Section {
        heading: "Outliers".to_owned(),
        blocks,
    })
}

/// Returns a new picture, with what its value measures; `None` if it is not there.
fn of_new(one: &Witness, measure: &str, about: Illustration<'_>) -> Option<Picture> {
    let png = about.pictures?.of(one.row)?.to_vec();
    let truth = about.new.truth().and_then(|all| all.get(one.row));
    let name = match &one.picture {
        Some(path) => shortened(path),
        None => format!("picture {}", one.row + 1),
    };
    let mut facts = told(one, truth, about);
    facts.push(PictureFact::new(measure, number(one.value), Tone::Neutral));
    let alt = format!("{name}: taken for {}", shortened(&one.class));
    facts.push(PictureFact::new("file", name, Tone::Neutral));
    Some(Picture { png, alt, facts })
}

/// Returns a picture of the reference; `None` if it was not kept.
fn of_reference(one: &Witness, about: Illustration<'_>) -> Option<Picture> {
    let kept = about.fitted.thumbnails();
    let (png, row) = kept.pictures.get(one.row).zip(kept.rows.get(one.row))?;
    Some(Picture {
        png: png.clone(),
        alt: format!(
            "picture {} of the reference: taken for {}",
            row + 1,
            shortened(&one.class)
        ),
        facts: told(one, about.fitted.labels().get(*row), about),
    })
}

/// Says what the model takes a picture for, and what it is where that is known.
fn told(one: &Witness, truth: Option<&u32>, about: Illustration<'_>) -> Vec<PictureFact> {
    let class = truth.and_then(|label| about.fitted.classes().get(*label as usize));
    let tone = match class {
        Some(class) if *class == one.class => Tone::Good,
        Some(_) => Tone::Bad,
        None => Tone::Neutral,
    };
    let mut facts = vec![PictureFact::new("taken for", shortened(&one.class), tone)];
    facts.extend(class.map(|class| PictureFact::new("is", shortened(class), Tone::Neutral)));
    facts
}
