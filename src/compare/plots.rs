//! Plots of several sides: tables to draw, images to show. Imports: base, pipeline, report, source,
//! rows, values.

use std::path::Path;

use crate::base::diag::{ToDiagnostics, nearest};
use crate::base::{ArtifactPath, Diagnostic};
use crate::pipeline::spec::Axes;
use crate::report::page::ImageKind;

use super::error::Error;
use super::reader::{self, Reader};
use super::rows::{self, DataRow, ROWS_MAX, Table};
use super::source::Side;
use super::values::shown;

/// Larger images would make a page that nobody opens.
const IMAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One plot file on all sides.
#[derive(Clone, Debug)]
pub struct Plot {
    /// The file.
    pub path: ArtifactPath,
    /// What it puts on its axes, where that is declared.
    pub axes: Axes,
    /// Its content on each side, in the order of the sides.
    pub versions: Vec<Version>,
}

/// A plot file on one side.
#[derive(Clone, Debug)]
pub struct Version {
    /// The name of the side.
    pub side: String,
    /// What is there.
    pub content: Content,
}

/// What a plot file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// It is not there, or cannot be shown.
    Absent,
    /// Rows to draw.
    Rows(Vec<DataRow>),
    /// An image to show as it is.
    Image(ImageKind, Vec<u8>),
}

/// Reads the plots of `sides` that `targets` choose (all of them if there are none). A file that
/// cannot be shown is left out, with a warning.
///
/// # Errors
/// An unknown target; git, the lock or the cache cannot be read.
pub fn read(
    reader: &mut Reader<'_>,
    sides: &mut [Side],
    targets: &[ArtifactPath],
) -> Result<(Vec<Plot>, Vec<Diagnostic>), Error> {
    let mut refs: Vec<&mut Side> = sides.iter_mut().collect();
    let chosen = reader::choose(reader, &mut refs, targets, &|subjects| {
        subjects.plots.keys().cloned().collect()
    })?;
    let mut plots: Vec<Plot> = Vec::new();
    let mut warnings = Vec::new();
    for declared in &chosen {
        let mut files = Vec::new();
        for side in &mut *sides {
            files.extend(reader.files(side, declared)?);
        }
        files.sort();
        files.dedup();
        if files.is_empty() {
            let headline = format!("`{declared}` is not there yet");
            warnings.push(
                Diagnostic::warning("no-plot", headline).help("`cvops repro` runs its stage"),
            );
        }
        for path in files {
            let axes = sides
                .iter()
                .rev()
                .find_map(|side| side.subjects.plots.get(declared).cloned())
                .unwrap_or_default();
            let mut versions = Vec::new();
            for side in &mut *sides {
                let content = match reader.read(side, &path)? {
                    None => Content::Absent,
                    Some(bytes) => content(&path, &shown(side, &path), bytes, &mut warnings),
                };
                let side = side.title().to_owned();
                versions.push(Version { side, content });
            }
            if versions.iter().any(|v| v.content != Content::Absent) {
                let plot = Plot {
                    path,
                    axes,
                    versions,
                };
                check_axes(&plot, &mut warnings);
                plots.push(plot);
            }
        }
    }
    warnings.extend(reader.take_warnings());
    Ok((plots, warnings))
}

/// DVC's name of the template that counts pairs of labels.
const CONFUSION: [&str; 2] = ["confusion", "confusion_normalized"];
/// Its templates that draw curves, as is done anyway.
const CURVES: [&str; 4] = ["linear", "simple", "smooth", "default"];

/// Columns of a table of single predictions, as DVC's template `confusion` names them.
const ACTUAL: &str = "actual";
const PREDICTED: &str = "predicted";

impl Plot {
    /// Returns the columns whose pairs are counted if this is drawn as a confusion matrix: those
    /// declared with `template: confusion`, else `actual` and `predicted`.
    #[must_use]
    pub fn labels(&self) -> [&str; 2] {
        let Axes { x, y, template, .. } = &self.axes;
        let is_confusion = template
            .as_deref()
            .is_some_and(|name| CONFUSION.contains(&name));
        if !is_confusion {
            return [ACTUAL, PREDICTED];
        }
        [
            x.as_deref().unwrap_or(ACTUAL),
            y.first().map_or(PREDICTED, String::as_str),
        ]
    }
}

/// Warns of declared columns that no side has, and of templates that are not known: both would only
/// be seen in what the page lacks.
fn check_axes(plot: &Plot, warnings: &mut Vec<Diagnostic>) {
    let rows = || {
        plot.versions.iter().flat_map(|v| match &v.content {
            Content::Rows(rows) => &rows[..],
            Content::Absent | Content::Image(..) => &[],
        })
    };
    if rows().next().is_none() {
        return;
    }
    let Axes { x, y, template, .. } = &plot.axes;
    for wanted in x.iter().chain(y) {
        if rows().any(|row| row.contains_key(wanted)) {
            continue;
        }
        let mut known: Vec<&str> = Vec::new();
        for column in rows().flat_map(|row| row.keys()) {
            if !known.contains(&column.as_str()) {
                known.push(column);
            }
        }
        let help = match nearest(wanted, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has `{}`", known.join("`, `")),
        };
        let headline = format!("`{}` has no column `{wanted}`", plot.path);
        warnings.push(Diagnostic::warning("no-column", headline).help(help));
    }
    if let Some(template) = template.as_deref()
        && !CONFUSION.contains(&template)
        && !CURVES.contains(&template)
    {
        let headline = format!(
            "the template `{template}` of `{}` is not supported: it is drawn as curves",
            plot.path
        );
        warnings.push(
            Diagnostic::warning("unknown-template", headline)
                .help("`confusion` counts pairs of labels; columns are named by `x` and `y`"),
        );
    }
}

fn content(
    path: &ArtifactPath,
    name: &str,
    bytes: Vec<u8>,
    warnings: &mut Vec<Diagnostic>,
) -> Content {
    let extension = Path::new(path.as_str())
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_lowercase();
    if let Some(kind) = ImageKind::of_extension(&extension) {
        if IMAGE_BYTES_MAX < bytes.len() {
            let size = crate::base::units::bytes(bytes.len() as u64);
            let headline =
                format!("`{name}` is left out: an image of {size} is too large for a page");
            warnings.push(Diagnostic::warning("large-image", headline));
            return Content::Absent;
        }
        return Content::Image(kind, bytes);
    }
    match rows::read(name, &extension, &bytes) {
        Some(Ok(Table { rows, stride })) => {
            if 1 < stride {
                let headline = format!(
                    "`{name}` has more than {ROWS_MAX} rows: one of every {stride} is drawn"
                );
                warnings.push(Diagnostic::warning("thinned-out", headline));
            }
            Content::Rows(rows)
        }
        Some(Err(error)) => {
            for mut diagnostic in error.to_diagnostics() {
                diagnostic.severity = crate::base::Severity::Warning;
                warnings.push(diagnostic);
            }
            Content::Absent
        }
        None => {
            let headline = format!("`{name}` is left out: it is neither a table nor an image");
            warnings.push(Diagnostic::warning("no-plot-file", headline).help(
                "shown are .jsonl, .json, .yaml, .csv, .tsv, .svg, .png, .jpg, .gif and .webp",
            ));
            Content::Absent
        }
    }
}
