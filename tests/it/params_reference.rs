//! The reference of `params.yaml` says what the readers read: same keys, values and defaults.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Returns the rows of a Markdown table after its head, cells trimmed.
fn rows<'t>(lines: impl Iterator<Item = &'t str>) -> Vec<Vec<String>> {
    lines
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect())
        .skip_while(|row: &Vec<String>| !row[0].starts_with("---"))
        .filter(|row| row[0].starts_with('`'))
        .collect()
}

/// Returns the keys in backticks of a row's first cell: one row may stand for several.
fn keys(row: &[String]) -> Vec<String> {
    let parts = row[0].split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

/// Returns the sections of the reference: heading (without backticks) and rows.
fn sections(reference: &str) -> Vec<(String, Vec<Vec<String>>)> {
    reference
        .split("\n## ")
        .skip(1)
        .map(|section| {
            let (title, body) = section.split_once('\n').unwrap_or((section, ""));
            (title.trim_matches('`').to_owned(), rows(body.lines()))
        })
        .collect()
}

#[test]
fn every_key_of_the_readers_is_explained_and_no_other() {
    let reference = sections(&read("docs/reference/params.md"));
    for (section, source) in [
        ("preprocess", "src/vision/params.rs"),
        ("model", "src/vision/model/read.rs"),
        ("train", "src/vision/train/params.rs"),
        ("train.augment", "src/vision/augment.rs"),
        ("evaluate", "src/vision/evaluate/params.rs"),
        ("drift", "src/detect/params.rs"),
        ("serve", "src/serve/config.rs"),
    ] {
        let text = read(source);
        // The table is in the module's header, or in the doc comment of the section's type.
        let comments = text
            .lines()
            .filter_map(|line| line.strip_prefix("//! ").or(line.strip_prefix("/// ")));
        let read_keys: Vec<String> = rows(comments).iter().flat_map(|row| keys(row)).collect();
        assert!(!read_keys.is_empty(), "{source} has no table of keys");
        let (_, explained) = reference
            .iter()
            .find(|(title, _)| title == section)
            .unwrap_or_else(|| panic!("docs/reference/params.md has no section `{section}`"));
        let explained_keys: Vec<String> = explained.iter().flat_map(|row| keys(row)).collect();
        let missing: Vec<&String> = read_keys
            .iter()
            .filter(|key| !explained_keys.contains(key))
            .collect();
        assert!(
            missing.is_empty(),
            "`{section}` does not explain {missing:?}"
        );
        let unknown: Vec<&String> = explained_keys
            .iter()
            .filter(|key| !read_keys.contains(key))
            .collect();
        assert!(
            unknown.is_empty(),
            "`{section}` explains {unknown:?}, which nothing reads"
        );
        for row in explained {
            assert_eq!(row.len(), 4, "meaning, values and default of {}", row[0]);
        }
    }
}

#[test]
fn the_example_uses_keys_that_are_explained() {
    let reference = read("docs/reference/params.md");
    for line in read("params.yaml").lines() {
        let line = line.trim_start();
        if line.starts_with(['#', '-']) {
            continue;
        }
        let Some((key, _)) = line.split_once(':') else {
            continue;
        };
        let forms = [format!("`{key}`"), format!("`{key}."), format!(".{key}`")];
        let explained = forms.iter().any(|form| reference.contains(form));
        assert!(explained, "`{key}`");
    }
}
