//! Manifests: files that list pictures with their labels, as a table or as JSON lines.
//!
//! ```text
//! path,label,split                    {"path": "img/1.png", "label": "cat", "split": "train"}
//! img/1.png,cat,train                 {"path": "img/2.png", "label": "dog", "split": "test"}
//! ```
//!
//! Paths are relative to the manifest's folder and stay in it, so that whoever depends on that folder
//! depends on all that is read. Without a split in any row, pictures are split as those of a folder are.
//! Other columns mean nothing here. All mistakes of a file are told at once, each with its line.
//! Imports: `dataset::{found, manifest::rows, source, split}`.

mod rows;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use crate::vision::Error;

use super::found::Found;
use super::source::folder_of;
use super::split::Split;

/// Largest manifest: two million rows of a hundred bytes. It is read as a whole; how many rows it may have
/// says `PICTURES_MAX`.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// How a manifest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A line of column names, then one line for each picture.
    Csv,
    /// One JSON object in a line.
    JsonLines,
}

impl Format {
    /// Returns what the extension says; `None` if it is no manifest's.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// What is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// From 1; none if it is no single line's.
    pub line: Option<u64>,
    /// In one sentence.
    pub text: String,
}

impl Mistake {
    /// Returns it as a message says it: `` `pets.csv:3`: the label is empty ``.
    pub(crate) fn told(&self, path: &Path) -> String {
        let path = path.display();
        match self.line {
            Some(line) => format!("`{path}:{line}`: {}", self.text),
            None => format!("`{path}`: {}", self.text),
        }
    }
}

/// Reads the manifest `path`. No picture is opened, but each must be there.
///
/// # Errors
/// The file cannot be read, or has mistakes: all of them.
pub(super) fn look(path: &Path, format: Format) -> Result<Found, Error> {
    let refuse = |mistakes| Error::Manifest {
        path: path.to_owned(),
        mistakes,
    };
    let whole = |text: String| Mistake { line: None, text };
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    if MANIFEST_BYTES_MAX < bytes.len() as u64 {
        let text = format!("it is larger than {MANIFEST_BYTES_MAX} bytes");
        return Err(refuse(vec![whole(text)]));
    }
    let (rows, mut mistakes) = rows::read(&bytes, format);
    let folder = folder_of(path);
    for row in &rows {
        if let Some(text) = missing(folder, &row.path) {
            let line = Some(row.line);
            mistakes.push(Mistake { line, text });
        }
    }
    let given: BTreeSet<Split> = rows.iter().filter_map(|row| row.split).collect();
    if mistakes.is_empty() {
        if rows.is_empty() {
            mistakes.push(whole("it lists no pictures".to_owned()));
        } else if !given.is_empty() && !given.contains(&Split::Train) {
            mistakes.push(whole("no row is of the split `train`".to_owned()));
        }
    }
    if !mistakes.is_empty() {
        mistakes.sort_by_key(|mistake| mistake.line);
        return Err(refuse(mistakes));
    }
    let mut found = Found {
        splits: given.iter().map(|s| (s.name().to_owned(), *s)).collect(),
        ..Found::default()
    };
    for row in rows {
        found.add(row.split, &row.label, row.path);
    }
    Ok(found)
}

/// Says why `path` is no file below `folder`.
fn missing(folder: &Path, path: &str) -> Option<String> {
    match fs::metadata(folder.join(path)) {
        Ok(found) if found.is_file() => None,
        Ok(found) if found.is_dir() => Some(format!("`{path}` is a folder")),
        // A pipe would be waited for, a device read without end.
        Ok(_) => Some(format!("`{path}` is no file")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Some(format!("there is no picture `{path}`"))
        }
        Err(e) => Some(format!("`{path}` could not be read: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ToDiagnostics as _;
    use crate::base::fs::{create_dir_all, write_atomic};
    use crate::vision::dataset::scan;

    /// A folder with these files, each with its own name in it.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            create_dir_all(path.parent().unwrap()).unwrap();
            write_atomic(&path, file.as_bytes()).unwrap();
        }
        dir
    }

    /// What is said of the manifest `name`, the folder left out.
    fn told(dir: &Path, name: &str, text: &str) -> Vec<String> {
        let path = dir.join(name);
        write_atomic(&path, text.as_bytes()).unwrap();
        let error = scan(&path).unwrap_err();
        let [diagnostic] = &error.to_diagnostics()[..] else {
            panic!("{error}");
        };
        let all = [&[diagnostic.headline.clone()][..], &diagnostic.notes].concat();
        let prefix = format!("{}/", dir.display());
        all.iter().map(|line| line.replace(&prefix, "")).collect()
    }

    #[test]
    fn a_list_of_a_folder_is_that_folder() {
        let files = ["cat/2.png", "cat/10.png", "dog/1.png"];
        let dir = folder(&files);
        let of_folder = scan(dir.path()).unwrap();
        for (name, text) in [
            (
                "all.csv",
                "\u{feff}label, path ,by\r\ndog,./dog/1.png,me\r\n\r\ncat,cat/2.png,\r\n\"cat\",cat//10.png,you\r\n",
            ),
            (
                "all.jsonl",
                "{\"path\":\"cat/10.png\",\"label\":\"cat\",\"split\":null}\n\n{\"label\":\"cat\",\"path\":\"cat/2.png\",\"width\":3}\r\n{\"path\":\"dog/1.png\",\"label\":\"dog\"}",
            ),
        ] {
            let path = dir.path().join(name);
            write_atomic(&path, text.as_bytes()).unwrap();
            assert_eq!(scan(&path).unwrap(), of_folder, "{name}");
        }
    }

    #[test]
    fn splits_are_those_of_the_rows() {
        let dir = folder(&["1.png", "2.png", "3.png"]);
        let path = dir.path().join("m.csv");
        let text = "path,split,label\n1.png,train,7\n2.png,Training,8\n3.png,valid,7\n";
        write_atomic(&path, text.as_bytes()).unwrap();
        let dataset = scan(&path).unwrap();
        assert_eq!(dataset.given, [Split::Train, Split::Val]);
        let given: Vec<_> = dataset.images.iter().map(|image| image.given).collect();
        assert_eq!(given, [Split::Train, Split::Train, Split::Val].map(Some));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let dir = folder(&["a/1.png", "b/1.png"]);
        let text = "path,label,split\na/1.png,a,train\nb/1.png,,test\nb/9.png,b,test\na/1.png,b,test\n../x.png,a,train\n/x.png,a,train\na,a,dev\n\n,a\n";
        assert_eq!(
            told(dir.path(), "m.csv", text),
            [
                "`m.csv` has 7 mistakes",
                "`m.csv:3`: the label is empty",
                "`m.csv:4`: there is no picture `b/9.png`",
                "`m.csv:5`: `a/1.png` is in line 2 already, as `a`",
                "`m.csv:6`: `../x.png` leaves the folder of the manifest",
                "`m.csv:7`: `/x.png` is absolute: paths are relative to the folder of the manifest",
                "and 2 more",
            ]
        );
        for (name, text, expected) in [
            ("m.csv", "", "`m.csv`: it is empty"),
            ("m.csv", "path,label\n", "`m.csv`: it lists no pictures"),
            (
                "m.csv",
                "file;label\n",
                "`m.csv:1`: there is no column `path`: they are `file;label`",
            ),
            (
                "m.csv",
                "path,label\na/1.png,a,b\n",
                "`m.csv:2`: it has 3 fields, the first line 2",
            ),
            (
                "m.csv",
                "path,label,split\na/1.png,a,test\n",
                "`m.csv`: no row is of the split `train`",
            ),
            (
                "m.csv",
                "path,label,split\na/1.png,a,dev\n",
                "`m.csv:2`: there is no split `dev`: it must be `train`, `val` or `test`",
            ),
            ("m.csv", "path,label\na,a\n", "`m.csv:2`: `a` is a folder"),
            ("m.ndjson", "\n\n", "`m.ndjson`: it lists no pictures"),
            (
                "m.ndjson",
                "\n{\"path\": 3, \"label\": 1}",
                "`m.ndjson:2`: `path` must be a text",
            ),
            (
                "m.ndjson",
                "{\"path\": \"a/1.png\"}",
                "`m.ndjson:1`: there is no `label`",
            ),
            (
                "m.ndjson",
                "{\"path\": \"a/1.png\", \"label\": 1.5}",
                "`m.ndjson:1`: `label` must be a text or a whole number",
            ),
            (
                "m.ndjson",
                "{\"path\": \"a/1.png\", \"label\": \"a\", \"split\": \"train\"}\n{\"path\": \"b/1.png\", \"label\": 1}",
                "`m.ndjson:2`: it has no split, and other lines have one",
            ),
            (
                "m.ndjson",
                "[1]",
                "`m.ndjson:1`: it is no JSON object: invalid type: sequence, expected a map",
            ),
        ] {
            assert_eq!(told(dir.path(), name, text), [expected], "{text}");
        }
    }

    #[test]
    fn a_manifest_that_is_missing() {
        let error = scan(Path::new("no/such.csv")).unwrap_err();
        assert_eq!(error.to_string(), "there is no manifest `no/such.csv`");
    }
}
