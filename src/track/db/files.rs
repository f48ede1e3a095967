//! Names of artifacts: what clients uploaded (`artifact_files`), and which outputs the stages of a
//! run had (`artifacts`). Imports: base, db, artifacts, run, rusqlite.

use crate::base::ObjectId;
use crate::track::artifacts::{Entry, FileRecord, OutputRecord, Stored};
use crate::track::error::Error;
use crate::track::run::RunId;

use super::{Reader, Writing, signed};

/// Names that are read at once from a folder.
const ROWS_AT_ONCE: usize = 500;

/// How many of the latest runs are looked at for an output: older ones are found by their own pages.
const RUNS_LOOKED_AT: i64 = 5000;

/// As the table keeps it: path, object, size.
type Row = (String, String, i64);

impl Reader<'_> {
    /// Returns the uploaded file at `path`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(in crate::track) fn upload(&self, path: &str) -> Result<Option<FileRecord>, Error> {
        let sql = "SELECT object, size, modified_ms FROM artifact_files WHERE path = ?1";
        let row = self.row(sql, &[&path], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
        })?;
        row.map(|(object, size, modified_ms)| {
            Ok(FileRecord {
                object: object_of(&object)?,
                size: size_of(size)?,
                modified_ms,
            })
        })
        .transpose()
    }

    /// Returns what was uploaded into the folder `path` (empty: the top), by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(in crate::track) fn uploads_in(&self, path: &str) -> Result<Vec<Entry>, Error> {
        let (first, end) = range_of(path);
        let sql = "SELECT path, size FROM artifact_files WHERE path >= ?1 AND path < ?2
                   ORDER BY path LIMIT ?3";
        let mut entries = Vec::new();
        let mut from = first.clone();
        loop {
            let limit = ROWS_AT_ONCE as i64;
            let rows: Vec<(String, i64)> = self.rows(sql, &[&from, &end, &limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            let is_last = rows.len() < ROWS_AT_ONCE;
            for (path, size) in rows {
                // What lies below a folder that was seen.
                if path < from {
                    continue;
                }
                let name = &path[first.len()..];
                if let Some((name, _)) = name.split_once('/') {
                    entries.push(Entry {
                        name: name.to_owned(),
                        is_dir: true,
                        size: None,
                    });
                    // The next text that does not begin with the folder and a slash.
                    from = format!("{first}{name}0");
                } else {
                    entries.push(Entry {
                        name: name.to_owned(),
                        is_dir: false,
                        size: Some(size_of(size)?),
                    });
                    from = path + "\u{1}";
                }
            }
            if is_last {
                return Ok(entries);
            }
        }
    }

    /// Returns all that was uploaded below the folder `path`, by path, without it; not more than `max`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(in crate::track) fn uploads_within(
        &self,
        path: &str,
        max: usize,
    ) -> Result<Vec<(String, u64)>, Error> {
        let (first, end) = range_of(path);
        let limit = i64::try_from(max).unwrap_or(i64::MAX);
        let rows: Vec<(String, i64)> = self.rows(
            "SELECT path, size FROM artifact_files WHERE path >= ?1 AND path < ?2
             ORDER BY path LIMIT ?3",
            &[&first, &end, &limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        rows.into_iter()
            .map(|(path, size)| Ok((path[first.len()..].to_owned(), size_of(size)?)))
            .collect()
    }

    /// Returns the outputs of the stages of a run, by path; nothing if there is no such run.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn outputs(&self, run: RunId) -> Result<Vec<OutputRecord>, Error> {
        let sql = "SELECT a.path, a.object, a.size FROM artifacts a
                   JOIN runs r ON r.number = a.run WHERE r.id = ?1 ORDER BY a.path";
        let rows: Vec<Row> = self.rows(sql, &[&run.to_string()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        rows.into_iter()
            .map(|(path, object, size)| {
                Ok(OutputRecord {
                    path,
                    object: object_of(&object)?,
                    size: size_of(size)?,
                })
            })
            .collect()
    }
}

/// A run that left an output behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunWithOutput {
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// When it began.
    pub started_ms: i64,
    /// What the output was.
    pub object: ObjectId,
}

impl Reader<'_> {
    /// Returns the last `most` runs, not deleted, that left an output at `path`, latest first; only the
    /// latest `RUNS_LOOKED_AT` are looked at.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn runs_with_output(&self, path: &str, most: usize) -> Result<Vec<RunWithOutput>, Error> {
        let sql = "SELECT r.id, r.name, r.started_ms, a.object
                   FROM (SELECT number, id, name, started_ms FROM runs
                         WHERE lifecycle_stage = 'active' ORDER BY number DESC LIMIT ?3) r
                   CROSS JOIN artifacts a ON a.run = r.number AND a.path = ?1
                   ORDER BY r.number DESC LIMIT ?2";
        let values: [&dyn rusqlite::ToSql; 3] = [&path, &(most as i64), &RUNS_LOOKED_AT];
        let rows: Vec<(String, String, i64, String)> = self.rows(sql, &values, |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.into_iter()
            .map(|(id, name, started_ms, object)| {
                Ok(RunWithOutput {
                    id: id.parse().map_err(|_| Error::BadRecord {
                        what: format!("the run id `{id}`"),
                    })?,
                    name,
                    started_ms,
                    object: object_of(&object)?,
                })
            })
            .collect()
    }
}

impl Writing<'_> {
    /// Takes back that `stored` is the file at `path`, unless another one is by now.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn forget_file(&self, path: &str, stored: &Stored) -> Result<(), Error> {
        self.execute(
            "DELETE FROM artifact_files WHERE path = ?1 AND object = ?2",
            &[&path, &stored.object.to_string()],
        )
        .map(drop)
    }

    /// Is there an uploaded file at `path`?
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn has_file(&self, path: &str) -> Result<bool, Error> {
        Ok(self.upload(path)?.is_some())
    }

    /// Writes down that `stored` is the file at `path`, in place of what was there. Its bytes must be
    /// durable.
    ///
    /// # Errors
    /// A folder has the name, or a file that of a folder above it.
    pub fn put_file(&self, path: &str, stored: &Stored, now_ms: i64) -> Result<(), Error> {
        let (first, end) = range_of(path);
        let sql = "SELECT path FROM artifact_files WHERE path >= ?1 AND path < ?2 LIMIT 1";
        let inside: Option<String> = self.row(sql, &[&first, &end], |row| row.get(0))?;
        if inside.is_some() {
            return Err(Error::invalid(format!(
                "Invalid path: '{path}' is a folder of artifacts"
            )));
        }
        for (slash, _) in path.match_indices('/') {
            let above = &path[..slash];
            if self.upload(above)?.is_some() {
                return Err(Error::invalid(format!(
                    "Invalid path: '{above}' is a file, not a folder of artifacts"
                )));
            }
        }
        let size = signed(stored.size);
        self.execute(
            "INSERT INTO artifact_files (path, object, size, modified_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (path) DO UPDATE SET
                 object = excluded.object, size = excluded.size, modified_ms = excluded.modified_ms",
            &[&path, &stored.object.to_string(), &size, &now_ms],
        )?;
        Ok(())
    }

    /// Forgets the uploaded file at `path`, or all below it; their bytes stay in the cache until they
    /// are collected. Returns how many files that were.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn remove_files(&self, path: &str) -> Result<usize, Error> {
        let (first, end) = range_of(path);
        self.execute(
            "DELETE FROM artifact_files WHERE path = ?1 OR (path >= ?2 AND path < ?3)",
            &[&path, &first, &end],
        )
    }
}

/// Returns the first text that lies in the folder `path`, and the first after all of those.
fn range_of(path: &str) -> (String, String) {
    if path.is_empty() {
        // No path holds the last character of Unicode's planes as its first one.
        return (String::new(), char::MAX.to_string());
    }
    // `0` comes after `/`.
    (format!("{path}/"), format!("{path}0"))
}

fn object_of(text: &str) -> Result<ObjectId, Error> {
    text.parse().map_err(|_| Error::BadRecord {
        what: format!("the object `{text}`"),
    })
}

fn size_of(bytes: i64) -> Result<u64, Error> {
    u64::try_from(bytes).map_err(|_| Error::BadRecord {
        what: format!("the size {bytes}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ContentHash;
    use crate::base::clock::Timestamp;
    use crate::project::{CVOPS, Layout};
    use crate::track::artifacts::Artifacts;
    use crate::track::db::{NewRecord, Tracking};
    use crate::track::entity::ExperimentId;
    use crate::track::run::{Artifact, Batch, NewRun};

    fn record() -> (tempfile::TempDir, Tracking, Artifacts) {
        let tmp = tempfile::tempdir().unwrap();
        let tracking = Tracking::open(&Layout::new(tmp.path(), &CVOPS)).unwrap();
        let artifacts = Artifacts::at(&tmp.path().join("cache"));
        (tmp, tracking, artifacts)
    }

    fn stored(bytes: &[u8]) -> Stored {
        Stored {
            object: ObjectId::File(ContentHash::of(bytes)),
            size: bytes.len() as u64,
        }
    }

    fn put(tracking: &mut Tracking, path: &str, bytes: &[u8]) -> Result<(), Error> {
        tracking.change(|writing| writing.put_file(path, &stored(bytes), 5))
    }

    fn list(tracking: &Tracking, artifacts: &Artifacts, path: &str) -> String {
        let entries = artifacts.list(&tracking.reader(), path).unwrap();
        let names = entries.into_iter().map(|entry| match entry.size {
            Some(size) => format!("{}={size}", entry.name),
            None => format!("{}/", entry.name),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_name_is_taken_back_unless_it_has_another_content_by_now() {
        let (_tmp, mut tracking, artifacts) = record();
        put(&mut tracking, "0/x", b"1").unwrap();
        put(&mut tracking, "0/x", b"22").unwrap();
        for (content, left) in [(&b"1"[..], "x=2"), (b"22", "")] {
            tracking
                .change(|writing| writing.forget_file("0/x", &stored(content)))
                .unwrap();
            assert_eq!(list(&tracking, &artifacts, "0"), left);
        }
    }

    #[test]
    fn uploads_form_folders() {
        let (_tmp, mut tracking, artifacts) = record();
        for (path, bytes) in [
            ("0/a/b/1.txt", "1"),
            ("0/a/b/2.txt", "22"),
            ("0/a/b.txt", "3"),
            ("0/a/b-c/x", "4"),
            ("0/a/b0", "5"),
            ("0/ä/x", ""),
            ("top", "6"),
        ] {
            put(&mut tracking, path, bytes.as_bytes()).unwrap();
        }
        for (path, expected) in [
            ("", "0/ top=1"),
            ("0", "a/ ä/"),
            ("0/a", "b/ b-c/ b.txt=1 b0=1"),
            ("0/a/b", "1.txt=1 2.txt=2"),
            ("0/a/b.txt", ""),
            ("0/ä", "x=0"),
            ("nothing", ""),
        ] {
            assert_eq!(list(&tracking, &artifacts, path), expected, "{path:?}");
        }
        // More names than are read at once, most of them in folders that are passed over.
        for i in 0..ROWS_AT_ONCE + 100 {
            put(&mut tracking, &format!("many/f/{i}"), b"x").unwrap();
        }
        for i in 0..=ROWS_AT_ONCE {
            put(&mut tracking, &format!("many/g{i:04}"), b"x").unwrap();
        }
        let many = list(&tracking, &artifacts, "many");
        assert_eq!(many.split(' ').count(), ROWS_AT_ONCE + 2);
        assert!(many.starts_with("f/ g0000=1 "), "{many}");

        // A new content replaces the old one; files and folders do not take each other's names.
        put(&mut tracking, "top", b"666").unwrap();
        assert_eq!(list(&tracking, &artifacts, ""), "0/ many/ top=3");
        assert!(put(&mut tracking, "0/a", b"").is_err());
        assert!(put(&mut tracking, "top/x", b"").is_err());
        assert!(put(&mut tracking, "0/a/b.txt/x/y", b"").is_err());

        let mut remove = |path: &str| tracking.change(|w| w.remove_files(path)).unwrap();
        assert_eq!(remove("0/a/b"), 2);
        assert_eq!(remove("0/a/b"), 0);
        assert_eq!(remove("0/a/b0"), 1);
        assert_eq!(list(&tracking, &artifacts, "0/a"), "b-c/ b.txt=1");
    }

    #[test]
    fn the_tree_of_a_run_has_the_outputs_of_its_stages() {
        let (_tmp, mut tracking, artifacts) = record();
        let mut upload = artifacts.receive();
        upload.write(b"weights").unwrap();
        let weights = upload.finish().unwrap();
        let new = NewRun {
            experiment: "Default".into(),
            name: None,
            parent: None,
            started: Timestamp::from_millisecond(1000).unwrap(),
            command: String::new(),
            targets: Vec::new(),
            tags: std::collections::BTreeMap::new(),
        };
        let (run, _) = tracking.create_run(&new).unwrap();
        let output = |path: &str, object, size| Artifact {
            path: path.to_owned(),
            object,
            size,
            files: None,
            stage: "train".to_owned(),
        };
        let lost = ObjectId::Tree(ContentHash::of(b"lost"));
        let batch = Batch {
            artifacts: vec![
                output("models/net.bin", weights.object, weights.size),
                output("models/lost", lost, 9),
                output("report.txt", ObjectId::File(ContentHash::of(b"r")), 1),
            ],
            ..Batch::default()
        };
        tracking.log_batch(run, &batch).unwrap();
        let root = format!("0/{run}/artifacts");
        put(&mut tracking, &format!("{root}/models/notes.txt"), b"n").unwrap();
        put(&mut tracking, &format!("{root}/report.txt"), b"other").unwrap();
        let listed = |path: &str| list(&tracking, &artifacts, path);
        assert_eq!(listed(&root), "models/ report.txt=5");
        assert_eq!(
            listed(&format!("{root}/models")),
            "lost/ net.bin=7 notes.txt=1"
        );
        assert_eq!(listed(&format!("{root}/models/lost")), "");
        // The tree is where the run says it is.
        assert_eq!(listed(&format!("1/{run}/artifacts")), "");
        let find = |path: &str| artifacts.find(&tracking.reader(), path).unwrap();
        let found = find(&format!("{root}/models/net.bin")).unwrap();
        assert_eq!((found.object, found.modified_ms), (weights.object, 1000));
        assert!(artifacts.open_file(&found).unwrap().is_some());
        assert_eq!(find(&format!("{root}/report.txt")).unwrap().size, 5);
        for nothing in ["models", "models/lost/x", "models/net.bin/x", "nothing"] {
            assert_eq!(find(&format!("{root}/{nothing}")), None, "{nothing}");
        }
        // A run of a client has no outputs; its tree is what was uploaded.
        let record = tracking
            .change(|writing| {
                writing.create_record(&NewRecord {
                    experiment: ExperimentId(0),
                    user: String::new(),
                    name: None,
                    started_ms: 1,
                    tags: Vec::new(),
                })
            })
            .unwrap();
        let empty = format!("0/{}/artifacts", record.info.id);
        assert_eq!(list(&tracking, &artifacts, &empty), "");
    }
}
