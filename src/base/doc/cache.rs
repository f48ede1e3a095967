//! Parsed YAML, kept as JSON: a large file that has not changed is not parsed as YAML again.
//!
//! Why: YAML is an order of magnitude slower to parse than JSON, and a no-op command on a thousand
//! stages is little else than parsing the pipeline and its lock. The kept form names the hash of
//! the text it stands for, so it can be stale, damaged or deleted at any time and only costs time.
//! Imports: `base::{doc, fs, hash}`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::diag::Source;
use crate::base::hash::ContentHash;
use crate::base::{Error, fs};

use super::document::{Document, Format};
use super::value::Value;

/// Smaller files are parsed faster than a second file is opened.
const BYTES_MIN: usize = 32 * 1024;

/// Counts the changes in what a text means, so that no text is read as an older reader understood it.
const READER: u32 = 2;

/// A folder of parsed documents.
#[derive(Clone, Debug)]
pub struct ParseCache {
    dir: PathBuf,
}

#[derive(Serialize)]
struct Kept<'a> {
    text: &'a str,
    root: &'a Value,
}

#[derive(Deserialize)]
struct Found {
    text: String,
    root: Value,
}

impl ParseCache {
    /// Keeps parsed documents in `dir`, which is created when needed.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Reads and parses the file at `path`, shown to the user as `name`, like `Document::read`.
    ///
    /// # Errors
    /// As `Document::read`; never because of the cache.
    pub fn read(&self, path: &Path, name: &str) -> Result<Document, Error> {
        let is_large = std::fs::metadata(path).is_ok_and(|m| BYTES_MIN as u64 <= m.len());
        if Format::of_path(path) != Format::Yaml || !is_large {
            return Document::read(path, name);
        }
        let Ok(text) = std::fs::read_to_string(path) else {
            // Let the plain way say what is wrong.
            return Document::read(path, name);
        };
        let hash = format!("{READER}:{}", ContentHash::of(text.as_bytes()));
        let kept = self.dir.join(format!("{}.json", name.replace('/', "_")));
        let found = std::fs::read(&kept)
            .ok()
            .and_then(|b| serde_json::from_slice::<Found>(&b).ok());
        if let Some(found) = found.filter(|f| f.text == hash) {
            let source = Arc::new(Source {
                name: name.to_owned(),
                text,
            });
            return Ok(Document::new(source, Format::Yaml, found.root));
        }
        let document = Document::parse(name, text, Format::Yaml)?;
        if is_json(&document.root)
            && let Err(error) = self.keep(
                &kept,
                &Kept {
                    text: &hash,
                    root: &document.root,
                },
            )
        {
            tracing::debug!(%error, path = %kept.display(), "a parsed document could not be kept");
        }
        Ok(document)
    }

    fn keep(&self, path: &Path, kept: &Kept<'_>) -> std::io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let mut staged = fs::Staged::new_in(&self.dir)?;
        staged.file().write_all(&serde_json::to_vec(kept)?)?;
        staged.commit(path)
    }
}

/// Can JSON say it? Infinities and NaN it cannot.
fn is_json(value: &Value) -> bool {
    match value {
        Value::Float(x) => x.is_finite(),
        Value::List(items) => items.iter().all(is_json),
        Value::Map(map) => map.values().all(is_json),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Str(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_form_says_the_same_and_follows_the_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big.yaml");
        let cache = ParseCache::new(dir.path().join("parsed"));
        let mut text = "a: [1, 1.0, 0.1, 1e-7, '1', null, true]\n".to_owned();
        for i in 0..4000 {
            text += &format!("key{i}: {{x: {i}.5, y: text {i}}}\n");
        }
        for edit in ["", "last: 1\n", "last: .nan\n"] {
            fs::write_atomic(&path, format!("{text}{edit}").as_bytes()).unwrap();
            let plain = Document::read(&path, "big.yaml").unwrap().root.to_string();
            for _ in 0..2 {
                assert_eq!(
                    cache.read(&path, "big.yaml").unwrap().root.to_string(),
                    plain
                );
            }
        }
        fs::write_atomic(&dir.path().join("parsed/big.yaml.json"), b"{").unwrap();
        assert!(cache.read(&path, "big.yaml").is_ok());
    }
}
