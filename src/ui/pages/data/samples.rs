//! The pictures that the page of prepared data shows: some of each class, all of one, and what a
//! training makes of them. Imports: mlflow, `ui::*`.

use form_urlencoded::Serializer;

use super::augment;
use super::page::Shelf;
use crate::mlflow::Refused;
use crate::ui::eye::Augmented;
use crate::ui::parts::paging::Paging;
use crate::ui::prepared::{SPLITS, Sample, picture_href};
use crate::ui::site::Site;

/// Pictures on a page of one class.
const PAGE: usize = 60;
/// Pictures of each class when all are shown, and how many classes then are.
const STRIP: usize = 8;
pub(super) const STRIPS_MAX: usize = 40;
/// The longer side of a picture in the grid, and of the one behind it.
const SIDE: u32 = 160;
const SIDE_WHOLE: u32 = 2048;
/// Pictures that are shown augmented, and epochs.
const AUGMENTED: usize = 4;
const EPOCHS: u64 = 7;

/// A picture.
pub(super) struct Shown {
    pub(super) src: String,
    pub(super) whole: String,
    pub(super) path: String,
    pub(super) note: String,
}

/// Pictures under a heading.
pub(super) struct Strip {
    pub(super) heading: String,
    pub(super) href: String,
    pub(super) pictures: Vec<Shown>,
}

/// The pictures of one class.
pub(super) struct Grid {
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) total: usize,
    pub(super) pictures: Vec<Shown>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

/// A picture with what a training makes of it.
pub(super) struct Series {
    pub(super) path: String,
    pub(super) original: String,
    pub(super) epochs: Vec<String>,
}

/// The form of augmented pictures and what it shows.
pub(super) struct AugmentedPart {
    pub(super) how: Augmented,
    pub(super) class: String,
    pub(super) series: Vec<Series>,
    pub(super) problem: Option<String>,
}

fn shown(shelf: &Shelf<'_>, sample: &Sample) -> Shown {
    let href = |side| picture_href(shelf.outputs, &shelf.output.path, sample, side);
    Shown {
        src: href(SIDE),
        whole: href(SIDE_WHOLE),
        path: sample.path.to_string(),
        note: sample
            .path
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

fn of_class<'s>(
    shelf: &Shelf<'s>,
    split: &'static str,
    class: usize,
) -> impl Iterator<Item = &'s Sample> + use<'s> {
    let all = shelf.samples.all.iter();
    all.filter(move |s| s.class as usize == class && s.split_name() == split)
}

/// Returns the first pictures of each of the first classes.
pub(super) fn strips(shelf: &Shelf<'_>, split: &'static str) -> Vec<Strip> {
    let mut strips: Vec<Strip> = shelf
        .card
        .classes
        .iter()
        .take(STRIPS_MAX)
        .map(|class| {
            let href = shelf
                .asked
                .href_with(&[("class", Some(class)), ("page", None)]);
            Strip {
                heading: class.clone(),
                href: format!("{href}#samples"),
                pictures: Vec::new(),
            }
        })
        .collect();
    // One walk over all pictures, however many classes there are.
    for sample in shelf
        .samples
        .all
        .iter()
        .filter(|sample| sample.split_name() == split)
    {
        if let Some(strip) = strips.get_mut(sample.class as usize)
            && strip.pictures.len() < STRIP
        {
            strip.pictures.push(shown(shelf, sample));
        }
    }
    strips
}

/// Returns a page of the pictures of a class.
///
/// # Errors
/// What the query says is no page.
pub(super) fn grid(shelf: &Shelf<'_>, split: &'static str, class: usize) -> Result<Grid, Refused> {
    let total = of_class(shelf, split, class).count();
    let paging = Paging::new(shelf.asked.query.number("page", 1)?, PAGE, total);
    let turn = |page: usize| {
        let href = shelf.asked.href_with(&[("page", Some(&page.to_string()))]);
        format!("{href}#samples")
    };
    let pictures = of_class(shelf, split, class)
        .skip(paging.range.start)
        .take(paging.range.len());
    Ok(Grid {
        first: paging.first(),
        last: paging.range.end,
        total,
        pictures: pictures.map(|sample| shown(shelf, sample)).collect(),
        previous: paging.previous().map(turn),
        next: paging.next().map(turn),
    })
}

/// Training pictures of a class (the first class if none is chosen) as the first epochs see them.
///
/// # Errors
/// What the query says is no augmentation.
pub(super) fn augmented(
    site: &Site,
    shelf: &Shelf<'_>,
    class: Option<usize>,
) -> Result<AugmentedPart, Refused> {
    let default = augment::of_params(site, shelf.asked, shelf.outputs);
    let how = augment::read(&shelf.asked.query, default)?;
    let is_off = (how.flip, how.rotate) == (0.0, 0.0) && (how.shift, how.crop) == (0, 0);
    let class = class.unwrap_or(0);
    let all: Vec<&Sample> = of_class(shelf, SPLITS[0], class).collect();
    // Spread over the class: neighbours in a folder are often of one series.
    let step = all.len().div_ceil(AUGMENTED).max(1);
    let series = all.into_iter().step_by(step).take(AUGMENTED).map(|sample| {
        let original = picture_href(shelf.outputs, &shelf.output.path, sample, SIDE);
        let epochs = (1..=EPOCHS).map(|epoch| augmented_href(&original, &how, epoch));
        Series {
            path: sample.path.to_string(),
            epochs: epochs.collect(),
            original,
        }
    });
    Ok(AugmentedPart {
        class: shelf.card.classes.get(class).cloned().unwrap_or_default(),
        series: series.collect(),
        problem: is_off
            .then(|| "Everything is off: the training sees the pictures as they are.".to_owned()),
        how,
    })
}

fn augmented_href(original: &str, how: &Augmented, epoch: u64) -> String {
    let query = original.split_once('?').map_or("", |(_, query)| query);
    let mut more = Serializer::new(String::new());
    more.extend_pairs(augment::pairs(how))
        .append_pair("epoch", &epoch.to_string());
    format!("/ajax-api/cvops/data/augmented?{query}&{}", more.finish())
}
