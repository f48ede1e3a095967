//! Sections of `params.yaml` for the vision commands. Imports: base, vision.

use std::path::{Path, PathBuf};

use crate::base::Diagnostic;
use crate::base::diag::nearest;
use crate::base::doc::{Document, Fields, Format, KeyPath, Problems};

use super::ctx::Ctx;
use super::error::CliError;
use super::render::diagnostic;

/// The sections that this program reads, now or in later stages.
const SECTIONS: [&str; 6] = ["preprocess", "model", "train", "evaluate", "serve", "drift"];

/// Where parameters come from.
#[derive(Debug, clap::Args)]
pub(super) struct ParamsArg {
    /// Parameters file (YAML, JSON or TOML)
    #[arg(long, value_name = "FILE", default_value = "params.yaml")]
    params: PathBuf,
}

impl ParamsArg {
    /// Reads the file. Without one, every parameter has its default.
    pub(super) fn document(&self, ctx: &Ctx) -> Result<Document, CliError> {
        let path = ctx.dir.join(&self.params);
        let name = self.params.display().to_string();
        if !path.exists() && self.params == Path::new("params.yaml") {
            ctx.out
                .note("there is no `params.yaml`: every parameter has its default");
            return Ok(Document::parse(&name, String::new(), Format::Yaml)?);
        }
        Ok(Document::read(&path, &name)?)
    }
}

/// Opens a section; warns when it is absent but something like it is there.
pub(super) fn section<'p, 'd>(
    ctx: &Ctx,
    problems: &'p Problems<'d>,
    name: &'static str,
) -> Fields<'p, 'd> {
    let root = problems.fields(KeyPath::root());
    if !root.has(name) {
        let others = root
            .entries()
            .map(|(key, _)| key.as_str())
            .filter(|k| !SECTIONS.contains(k));
        if let Some(near) = nearest(name, others) {
            let document = problems.document();
            let mut warning = Diagnostic::warning(
                "absent-section",
                format!(
                    "`{}` has no section `{name}`; its defaults are used",
                    document.source.name
                ),
            );
            if let Some(place) = document.locate(&KeyPath::root().key(near)) {
                let span = place.key.unwrap_or(place.value);
                warning = warning.label(
                    &document.source,
                    span,
                    format!("is this meant to be `{name}`?"),
                );
            }
            diagnostic::show_all(&ctx.out, &[warning]);
        }
    }
    root.section(name)
}
