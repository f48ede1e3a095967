//! The project's ground: root, settings, cache, file systems, lock, leftovers, databases.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::base::fs::{self, LinkKind};
use crate::base::{db, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::experiment::sweep::journal;
use crate::project::{
    self, CVOPS, Config, DVC, Layout, Project, ProjectLock, SettingsFile, claims,
};

use super::Finding;

/// Less free space than this is worth a warning.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// With less free space than this even the lock may not be written.
const FREE_BYTES_FULL: u64 = 16 << 20;

/// The links that are tried, best first.
const LINKS: [LinkKind; 4] = [
    LinkKind::Reflink,
    LinkKind::Hardlink,
    LinkKind::Symlink,
    LinkKind::Copy,
];

/// Returns the findings, and the project if there is one that can be looked into.
pub(super) fn examine(ctx: &Ctx) -> (Vec<Finding>, Option<Project>) {
    let outer = ctx.env.outer_settings();
    let (root, personality) = match project::find_root(&ctx.dir) {
        Ok(found) => found,
        Err(project::Error::NotAProject { .. }) => {
            let mut findings = vec![Finding::ok(
                "project",
                "none here or above; `cvops init` sets one up",
            )];
            findings.extend(settings(&SettingsFile::outer(&CVOPS, &outer)));
            findings.extend(volumes(&[("disk", &ctx.dir)]));
            return (findings, None);
        }
        Err(error) => return (Finding::of_error("project", &error.into()), None),
    };
    let layout = Layout::new(&root, &personality);
    let kind = if personality == DVC {
        "a DVC repository"
    } else if root.join(CVOPS.pipeline_file).is_file() {
        "a cvops project"
    } else {
        "a cvops project without a `pipeline.yaml`"
    };
    let mut findings = vec![Finding::ok(
        "project",
        format!("{kind}: {}", root.display()),
    )];
    let files = SettingsFile::of_project(&root, &layout, &personality, &outer);
    findings.extend(settings(&files));
    // What is wrong with them has been said; the rest is looked at with the defaults.
    let config = Config::load(&root, &layout, &personality, &outer)
        .unwrap_or_else(|_| Config::defaults(&layout));
    let project = Project {
        root,
        personality,
        config,
        layout,
    };
    findings.extend(state_in_git(&project.layout));
    findings.push(cache(&project));
    let on_cache = nearest_folder(&project.config.cache_dir);
    findings.extend(volumes(&[
        ("disk", &project.root),
        ("cache disk", &on_cache),
    ]));
    findings.push(lock(&project));
    findings.push(leftovers(&project));
    findings.extend(databases(&project));
    (findings, Some(project))
}

fn settings(files: &[SettingsFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut read = Vec::new();
    for file in files {
        let checked = match file.read() {
            Ok(None) => continue,
            Ok(Some(document)) => file.check(document.source.text.clone()).map(drop),
            Err(error) => Err(error),
        };
        match checked {
            Ok(()) => read.push(file.name.as_str()),
            Err(error) => findings.extend(Finding::of_error("settings", &error.into())),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "settings",
            match read.as_slice() {
                [] => "none, the defaults hold".to_owned(),
                read => read.join(", "),
            },
        ));
    }
    findings
}

/// Says when git would see the cache and the databases.
fn state_in_git(layout: &Layout) -> Option<Finding> {
    if !layout.state_dir().exists() || layout.gitignore().exists() {
        return None;
    }
    Some(Finding::warning(
        "git",
        "`.cvops/.gitignore` is missing: `git add` would take the cache and the record of runs",
        "`cvops init` writes it anew",
    ))
}

/// Returns `path` or the nearest folder above it that exists.
fn nearest_folder(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|dir| dir.is_dir());
    found.unwrap_or(Path::new("/")).to_owned()
}

/// Tries out which links work between cache and workspace.
fn cache(project: &Project) -> Finding {
    let dir = &project.config.cache_dir;
    let from = nearest_folder(dir);
    let to = nearest_folder(project.layout.state_dir());
    let shown = dir.strip_prefix(&project.root).unwrap_or(dir).display();
    let works = match fs::working_links(&from, &to, &LINKS) {
        Ok(works) => works,
        Err(error) => {
            return Finding::problem(
                "cache",
                format!("{shown}: nothing can be written: {error}"),
                "give yourself permission, or set another folder with `cache.dir`",
            );
        }
    };
    let name = |kind: &LinkKind| kind.name();
    let used = project.config.link_kinds.iter().find(|k| works.contains(k));
    let others: Vec<&str> = works.iter().map(name).collect();
    let others = others.join(", ");
    match used {
        None => {
            let asked: Vec<&str> = project.config.link_kinds.iter().map(name).collect();
            Finding::problem(
                "cache",
                format!(
                    "{shown}: none of `cache.type: [{}]` works here (what works: {others})",
                    asked.join(", ")
                ),
                "add `copy` to `cache.type`, or move the cache to the project's file system",
            )
        }
        Some(LinkKind::Copy) => Finding::ok(
            "cache",
            format!("{shown}: files are copied (what works here: {others})"),
        ),
        Some(kind) => Finding::ok(
            "cache",
            format!(
                "{shown}: files are placed by {} (what works here: {others})",
                name(kind)
            ),
        ),
    }
}

/// Looks at the file system of each folder; two folders on one are told once.
fn volumes(folders: &[(&'static str, &Path)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    for (what, dir) in folders {
        let volume = match fs::volume(dir) {
            Ok(volume) => volume,
            Err(error) => {
                findings.push(Finding::warning(
                    what,
                    format!("{} cannot be inspected: {error}", dir.display()),
                    "check that the folder exists",
                ));
                continue;
            }
        };
        let device = device_of(dir);
        if seen.contains(&device) {
            continue;
        }
        seen.push(device);
        let kind = volume
            .kind
            .map_or_else(String::new, |kind| format!(" on {kind}"));
        let text = format!(
            "{} of {} free{kind}",
            units::bytes(volume.free_bytes),
            units::bytes(volume.total_bytes)
        );
        findings.push(if volume.free_bytes < FREE_BYTES_FULL {
            Finding::problem(what, text, "free some space: results cannot be kept")
        } else if volume.is_network {
            Finding::warning(
                what,
                format!("{text}: locks and databases are not safe on a network file system"),
                "work in a folder of this machine; the cache may stay where it is (`cache.dir`)",
            )
        } else if volume.free_bytes < FREE_BYTES_MIN {
            Finding::warning(what, text, "free some space before a large run")
        } else {
            Finding::ok(what, text)
        });
    }
    findings
}

#[cfg(unix)]
fn device_of(dir: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(dir).ok().map(|metadata| metadata.dev())
}

#[cfg(not(unix))]
fn device_of(_: &Path) -> Option<u64> {
    None
}

fn lock(project: &Project) -> Finding {
    let alone = ProjectLock::peek(&project.layout);
    let others = || claims::look(&project.layout).living.into_iter().next();
    let Some(holder) = alone.or_else(others) else {
        return Finding::ok("lock", "free");
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "says for how long it has been held"
    )]
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    let held = now
        .unwrap_or_default()
        .as_secs()
        .saturating_sub(holder.since);
    Finding::warning(
        "lock",
        format!(
            "held by `{}` (pid {}) for {}",
            holder.command,
            holder.pid,
            units::duration(Duration::from_secs(held))
        ),
        "commands that write wait for it; `kill` it if it hangs",
    )
}

/// Looks for what killed commands left: it is harmless, and shows what happened.
fn leftovers(project: &Project) -> Finding {
    let layout = &project.layout;
    let names = |dir: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    };
    let mut parts = Vec::new();
    let interrupted = names(&layout.scratch());
    if !interrupted.is_empty() {
        let what = super::some(&interrupted);
        parts.push(format!("scratch folders of {what}, which go on from there"));
    }
    let look = claims::look(layout);
    let busy = ProjectLock::peek(layout).is_some() || !look.living.is_empty();
    if !look.left.is_empty() {
        parts.push(format!(
            "marks of stages that were killed: {}",
            super::some(&look.left)
        ));
    }
    let trials: Vec<String> = names(&layout.all_trials())
        .into_iter()
        .filter(|sweep| !journal::is_running(layout, sweep))
        .collect();
    if !trials.is_empty() {
        parts.push(format!("work trees of trials: {}", super::some(&trials)));
    }
    let staging = project.config.cache_dir.join("tmp");
    let temporary = [layout.tmp(), layout.state_dir().to_owned(), staging]
        .iter()
        .flat_map(|dir| names(dir))
        .filter(|name| fs::is_temp_name(name))
        .count();
    if temporary != 0 && !busy {
        parts.push(units::count(temporary, "temporary file"));
    }
    match parts.as_slice() {
        [] => Finding::ok("leftovers", "none"),
        parts => Finding::warning(
            "leftovers",
            parts.join("; "),
            "`cvops repro` uses or removes them, the next sweep its trials; `cvops cache verify` sweeps the cache",
        ),
    }
}

fn databases(project: &Project) -> Vec<Finding> {
    let layout = &project.layout;
    let mut findings = Vec::new();
    for (what, path, is_cache) in [
        ("state", layout.state_db(), true),
        ("tracking", layout.tracking_db(), false),
    ] {
        if !path.exists() {
            continue;
        }
        let shown = path.strip_prefix(&project.root).unwrap_or(&path);
        let shown = shown.display().to_string();
        let damage = match db::quick_check(&path) {
            Ok(damage) if damage.is_empty() => {
                let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
                findings.push(Finding::ok(
                    what,
                    format!("{shown} is sound ({})", units::bytes(size)),
                ));
                continue;
            }
            Ok(damage) => format!("{shown} is damaged: {}", damage[0]),
            Err(error) => first_message(&error.into()),
        };
        findings.push(if is_cache {
            let help = "delete it: files are hashed again, nothing is lost";
            Finding::warning(what, damage, help)
        } else {
            let help = format!(
                "restore it from a backup, or move `{shown}` aside: the record of runs begins anew"
            );
            Finding::problem(what, damage, help)
        });
    }
    findings
}

fn first_message(error: &CliError) -> String {
    error
        .diagnostics
        .first()
        .map_or_else(String::new, super::one_line)
}
