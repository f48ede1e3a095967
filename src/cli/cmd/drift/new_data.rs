//! The pictures that `cvops drift check` and `cvops drift score` are given: files, folders, or a folder of prepared data.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::{Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::out::{Form, Style};
use crate::cli::params::ParamsArg;
use crate::cli::pictures::{collect, decode_all, limits};
use crate::cli::progress::Progress;
use crate::cli::render::diagnostic;
use crate::detect::Features;
use crate::detect::checked::ReferenceFacts;
use crate::detect::fitted::{Fitted, Thumbnails};
use crate::vision;
use crate::vision::device::{Device, DeviceChoice};
use crate::vision::image::{Limits, Pixels, Target};
use crate::vision::predict::Predictor;
use crate::vision::shard::{MANIFEST, Prepared, Split};

/// Pictures that are in memory at a time.
const CHUNK: usize = 1024;
/// Unreadable files that are named; of more it is said how many there are.
const NAMED_MAX: usize = 10;

/// Pictures, and what the model makes of them. Their pixels are in memory some at a time.
pub(super) struct NewData {
    /// As the user would name them, one for each picture.
    pub(super) paths: Vec<String>,
    /// With the class of each, where all are known.
    pub(super) features: Features,
    /// What cannot be read as a picture, and why.
    pub(super) unreadable: Vec<(PathBuf, String)>,
    source: Source,
}

/// Where pictures can be read once more.
enum Source {
    Files {
        /// One for each picture.
        paths: Vec<PathBuf>,
        limits: Limits,
        target: Target,
    },
    Prepared {
        data: Box<Prepared>,
        /// That were taken, in this order.
        splits: Vec<Split>,
    },
}

/// The pictures and the model that both commands are asked about.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// Pictures, folders of pictures, or a folder of prepared data
    #[arg(required = true, value_name = "NEW_DATA")]
    pub(super) paths: Vec<PathBuf>,
    /// Folder of the fitted detectors
    #[arg(long, value_name = "DIR", default_value = "models/drift")]
    pub(super) drift: PathBuf,
    /// Folder of the model, or an ONNX file
    #[arg(long, value_name = "MODEL", default_value = "models/classifier")]
    pub(super) model: PathBuf,
    /// Of prepared data, only this split
    #[arg(long, value_name = "SPLIT", value_parser = ["train", "val", "test"])]
    pub(super) split: Option<String>,
}

impl Asked {
    /// Returns the model, which must be the one that `fitted` belongs to.
    pub(super) fn predictor(&self, ctx: &Ctx, fitted: &Fitted) -> Result<Predictor, CliError> {
        let device = Device::pick(DeviceChoice::Auto)?;
        let predictor = Predictor::load(&ctx.dir.join(&self.model), &device)?;
        fitted.require_model(predictor.model())?;
        Ok(predictor)
    }
}

impl NewData {
    /// Reads the pictures of `asked`, within the limits of `params`, and asks `predictor` about them.
    pub(super) fn read(
        ctx: &Ctx,
        asked: &Asked,
        params: &ParamsArg,
        predictor: &Predictor,
    ) -> Result<Self, CliError> {
        for path in &asked.paths {
            if !ctx.dir.join(path).exists() {
                let headline = format!("there is no `{}`", path.display());
                return Err(CliError::usage(
                    Diagnostic::error("not-found", headline)
                        .help("name pictures, folders of pictures, or a folder of prepared data"),
                ));
            }
        }
        let prepared = |path: &PathBuf| ctx.dir.join(path).join(MANIFEST).is_file();
        // All of them, if none is named.
        let split = asked.split.as_deref().and_then(Split::from_name);
        match (asked.paths.as_slice(), split) {
            ([dir], split) if prepared(dir) => {
                Self::prepared(ctx, &ctx.dir.join(dir), split, predictor)
            }
            (_, Some(_)) => Err(CliError::usage(
                Diagnostic::error(
                    "not-prepared",
                    "`--split` chooses among prepared data, and this is none",
                )
                .help("leave `--split` out, or name a folder that `cvops preprocess` wrote"),
            )),
            (paths, None) => Self::decoded(ctx, paths, params, predictor),
        }
    }

    fn prepared(
        ctx: &Ctx,
        dir: &Path,
        split: Option<Split>,
        predictor: &Predictor,
    ) -> Result<Self, CliError> {
        let data = Prepared::open(dir)?;
        let asked = |one: &Split| split.is_none_or(|split| split == *one);
        let splits: Vec<Split> = Split::ALL.into_iter().filter(asked).collect();
        let mut paths = Vec::new();
        for split in &splits {
            paths.extend(data.paths(*split)?);
        }
        if paths.is_empty() {
            let headline = format!("`{}` holds no pictures of this split", dir.display());
            return Err(CliError::usage(Diagnostic::error("no-pictures", headline)));
        }
        let (mut parts, mut truth) = (Vec::new(), Vec::new());
        for part in splits.iter().flat_map(|split| data.parts(*split)) {
            let (pixels, classes) = part?;
            if 0 < pixels.count() {
                parts.push(Features::of_pictures(predictor, &pixels, &ctx.cancel)?);
                truth.extend(classes);
            }
        }
        let mut features = Features::joined(parts)?;
        if data.classes == predictor.model().classes {
            features = features.with_truth(truth)?;
        }
        Ok(Self {
            paths,
            features,
            unreadable: Vec::new(),
            source: Source::Prepared {
                data: Box::new(data),
                splits,
            },
        })
    }

    fn decoded(
        ctx: &Ctx,
        named: &[PathBuf],
        params: &ParamsArg,
        predictor: &Predictor,
    ) -> Result<Self, CliError> {
        let limits = limits(ctx, params)?;
        let target = predictor.model().target;
        let classes = &predictor.model().classes;
        let (mut paths, mut parts, mut truth) = (Vec::new(), Vec::new(), Vec::new());
        let mut unreadable = Vec::new();
        let files = collect(ctx, named)?;
        let bar = Progress::new(&ctx.out, "reading", "images");
        bar.start(files.len() as u64);
        for chunk in files.chunks(CHUNK) {
            if let Some(reason) = ctx.cancel.reason() {
                return Err(vision::Error::Cancelled(reason).into());
            }
            let mut pixels = room(&target);
            let decoded = decode_all(ctx, chunk, limits, &target);
            for (path, image) in chunk.iter().zip(decoded) {
                match image {
                    Ok(values) => {
                        pixels.push(&values);
                        truth.push(class_of(path, classes));
                        paths.push(path.clone());
                    }
                    Err(reason) => unreadable.push((path.clone(), reason)),
                }
                bar.step();
            }
            if 0 < pixels.count() {
                parts.push(Features::of_pictures(predictor, &pixels, &ctx.cancel)?);
            }
        }
        bar.end();
        if paths.is_empty() {
            return Err(CliError::usage(none_readable(&unreadable)));
        }
        tell_unreadable(ctx, &unreadable);
        let mut features = Features::joined(parts)?;
        let truth: Option<Vec<u32>> = truth.into_iter().collect();
        if let Some(truth) = truth {
            features = features.with_truth(truth)?;
        }
        Ok(Self {
            paths: paths
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            features,
            unreadable,
            source: Source::Files {
                paths,
                limits,
                target,
            },
        })
    }

    /// Reads the pictures of `rows` (ascending) once more, to be shown. Those that are not there any more are left out.
    pub(super) fn thumbnails(&self, ctx: &Ctx, rows: &[usize]) -> Result<Thumbnails, CliError> {
        match &self.source {
            Source::Files {
                paths,
                limits,
                target,
            } => {
                let named = rows.iter().filter_map(|row| paths.get(*row).cloned());
                let named: Vec<PathBuf> = named.collect();
                let (mut there, mut pixels) = (Vec::new(), room(target));
                for (row, image) in rows.iter().zip(decode_all(ctx, &named, *limits, target)) {
                    if let Ok(values) = image {
                        there.push(*row);
                        pixels.push(&values);
                    }
                }
                Ok(Thumbnails::of_pixels(&there, &pixels))
            }
            Source::Prepared { data, splits } => {
                let mut pixels = Pixels::new(data.height, data.width, data.channels);
                let mut before = 0;
                let mut rows_left = rows.iter().peekable();
                for part in splits.iter().flat_map(|split| data.parts(*split)) {
                    if rows_left.peek().is_none() {
                        break;
                    }
                    let (all, _) = part?;
                    while let Some(row) = rows_left.next_if(|row| **row < before + all.count()) {
                        pixels.push(all.image(row - before));
                    }
                    before += all.count();
                }
                Ok(Thumbnails::of_pixels(rows, &pixels))
            }
        }
    }

    /// Says on stderr that files are missing from what was said, and returns whether any are.
    pub(super) fn show_left_out(&self, ctx: &Ctx) -> bool {
        let left_out = self.unreadable.len();
        if left_out == 0 {
            return false;
        }
        // JSON holds them.
        if ctx.out.form != Form::Json {
            let all = left_out + self.paths.len();
            let headline = format!(
                "{left_out} of {} cannot be read as pictures, and nothing was said of them",
                units::count(all, "file")
            );
            let error = Diagnostic::error("not-a-picture", headline)
                .help("mend or remove them, or pass over them with `--skip-unreadable`");
            diagnostic::show_all(&ctx.out, &[error]);
        }
        true
    }

    /// Returns what to know where the pictures are of the very data that the reference is from: they are not
    /// new, and no verdict says so.
    pub(super) fn notes_against(&self, reference: &ReferenceFacts) -> Vec<String> {
        let Source::Prepared { data, splits } = &self.source else {
            return Vec::new();
        };
        if data.content_hash.to_string() != reference.data {
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

    /// Returns what could not be read, for programs.
    pub(super) fn unreadable_json(&self) -> serde_json::Value {
        let all = self.unreadable.iter();
        all.map(|(path, reason)| json!({"path": path, "reason": reason}))
            .collect()
    }
}

/// Returns room for pictures as a model takes them.
fn room(target: &Target) -> Pixels {
    let (height, width) = (target.height as usize, target.width as usize);
    Pixels::new(height, width, target.channels.count())
}

fn none_readable(unreadable: &[(PathBuf, String)]) -> Diagnostic {
    let shown = unreadable.iter().take(NAMED_MAX);
    let told = shown.map(|(path, reason)| format!("`{}`: {reason}", path.display()));
    let headline = "none of the files can be read as a picture";
    told.fold(Diagnostic::error("no-pictures", headline), Diagnostic::note)
}

fn tell_unreadable(ctx: &Ctx, unreadable: &[(PathBuf, String)]) {
    let tell = |text: &str| ctx.out.note(&ctx.out.paint(Style::Changed, text));
    for (path, reason) in unreadable.iter().take(NAMED_MAX) {
        tell(&format!("left out {}: {reason}", path.display()));
    }
    if let Some(more) = unreadable.len().checked_sub(NAMED_MAX + 1) {
        tell(&format!("left out {} more", more + 1));
    }
}

/// Returns the class in whose folder a picture lies.
fn class_of(path: &Path, classes: &[String]) -> Option<u32> {
    let folder = path.parent()?.file_name()?.to_str()?;
    let index = classes.iter().position(|class| class == folder)?;
    u32::try_from(index).ok()
}
