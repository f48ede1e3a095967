//! `cvops ui user`: who may use the tracking server.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::base::{self, clock, fs, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::mlflow::access::password;
use crate::project::Project;
use crate::report::{Align, Table};
use crate::track::db::{Account, PasswordHash, Role, User, UserName};
use crate::track::{Error, Tracking};

use super::secret::{self, Answered};

/// Say who may use the server
///
/// With a first user everybody has to say who they are: with name and password
/// (`MLFLOW_TRACKING_USERNAME`, `MLFLOW_TRACKING_PASSWORD`) or with a token
/// (`MLFLOW_TRACKING_TOKEN`, see `cvops ui token`). A server that is running notices at once.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  cvops ui user add ada --role write\n  cvops ui user list"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user; asks for a password
    #[command(
        after_help = "Examples:\n  cvops ui user add ada --role write\n  pass show ada | cvops ui user add ada --role write --password-stdin\n  cvops ui user add ci --role write --no-password"
    )]
    Add {
        /// The name: letters, digits, `.`, `_`, `-`, `@`, `+`
        name: UserName,
        /// What they may do
        #[arg(long, value_name = "ROLE")]
        role: RoleArg,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List the users
    #[command(after_help = "Example:\n  cvops ui user list --json")]
    List,
    /// Remove users with their tokens; what they recorded stays
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  cvops ui user rm ada"
    )]
    Rm {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<UserName>,
    },
    /// Change what a user may do
    #[command(after_help = "Example:\n  cvops ui user role ada admin")]
    Role {
        /// The user
        name: UserName,
        /// What they may do
        role: RoleArg,
    },
    /// Change a user's password; tokens stay valid
    #[command(after_help = "Example:\n  cvops ui user passwd ada")]
    Passwd {
        /// The user
        name: UserName,
        #[command(flatten)]
        password: PasswordArgs,
    },
}

/// A role as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum RoleArg {
    /// Look at everything
    Read,
    /// Record runs, register models
    Write,
    /// Everything
    Admin,
}

impl RoleArg {
    fn role(self) -> Role {
        match self {
            Self::Read => Role::Read,
            Self::Write => Role::Write,
            Self::Admin => Role::Admin,
        }
    }
}

/// Where a password comes from: never from the command line, which others on the machine can read.
#[derive(Debug, clap::Args)]
struct PasswordArgs {
    /// Read the password from stdin instead of asking for it
    #[arg(long)]
    password_stdin: bool,
    /// No password: only tokens open the door
    #[arg(long, conflicts_with = "password_stdin")]
    no_password: bool,
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    match &args.action {
        Action::Add {
            name,
            role,
            password,
        } => {
            let user = User {
                name: name.clone(),
                role: role.role(),
            };
            add(ctx, &project, &user, password)
        }
        Action::List => list(ctx, &project),
        Action::Rm { names } => remove(ctx, &project, names),
        Action::Role { name, role } => set_role(ctx, &project, name, role.role()),
        Action::Passwd { name, password } => set_password(ctx, &project, name, password),
    }
}

fn add(
    ctx: &Ctx,
    project: &Project,
    user: &User,
    args: &PasswordArgs,
) -> Result<Outcome, CliError> {
    // Before anybody types a password for nothing.
    if let Some(record) = super::open(project)?
        && record.reader().find_account(user.name.as_str())?.is_some()
    {
        let name = user.name.to_string();
        return Err(Error::UserExists { name }.into());
    }
    let Some(password) = read_password(ctx, &user.name, args)? else {
        return Ok(Outcome::Interrupted);
    };
    let mut record = Tracking::open(&project.layout)?;
    let is_first = !record.reader().has_users()?;
    keep_private(project)?;
    let now_ms = clock::now().as_millisecond();
    record.change(|writing| writing.add_user(user, password.0.as_ref(), now_ms))?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({
            "user": user.name.as_str(),
            "role": user.role.as_str(),
            "password": password.0.is_some(),
        }));
        return Ok(Outcome::Done);
    }
    let User { name, role } = user;
    ctx.out
        .result(&format!("added `{name}` with the role `{role}`"));
    if password.0.is_none() {
        ctx.out.note(&format!(
            "`cvops ui token add {name}` makes a token for them"
        ));
    }
    if is_first {
        ctx.out
            .note("from now on `cvops ui` asks everybody who they are");
    }
    Ok(Outcome::Done)
}

/// Hashes of passwords are nobody else's business on a machine of several people.
fn keep_private(project: &Project) -> Result<(), CliError> {
    let record = project.layout.tracking_db();
    for beside in ["", "-wal", "-shm"] {
        let mut path = record.clone().into_os_string();
        path.push(beside);
        let path = PathBuf::from(path);
        if path.exists() {
            fs::keep_from_others(&path)
                .map_err(base::Error::io("change the permissions of", &path))?;
        }
    }
    Ok(())
}

fn list(ctx: &Ctx, project: &Project) -> Result<Outcome, CliError> {
    let accounts = match super::open(project)? {
        Some(record) => record.reader().accounts()?,
        None => Vec::new(),
    };
    if ctx.out.form == Form::Json {
        let users: Vec<_> = accounts.iter().map(account_json).collect();
        ctx.out.json(&json!({"users": users}));
        return Ok(Outcome::Done);
    }
    if accounts.is_empty() {
        ctx.out.note(
            "there are no users: `cvops ui` serves this machine alone, and whoever works on it; `cvops ui user add` adds one",
        );
        return Ok(Outcome::Done);
    }
    let left = ["name", "role", "password"].map(|title| (title, Align::Left));
    let rest = [("tokens", Align::Right), ("added", Align::Left)];
    let mut table = Table::new(left.into_iter().chain(rest));
    for account in &accounts {
        table.row([
            account.user.name.to_string(),
            account.user.role.to_string(),
            if account.password.is_some() {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
            account.tokens.to_string(),
            clock::local(account.created),
        ]);
    }
    ctx.out.table(&table);
    Ok(Outcome::Done)
}

fn account_json(account: &Account) -> serde_json::Value {
    json!({
        "name": account.user.name.as_str(),
        "role": account.user.role.as_str(),
        "password": account.password.is_some(),
        "tokens": account.tokens,
        "created": account.created.to_string(),
    })
}

fn remove(ctx: &Ctx, project: &Project, names: &[UserName]) -> Result<Outcome, CliError> {
    let mut record = known(project, &names[0])?;
    // One transaction: a name that nobody has removes nobody.
    let (removed, is_empty) = record.change(|writing| {
        let mut removed = Vec::new();
        for name in names {
            let account = writing.account(name)?;
            writing.remove_user(name)?;
            removed.push(account);
        }
        Ok((removed, !writing.has_users()?))
    })?;
    if ctx.out.form == Form::Json {
        let removed: Vec<_> = removed.iter().map(account_json).collect();
        ctx.out.json(&json!({"removed": removed}));
        return Ok(Outcome::Done);
    }
    for account in &removed {
        let name = &account.user.name;
        ctx.out.result(&match account.tokens {
            0 => format!("removed `{name}`"),
            tokens => format!(
                "removed `{name}` with {}",
                units::count(tokens as usize, "token")
            ),
        });
    }
    if is_empty {
        ctx.out.note(
            "no user is left: on this machine `cvops ui` is open to everybody, on the network it answers nobody",
        );
    }
    Ok(Outcome::Done)
}

fn set_role(
    ctx: &Ctx,
    project: &Project,
    name: &UserName,
    role: Role,
) -> Result<Outcome, CliError> {
    let mut record = known(project, name)?;
    record.change(|writing| writing.set_role(name, role))?;
    if ctx.out.form == Form::Json {
        ctx.out
            .json(&json!({"user": name.as_str(), "role": role.as_str()}));
    } else {
        ctx.out
            .result(&format!("`{name}` has the role `{role}` now"));
    }
    Ok(Outcome::Done)
}

fn set_password(
    ctx: &Ctx,
    project: &Project,
    name: &UserName,
    args: &PasswordArgs,
) -> Result<Outcome, CliError> {
    let mut record = known(project, name)?;
    let Some(password) = read_password(ctx, name, args)? else {
        return Ok(Outcome::Interrupted);
    };
    record.change(|writing| writing.set_password(name, password.0.as_ref()))?;
    if ctx.out.form == Form::Json {
        let json = json!({"user": name.as_str(), "password": password.0.is_some()});
        ctx.out.json(&json);
    } else if password.0.is_some() {
        ctx.out
            .result(&format!("`{name}` has another password now"));
    } else {
        ctx.out
            .result(&format!("`{name}` has no password any more"));
    }
    Ok(Outcome::Done)
}

/// Opens the record for a change of a user, who must be in it.
fn known(project: &Project, name: &UserName) -> Result<Tracking, CliError> {
    let Some(record) = super::open(project)? else {
        let name = name.to_string();
        return Err(Error::UnknownUser {
            name,
            nearest: None,
        }
        .into());
    };
    record.reader().account(name)?;
    Ok(record)
}

/// A new password, if there is to be one.
struct NewPassword(Option<PasswordHash>);

/// Gets and hashes a password; nothing if the user would rather stop.
fn read_password(
    ctx: &Ctx,
    name: &UserName,
    args: &PasswordArgs,
) -> Result<Option<NewPassword>, CliError> {
    if args.no_password {
        return Ok(Some(NewPassword(None)));
    }
    let text = if args.password_stdin {
        secret::from_stdin()?
    } else {
        match secret::ask_twice(ctx, name)? {
            Answered::Text(text) => text,
            Answered::Interrupted => return Ok(None),
        }
    };
    secret::check(&text)?;
    Ok(Some(NewPassword(Some(password::hash(&text)?))))
}
