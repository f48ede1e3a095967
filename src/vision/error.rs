//! The error of the vision room. Imports: `base::{diag, error, cancel}`, `dataset`, `image`.

use std::path::{Path, PathBuf};

use crate::base::{self, CancelReason, Diagnostic, ToDiagnostics, units};

use super::dataset::Mistake;
use super::image::FORMAT_LIST;

/// How many examples a message lists before it says how many more there are.
const EXAMPLES_MAX: usize = 5;

/// What can go wrong between a folder of pictures and a prediction.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed, or a document is broken.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// The work was asked to stop.
    #[error("stopped before the end")]
    Cancelled(CancelReason),

    // Datasets
    /// The dataset folder does not exist or is a file.
    #[error("the dataset `{}` is not a folder", path.display())]
    NoDataset {
        /// The folder as given.
        path: PathBuf,
    },
    /// There is no such list of pictures.
    #[error("there is no manifest `{}`", path.display())]
    NoManifest {
        /// The file as given.
        path: PathBuf,
    },
    /// A list of pictures has mistakes.
    #[error("{}", mistaken(path, mistakes))]
    Manifest {
        /// The file as given.
        path: PathBuf,
        /// All of them, in order of lines; at least one.
        mistakes: Vec<Mistake>,
    },
    /// A file of a folder of IDX files is damaged, too large or does not fit the others.
    #[error("`{}` cannot be used: {problem}", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, in one sentence.
        problem: String,
    },
    /// The folder holds no class folder.
    #[error("the dataset `{}` holds no class folders", path.display())]
    NoClasses {
        /// The folder as given.
        path: PathBuf,
        /// Pictures lie directly in it.
        loose_images: usize,
    },
    /// There is nothing to tell apart.
    #[error("the dataset `{}` holds only the class `{class}`", path.display())]
    OneClass {
        /// The folder as given.
        path: PathBuf,
        /// The only class.
        class: String,
    },
    /// Class folders without a single picture.
    #[error("no images in {}", quoted_list(folders))]
    EmptyClasses {
        /// The folders, relative to the dataset.
        folders: Vec<String>,
        /// Those of them that hold further folders.
        nested: Vec<String>,
    },
    /// A split has classes that the training split lacks, so no network could know them.
    #[error("`{split}` has {} that `train` lacks: {}", count_classes(classes.len()), quoted_list(classes))]
    UnknownClasses {
        /// The folder of the split.
        split: String,
        /// Class folders found only there.
        classes: Vec<String>,
        /// The classes of the training split.
        known: Vec<String>,
    },
    /// Two folders claim to be the same split.
    #[error("`{first}` and `{second}` are both the {split} split of `{}`", path.display())]
    SplitTwice {
        /// The dataset folder.
        path: PathBuf,
        /// The split's usual name.
        split: &'static str,
        /// First folder.
        first: String,
        /// Second folder.
        second: String,
    },
    /// `val` or `test` without `train`.
    #[error("the dataset `{}` has `{found}` but no `train`", path.display())]
    NoTrainSplit {
        /// The dataset folder.
        path: PathBuf,
        /// The split folder that is there.
        found: String,
    },
    /// A file name cannot be written into JSON.
    #[error("the file name `{}` is not UTF-8", path.display())]
    NameNotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// More pictures could not be decoded than `preprocess.max_corrupt` allows.
    #[error(
        "{} of {} could not be read, more than `preprocess.max_corrupt` allows ({allowed})",
        corrupt.len(), units::count(*total, "image")
    )]
    TooManyCorrupt {
        /// `class/file: reason`, in order of path.
        corrupt: Vec<(String, String)>,
        /// Pictures looked at.
        total: usize,
        /// The number that the parameter allows.
        allowed: usize,
    },
    /// A class has fewer usable training pictures than asked for.
    #[error("the class `{class}` has {} for training, fewer than {needed}", units::count(*found, "image"))]
    TooFewImages {
        /// The class.
        class: String,
        /// Usable pictures in the training split.
        found: usize,
        /// `preprocess.min_per_class`.
        needed: usize,
    },
    /// The output folder lies in the dataset or holds it.
    #[error("the output `{}` and the dataset `{}` lie inside each other", out.display(), input.display())]
    OutputInsideInput {
        /// The dataset folder.
        input: PathBuf,
        /// The output folder.
        out: PathBuf,
    },
    /// The output is a file, or a folder with something else in it.
    #[error("`{}` exists and was not written by `preprocess`", path.display())]
    OutputNotOurs {
        /// The output as given.
        path: PathBuf,
    },

    /// The list of pictures to leave out is not there.
    #[error("there is no list of pictures to leave out `{}`", path.display())]
    NoExclusions {
        /// The file.
        path: PathBuf,
    },
    /// A file name that cannot stand on a line of a list.
    #[error("the file name {path:?} cannot stand on a line of a list")]
    NotALine {
        /// Relative to the dataset.
        path: String,
    },

    // Prepared data
    /// The folder was not written by `preprocess`, or is damaged.
    #[error("`{}` does not hold prepared data: {problem}", path.display())]
    NotPrepared {
        /// The file that is missing or wrong.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The folder was written by another version of the format.
    #[error("`{}` has format version {found}; this program reads version {expected}", path.display())]
    PreparedVersion {
        /// The manifest.
        path: PathBuf,
        /// Version found.
        found: u64,
        /// Version understood.
        expected: u64,
    },
    /// A split that is needed holds no picture.
    #[error("the {split} split of `{}` holds no images", path.display())]
    EmptySplit {
        /// The folder of prepared data.
        path: PathBuf,
        /// The split's name.
        split: &'static str,
    },

    // Networks
    /// A block of the network leaves less than one pixel.
    #[error("{problem}")]
    ModelShape {
        /// Index of the block in `model.blocks`.
        block: usize,
        /// The block (counted from 1), what is left and what would shrink it.
        problem: String,
    },
    /// A depthwise block declares other channels than it gets.
    #[error("block {} is depthwise and gets {channels} channels, so it cannot have {filters} filters", block + 1)]
    ModelDepthwise {
        /// Index of the block in `model.blocks`.
        block: usize,
        /// Channels that it gets.
        channels: usize,
        /// Channels that it declares.
        filters: usize,
    },
    /// What a block is to add cannot be given the size of its maps.
    #[error(
        "block {} cannot add what block {} gets: no stride makes {}×{} of {}×{}",
        block + 1, source_block + 1, to[0], to[1], from[0], from[1]
    )]
    ModelResidual {
        /// Index of the block in `model.blocks`.
        block: usize,
        /// Index of the block whose input it is to add.
        source_block: usize,
        /// Height and width of that input.
        from: [usize; 2],
        /// Height and width that the block needs.
        to: [usize; 2],
    },
    /// A declaration that did not come from `params.yaml` has a number out of range.
    #[error("the architecture has a number out of range")]
    ModelLimits,
    /// The network has more weights than anybody could train here.
    #[error("the network would have {parameters} weights, more than {parameters_max}")]
    ModelTooLarge {
        /// Weights as declared.
        parameters: u64,
        /// `PARAMETERS_MAX`.
        parameters_max: u64,
        /// Pixels of each map that the head flattens; none with global pooling.
        flattened: Option<usize>,
    },
    /// Weights do not belong to the network.
    #[error("the weights do not belong to this network: {0}")]
    Weights(#[from] super::model::WeightsProblem),
    /// `train.device` names a back end that this program was built without.
    #[error("this cvops was built without the back end `{device}`")]
    NoBackEnd {
        /// The device, which is also the name of the cargo feature.
        device: &'static str,
    },
    /// The back end finds no device.
    #[error("no `{device}` device was found")]
    NoDevice {
        /// The device asked for.
        device: &'static str,
    },

    // Training
    /// Early stopping without a validation split.
    #[error("`train.early_stopping` needs a validation split, and the data has none")]
    NothingToStopBy,
    /// Training diverged.
    #[error("the loss is no longer a finite number ({value}) in epoch {epoch}, by step {step}")]
    NotFinite {
        /// From 1.
        epoch: usize,
        /// Steps of the epoch done.
        step: usize,
        /// The loss.
        value: f64,
        /// The learning rate of the last step.
        rate: f64,
        /// What the parameters do already against it.
        precautions: Precautions,
    },
    /// The optimiser's state cannot be saved.
    #[error("the state of the optimiser could not be saved: {problem}")]
    Optimiser {
        /// burn's answer.
        problem: String,
    },

    // Models
    /// The folder was not written by `train`, or is damaged.
    #[error("`{}` is not a model: {problem}", path.display())]
    NotAModel {
        /// The file that is missing or wrong.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The model was written by another version of the format.
    #[error("`{}` is a model of format version {found}; this program reads version {expected}", path.display())]
    ModelVersion {
        /// The file `model.json`.
        path: PathBuf,
        /// Version found.
        found: u64,
        /// Version understood.
        expected: u64,
    },
    /// A folder holds more than one network, and nothing says which is meant.
    #[error("`{}` holds several ONNX files: {}", path.display(), quoted_list(names))]
    SeveralNetworks {
        /// The folder.
        path: PathBuf,
        /// Their names, sorted.
        names: Vec<String>,
    },
    /// A model that MLflow saved in forms that cannot be read here.
    #[error("`{}` describes a model with the flavours {flavours}, and only `onnx` can be read", path.display())]
    OtherFlavour {
        /// The file `MLmodel`.
        path: PathBuf,
        /// The flavours it has.
        flavours: String,
    },
    /// An ONNX file, and this program was built without what computes it.
    #[error("`{}` is a network in ONNX form, and this cvops was built without them", path.display())]
    NoOnnx {
        /// The file.
        path: PathBuf,
    },
    /// What stands beside a network from elsewhere is wrong; the error knows the places.
    #[error("{}", with_headlines(.0))]
    Description(base::Error),
    /// A network from elsewhere that cannot be asked about pictures.
    #[error("`{}` cannot be used: {problem}", path.display())]
    Onnx {
        /// The ONNX file.
        path: PathBuf,
        /// What is wrong with it, or what it lacks.
        problem: String,
        /// What to do.
        help: String,
    },
    /// Pictures of another size than the model was trained on.
    #[error("the model takes images of {expected}, these are {found}")]
    InputSize {
        /// `35×35×3`.
        expected: String,
        /// `28×28×1`.
        found: String,
    },
}

impl Error {
    /// Returns a closure for `map_err` on a file operation.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let wrap = base::Error::io(doing, path);
        move |source| Self::Base(wrap(source))
    }

    /// Returns a closure that says what is wrong with the file `path` of prepared data.
    pub(crate) fn not_prepared<E: ToString>(path: &Path) -> impl Fn(E) -> Self {
        let path = path.to_owned();
        move |problem| Self::NotPrepared {
            path: path.clone(),
            problem: problem.to_string(),
        }
    }
}

/// Which of the usual means against a diverging training are in use already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precautions {
    /// The learning rate rises slowly, by `train.warmup` or by `schedule: one_cycle`.
    pub warms_up: bool,
    /// The network normalises its batches.
    pub normalises: bool,
}

/// Says what keeps a training finite, without what is done already.
fn steadier(rate: f64, precautions: Precautions) -> String {
    let mut steps = vec![format!(
        "lower `train.learning_rate` (it was {})",
        three_digits(rate)
    )];
    if !precautions.warms_up {
        steps.push("warm up for an epoch (`train.warmup: 1`)".to_owned());
    }
    if !precautions.normalises {
        steps.push("add `batch_norm: true`".to_owned());
    }
    match steps.pop() {
        Some(last) if !steps.is_empty() => format!("{}, or {last}", steps.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// Rounds to three significant digits: 0.0029387 → 0.00294.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// Says what is wrong with a document in one line, for those who show no places.
fn with_headlines(error: &base::Error) -> String {
    match error {
        base::Error::Document { problems, .. } => {
            let headlines = problems.iter().map(|problem| problem.headline.as_str());
            let headlines: Vec<&str> = headlines.collect();
            format!("{error}: {}", headlines.join("; "))
        }
        base::Error::Io { .. }
        | base::Error::Edit { .. }
        | base::Error::Database { .. }
        | base::Error::NewerDatabase { .. } => error.to_string(),
    }
}

/// Says what is wrong with a manifest: the one mistake, or how many there are.
fn mistaken(path: &Path, mistakes: &[Mistake]) -> String {
    match mistakes {
        [one] => one.told(path),
        many => format!("`{}` has {} mistakes", path.display(), many.len()),
    }
}

/// Formats a number of classes: `1 class`, `3 classes`.
pub(super) fn count_classes(classes: usize) -> String {
    if classes == 1 {
        "1 class".to_owned()
    } else {
        format!("{classes} classes")
    }
}

/// Formats names as `` `a`, `b` and 3 more ``.
fn quoted_list(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(EXAMPLES_MAX)
        .map(|n| format!("`{n}`"))
        .collect();
    let rest = names.len() - shown.len();
    let more = if rest == 0 {
        String::new()
    } else {
        format!(" and {rest} more")
    };
    shown.join(", ") + &more
}

impl ToDiagnostics for Error {
    #[expect(clippy::too_many_lines, reason = "one arm for each problem")]
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let error = |code| Diagnostic::error(code, self.to_string());
        let one = match self {
            Self::Base(error) | Self::Description(error) => return error.to_diagnostics(),
            Self::Cancelled(_) => error("cancelled"),
            Self::NoDataset { .. } => error("no-dataset")
                .help("give a folder that holds one folder of images per class, or a manifest (`.csv`, `.jsonl`)"),
            Self::NoManifest { .. } => error("no-manifest").help("check its path"),
            Self::Manifest { path, mistakes } => {
                let error = error("manifest");
                let listed = if mistakes.len() == 1 {
                    error
                } else {
                    let shown = mistakes.iter().take(EXAMPLES_MAX);
                    let listed = shown.fold(error, |d, mistake| d.note(mistake.told(path)));
                    match mistakes.len().saturating_sub(EXAMPLES_MAX) {
                        0 => listed,
                        rest => listed.note(format!("and {rest} more")),
                    }
                };
                listed.help("each line has `path`, relative to the file's folder, and `label`; `split` is in all lines or in none")
            }
            Self::Idx { .. } => error("idx").help(
                "download it again; there must be images and labels of `train`, and may be of `t10k`",
            ),
            Self::NoClasses { loose_images: 0, .. } => error("no-classes")
                .help("put the images into one folder per class: `data/cat/1.png`, `data/dog/2.jpg`"),
            Self::NoClasses { loose_images, .. } => error("no-classes")
                .note(format!("directly in it: {}", units::count(*loose_images, "image")))
                .help("put the images into one folder per class: the folder's name is the label"),
            Self::OneClass { class, .. } => error("one-class").help(format!(
                "a classifier needs at least two classes: add another one beside `{class}`"
            )),
            Self::EmptyClasses { nested, .. } => match nested.first() {
                Some(folder) => error("empty-class")
                    .note(format!("{} hold folders instead", quoted_list(nested)))
                    .help(format!(
                        "images lie directly in their class folder; is `{folder}` the dataset?"
                    )),
                None => error("empty-class")
                    .help(format!("add {FORMAT_LIST} files to the folder, or remove it")),
            },
            Self::UnknownClasses { classes, known, .. } => {
                let known_names = known.iter().map(String::as_str);
                let near = classes
                    .iter()
                    .find_map(|c| base::diag::nearest(c, known_names.clone()).map(|k| (c, k)));
                match near {
                    Some((class, near)) => error("unknown-class")
                        .help(format!("is `{class}` meant to be `{near}`? rename it")),
                    None => error("unknown-class")
                        .help("add training images for it, or remove it"),
                }
            }
            Self::SplitTwice { .. } => error("split-twice").help("merge the two folders"),
            Self::NoTrainSplit { .. } => error("no-train-split")
                .help("add a `train` folder with the same classes, or put the class folders at the top: they are then split automatically"),
            Self::NameNotUtf8 { .. } => error("name-not-utf8").help("rename the file"),
            Self::TooManyCorrupt { corrupt, .. } => {
                let shown = corrupt.iter().take(EXAMPLES_MAX);
                let listed = shown
                    .fold(error("corrupt-images"), |d, (path, why)| d.note(format!("`{path}`: {why}")));
                let rest = corrupt.len().saturating_sub(EXAMPLES_MAX);
                let listed = if rest == 0 { listed } else { listed.note(format!("and {rest} more")) };
                listed.help("replace or remove these files, or raise `preprocess.max_corrupt` in params.yaml")
            }
            Self::TooFewImages { .. } => error("too-few-images")
                .help("add images to the class, or lower `preprocess.min_per_class` in params.yaml"),
            Self::OutputInsideInput { .. } => {
                error("output-inside-input").help("choose an output folder outside the dataset")
            }
            Self::OutputNotOurs { .. } => {
                error("output-not-ours").help("move it away, or choose another output folder")
            }
            Self::NoExclusions { .. } => error("no-exclusions").help(
                "write it with `cvops data check --write-exclude FILE`, or remove `preprocess.exclude` from params.yaml",
            ),
            Self::NotALine { .. } => error("not-a-line").help("rename the file"),
            Self::NotPrepared { .. } => {
                error("not-prepared").help("run `cvops preprocess` (or `cvops repro`) to write it anew")
            }
            Self::PreparedVersion { .. } => {
                error("prepared-version").help("run `cvops preprocess` (or `cvops repro`) to write it anew")
            }
            Self::EmptySplit { split, .. } => error("empty-split").help(format!(
                "add a `{split}` folder to the dataset, or raise `preprocess.{split}` in params.yaml"
            )),
            Self::ModelShape { block, .. } => error("model-shape").note(format!("the block is `model.blocks[{block}]`")).help(
                "use `padding: same`, a smaller kernel or pool, fewer blocks, or larger images (`preprocess.size`)",
            ),
            Self::ModelDepthwise { block, .. } => error("model-shape")
                .note(format!("the block is `model.blocks[{block}]`"))
                .help("leave its `filters` out"),
            Self::ModelResidual { block, .. } => error("model-shape")
                .note(format!("the block is `model.blocks[{block}]`"))
                .help("use `padding: same` in the blocks that the shortcut spans, and `stride` instead of `pool`"),
            Self::ModelLimits => error("model-limits").help("train the model anew: `cvops repro train`"),
            Self::ModelTooLarge { flattened: Some(pixels), .. } if 64 < *pixels => {
                error("model-too-large").help(format!(
                    "the head flattens maps of {pixels} pixels: pool more in the blocks, or set `model.head.global_pool: avg`"
                ))
            }
            Self::ModelTooLarge { .. } => {
                error("model-too-large").help("use fewer filters or smaller dense layers")
            }
            Self::Weights(_) => error("weights").help("train the model anew: `cvops repro train`"),
            Self::NoBackEnd { device } => error("no-back-end").help(format!(
                "set `train.device: auto`, or build with `cargo build --release --features {device}`"
            )),
            Self::NoDevice { .. } => error("no-device")
                .help("check that the driver is installed, or set `train.device: auto`"),
            Self::NothingToStopBy => error("no-validation").help(
                "set `preprocess.val` above 0, add a `val` folder, or remove `train.early_stopping`",
            ),
            Self::NotFinite {
                rate, precautions, ..
            } => error("diverged").help(steadier(*rate, *precautions)),
            Self::Optimiser { .. } => error("optimiser"),
            Self::NotAModel { .. } => {
                error("not-a-model").help("run `cvops train` (or `cvops repro`) to write it anew")
            }
            Self::ModelVersion { found, expected, .. } if expected < found => {
                error("model-version").help("update cvops, or train the model anew with this version")
            }
            Self::ModelVersion { .. } => {
                error("model-version").help("train the model anew with this version: `cvops repro train`")
            }
            Self::SeveralNetworks { path, names } => {
                let first = names.first().map_or("net.onnx", String::as_str);
                let named = path.join(first);
                error("several-networks")
                    .help(format!("name one of them with `--model`: `{}`", named.display()))
            }
            Self::OtherFlavour { .. } => error("other-flavour").help(
                "save it with `mlflow.onnx` as well, or convert it to ONNX (`torch.onnx.export`, `tf2onnx`)",
            ),
            Self::NoOnnx { .. } => {
                error("no-onnx").help("build it with them: `cargo build --release --features onnx`")
            }
            Self::Onnx { help, .. } => error("onnx").help(help.clone()),
            Self::InputSize { .. } => error("input-size")
                .help("prepare the data with the same `preprocess.size` and `preprocess.channels`"),
        };
        vec![one]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_already_is_not_suggested() {
        let help = |warms_up, normalises| {
            let precautions = Precautions {
                warms_up,
                normalises,
            };
            steadier(0.123_456, precautions)
        };
        assert_eq!(
            help(false, false),
            "lower `train.learning_rate` (it was 0.123), warm up for an epoch (`train.warmup: 1`), \
             or add `batch_norm: true`"
        );
        assert_eq!(
            help(true, false),
            "lower `train.learning_rate` (it was 0.123), or add `batch_norm: true`"
        );
        assert_eq!(
            help(true, true),
            "lower `train.learning_rate` (it was 0.123)"
        );
    }
}
