//! `/runs/{id}/log`: what stages wrote on their console. Of a run that has ended it is in its artifacts
//! (`logs/STAGE.log`), of one that goes on in the journal of its command. Imports: experiment,
//! project, track, `ui::*`.

use std::collections::VecDeque;
use std::io::{BufRead as _, Read, Seek, SeekFrom};
use std::path::PathBuf;

use askama::Template;

use super::head::{Head, Part, layout};
use super::overview::artifact_href;
use super::raw::{download_href, ending};
use super::seen::Seen;
use crate::experiment::progress::{self, Entry, Line, Tail};
use crate::http::Response;
use crate::mlflow::Refused;
use crate::project::Layout as ProjectLayout;
use crate::track::RunId;
use crate::ui::asked::Asked;
use crate::ui::layout::Layout;
use crate::ui::reply;
use crate::ui::site::Site;

/// Lines that a page shows: the last ones.
pub(super) const LINES_MAX: usize = 2000;

/// They are looked for in so many bytes at the end of a log.
const END_BYTES_MAX: u64 = 1 << 20;

/// Longer lines are cut.
const LINE_CHARS_MAX: usize = 2000;

/// Folders of logs among the artifacts of a run.
const FOLDERS: [&str; 2] = ["logs", "cvops/logs"];

/// A journal says within so many bytes which run it is of.
const JOURNAL_HEAD_BYTES: u64 = 256 << 10;

/// So many journals are looked at.
const JOURNALS_MAX: usize = 50;

/// A log that can be chosen.
struct Choice {
    name: String,
    href: String,
    is_here: bool,
}

#[derive(Template)]
#[template(path = "pages/run/log.html")]
struct Page {
    layout: Layout,
    head: Head,
    choices: Vec<Choice>,
    lines: Vec<String>,
    /// Are there lines before these?
    is_cut: bool,
    all_href: String,
    download: String,
    is_live: bool,
    /// Up to where the journal is shown.
    offset: u64,
    lines_max: usize,
}

pub(super) fn answer(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let seen = Seen::of(asked)?;
    let mut page = Page {
        layout: layout(site, asked, &seen, Part::Log),
        head: Head::new(asked, &seen, Part::Log),
        choices: Vec::new(),
        lines: Vec::new(),
        is_cut: false,
        all_href: String::new(),
        download: String::new(),
        is_live: seen.goes_on(),
        offset: 0,
        lines_max: LINES_MAX,
    };
    let logs = asked.shared.read(|reader| {
        let mut logs = Vec::new();
        for folder in FOLDERS {
            let entries = seen.list(reader, &asked.artifacts, folder)?;
            let files = entries
                .into_iter()
                .filter(|entry| !entry.is_dir && ending(&entry.name) == "log");
            logs.extend(files.map(|file| format!("{folder}/{}", file.name)));
        }
        Ok(logs)
    })?;
    let journal = if seen.goes_on() || logs.is_empty() {
        journal_of(&site.project.layout, seen.id())
    } else {
        None
    };
    if let Some(path) = journal {
        let mut tail = Tail::new(&path);
        (page.lines, page.is_cut) = lines_of_journal(&mut tail);
        page.offset = tail.offset();
        return reply::html(asked, &page);
    }
    let chosen = match asked.query.filled("log") {
        Some(name) => Some(
            logs.iter()
                .find(|log| *log == name)
                .ok_or_else(|| Refused::missing(format!("this run has no log `{name}`")))?,
        ),
        None => failed(&seen, &logs).or_else(|| logs.last()),
    };
    if let Some(path) = chosen {
        (page.lines, page.is_cut) = end_of_log(asked, &seen, path)?;
        page.all_href = artifact_href(&seen, path);
        page.download = download_href(&seen.id().to_string(), path);
    }
    page.choices = logs
        .iter()
        .map(|log| Choice {
            name: name_of(log).to_owned(),
            href: asked.href_with(&[("log", Some(log))]),
            is_here: Some(log) == chosen,
        })
        .collect();
    reply::html(asked, &page)
}

/// Returns the name of the stage that a log is of.
fn name_of(log: &str) -> &str {
    let name = log.rsplit('/').next().unwrap_or(log);
    name.strip_suffix(".log").unwrap_or(name)
}

/// Returns the log of the stage that failed: what a reader comes for.
fn failed<'l>(seen: &Seen, logs: &'l [String]) -> Option<&'l String> {
    use crate::track::StageOutcome::Failed;
    let mut stages = seen.detail.stages.iter();
    let failed = stages.find(|stage| stage.outcome == Failed)?;
    logs.iter().find(|log| name_of(log) == failed.name)
}

fn end_of_log(asked: &Asked, seen: &Seen, path: &str) -> Result<(Vec<String>, bool), Refused> {
    let file = asked
        .shared
        .read(|reader| seen.file(reader, &asked.artifacts, path))?;
    let opened = match &file {
        Some(file) => asked
            .artifacts
            .open_file(file)?
            .map(|open| (open, file.size)),
        None => None,
    };
    let Some((mut open, size)) = opened else {
        return Err(Refused::missing(format!("the cache has lost `{path}`")));
    };
    let from = size.saturating_sub(END_BYTES_MAX);
    let mut bytes = Vec::new();
    let read = open
        .seek(SeekFrom::Start(from))
        .and_then(|_| open.take(END_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| {
        tracing::error!(target: "cvops::ui", %error, "a log cannot be read");
        Refused::bug()
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: VecDeque<String> = VecDeque::new();
    let mut is_cut = 0 < from;
    for line in text.lines().skip(usize::from(0 < from)) {
        is_cut |= keep(&mut lines, plain(line));
    }
    Ok((lines.into(), is_cut))
}

/// Adds a line; `true`: the first one had to go.
fn keep(lines: &mut VecDeque<String>, line: String) -> bool {
    lines.push_back(line);
    let is_full = LINES_MAX < lines.len();
    if is_full {
        lines.pop_front();
    }
    is_full
}

/// Returns the journal of the command that is recorded as a run.
pub(super) fn journal_of(layout: &ProjectLayout, id: RunId) -> Option<PathBuf> {
    let id = id.to_string();
    let mut logs = progress::list(layout, JOURNALS_MAX);
    // Those that go on may be older than all of these.
    for log in progress::going_on(layout) {
        if logs.iter().all(|known| known.path != log.path) {
            logs.push(log);
        }
    }
    logs.into_iter()
        .map(|log| log.path)
        .find(|path| run_of_journal(path).is_some_and(|of| of == id))
}

/// Returns the run that a journal is of. It is said before anything runs, so what comes later is not
/// read: there may be many journals.
fn run_of_journal(path: &std::path::Path) -> Option<String> {
    let file = std::fs::File::open(path).ok()?;
    let head = std::io::BufReader::new(file.take(JOURNAL_HEAD_BYTES));
    for line in head.split(b'\n') {
        match serde_json::from_slice::<Line>(&line.ok()?).map(|line| line.entry) {
            Ok(Entry::Run { id, .. }) => return Some(id),
            Ok(Entry::Started { .. } | Entry::Output { .. }) => return None,
            Ok(_) | Err(_) => {}
        }
    }
    None
}

/// Returns what a line of a journal says of a console.
fn console_line(line: &Line) -> Option<String> {
    match &line.entry {
        Entry::Output { stage, line, .. } => Some(format!("{stage} | {}", plain(line))),
        Entry::Started { stage, command } => {
            let (first, more) = command.trim().split_once('\n').unwrap_or((command, ""));
            let more = if more.is_empty() { "" } else { " …" };
            Some(format!("{stage} > {}{more}", plain(first)))
        }
        _ => None,
    }
}

/// Returns the last of the lines of a console that come after those that were read, and whether there
/// are more before them.
pub(super) fn lines_of_journal(tail: &mut Tail) -> (Vec<String>, bool) {
    const STEP: u64 = 1 << 20;
    let mut lines = VecDeque::new();
    let mut is_cut = false;
    loop {
        let before = tail.offset();
        // The journal may have been removed meanwhile.
        let read = tail.read(STEP).unwrap_or_default();
        for line in read.iter().filter_map(console_line) {
            is_cut |= keep(&mut lines, line);
        }
        if tail.offset() == before {
            return (lines.into(), is_cut);
        }
    }
}

/// Returns a line of a console as text: escape sequences (ECMA-48) and other control characters are
/// left out, and of what was written over (`\r`: progress bars) only the last is left.
pub(in crate::ui::pages) fn plain(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    let mut count = 0;
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut chars),
            '\u{9b}' => skip_to_final(&mut chars),
            '\t' => out.push('\t'),
            c if c.is_control() => {}
            c => {
                count += 1;
                if LINE_CHARS_MAX < count {
                    out.push('…');
                    break;
                }
                out.push(c);
            }
        }
    }
    out
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_sequence(chars: &mut Chars<'_>) {
    match chars.next() {
        Some('[') => skip_to_final(chars),
        // Strings (titles, links) end with BEL or ST.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || c == '\u{9c}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        // Intermediate bytes come before the last one.
        Some(' '..='/') => {
            while chars.next_if(|c| matches!(c, ' '..='/')).is_some() {}
            chars.next();
        }
        Some(_) | None => {}
    }
}

fn skip_to_final(chars: &mut Chars<'_>) {
    while let Some(c) = chars.next_if(|c| matches!(c, ' '..='~')) {
        if matches!(c, '@'..='~') {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Tail, lines_of_journal, plain, run_of_journal};

    #[test]
    fn a_console_line_is_what_a_person_would_have_read() {
        for (line, expected) in [
            ("\u{1b}[1;31merror\u{1b}[0m: x", "error: x"),
            ("\u{1b}]0;title\u{7}after", "after"),
            (
                "\u{1b}]8;;https://e.org\u{1b}\\link\u{1b}]8;;\u{1b}\\",
                "link",
            ),
            ("10%\r50%\r100%", "100%"),
            ("done\r", "done"),
            ("a\u{8}\u{0}b\tc", "ab\tc"),
            ("\u{1b}(Bx", "x"),
            ("\u{1b}[", ""),
            ("\u{1b}", ""),
            ("é<script>", "é<script>"),
        ] {
            assert_eq!(plain(line), expected, "{line:?}");
        }
        assert_eq!(plain(&"x".repeat(10_000)).chars().count(), 2001);
    }

    const OUTPUT: &str = r#"{"at_ms":1,"event":"output","stage":"train","line":"epoch"}"#;
    const RUN: &str = r#"{"at_ms":1,"event":"run","id":"r1","name":"n"}"#;

    #[test]
    fn lines_that_came_meanwhile_are_told_from_where_the_page_was() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{RUN}\n{OUTPUT}").unwrap();
        let mut page = Tail::new(file.path());
        assert_eq!(lines_of_journal(&mut page).0, ["train | epoch"]);
        writeln!(file, "{OUTPUT}\n{OUTPUT}").unwrap();
        let mut later = Tail::from(file.path(), page.offset());
        assert_eq!(lines_of_journal(&mut later).0.len(), 2);
        assert_eq!(lines_of_journal(&mut later).0.len(), 0);
        // A place that is none of ours does no harm.
        for offset in [3, u64::from(u32::MAX)] {
            lines_of_journal(&mut Tail::from(file.path(), offset));
        }
    }

    #[test]
    fn a_journal_is_read_up_to_where_it_says_its_run() {
        for (text, run) in [
            (format!("x\n{RUN}\n{OUTPUT}\n"), Some("r1")),
            (format!("{OUTPUT}\n{RUN}\n"), None),
            (String::new(), None),
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            assert_eq!(run_of_journal(file.path()).as_deref(), run, "{text}");
        }
    }
}
