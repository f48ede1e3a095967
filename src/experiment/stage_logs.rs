//! What stages write on their console becomes a part of the run's record: an artifact for each stage
//! that wrote something, `logs/STAGE.log`. Of much, the beginning and the end are kept. Imports:
//! pipeline, track.
//!
//! The text of a stage goes into the cache when the stage ends, and gets its name with the end of the
//! run: in between, a kill leaves an object that nobody names. What another of these logs, or an output of the
//! project, is called is left alone.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use crate::pipeline::StageName;
use crate::pipeline::execute::Event;
use crate::track::artifacts::Stored;
use crate::track::{self, Artifacts};

/// The folder of the logs among the artifacts of a run.
const FOLDER: &str = "logs";
/// Their folder where the project's own outputs are in that one.
const OTHER_FOLDER: &str = "cvops/logs";

/// Of a stage's output so many bytes are kept from its beginning, and as many from its end.
const HALF_BYTES_MAX: usize = 512 * 1024;

/// What stages wrote.
#[derive(Debug)]
pub(super) struct StageLogs {
    artifacts: Artifacts,
    /// Of the stages that run.
    consoles: BTreeMap<StageName, Console>,
    /// Of those that ended: names of files and what is in them.
    stored: Vec<(String, Stored)>,
    /// No log is kept after the first that could not be.
    problem: Option<track::Error>,
}

#[derive(Debug, Default)]
struct Console {
    first: String,
    last: VecDeque<String>,
    last_bytes: usize,
    left_out: u64,
}

impl StageLogs {
    pub(super) fn new(artifacts: Artifacts) -> Self {
        Self {
            artifacts,
            consoles: BTreeMap::new(),
            stored: Vec::new(),
            problem: None,
        }
    }

    /// Listens to stages, and keeps what those wrote that have ended.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Output { stage, line, .. } => self.console(stage).add(line),
            Event::Told { stage, told } => {
                let console = self.console(stage);
                console.left_out += told.dropped;
                told.lines.iter().for_each(|(_, line)| console.add(line));
            }
            Event::Finished { stage, .. } | Event::Failed { stage, .. } => {
                if let Some(console) = self.consoles.remove(stage)
                    && self.problem.is_none()
                    && let Err(error) = self.keep(stage, &console.into_text())
                {
                    self.problem = Some(error);
                }
            }
            _ => {}
        }
    }

    fn console(&mut self, stage: &StageName) -> &mut Console {
        if !self.consoles.contains_key(stage) {
            self.consoles.insert(stage.clone(), Console::default());
        }
        self.consoles.entry(stage.clone()).or_default()
    }

    fn keep(&mut self, stage: &StageName, text: &str) -> Result<(), track::Error> {
        if text.is_empty() {
            return Ok(());
        }
        let mut upload = self.artifacts.receive();
        upload.write(text.as_bytes())?;
        let stored = upload.finish()?;
        let name = file_name(stage, |name| self.stored.iter().any(|(n, _)| n == name));
        self.stored.push((name, stored));
        Ok(())
    }

    /// Returns the files to add to the artifacts of the run, whose outputs are at `outputs`. The bytes
    /// are durable.
    pub(super) fn finish<'o>(
        &mut self,
        mut outputs: impl Iterator<Item = &'o str>,
    ) -> Result<Vec<(String, Stored)>, track::Error> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        if self.stored.is_empty() {
            return Ok(Vec::new());
        }
        self.artifacts.make_durable()?;
        let is_inside = |path: &str| path.split('/').next() == Some(FOLDER);
        let folder = if outputs.any(is_inside) {
            OTHER_FOLDER
        } else {
            FOLDER
        };
        let stored = std::mem::take(&mut self.stored);
        Ok(stored
            .into_iter()
            .map(|(name, stored)| (format!("{folder}/{name}"), stored))
            .collect())
    }
}

impl Console {
    fn add(&mut self, line: &str) {
        if self.last.is_empty() && self.first.len() + line.len() < HALF_BYTES_MAX {
            self.first.push_str(line);
            self.first.push('\n');
            return;
        }
        self.last.push_back(line.to_owned());
        self.last_bytes += line.len() + 1;
        while HALF_BYTES_MAX < self.last_bytes && 1 < self.last.len() {
            if let Some(line) = self.last.pop_front() {
                self.last_bytes -= line.len() + 1;
                self.left_out += 1;
            }
        }
    }

    fn into_text(self) -> String {
        let mut text = self.first;
        if 0 < self.left_out {
            // Writing into a text cannot fail.
            let _ = writeln!(text, "[{} lines left out]", self.left_out);
        }
        for line in self.last {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// Returns the name of the file for what `stage` wrote, that no other has.
fn file_name(stage: &StageName, taken: impl Fn(&str) -> bool) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '=' | '+');
    let plain: String = stage
        .as_str()
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect();
    let plain = plain.trim_start_matches('.');
    let mut name = format!("{plain}.log");
    let mut number = 2;
    while taken(&name) {
        name = format!("{plain}~{number}.log");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str) -> StageName {
        name.parse().unwrap()
    }

    #[test]
    fn of_much_the_beginning_and_the_end_are_kept() {
        let mut console = Console::default();
        for n in 0..40_000 {
            console.add(&format!("{n:063}"));
        }
        let text = console.into_text();
        assert!(text.len() < 2 * HALF_BYTES_MAX + 100, "{}", text.len());
        assert!(text.starts_with('0') && text.ends_with("39999\n"));
        let kept = text.lines().count() - 1;
        assert!(text.contains(&format!("[{} lines left out]", 40_000 - kept)));
    }

    #[test]
    fn names_of_stages_are_names_of_files() {
        for (name, taken, expected) in [
            ("train", "", "train.log"),
            ("train@0.1", "", "train@0.1.log"),
            ("sub/dvc.yaml:train", "", "sub-dvc.yaml-train.log"),
            ("train", "train.log", "train~2.log"),
        ] {
            assert_eq!(file_name(&stage(name), |n| n == taken), expected);
        }
    }
}
