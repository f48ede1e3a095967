//! Sections of `params.yaml` for the vision commands. Imports: base, project, vision, ctx, error.

use std::iter;
use std::path::{Path, PathBuf};

use crate::base::diag::nearest;
use crate::base::doc::{Document, Fields, Format, KeyPath, Problems, Value};
use crate::base::{self, Diagnostic};
use crate::project::PARAMS_FILE;
use crate::vision::dataset::Exclusions;
use crate::vision::params::PreprocessParams;
use crate::{project, vision};

use super::ctx::Ctx;
use super::error::CliError;
use super::exit::ErrorClass;
use super::render::diagnostic;

/// The sections that this program reads, now or in later stages.
pub(super) const SECTIONS: [&str; 6] =
    ["preprocess", "model", "train", "evaluate", "serve", "drift"];

/// Where parameters come from.
#[derive(Debug, clap::Args)]
pub(super) struct ParamsArg {
    /// Parameters file (YAML, JSON or TOML)
    #[arg(long, value_name = "FILE", default_value = PARAMS_FILE)]
    params: PathBuf,
}

impl ParamsArg {
    /// Reads the file. Without one, every parameter has its default.
    pub(super) fn document(&self, ctx: &Ctx) -> Result<Document, CliError> {
        self.read(ctx, &self.params)
    }

    /// As `document`; if none is named and none is here, the one of the project's root is read.
    pub(super) fn document_of_project(&self, ctx: &Ctx) -> Result<Document, CliError> {
        self.read(ctx, &here_or_in_root(ctx, &self.params, PARAMS_FILE))
    }

    /// As `document_of_project`, without a word if there is none and none was named.
    pub(super) fn document_if_any(&self, ctx: &Ctx) -> Result<Option<Document>, CliError> {
        let file = here_or_in_root(ctx, &self.params, PARAMS_FILE);
        if self.params == Path::new(PARAMS_FILE) && !ctx.dir.join(&file).exists() {
            return Ok(None);
        }
        self.read(ctx, &file).map(Some)
    }

    /// Returns the folder of that file: what paths in it are relative to.
    pub(super) fn folder(&self, ctx: &Ctx) -> PathBuf {
        let file = ctx
            .dir
            .join(here_or_in_root(ctx, &self.params, PARAMS_FILE));
        file.parent()
            .map_or_else(|| ctx.dir.clone(), Path::to_owned)
    }

    fn read(&self, ctx: &Ctx, file: &Path) -> Result<Document, CliError> {
        let path = ctx.dir.join(file);
        let name = file.display().to_string();
        if !path.exists() && self.params == Path::new(PARAMS_FILE) {
            ctx.out
                .note("there is no `params.yaml`: every parameter has its default");
            return Ok(Document::parse(&name, String::new(), Format::Yaml)?);
        }
        Document::read(&path, &name).map_err(|error| {
            let missing = matches!(&error, base::Error::Io { source, .. }
                if source.kind() == std::io::ErrorKind::NotFound);
            let mut error = CliError::from(error);
            if missing {
                error.class = ErrorClass::Usage;
            }
            error
        })
    }
}

/// Returns `path` as it was typed; if that is only the `default` and nothing is there, the same place
/// seen from the root of the project around, as the way to it from where the user stands.
pub(super) fn here_or_in_root(ctx: &Ctx, path: &Path, default: &str) -> PathBuf {
    if path != Path::new(default) || ctx.dir.join(path).exists() {
        return path.to_owned();
    }
    let root = project::find_root(&ctx.dir).ok().map(|(root, _)| root);
    let inside = root.and_then(|root| Some(ctx.dir.strip_prefix(root).ok()?.to_owned()));
    let steps = inside.map_or(0, |inside| inside.components().count());
    iter::repeat_n("..", steps).collect::<PathBuf>().join(path)
}

/// Reads the list of pictures that `params` leave out; none if they name none.
pub(super) fn exclusions(
    ctx: &Ctx,
    arg: &ParamsArg,
    document: &Document,
    params: &PreprocessParams,
) -> Result<Exclusions, CliError> {
    let Some(file) = &params.exclude else {
        return Ok(Exclusions::default());
    };
    Exclusions::read(&arg.folder(ctx).join(file)).map_err(|error| at_parameter(document, error))
}

/// Makes a vision error one of the command that points at the parameter which it comes from.
pub(super) fn at_parameter(document: &Document, error: vision::Error) -> CliError {
    let place = parameters(&error)
        .iter()
        .find_map(|path| document.locate(path));
    let mut error = CliError::from(error);
    if let (Some(place), Some(first)) = (place, error.diagnostics.first_mut()) {
        let span = place.key.unwrap_or(place.value);
        *first = first.clone().label(&document.source, span, "");
    }
    error
}

/// Returns the parameters to blame, the most exact first.
fn parameters(error: &vision::Error) -> Vec<KeyPath> {
    use vision::Error as E;
    let section = |name: &str| KeyPath::root().key(name);
    let block = |index: usize| section("model").key("blocks").index(index);
    match error {
        E::ModelShape { block: at, .. } => vec![block(*at), section("model").key("preset")],
        E::ModelDepthwise { block: at, .. } => vec![block(*at).key("filters")],
        E::ModelResidual { block: at, .. } => {
            vec![block(*at).key("residual"), section("model").key("preset")]
        }
        E::ModelTooLarge { .. } => vec![section("model")],
        E::NoBackEnd { .. } | E::NoDevice { .. } => vec![section("train").key("device")],
        E::NothingToStopBy => vec![section("train").key("early_stopping")],
        E::EmptySplit { .. } => vec![section("evaluate").key("split")],
        E::NoExclusions { .. } => vec![section("preprocess").key("exclude")],
        _ => Vec::new(),
    }
}

/// Opens a section; warns when it is absent but something like it is there.
pub(super) fn section<'p, 'd>(
    ctx: &Ctx,
    problems: &'p Problems<'d>,
    name: &'static str,
) -> Fields<'p, 'd> {
    if let Some(warning) = misspelt(problems.document(), name) {
        diagnostic::show_all(&ctx.out, &[warning]);
    }
    problems.fields(KeyPath::root()).section(name)
}

/// Returns a warning when section `name` is absent but something like it is there.
pub(super) fn misspelt(document: &Document, name: &str) -> Option<Diagnostic> {
    let Value::Map(sections) = &document.root else {
        return None;
    };
    if sections.contains_key(name) {
        return None;
    }
    let others = sections.keys().map(String::as_str);
    let near = nearest(name, others.filter(|key| !SECTIONS.contains(key)))?;
    let headline = format!(
        "`{}` has no section `{name}`; its defaults are used",
        document.source.name
    );
    let mut warning = Diagnostic::warning("absent-section", headline);
    if let Some(place) = document.locate(&KeyPath::root().key(near)) {
        let span = place.key.unwrap_or(place.value);
        let label = format!("is this meant to be `{name}`?");
        warning = warning.label(&document.source, span, label);
    }
    Some(warning)
}
