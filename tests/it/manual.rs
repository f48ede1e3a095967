//! What the command table becomes: completion scripts, manual pages, the reference in
//! `docs/reference/commands/`.
#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]

#[cfg(feature = "vision")]
use std::collections::BTreeMap;
#[cfg(feature = "vision")]
use std::path::Path;
use std::process::Command;

use snapbox::str;

use crate::support::{Exit, check, project};

#[test]
fn completion_scripts_for_every_shell() {
    let p = project();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = p.ok(&format!("completions {shell}")).stdout;
        for word in ["repro", "keep-going", "doctor"] {
            assert!(script.contains(word), "{shell} knows no `{word}`");
        }
    }
    check(
        &p.cvops("completions tcsh"),
        str![[r#"
--- stderr ---
error: invalid value 'tcsh' for '<SHELL>'
  [possible values: bash, elvish, fish, powershell, zsh]

  tip: a similar value exists: 'zsh'

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
fn bash_reads_its_script() {
    let p = project();
    p.write("c.bash", p.ok("completions bash").stdout);
    let asked = "source ./c.bash; COMP_WORDS=(cvops rep); COMP_CWORD=1; \
                 _cvops cvops rep cvops; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["-c", asked])
        .current_dir(p.root())
        .output();
    match output {
        Ok(output) => {
            let reply = String::from_utf8_lossy(&output.stdout);
            assert_eq!(reply.trim(), "repro", "{output:?}");
        }
        Err(_) => eprintln!("skipped: there is no bash"),
    }
}

#[test]
fn manual_pages() {
    let p = project();
    let page = p.ok("man").stdout;
    assert!(page.contains(".TH cvops 1"), "{page}");
    assert!(page.contains(".SH EXAMPLES"), "{page}");
    let written = p.ok("man pages").stdout;
    for name in ["cvops.1", "cvops-repro.1", "cvops-cache-verify.1"] {
        assert!(
            written.contains(&format!("wrote pages/{name}\n")),
            "{written}"
        );
        assert!(p.read(&format!("pages/{name}")).contains(".SH NAME"));
    }
    let inner = p.read("pages/cvops-cache-verify.1");
    let head = inner.lines().find(|line| line.starts_with(".TH"));
    let head = head.unwrap_or_default();
    assert!(
        head.contains("\"cvops 0") && head.contains("cvops commands"),
        "{head}"
    );
    check(
        &p.cvops("man pages"),
        str![[r#"
nothing to do: every page says this already
[exit 0]
"#]],
    );
    check(
        &p.cvops("man --markdown"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  <DIR>

Usage: cvops man --markdown <DIR>

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
#[cfg(feature = "vision")]
fn the_reference_says_what_the_help_says() {
    let p = project();
    p.ok("man --markdown commands");
    let pages = |dir: &Path| -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    };
    let made = pages(&p.path("commands"));
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/commands");
    if std::env::var_os("SNAPSHOTS").is_some_and(|v| v == "overwrite") {
        std::fs::create_dir_all(&dir).unwrap();
        for old in pages(&dir).keys().filter(|name| !made.contains_key(*name)) {
            std::fs::remove_file(dir.join(old)).unwrap();
        }
        for (name, text) in &made {
            if pages(&dir).get(name) != Some(text) {
                std::fs::write(dir.join(name), text).unwrap();
            }
        }
    }
    let kept = pages(&dir);
    let names: Vec<&String> = made.keys().chain(kept.keys()).collect();
    let stale: Vec<&&String> = names
        .iter()
        .filter(|name| made.get(**name) != kept.get(**name))
        .collect();
    assert!(
        stale.is_empty(),
        "docs/reference/commands/ is stale: {stale:?}\n\
         write it anew: SNAPSHOTS=overwrite cargo test --release --test it the_reference_says"
    );
}

#[test]
fn arguments_that_are_not_understood_as_json() {
    let p = project();
    check(
        &p.cvops("rpro --json"),
        str![[r#"
{"error":{"code":"usage","help":"a similar subcommand exists: 'repro'","message":"unrecognized subcommand 'rpro'","notes":["Usage: cvops [OPTIONS] <COMMAND>"],"places":[],"severity":"error"},"event":"error"}
[exit 2]
"#]],
    );
    check(
        &p.cvops("repro --jobs none --json"),
        str![[r#"
{"error":{"code":"usage","help":null,"message":"invalid value 'none' for '--jobs <N>': invalid digit found in string","notes":[],"places":[],"severity":"error"},"event":"error"}
[exit 2]
"#]],
    );
    check(
        &p.cvops("--json"),
        str![[r#"
{"error":{"code":"usage","help":"`--help` shows what may follow","message":"the command is not complete","notes":[],"places":[],"severity":"error"},"event":"error"}
[exit 2]
"#]],
    );
    check(
        &p.cvops("--json cache"),
        str![[r#"
{"error":{"code":"usage","help":"`--help` shows what may follow","message":"the command is not complete","notes":[],"places":[],"severity":"error"},"event":"error"}
[exit 2]
"#]],
    );
    assert_eq!(p.cvops("repro --help --json").exit, Exit::Code(0));
}
