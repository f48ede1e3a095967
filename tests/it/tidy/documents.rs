//! Markdown as the rules see it: relative links, headings, and whether both meet.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::source::{files, shown};

/// Folders whose Markdown is not ours, or is made by a run.
const SKIPPED: [&str; 7] = [
    ".git",
    "target",
    ".cvops",
    "fashion5k",
    "models",
    "reports",
    "node_modules",
];

/// Complains about every relative link of every Markdown file below `root` that leads nowhere.
pub(crate) fn broken_links(root: &Path) -> Vec<String> {
    let enter = |dir: &Path| {
        !dir.file_name()
            .is_some_and(|name| SKIPPED.iter().any(|skipped| name == *skipped))
    };
    let mut complaints = Vec::new();
    for path in files(root, &enter) {
        if path.extension().is_none_or(|e| e != "md") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else {
            complaints.push(format!("{}: not readable as text", shown(root, &path)));
            continue;
        };
        for link in links(&text) {
            if let Err(why) = resolve(root, &path, &link) {
                complaints.push(format!("{}: link `{link}` {why}", shown(root, &path)));
            }
        }
    }
    complaints
}

/// Does a relative link lead to a file of the repository, and to a heading if it names one?
fn resolve(root: &Path, from: &Path, link: &str) -> Result<(), String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (file, heading) = link
        .split_once('#')
        .map_or((link, None), |(f, h)| (f, Some(h)));
    let target = if file.is_empty() {
        from.to_owned()
    } else {
        normalised(&from.parent().unwrap_or(root).join(file))
    };
    if !target.starts_with(root) {
        return Err("leaves the repository".to_owned());
    }
    if !target.exists() {
        return Err("leads nowhere".to_owned());
    }
    match (heading, fs::read_to_string(&target)) {
        (Some(heading), Ok(text)) if !anchors(&text).contains(heading) => {
            Err("names a heading that is not there".to_owned())
        }
        _ => Ok(()),
    }
}

fn normalised(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Returns the lines outside fenced code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Returns the targets of `[text](target)` and `[name]: target`, not those in code.
pub(crate) fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        // Every second piece of a line split at backticks is code.
        let visible: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        let mut rest = visible.as_str();
        while let Some((_, tail)) = rest.split_once("](") {
            let end = tail.find([')', ' ']).unwrap_or(tail.len());
            links.push(tail[..end].trim_matches(['<', '>']).to_owned());
            rest = &tail[end..];
        }
        if let Some((name, target)) = visible.strip_prefix('[').and_then(|l| l.split_once("]: "))
            && !name.contains(']')
        {
            links.extend(target.split_whitespace().next().map(str::to_owned));
        }
    }
    links
}

/// Returns the anchors of a document's headings as forges make them: lower case, blanks to `-`,
/// punctuation gone.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter_map(|line| {
            line.trim_start_matches('#')
                .strip_prefix(' ')
                .filter(|_| line.starts_with('#'))
        })
        .map(|heading| {
            heading
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_code_do_not_count() {
        let text =
            "[a](x.md) `[b](y.md)` [`c`](z.md#top \"t\")\n```\n[d](w.md)\n```\n[e]: <v.md>\n";
        let mut found = links(text);
        found.sort();
        assert_eq!(found, ["<v.md>", "x.md", "z.md#top"]);
    }

    #[test]
    fn anchors_are_spelt_as_forges_do() {
        let anchors = anchors("# When does a stage run?\ntext\n## `cvops` & co\n```\n# no\n```\n");
        assert_eq!(
            anchors,
            ["cvops--co".to_owned(), "when-does-a-stage-run".to_owned()].into()
        );
    }

    #[test]
    fn a_dead_link_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let text = "# T\n[1](b.md) [2](#t) [3](#u) [4](../x) [5](https://e.org) [6](sub/)\n";
        fs::write(dir.path().join("a.md"), text).unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        assert_eq!(
            broken_links(dir.path()),
            [
                "a.md: link `b.md` leads nowhere",
                "a.md: link `#u` names a heading that is not there",
                "a.md: link `../x` leaves the repository",
            ]
        );
    }
}
