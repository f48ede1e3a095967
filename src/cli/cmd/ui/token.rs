//! `cvops ui token`: what programs show instead of a password.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use crate::base::clock::{self, Timestamp};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::validity;
use crate::mlflow::access::token;
use crate::project::Project;
use crate::report::{Align, Table};
use crate::track::Error;
use crate::track::db::{Token, UserName};

/// Longest label, in characters.
const LABEL_CHARS_MAX: usize = 100;

/// Make and remove tokens, which programs show instead of a password
///
/// A token stands for its user, with their role. MLflow's clients take it from
/// `MLFLOW_TRACKING_TOKEN`. Only a hash of it is kept: it is shown once.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  cvops ui token add ada --label laptop --expires 90d\n  cvops ui token list"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token and show it once
    #[command(
        after_help = "Examples:\n  cvops ui token add ada --label laptop --expires 90d\n  export MLFLOW_TRACKING_TOKEN=$(cvops ui token add ci)"
    )]
    Add {
        /// The user whom it stands for
        name: UserName,
        /// What it is for
        #[arg(long, default_value = "", value_parser = label, hide_default_value = true)]
        label: String,
        /// How long it is valid: `12h`, `90d` (default: until it is removed)
        #[arg(long, value_name = "TIME", value_parser = validity::parse)]
        expires: Option<Duration>,
    },
    /// List the tokens, without what opens the door
    #[command(after_help = "Example:\n  cvops ui token list")]
    List {
        /// Those of this user only
        name: Option<UserName>,
    },
    /// Remove tokens: they open nothing any more, at once
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  cvops ui token rm 3f2a91c0"
    )]
    Rm {
        /// Their ids, or the first digits (at least 4)
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

fn label(text: &str) -> Result<String, String> {
    if LABEL_CHARS_MAX < text.chars().count() {
        Err(format!("a label has at most {LABEL_CHARS_MAX} characters"))
    } else if text.chars().any(char::is_control) {
        Err("a label has no control characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    match &args.action {
        Action::Add {
            name,
            label,
            expires,
        } => add(ctx, &project, name, label, *expires),
        Action::List { name } => list(ctx, &project, name.as_ref()),
        Action::Rm { ids } => remove(ctx, &project, ids),
    }
}

fn add(
    ctx: &Ctx,
    project: &Project,
    name: &UserName,
    label: &str,
    expires: Option<Duration>,
) -> Result<Outcome, CliError> {
    let Some(mut record) = super::open(project)? else {
        let name = name.to_string();
        return Err(Error::UnknownUser {
            name,
            nearest: None,
        }
        .into());
    };
    let (text, mark) = token::draw()?;
    let created = clock::now();
    let token = Token {
        mark,
        user: name.clone(),
        label: label.to_owned(),
        created,
        // A year at most: far from the end of time.
        expires: expires.and_then(|valid| created.checked_add(valid).ok()),
    };
    record.change(|writing| writing.add_token(&token))?;
    if ctx.out.form == Form::Json {
        let mut json = token_json(&token, created);
        json["token"] = text.into();
        ctx.out.json(&json);
        return Ok(Outcome::Done);
    }
    ctx.out.result(&text);
    ctx.out.note(&format!(
        "the token `{}` of `{name}`{}: it is shown this once",
        token.id(),
        validity::suffix(token.expires)
    ));
    Ok(Outcome::Done)
}

fn list(ctx: &Ctx, project: &Project, of: Option<&UserName>) -> Result<Outcome, CliError> {
    let mut tokens = Vec::new();
    if let Some(record) = super::open(project)? {
        if let Some(name) = of {
            record.reader().account(name)?;
        }
        tokens = record.reader().tokens()?;
        tokens.retain(|token| of.is_none_or(|name| token.user == *name));
    }
    let now = clock::now();
    if ctx.out.form == Form::Json {
        let tokens: Vec<_> = tokens.iter().map(|token| token_json(token, now)).collect();
        ctx.out.json(&json!({"tokens": tokens}));
        return Ok(Outcome::Done);
    }
    if tokens.is_empty() {
        ctx.out
            .note("there are no tokens: `cvops ui token add` makes one");
        return Ok(Outcome::Done);
    }
    let titles = ["id", "user", "label", "added", "valid until"];
    let mut table = Table::new(titles.map(|title| (title, Align::Left)));
    for token in &tokens {
        table.row([
            token.id(),
            token.user.to_string(),
            token.label.clone(),
            clock::local(token.created),
            validity::cell(token.expires, now),
        ]);
    }
    ctx.out.table(&table);
    Ok(Outcome::Done)
}

fn token_json(token: &Token, now: Timestamp) -> serde_json::Value {
    json!({
        "id": token.id(),
        "user": token.user.as_str(),
        "label": token.label,
        "created": token.created.to_string(),
        "expires": token.expires.map(|at| at.to_string()),
        "expired": token.expires.is_some_and(|at| at <= now),
    })
}

fn remove(ctx: &Ctx, project: &Project, ids: &[String]) -> Result<Outcome, CliError> {
    let Some(mut record) = super::open(project)? else {
        let text = ids[0].clone();
        return Err(Error::UnknownToken { text }.into());
    };
    // One transaction: an id that is wrong removes nothing.
    let removed = record.change(|writing| {
        let mut removed = Vec::new();
        for id in ids {
            let token = writing.token(id)?;
            writing.remove_token(&token.mark)?;
            removed.push(token);
        }
        Ok(removed)
    })?;
    if ctx.out.form == Form::Json {
        let now = clock::now();
        let removed: Vec<_> = removed.iter().map(|token| token_json(token, now)).collect();
        ctx.out.json(&json!({"removed": removed}));
        return Ok(Outcome::Done);
    }
    for token in &removed {
        let line = format!("removed the token `{}` of `{}`", token.id(), token.user);
        ctx.out.result(&line);
    }
    Ok(Outcome::Done)
}
