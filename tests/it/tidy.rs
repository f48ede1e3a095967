//! Keeps the house rules of ARCHITECTURE.md by reading the source with `syn`.
//!
//! Each rule is a function from sources to complaints, so that the tests below can show it small
//! crooked houses. A complaint names the file, what is wrong, and what to do instead.

mod documents;
mod plan;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use plan::Plan;
use source::Source;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn the_plan() -> Plan {
    Plan::parse(&read("ARCHITECTURE.md")).unwrap_or_else(|e| panic!("{e}"))
}

fn the_sources() -> Vec<Source> {
    source::read_all(root(), "src").unwrap_or_else(|e| panic!("{e}"))
}

fn the_tests() -> Vec<Source> {
    source::read_all(root(), "tests/it").unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn rooms_import_only_what_their_row_lists() {
    assert_none(&imports(&the_plan(), &the_sources()));
}

#[test]
fn rooms_and_rows_agree() {
    assert_none(&rows(&the_plan(), &the_sources()));
}

#[test]
fn own_crates_stay_home() {
    assert_none(&own_crates(&the_plan(), &the_sources()));
}

#[test]
fn only_cli_speaks_reads_the_environment_and_exits() {
    assert_none(&outside_world(&the_sources()));
}

#[test]
fn only_servers_are_async() {
    assert_none(&asynchronous(&the_sources()));
}

#[test]
fn each_room_has_one_error() {
    assert_none(&errors(&the_sources()));
}

#[test]
fn every_file_has_a_header_a_parent_and_no_leftovers() {
    let (sources, tests) = (the_sources(), the_tests());
    let mut complaints = headers(&sources);
    complaints.extend(headers(&tests));
    complaints.extend(leftovers(&sources));
    complaints.extend(leftovers(&tests));
    complaints.extend(orphans(&sources));
    complaints.extend(orphans(&tests));
    assert_none(&complaints);
}

#[test]
fn every_test_belongs_to_the_one_binary() {
    // `autotests` is off: a file beside `it/` would never be compiled, let alone run.
    let stray: Vec<String> = fs::read_dir(root().join("tests"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| source::shown(root(), &path))
        .map(|name| {
            format!("{name}: is never compiled; move it to tests/it/ and list it in main.rs")
        })
        .collect();
    assert_none(&stray);
}

#[test]
fn one_function_judges_stages() {
    let sources = the_sources();
    let expected = usize::from(sources.iter().any(|s| s.room() == Some("pipeline")));
    assert_none(&judges(&sources, expected));
}

#[test]
fn documents_are_true() {
    let mut complaints = documents::broken_links(root());
    if !documents::anchors(&read("CHANGELOG.md")).contains("unreleased") {
        complaints.push("CHANGELOG.md: no section `## [Unreleased]`".to_owned());
    }
    assert_none(&complaints);
}

/// Rule 1: across rooms only `crate::` paths, and only those that the table allows.
fn imports(plan: &Plan, sources: &[Source]) -> Vec<String> {
    let rooms: BTreeSet<&str> = sources.iter().filter_map(Source::room).collect();
    let mut complaints = BTreeSet::new();
    for file in sources {
        let Some(room) = file.room() else { continue };
        let Some(row) = plan.rooms.get(room) else {
            continue;
        };
        for path in &file.found.paths {
            let supers = path.segments.iter().take_while(|s| *s == "super").count();
            if file.module.len() + path.depth <= supers {
                complaints.insert(format!(
                    "{}: `{}` climbs out of its room; write `crate::…`",
                    file.name,
                    path.segments.join("::")
                ));
            }
            let ["crate", other, ..] =
                path.segments.iter().map(String::as_str).collect::<Vec<_>>()[..]
            else {
                continue;
            };
            if other == "*" {
                complaints.insert(format!(
                    "{}: `crate::*` hides which rooms it imports",
                    file.name
                ));
            } else if other != room && !row.imports.contains(other) && rooms.contains(other) {
                complaints.insert(format!(
                    "{}: `{room}` imports `{other}`, which its row in ARCHITECTURE.md does not list; \
                     pass it in from above, or let it sink to a lower floor",
                    file.name
                ));
            }
        }
    }
    complaints.into_iter().collect()
}

/// Rule 1: every room has a row; once the top floor stands, every row has a room.
fn rows(plan: &Plan, sources: &[Source]) -> Vec<String> {
    let rooms: BTreeSet<&str> = sources.iter().filter_map(Source::room).collect();
    let without_row = rooms
        .iter()
        .filter(|room| !plan.rooms.contains_key(**room))
        .map(|room| format!("src/{room}: no row in the floor table of ARCHITECTURE.md"));
    let complete = rooms.contains("cli");
    let without_room = plan
        .rooms
        .keys()
        .filter(|row| complete && !rooms.contains(row.as_str()))
        .map(|row| format!("ARCHITECTURE.md: a row for `{row}`, which does not exist"));
    without_row.chain(without_room).collect()
}

/// Rule 4: a crate that shapes its surroundings is named at home only.
fn own_crates(plan: &Plan, sources: &[Source]) -> Vec<String> {
    let mut complaints = BTreeSet::new();
    for file in sources {
        for path in &file.found.paths {
            // One segment alone is a local name, or a re-export that its own path reports.
            let [first, _, ..] = &path.segments[..] else {
                continue;
            };
            if let Some(homes) = plan.homes.get(first)
                && !file.is_in(homes.iter().map(String::as_str))
            {
                complaints.insert(format!(
                    "{}: names `{first}`, whose home is {}",
                    file.name,
                    homes
                        .iter()
                        .map(|h| format!("`{h}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
            }
        }
    }
    complaints.into_iter().collect()
}

/// Rule 5. Clippy keeps it too; this also sees code that is compiled for another platform.
fn outside_world(sources: &[Source]) -> Vec<String> {
    const PRINTING: [&str; 4] = ["print", "println", "eprint", "eprintln"];
    const FENCED: [(&str, &str, &str); 11] = [
        ("io", "stdout", "only cli::out writes to the terminal"),
        ("io", "stderr", "only cli::out writes to the terminal"),
        ("io", "stdin", "only cli reads stdin"),
        ("env", "var", "only cli::env reads the environment"),
        ("env", "var_os", "only cli::env reads the environment"),
        ("env", "vars", "only cli::env reads the environment"),
        ("env", "vars_os", "only cli::env reads the environment"),
        ("env", "args", "only cli reads the command line"),
        ("env", "args_os", "only cli reads the command line"),
        ("process", "exit", "return an exit code to main"),
        ("process", "abort", "return an exit code to main"),
    ];
    let mut complaints = BTreeSet::new();
    for file in sources {
        // `main.rs` may hand the command line to cli.
        if matches!(file.room(), None | Some("cli")) {
            continue;
        }
        for name in file
            .found
            .macros
            .iter()
            .filter(|name| PRINTING.contains(&name.as_str()))
        {
            complaints.insert(format!(
                "{}: `{name}!`: only cli::out writes to the terminal",
                file.name
            ));
        }
        for path in &file.found.paths {
            let [.., module, name] = &path.segments[..] else {
                continue;
            };
            if let Some((.., why)) = FENCED.iter().find(|(m, n, _)| m == module && n == name) {
                complaints.insert(format!("{}: `{module}::{name}`: {why}", file.name));
            }
        }
    }
    complaints.into_iter().collect()
}

/// Rule 7: threads and channels; async comes with sockets.
fn asynchronous(sources: &[Source]) -> Vec<String> {
    let mut complaints = BTreeSet::new();
    let servers = [Some("http"), Some("serve"), Some("mlflow")];
    for file in sources.iter().filter(|s| !servers.contains(&s.room())) {
        for what in &file.found.asynchronous {
            complaints.insert(format!(
                "{}: {what}; the engine is threads and channels",
                file.name
            ));
        }
        if file.found.paths.iter().any(|p| p.segments[0] == "tokio") {
            complaints.insert(format!("{}: names `tokio`", file.name));
        }
    }
    complaints.into_iter().collect()
}

/// Rule 8: one `Error` per room, and never a type that forgets its fields.
fn errors(sources: &[Source]) -> Vec<String> {
    let mut homes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut complaints = Vec::new();
    for file in sources {
        for _ in file.found.enums.iter().filter(|name| *name == "Error") {
            homes
                .entry(file.room().unwrap_or("main"))
                .or_default()
                .push(&file.name);
        }
        if file.found.paths.iter().any(|p| p.segments[0] == "anyhow") {
            complaints.push(format!("{}: `anyhow`; use the room's `Error`", file.name));
        }
    }
    for (room, files) in homes.iter().filter(|(_, files)| 1 < files.len()) {
        complaints.push(format!(
            "`{room}` has {} enums called `Error`: {}",
            files.len(),
            files.join(", ")
        ));
    }
    complaints
}

/// Rule 9: the first line says what lives here.
fn headers(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| {
            format!(
                "{}: no `//!` header; say what lives here and what it may import",
                file.name
            )
        })
        .collect()
}

/// Rule 9: what was meant to go before the commit.
fn leftovers(sources: &[Source]) -> Vec<String> {
    const MACROS: [&str; 3] = ["todo", "dbg", "unimplemented"];
    // Spelt in two parts, so that this file does not complain about itself.
    const WORDS: [&str; 2] = [concat!("FIX", "ME"), concat!("TO", "DO")];
    let mut complaints = BTreeSet::new();
    for file in sources {
        for name in file
            .found
            .macros
            .iter()
            .filter(|name| MACROS.contains(&name.as_str()))
        {
            complaints.insert(format!("{}: a leftover `{name}!`", file.name));
        }
        for (i, line) in file.text.lines().enumerate() {
            if let Some(word) = WORDS.iter().find(|word| line.contains(**word)) {
                complaints.insert(format!("{}:{}: a leftover {word}", file.name, i + 1));
            }
        }
    }
    complaints.into_iter().collect()
}

/// Rule 9: a file that its parent does not declare is never compiled, and its tests never run.
fn orphans(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter_map(|file| {
            let (name, parent) = file.module.split_last()?;
            let declared = sources
                .iter()
                .any(|other| other.module == parent && other.found.declared.contains(name));
            (!declared).then(|| format!("{}: no `mod {name};` declares it", file.name))
        })
        .collect()
}

/// Rule 13: `decide` is the only judge.
fn judges(sources: &[Source], expected: usize) -> Vec<String> {
    let found: Vec<String> = sources
        .iter()
        .flat_map(|file| {
            file.found
                .judges
                .iter()
                .map(|name| format!("{}: `{name}`", file.name))
        })
        .collect();
    if found.len() == expected {
        return Vec::new();
    }
    vec![format!(
        "{expected} function(s) should return a `StageDecision`, found {}: [{}]",
        found.len(),
        found.join(", ")
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A house of three rooms in two floors.
    fn small_plan() -> Plan {
        Plan::parse(
            "<!-- floors: begin -->\n\
             | floor | room | one line | imports | own crates |\n|---|---|---|---|---|\n\
             | 0 | base | ground | – | rusqlite (also store::state) |\n\
             | 1 | store | bytes | base | |\n\
             | 1 | cli | talk | base | clap |\n\
             <!-- floors: end -->",
        )
        .unwrap()
    }

    fn sources(files: &[(&str, &str)]) -> Vec<Source> {
        files
            .iter()
            .map(|(name, text)| Source::parse("src", name, text).unwrap())
            .collect()
    }

    /// Shows `text` as `src/store/x.rs` in a house that also has base and cli.
    #[track_caller]
    fn check(rule: fn(&Plan, &[Source]) -> Vec<String>, text: &str, complaint: Option<&str>) {
        let files = [
            ("src/store/x.rs", text),
            ("src/base/mod.rs", ""),
            ("src/cli/mod.rs", ""),
        ];
        let found = rule(&small_plan(), &sources(&files));
        match complaint {
            None => assert!(found.is_empty(), "{text}: {found:?}"),
            Some(part) => assert!(
                found.len() == 1 && found[0].contains(part),
                "{text}: {found:?}"
            ),
        }
    }

    #[test]
    fn imports_upwards_and_sideways_are_seen_wherever_they_hide() {
        let bad = Some("`store` imports `cli`");
        check(imports, "use crate::base::fs; use crate::store::y;", None);
        check(imports, "use crate::cli::Out;", bad);
        check(imports, "use crate::{base::{fs, doc}, cli as talk};", bad);
        check(imports, "use crate::cli::*;", bad);
        check(imports, "fn f(x: &crate::cli::Out) {}", bad);
        check(imports, "fn f() { let _ = crate::cli::out(); }", bad);
        check(imports, "fn f() { assert!(g(crate::cli::out(), 1)); }", bad);
        check(imports, "pub(in crate::cli) struct X;", bad);
        check(imports, "mod tests { use crate::cli::Out; }", bad);
        check(imports, "use crate::*;", Some("hides"));
        check(imports, "use super::super::cli::Out;", Some("climbs out"));
        check(imports, "use super::y;", None);
        check(imports, "mod tests { use super::super::y; }", None);
        check(
            imports,
            "mod tests { use super::super::super::cli; }",
            Some("climbs out"),
        );
        check(
            imports,
            "// crate::cli\nconst S: &str = \"crate::cli::Out\";",
            None,
        );
    }

    #[test]
    fn crates_away_from_home_are_seen() {
        check(
            own_crates,
            "use rusqlite::Connection;",
            Some("whose home is `base`, `store::state`"),
        );
        check(
            own_crates,
            "#[derive(clap::Args)] struct X;",
            Some("names `clap`"),
        );
        check(
            own_crates,
            "use crate::base::rusqlite; fn f(clap: u8) { g(clap) }",
            None,
        );
        let at_home = [
            ("src/store/state.rs", "use rusqlite::Connection;"),
            ("src/cli/args.rs", "use clap::Args;"),
        ];
        assert_none(&own_crates(&small_plan(), &sources(&at_home)));
    }

    #[test]
    fn rooms_without_rows_and_rows_without_rooms_are_seen() {
        let plan = small_plan();
        let found = rows(&plan, &sources(&[("src/attic.rs", "")]));
        assert_eq!(
            found,
            ["src/attic: no row in the floor table of ARCHITECTURE.md"]
        );
        let found = rows(
            &plan,
            &sources(&[("src/cli/mod.rs", ""), ("src/base/mod.rs", "")]),
        );
        assert_eq!(
            found,
            ["ARCHITECTURE.md: a row for `store`, which does not exist"]
        );
    }

    #[test]
    fn the_outside_world_is_fenced() {
        let rule = |_: &Plan, s: &[Source]| outside_world(s);
        check(rule, "fn f() { println!(\"x\"); }", Some("`println!`"));
        check(rule, "use std::io::{Read, stderr};", Some("`io::stderr`"));
        check(rule, "fn f() { std::env::var(\"X\"); }", Some("`env::var`"));
        check(
            rule,
            "fn f() { std::process::exit(1); }",
            Some("`process::exit`"),
        );
        check(rule, "const V: &str = env!(\"CARGO_PKG_VERSION\");", None);
        assert_none(&outside_world(&sources(&[(
            "src/cli/out.rs",
            "fn f() { println!(); }",
        )])));
    }

    #[test]
    fn async_is_seen() {
        let rule = |_: &Plan, s: &[Source]| asynchronous(s);
        check(rule, "async fn f() {}", Some("`async fn`"));
        check(
            rule,
            "fn f() { let x = async { 1 }; }",
            Some("`async` block"),
        );
        check(rule, "use tokio::sync::mpsc;", Some("`tokio`"));
        check(rule, "fn f() {}", None);
        let of = |room: &str| {
            let file = format!("src/{room}/x.rs");
            asynchronous(&sources(&[(&file, "async fn f() {}")])).len()
        };
        // Pages are plain code: who waits for them is `http`.
        assert_eq!(
            ["ui", "cli", "http", "mlflow", "serve"].map(of),
            [1, 1, 0, 0, 0]
        );
    }

    #[test]
    fn a_second_error_and_leftovers_are_seen() {
        let two = [
            ("src/base/a.rs", "pub enum Error {}"),
            ("src/base/b.rs", "pub enum Error {}"),
        ];
        assert_eq!(
            errors(&sources(&two)),
            ["`base` has 2 enums called `Error`: src/base/a.rs, src/base/b.rs"]
        );
        let one_each = [
            ("src/base/a.rs", "pub enum Error {}"),
            ("src/store/b.rs", "pub enum Error {}"),
        ];
        assert_none(&errors(&sources(&one_each)));
        let rule = |_: &Plan, s: &[Source]| leftovers(s);
        check(rule, "fn f() { todo!() }", Some("`todo!`"));
        check(
            rule,
            &format!("// {}: later", concat!("FIX", "ME")),
            Some("x.rs:1: a leftover"),
        );
    }

    #[test]
    fn files_without_header_or_parent_are_seen() {
        let files = sources(&[
            ("src/lib.rs", "//! Map.\npub mod base;\n"),
            ("src/base/mod.rs", "//! Ground.\nmod fs;\n"),
            ("src/base/fs.rs", "use std::fs;\n"),
            ("src/base/lost.rs", "//! Lost.\n"),
        ]);
        assert_eq!(
            orphans(&files),
            ["src/base/lost.rs: no `mod lost;` declares it"]
        );
        let found = headers(&files);
        assert!(
            found.len() == 1 && found[0].starts_with("src/base/fs.rs:"),
            "{found:?}"
        );
    }

    #[test]
    fn a_second_judge_is_seen() {
        let decide = (
            "src/pipeline/decide.rs",
            "pub fn decide(i: &I) -> StageDecision { x }",
        );
        let second = (
            "src/pipeline/x.rs",
            "impl X { fn f() -> Result<decide::StageDecision, Error> { x } }",
        );
        let harmless = (
            "src/pipeline/y.rs",
            "fn g(x: &X) -> &StageDecision { x }\nfn h() -> Vec<StageDecision> { x }\n\
             #[cfg(test)] mod tests { fn t() -> StageDecision { x } }",
        );
        assert_none(&judges(&sources(&[decide, harmless]), 1));
        assert_eq!(judges(&sources(&[decide, second, harmless]), 1).len(), 1);
        assert_eq!(judges(&sources(&[harmless]), 1).len(), 1);
    }
}
