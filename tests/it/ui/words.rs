//! What the pages tell people to type exists.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the templates below a folder.
fn templates(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.extension() {
            None if path.is_dir() => templates(&path),
            Some(ending) if ending == "html" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

/// The commands of a template: each up to the end of its line or element.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let begins = ["<code>cvops ", "<pre>cvops ", "\ncvops "];
    begins
        .into_iter()
        .flat_map(|begin| text.split(begin).skip(1))
        .map(|rest| rest.split(['<', '\n', '{', '#', '&', '\'']).next().unwrap())
}

#[test]
fn commands_on_pages_are_in_the_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for path in templates(&root.join("src/ui")) {
        let text = fs::read_to_string(&path).unwrap();
        for command in commands(&text) {
            let mut words = command.split_whitespace();
            let name = words.next().unwrap();
            let page = root.join(format!("docs/reference/commands/{name}.md"));
            let page = fs::read_to_string(&page)
                .unwrap_or_else(|_| panic!("{}: `cvops {command}`", path.display()));
            let words: Vec<&str> = words.collect();
            for (at, word) in words.iter().enumerate() {
                let is_flag = word.starts_with("--");
                // A word that names one of a few values, or what the command is to do.
                let is_chosen = at > 0 && words[at - 1] == "--template";
                let is_verb = at == 0 && word.chars().all(|c| c.is_ascii_lowercase());
                assert!(
                    !(is_flag || is_chosen || is_verb) || page.contains(word),
                    "{}: `cvops {command}`: `{word}` is not in the reference",
                    path.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}
