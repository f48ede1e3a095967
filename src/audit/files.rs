//! Findings about files: those that are no pictures, and those that are odd ones. Pure.
//! Imports: vision, `audit::{finding, pictures, read}`.

use std::path::Path;

use crate::vision::image::{Format, Frames, Space};

use super::finding::{Check, Finding, Item};
use super::pictures::{Picture, Pictures};
use super::read::Unusable;

/// Pictures with a shorter side are hardly pictures, in pixels.
const SIDE_MIN: u32 = 8;
/// Pictures that are longer than this many times their other side lose their shape in a square.
const ASPECT_MAX: f64 = 4.0;

/// Looks at all files.
pub(super) fn findings(pictures: &Pictures, unusable: &[Unusable]) -> Vec<Finding> {
    let corrupt = unusable.iter().map(|file| Item {
        path: Some(file.path.clone()),
        split: Some(file.split),
        class: pictures.classes.get(file.class as usize).cloned(),
        detail: file.reason.clone(),
        ..Item::default()
    });
    let mixed = pictures.rows.iter().any(|picture| !picture.transparent);
    let odd = |check, title: &str, help: &str, detail: &dyn Fn(&Picture) -> Option<String>| {
        let rows = pictures.rows.iter().enumerate();
        let items = rows.filter_map(|(row, picture)| Some(pictures.item(row, detail(picture)?)));
        Finding::new(check, title, help, items.collect())
    };
    [
        Finding::new(
            Check::Corrupt,
            "files that cannot be decoded",
            "replace or remove them, or leave them out with `--write-exclude`",
            corrupt.collect(),
        ),
        odd(
            Check::OddSizes,
            "very small or very long pictures",
            "look whether they are what they should be; resizing does not keep their shape",
            &odd_size,
        ),
        odd(
            Check::WrongExtensions,
            "files whose extension names another format",
            "rename them: other programs may go by the name",
            &wrong_extension,
        ),
        odd(
            Check::SeveralFrames,
            "animations and files of several pages, of which only the first picture is used",
            "keep one picture in each file",
            &|picture| match picture.facts.frames {
                Frames::One => None,
                Frames::Several => Some(format!("{} of several frames", picture.facts.format_name())),
            },
        ),
        odd(
            Check::Converted,
            "pictures in CMYK or with more than 8 bits, which are converted",
            "convert them yourself if colours matter: profiles are not applied",
            &|picture| match (picture.facts.space, picture.facts.bits) {
                (Space::Cmyk, _) => Some("CMYK".to_owned()),
                (Space::Light, bits) => (8 < bits).then(|| format!("{bits} bits")),
            },
        ),
        odd(
            Check::Transparent,
            "transparent pictures among opaque ones",
            "their background becomes `preprocess.background`: make sure that no class can be told by it",
            &|picture| (mixed && picture.transparent).then(|| "transparent".to_owned()),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn odd_size(picture: &Picture) -> Option<String> {
    let (short, long) = (
        picture.width.min(picture.height),
        picture.width.max(picture.height),
    );
    let is_odd = short < SIDE_MIN || ASPECT_MAX * f64::from(short) < f64::from(long);
    is_odd.then(|| format!("{}×{} pixels", picture.width, picture.height))
}

fn wrong_extension(picture: &Picture) -> Option<String> {
    let extension = Path::new(&picture.path).extension()?.to_str()?;
    let named = match extension.to_ascii_lowercase().as_str() {
        "png" => Format::Png,
        "jpg" | "jpeg" => Format::Jpeg,
        "webp" => Format::WebP,
        "bmp" => Format::Bmp,
        "gif" => Format::Gif,
        "tif" | "tiff" => Format::Tiff,
        _ => return None,
    };
    let is = picture.facts.format?;
    (is != named).then(|| format!("it is {}", is.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::drawn::{Drawn, table};
    use crate::vision::dataset::Split;

    #[test]
    fn each_oddity_is_one_finding() {
        let mut pictures = table(&vec![Drawn::new(1, Split::Train, 0); 7]);
        let rows = &mut pictures.rows;
        rows[1].width = 7;
        rows[2].height = 141;
        rows[3].path = "x/a.jpeg".to_owned();
        rows[4].facts.frames = Frames::Several;
        rows[5].facts.bits = 16;
        rows[6].transparent = true;
        let unusable = [Unusable {
            path: "b/x.png".to_owned(),
            split: Split::Val,
            class: 1,
            reason: "the file is truncated".to_owned(),
        }];
        let found = findings(&pictures, &unusable);
        let shown: Vec<String> = found
            .iter()
            .flat_map(|f| f.items.iter().map(move |item| (f.check.id(), item)))
            .map(|(id, item)| {
                format!(
                    "{id} {} {}",
                    item.path.as_deref().unwrap_or("-"),
                    item.detail
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "corrupt b/x.png the file is truncated",
                "odd-sizes 00001.png 7×35 pixels",
                "odd-sizes 00002.png 35×141 pixels",
                "wrong-extensions x/a.jpeg it is PNG",
                "several-frames 00004.png PNG of several frames",
                "converted 00005.png 16 bits",
                "transparent 00006.png transparent",
            ]
        );
    }

    #[test]
    fn transparency_is_odd_only_beside_its_contrary() {
        let mut pictures = table(&[Drawn::new(1, Split::Train, 0)]);
        pictures.rows[0].transparent = true;
        assert!(findings(&pictures, &[]).is_empty());
    }
}
