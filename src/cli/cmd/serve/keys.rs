//! `cvops serve keys`: who may ask the prediction server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use crate::base::Diagnostic;
use crate::base::clock::{self, Timestamp};
use crate::base::doc::{Document, Problems};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::params::{ParamsArg, section};
use crate::cli::validity;
use crate::project;
use crate::report::{Align, Table};
use crate::serve::{ApiKey, Config, KeyFile, KeyName, KeySource, Scope};

/// Say who may ask the server: make, list and remove keys
///
/// With a first key every request must bring one, as `Authorization: Bearer KEY` or `X-API-Key: KEY`;
/// health checks, pages and `/metrics` stay open. Only a hash of a key is kept, in
/// `.cvops/serve-keys.yaml` or the file that `--keys` or `serve.keys` names: it is shown once. A server
/// that is running notices within two seconds.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  cvops serve keys add web --scope predict --expires 90d\n  cvops serve keys list"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key and show it once
    #[command(
        after_help = "Examples:\n  cvops serve keys add web --scope predict --scope feedback --expires 90d\n  KEY=$(cvops serve keys add ci)\n  curl -H \"X-API-Key: $KEY\" -F file=@photo.jpg http://127.0.0.1:5001/predict"
    )]
    Add {
        /// Whose it is, or what for: letters, digits, `.`, `_`, `-`, `@`, `+`
        name: KeyName,
        /// What it opens: `predict`, `feedback`, `metrics`, or `admin` for all of it (repeatable)
        #[arg(long = "scope", value_name = "SCOPE", default_value = "predict")]
        scopes: Vec<Scope>,
        /// How long it is valid: `12h`, `90d` (default: until it is removed)
        #[arg(long, value_name = "TIME", value_parser = validity::parse)]
        expires: Option<Duration>,
        #[command(flatten)]
        place: Place,
    },
    /// List the keys, without what opens the door
    #[command(after_help = "Example:\n  cvops serve keys list --json")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Remove keys: they open nothing any more, within two seconds
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  cvops serve keys remove web"
    )]
    Remove {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<KeyName>,
        #[command(flatten)]
        place: Place,
    },
}

/// Which file.
#[derive(Debug, clap::Args)]
struct Place {
    /// File of the keys (default: `serve.keys`, else `.cvops/serve-keys.yaml` of the project)
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    params: ParamsArg,
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match &args.action {
        Action::Add {
            name,
            scopes,
            expires,
            place,
        } => add(ctx, &place.file(ctx)?, name, scopes, *expires),
        Action::List { place } => list(ctx, &place.file(ctx)?),
        Action::Remove { names, place } => remove(ctx, &place.file(ctx)?, names),
    }
}

impl Place {
    /// Returns the file that a server started here would read.
    fn file(&self, ctx: &Ctx) -> Result<KeySource, CliError> {
        let config = match self.params.document_if_any(ctx)? {
            Some(document) => {
                let problems = Problems::new(&document);
                let config = Config::read(section(ctx, &problems, "serve"));
                let config = problems.into_result(config)?;
                of_config(ctx, &document, &config)
            }
            None => None,
        };
        source(ctx, self.keys.as_deref(), config)?.ok_or_else(|| {
            CliError::usage(
                Diagnostic::error(
                    "no-key-file",
                    "there is no project here that could keep keys",
                )
                .help("name a file: `--keys serve-keys.yaml`, and start the server with the same"),
            )
        })
    }
}

/// Returns where a server finds its keys: the flag goes before the parameter, that before the project.
pub(super) fn source(
    ctx: &Ctx,
    flag: Option<&Path>,
    parameter: Option<KeyFile>,
) -> Result<Option<KeySource>, CliError> {
    let named = flag.map(|file| KeyFile::new(ctx.dir.join(file), file.display().to_string()));
    if let Some(file) = named.or(parameter) {
        return Ok(Some(KeySource::Named(file)));
    }
    // A project that cannot be opened is not as good as none: its keys would ask nobody.
    match project::find_root(&ctx.dir) {
        Ok(_) => {}
        Err(project::Error::NotAProject { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let path = ctx.project()?.layout.serve_keys();
    let shown = path.strip_prefix(&ctx.dir).unwrap_or(&path);
    let shown = shown.display().to_string();
    Ok(Some(KeySource::Project(KeyFile::new(path, shown))))
}

/// Returns the file that the parameters name, if they name one: from their folder.
pub(super) fn of_config(ctx: &Ctx, document: &Document, config: &Config) -> Option<KeyFile> {
    let named = config.access.keys.as_ref()?;
    let folder = Path::new(&document.source.name).parent();
    let shown = folder.unwrap_or(Path::new("")).join(named);
    Some(KeyFile::new(
        ctx.dir.join(&shown),
        shown.display().to_string(),
    ))
}

fn add(
    ctx: &Ctx,
    source: &KeySource,
    name: &KeyName,
    scopes: &[Scope],
    expires: Option<Duration>,
) -> Result<Outcome, CliError> {
    if let KeySource::Project(_) = source {
        project::init::ensure_state_dir(&ctx.project()?.layout)?;
    }
    let file = source.file();
    let scopes: BTreeSet<Scope> = scopes.iter().copied().collect();
    let now = clock::now();
    let (text, key) = ApiKey::draw(name.clone(), scopes, now, expires)?;
    let is_first = file.read()?.is_none_or(|keys| keys.is_empty());
    file.add(key.clone())?;
    if ctx.out.form == Form::Json {
        let mut json = key_json(&key, now);
        json["key"] = text.into();
        ctx.out.json(&json);
        return Ok(Outcome::Done);
    }
    ctx.out.result(&text);
    ctx.out.note(&format!(
        "the key `{name}` opens {}{}: it is shown this once",
        scopes_text(&key),
        validity::suffix(key.expires)
    ));
    if is_first {
        ctx.out
            .note("from now on `cvops serve` asks every request for a key");
    }
    Ok(Outcome::Done)
}

fn list(ctx: &Ctx, source: &KeySource) -> Result<Outcome, CliError> {
    let keys = match (source, source.file().read()?) {
        (_, Some(keys)) => keys,
        (KeySource::Project(_), None) => Vec::new(),
        (KeySource::Named(file), None) => {
            let file = file.to_string();
            return Err(crate::serve::Error::NoKeyFile { file }.into());
        }
    };
    let now = clock::now();
    if ctx.out.form == Form::Json {
        let keys: Vec<_> = keys.iter().map(|key| key_json(key, now)).collect();
        ctx.out.json(&json!({"keys": keys}));
        return Ok(Outcome::Done);
    }
    if keys.is_empty() {
        ctx.out.note(
            "there are no keys: `cvops serve` answers whoever reaches it; `cvops serve keys add` makes one",
        );
        return Ok(Outcome::Done);
    }
    let titles = ["name", "scopes", "added", "valid until"];
    let mut table = Table::new(titles.map(|title| (title, Align::Left)));
    for key in &keys {
        table.row([
            key.name.to_string(),
            scopes_text(key),
            clock::local(key.created),
            validity::cell(key.expires, now),
        ]);
    }
    ctx.out.table(&table);
    Ok(Outcome::Done)
}

fn remove(ctx: &Ctx, source: &KeySource, names: &[KeyName]) -> Result<Outcome, CliError> {
    let file = source.file();
    if file.read()?.is_none() {
        let error = match source {
            KeySource::Named(file) => crate::serve::Error::NoKeyFile {
                file: file.to_string(),
            },
            KeySource::Project(_) => crate::serve::Error::UnknownKey {
                name: names[0].to_string(),
                nearest: None,
            },
        };
        return Err(error.into());
    }
    let (removed, left) = file.remove(names)?;
    if ctx.out.form == Form::Json {
        let now = clock::now();
        let removed: Vec<_> = removed.iter().map(|key| key_json(key, now)).collect();
        ctx.out.json(&json!({"removed": removed}));
        return Ok(Outcome::Done);
    }
    for key in &removed {
        ctx.out.result(&format!("removed the key `{}`", key.name));
    }
    if left == 0 {
        ctx.out.note(match source {
            KeySource::Project(_) => {
                "no key is left: a server that runs lets nobody in; one that is started now asks nobody"
            }
            KeySource::Named(_) => {
                "no key is left: a server that runs lets nobody in, and none starts with this file"
            }
        });
    }
    Ok(Outcome::Done)
}

fn scopes_text(key: &ApiKey) -> String {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    scopes.join(", ")
}

fn key_json(key: &ApiKey, now: Timestamp) -> serde_json::Value {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    json!({
        "name": key.name.as_str(),
        "scopes": scopes,
        "created": key.created.to_string(),
        "expires": key.expires.map(|at| at.to_string()),
        "expired": key.is_expired(now),
    })
}
