//! Settings of DVC that change what is written: cvops does as DVC does.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::dvc::{program, repository};
use crate::support::twins::Tool::{Cvops, Dvc};
use crate::support::{Exit, Project};

const PIPELINE: &str = "stages:
  copy:
    cmd: cp in.txt out.txt
    deps: [in.txt]
    outs: [out.txt]
";

/// A pipeline over data, in a repository with these settings.
fn scene(config: &str) -> Project {
    let p = repository();
    p.write(".dvc/config", config)
        .write("dvc.yaml", PIPELINE)
        .write("in.txt", "in\n");
    p
}

#[test]
fn autostage_hands_results_to_git() {
    for tool in [Cvops, Dvc] {
        if tool == Dvc && program("autostage").is_none() {
            continue;
        }
        let p = scene("[core]\n    autostage = true\n");
        tool.ok(&p, "add in.txt");
        tool.ok(&p, "repro");
        assert_eq!(
            p.git("diff --cached --name-only"),
            ".gitignore\ndvc.lock\nin.txt.dvc\n",
            "{tool:?}"
        );
        assert_eq!(p.git("diff --name-only"), "", "{tool:?}");
        // DVC leaves this one to the user.
        if tool == Cvops {
            p.write("in.txt", "new\n").ok("commit --force");
            assert_eq!(p.git("diff --name-only"), "");
        }
    }
}

#[test]
fn a_cache_of_a_group_is_open_to_it() {
    for tool in [Cvops, Dvc] {
        if tool == Dvc && program("a cache of a group").is_none() {
            continue;
        }
        let p = scene("[cache]\n    shared = group\n");
        tool.ok(&p, "repro");
        let mut folders = vec![p.path(".dvc/cache")];
        while let Some(folder) = folders.pop() {
            let mode = fs::metadata(&folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o2775, "{tool:?}: {}", folder.display());
            let entries = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
            folders.extend(entries.filter(|path| path.is_dir()));
        }
    }
}

#[test]
fn locks_of_hard_links_are_taken_and_let_go() {
    let p = scene("[core]\n    hardlink_lock = true\n");
    p.ok("repro");
    let left = || -> Vec<String> {
        let entries = fs::read_dir(p.path(".dvc/tmp")).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.contains("lock") && name != "rwlock")
            .collect()
    };
    assert_eq!(left(), Vec::<String>::new());
    if program("locks of hard links").is_none() {
        return;
    }
    p.dvc_ok("status");
    // One that DVC takes while a stage of it runs would show it: here it is at its end.
    p.write("in.txt", "new\n");
    p.dvc_ok("repro");
    p.ok("status --exit-code");
    assert_eq!(left(), Vec::<String>::new());
}

/// Hashes of text without carriage returns, and no word on how they were made.
#[test]
fn hashes_of_dvc_2_are_no_reason_to_run() {
    let p = repository();
    p.write("dvc.yaml", PIPELINE).write("in.txt", "a\r\nb\r\n");
    let hash = "dd8c6a395b5dd36c56d23275028f526c";
    let lock = format!(
        "schema: '2.0'\nstages:\n  copy:\n    cmd: cp in.txt out.txt\n    deps:\n    - path: in.txt\n      md5: {hash}\n      size: 6\n    outs:\n    - path: out.txt\n      md5: {hash}\n      size: 6\n"
    );
    p.write("dvc.lock", &lock)
        .write(".dvc/cache/dd/8c6a395b5dd36c56d23275028f526c", "a\r\nb\r\n")
        .write(".gitignore", "/out.txt\n");
    p.ok("checkout");
    assert_eq!(p.read("out.txt"), "a\r\nb\r\n");
    for tool in [Cvops, Dvc] {
        if tool == Dvc && program("a lock of DVC 2").is_none() {
            continue;
        }
        let said = tool.ok(&p, "repro");
        assert!(said.contains("up to date"), "{tool:?}: {said}");
        assert_eq!(p.read("dvc.lock"), lock, "{tool:?}");
    }
    assert_eq!(p.cvops("status --exit-code").exit, Exit::Code(0));
    assert_eq!(p.ok("status --dvc").stdout, "{}\n");

    p.write("in.txt", "other\n");
    assert_eq!(p.cvops("status --exit-code").exit, Exit::Code(3));
    p.ok("repro");
    assert_eq!(p.read("out.txt"), "other\n");
}
