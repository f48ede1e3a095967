//! The pictures that `cvops drift check` is given: files, folders, or a folder of prepared data.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::{ContentHash, Diagnostic};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::out::Style;
use crate::cli::params::ParamsArg;
use crate::cli::pictures::{collect, decode_all, limits};
use crate::cli::progress::Progress;
use crate::detect::checked::ReferenceFacts;
use crate::vision;
use crate::vision::artifact::Described;
use crate::vision::image::Pixels;
use crate::vision::shard::{MANIFEST, Prepared, Split};

/// Pictures that are decoded between two looks at the clock and at Ctrl-C.
const CHUNK: usize = 1024;
/// Unreadable files that are named; of more it is said how many there are.
const NAMED_MAX: usize = 10;

/// Pictures as the model takes them.
pub(super) struct NewData {
    /// As the user would name them, one for each picture.
    pub(super) paths: Vec<String>,
    pub(super) pixels: Pixels,
    /// The class of each, where all are known.
    pub(super) truth: Option<Vec<u32>>,
    /// What is no picture, and why.
    pub(super) unreadable: Vec<(PathBuf, String)>,
    /// The hash of prepared data, and the splits that were taken of them.
    prepared: Option<(ContentHash, Vec<Split>)>,
}

/// Where they are.
pub(super) struct Asked<'a> {
    pub(super) paths: &'a [PathBuf],
    /// Of prepared data; all of them, if none is named.
    pub(super) split: Option<Split>,
    pub(super) params: &'a ParamsArg,
}

impl NewData {
    /// Reads the pictures of `asked` as `model` takes them.
    pub(super) fn read(ctx: &Ctx, asked: &Asked<'_>, model: &Described) -> Result<Self, CliError> {
        for path in asked.paths {
            if !ctx.dir.join(path).exists() {
                let headline = format!("there is no `{}`", path.display());
                return Err(CliError::usage(
                    Diagnostic::error("not-found", headline)
                        .help("name pictures, folders of pictures, or a folder of prepared data"),
                ));
            }
        }
        let prepared = |path: &PathBuf| ctx.dir.join(path).join(MANIFEST).is_file();
        match (asked.paths, asked.split) {
            ([dir], split) if prepared(dir) => Self::prepared(&ctx.dir.join(dir), split, model),
            (_, Some(_)) => Err(CliError::usage(
                Diagnostic::error(
                    "not-prepared",
                    "`--split` chooses among prepared data, and this is none",
                )
                .help("leave `--split` out, or name a folder that `cvops preprocess` wrote"),
            )),
            (paths, None) => Self::decoded(ctx, paths, asked.params, model),
        }
    }

    fn prepared(dir: &Path, split: Option<Split>, model: &Described) -> Result<Self, CliError> {
        let prepared = Prepared::open(dir)?;
        let mut new = Self {
            paths: Vec::new(),
            pixels: Pixels::new(prepared.height, prepared.width, prepared.channels),
            truth: None,
            unreadable: Vec::new(),
            prepared: None,
        };
        let mut labels = Vec::new();
        let asked = |one: &Split| split.is_none_or(|split| split == *one);
        let splits: Vec<Split> = Split::ALL.into_iter().filter(asked).collect();
        for &one in &splits {
            let data = prepared.load(one)?;
            new.paths.extend(data.paths);
            new.pixels.append(&data.pixels);
            labels.extend(data.labels);
        }
        if new.paths.is_empty() {
            let headline = format!("`{}` holds no pictures of this split", dir.display());
            return Err(CliError::usage(Diagnostic::error("no-pictures", headline)));
        }
        new.truth = (prepared.classes == model.classes).then_some(labels);
        new.prepared = Some((prepared.content_hash, splits));
        Ok(new)
    }

    fn decoded(
        ctx: &Ctx,
        paths: &[PathBuf],
        params: &ParamsArg,
        model: &Described,
    ) -> Result<Self, CliError> {
        let limits = limits(ctx, params)?;
        let target = model.target;
        let (height, width) = (target.height as usize, target.width as usize);
        let mut new = Self {
            paths: Vec::new(),
            pixels: Pixels::new(height, width, target.channels.count()),
            truth: None,
            unreadable: Vec::new(),
            prepared: None,
        };
        let mut truth = Vec::new();
        let files = collect(ctx, paths)?;
        let bar = Progress::new(&ctx.out, "decoding", "images");
        bar.start(files.len() as u64);
        for chunk in files.chunks(CHUNK) {
            if let Some(reason) = ctx.cancel.reason() {
                return Err(vision::Error::Cancelled(reason).into());
            }
            let decoded = decode_all(ctx, chunk, limits, &target);
            for (path, image) in chunk.iter().zip(decoded) {
                match image {
                    Ok(values) => {
                        new.pixels.push(&values);
                        new.paths.push(path.display().to_string());
                        truth.push(class_of(path, &model.classes));
                    }
                    Err(reason) => new.unreadable.push((path.clone(), reason)),
                }
                bar.step();
            }
        }
        bar.end();
        if new.paths.is_empty() {
            return Err(CliError::usage(new.none_readable()));
        }
        new.tell_unreadable(ctx);
        new.truth = truth.into_iter().collect();
        Ok(new)
    }

    /// Returns what to know where the pictures are of the very data that the reference is from: they are not
    /// new, and no verdict says so.
    pub(super) fn notes_against(&self, reference: &ReferenceFacts) -> Vec<String> {
        let Some((data, splits)) = &self.prepared else {
            return Vec::new();
        };
        if data.to_string() != reference.data {
            return Vec::new();
        }
        let mut notes = Vec::new();
        if splits.iter().any(|split| split.name() == reference.split) {
            notes.push(format!(
                "the pictures of the reference (the {} split of these data) are among those that were compared with it",
                reference.split
            ));
        }
        if splits.contains(&Split::Train) && reference.split != Split::Train.name() {
            notes.push(
                "the network may have learned from the train split of these data: it is surer of such pictures than of new ones"
                    .to_owned(),
            );
        }
        notes
    }

    fn none_readable(&self) -> Diagnostic {
        let shown = self.unreadable.iter().take(NAMED_MAX);
        let told = shown.map(|(path, reason)| format!("`{}`: {reason}", path.display()));
        let headline = "none of the files can be read as a picture";
        told.fold(Diagnostic::error("no-pictures", headline), Diagnostic::note)
    }

    fn tell_unreadable(&self, ctx: &Ctx) {
        let tell = |text: &str| ctx.out.note(&ctx.out.paint(Style::Changed, text));
        for (path, reason) in self.unreadable.iter().take(NAMED_MAX) {
            tell(&format!("left out {}: {reason}", path.display()));
        }
        if let Some(more) = self.unreadable.len().checked_sub(NAMED_MAX + 1) {
            tell(&format!("left out {} more", more + 1));
        }
    }

    /// Returns what could not be read, for programs.
    pub(super) fn unreadable_json(&self) -> serde_json::Value {
        let all = self.unreadable.iter();
        all.map(|(path, reason)| json!({"path": path, "reason": reason}))
            .collect()
    }
}

/// Returns the class in whose folder a picture lies.
fn class_of(path: &Path, classes: &[String]) -> Option<u32> {
    let folder = path.parent()?.file_name()?.to_str()?;
    let index = classes.iter().position(|class| class == folder)?;
    u32::try_from(index).ok()
}
