//! Git hooks that keep data in step with git, and the merge driver for lock and pointer files.
//! Imports: `base`, `project`.
//!
//! A hook of the user's own is kept: ours is a marked block behind it, replaced when it is installed
//! again. The merge driver is two lines of the repository's git configuration and one line per kind
//! of file in `.gitattributes`; where it is not installed, git merges these files as text.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::base;
use crate::base::fs::{self, Executable, fault};

use super::discover::Project;
use super::error::Error;
use super::git;

const BEGIN: &str = "# cvops: begin (written by `cvops install`)";
const END: &str = "# cvops: end";

/// Installs the hooks and the merge driver; returns the files that were changed, as absolute paths.
/// Doing it again changes nothing.
///
/// # Errors
/// Git is not used, a hook of the user's is no shell script (nothing is changed then), or something
/// cannot be written.
pub fn install(project: &Project) -> Result<Vec<PathBuf>, Error> {
    let Some(top) = git::work_tree_root(&project.root).filter(|_| !project.config.no_scm) else {
        let root = project.root.clone();
        return Err(Error::WithoutGit { root });
    };
    let dir = hooks_dir(&project.root)?;
    let inside = project.root.strip_prefix(&top).unwrap_or(Path::new(""));
    let mut planned = Vec::new();
    for (name, block) in blocks(inside) {
        let path = dir.join(name);
        let old = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(base::Error::io("read", &path)(e).into()),
        };
        let new =
            with_block(&old, &block).ok_or_else(|| Error::HookTaken { path: path.clone() })?;
        if new != old {
            planned.push((path, new));
        }
    }
    let mut changed = Vec::new();
    fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
    for (path, text) in planned {
        fault::point("hook").map_err(base::Error::io("write", &path))?;
        fs::write_atomic(&path, text.as_bytes()).map_err(base::Error::io("write", &path))?;
        fs::set_executable(&path, Executable::Yes)
            .map_err(base::Error::io("change the mode of", &path))?;
        changed.push(path);
    }
    set_driver(&project.root)?;
    changed.extend(attributes(project)?);
    Ok(changed)
}

/// Returns the hooks with their lines; `inside` is where the project lies in the work tree.
fn blocks(inside: &Path) -> [(&'static str, String); 3] {
    let cvops = if inside.as_os_str().is_empty() {
        "cvops".to_owned()
    } else {
        let inside = inside.display().to_string().replace('\'', r"'\''");
        format!("cvops -C '{inside}'")
    };
    let checkout = format!(
        "if [ \"$3\" = 1 ] && [ ! -d \"$(git rev-parse --git-path rebase-merge)\" ]; then\n  \
         {cvops} checkout || exit\nfi\n"
    );
    let status = format!("{cvops} status || exit\n");
    let push = format!(
        "if {cvops} --quiet remote default >/dev/null 2>&1; then\n  {cvops} push || exit\nfi\n"
    );
    [
        ("post-checkout", checkout),
        ("pre-commit", status),
        ("pre-push", push),
    ]
}

/// Returns the text of a hook with our block in it; `None` where it could not run.
fn with_block(old: &str, lines: &str) -> Option<String> {
    let block = format!("{BEGIN}\n{lines}{END}\n");
    if let (Some(begin), Some(end)) = (old.find(BEGIN), old.find(END)) {
        let after = old.get(end + END.len()..)?;
        let after = after.strip_prefix('\n').unwrap_or(after);
        return (begin < end).then(|| format!("{}{block}{after}", &old[..begin]));
    }
    if old.trim().is_empty() {
        return Some(format!("#!/bin/sh\n{block}"));
    }
    let first = old.lines().next().unwrap_or_default();
    let is_shell = first.starts_with("#!")
        && ["sh", "bash", "dash", "zsh", "ksh"]
            .iter()
            .any(|shell| first.split(['/', ' ']).any(|word| word == *shell));
    // What stands behind these is never reached.
    let last = old
        .lines()
        .map(str::trim)
        .rfind(|l| !l.is_empty() && !l.starts_with('#'));
    let ends = last.is_some_and(|line| line.starts_with("exec ") || line.starts_with("exit"));
    if !is_shell || ends {
        return None;
    }
    let gap = if old.ends_with('\n') { "" } else { "\n" };
    Some(format!("{old}{gap}{block}"))
}

/// Returns the folder of hooks, which `core.hooksPath` may put elsewhere.
fn hooks_dir(root: &Path) -> Result<PathBuf, Error> {
    let text = run(root, &["rev-parse", "--git-path", "hooks"])?;
    Ok(root.join(text.trim_end()))
}

fn set_driver(root: &Path) -> Result<(), Error> {
    let driver = "cvops merge-driver --ancestor %O --our %A --their %B --path %P";
    run(
        root,
        &[
            "config",
            "merge.cvops.name",
            "lock and pointer files of cvops and DVC",
        ],
    )?;
    run(root, &["config", "merge.cvops.driver", driver])?;
    Ok(())
}

/// Says in `.gitattributes` which files the driver merges.
fn attributes(project: &Project) -> Result<Option<PathBuf>, Error> {
    let path = project.root.join(".gitattributes");
    let old = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(base::Error::io("read", &path)(e).into()),
    };
    let (lock, suffix) = (
        project.personality.lock_file,
        project.personality.pointer_suffix,
    );
    let mut new = old.clone();
    for line in [
        format!("{lock} merge=cvops"),
        format!("*{suffix} merge=cvops"),
    ] {
        if old.lines().any(|known| known.trim() == line) {
            continue;
        }
        if !new.is_empty() && !new.ends_with('\n') {
            new.push('\n');
        }
        new.push_str(&line);
        new.push('\n');
    }
    if new == old {
        return Ok(None);
    }
    fs::write_through_links(&path, new.as_bytes()).map_err(base::Error::io("write", &path))?;
    Ok(Some(path))
}

fn run(root: &Path, args: &[&str]) -> Result<String, Error> {
    let output = Command::new("git")
        .current_dir(root)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| git::start_failed(root, e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(git::failure(root, &said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_of_the_user_are_kept() {
        let new = with_block("", "a\n").unwrap();
        assert_eq!(new, format!("#!/bin/sh\n{BEGIN}\na\n{END}\n"));
        assert_eq!(with_block(&new, "a\n").unwrap(), new);
        assert_eq!(
            with_block(&new, "b\n").unwrap(),
            new.replace("\na\n", "\nb\n")
        );
        let theirs = with_block("#!/usr/bin/env bash\nmake lint", "a\n").unwrap();
        assert!(theirs.starts_with("#!/usr/bin/env bash\nmake lint\n# cvops"));
        assert_eq!(with_block("#!/usr/bin/python3\n", "a\n"), None);
        assert_eq!(
            with_block("#!/bin/sh\nexec dvc git-hook pre-push $@\n", "a\n"),
            None
        );
    }
}
