//! `cvops gc`: what is used stays, what is not goes.

use std::fs;

use snapbox::str;

use crate::push::{far, files, scene};
use crate::support::{Exit, Project, check, project};

/// The objects in the cache.
fn cached(p: &Project) -> Vec<String> {
    files(&p.path(".cvops/cache/blake3"))
}

/// Three results, of which the workspace uses the last.
fn three_results() -> Project {
    let p = scene();
    p.git_init();
    p.git("tag first");
    for n in ["2\n", "3\n"] {
        p.write("n.txt", n);
        p.ok("repro");
        p.git("commit --quiet --all --message more");
    }
    p
}

#[test]
fn it_wants_to_know_what_to_keep_and_asks() {
    let p = scene();
    check(
        &p.cvops("gc"),
        str![[r#"
--- stderr ---
error: say what is to be kept
 |
 = help: `-w` keeps what the workspace uses; `-a`, `-T`, `-A`, `--rev` and `--date` add commits
[exit 2]
"#]],
    );
    check(
        &p.cvops("gc -w"),
        str![[r#"
--- stderr ---
error: this removes from the cache `[ROOT]/.cvops/cache` all but what is used by the workspace and recorded runs
 |
 = note: nobody can be asked: the input is no terminal
 = help: `--dry` says what would go, `--force` removes it
[exit 2]
"#]],
    );
    check(
        &p.cvops("gc -w -n 2"),
        str![[r#"
--- stderr ---
error: `--num` counts commits of `--rev` or of branches
 |
 = help: add `--rev REV` or `-a`
[exit 2]
"#]],
    );
    check(
        &p.cvops("gc -w -r far"),
        str![[r#"
--- stderr ---
error: `--remote` needs `--cloud` or `--not-in-remote`
 |
 = help: `-c` collects on the remote as well
[exit 2]
"#]],
    );
    check(
        &p.cvops("gc --date yesterday"),
        str![[r#"
--- stderr ---
error: invalid value 'yesterday' for '--date <YYYY-MM-DD>': a date looks like 2026-03-01

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
fn what_recorded_runs_refer_to_stays_unless_it_is_let_go() {
    let p = three_results();
    check(
        &p.cvops("gc -w -f"),
        str![[r#"
nothing to remove from the cache (10 objects in use)
[exit 0]
"#]],
    );
    check(
        &p.cvops("gc -w --drop-runs --dry"),
        str![[r#"
4 objects (480 B) would be removed from the cache, 6 kept
--- stderr ---
4 records of the run cache, whose results are not kept, would go
[exit 0]
"#]],
    );
    check(
        &p.cvops("gc -w --drop-runs --dry --json"),
        str![[r#"
{"cache":{"bytes":480,"kept":6,"removed":4},"dry":true,"records":4,"remote":null,"skipped":[],"unknown_folders":0}
[exit 0]
"#]],
    );
    let before = cached(&p).len();
    check(
        &p.cvops("gc -w --drop-runs -f"),
        str![[r#"
4 objects (480 B) removed from the cache, 6 kept
--- stderr ---
4 records of the run cache, whose results are not kept, went
[exit 0]
"#]],
    );
    assert!(cached(&p).len() < before);
    p.ok("cache verify");
    check(
        &p.cvops("gc -w --drop-runs -f"),
        str![[r#"
nothing to remove from the cache (6 objects in use)
[exit 0]
"#]],
    );
    // Nothing of the workspace went: all of it can be put back.
    p.remove("one.txt").remove("d");
    p.ok("checkout");
    assert_eq!(p.read("d/n"), "3\n");
    // What went is computed again, not restored from a record without a result.
    p.write("n.txt", "2\n");
    p.ok("repro");
    assert_eq!(p.read("d/n"), "2\n");
}

#[test]
fn commits_keep_what_they_use() {
    for (keep, first, second) in [
        ("-w", false, false),
        ("-T", true, false),
        ("-a -n 2", false, true),
        ("--rev main -n 2", false, true),
        ("--rev first", true, false),
        ("-A", true, true),
        ("--date 2001-01-01", true, true),
    ] {
        let p = three_results();
        p.ok(&format!("gc {keep} --drop-runs -f"));
        for (revision, is_kept) in [("first", first), ("main~1", second), ("main", true)] {
            p.git(&format!("checkout --quiet {revision}"));
            let _ = fs::remove_dir_all(p.path("d"));
            let exit = p.cvops("checkout d").exit;
            assert_eq!(exit == Exit::Code(0), is_kept, "{keep}: {revision}");
        }
    }
}

#[test]
fn what_a_broken_commit_uses_is_not_guessed() {
    let p = three_results();
    let lock = p.read("pipeline.lock");
    p.write("pipeline.lock", "a: [\n");
    p.git("commit --quiet --all --message broken");
    p.write("pipeline.lock", lock);
    check(
        &p.cvops("gc -A -f"),
        str![[r#"
--- stderr ---
error: what the revision `[..]` uses cannot be found out: `pipeline.lock` is not valid
 |
 = note: `pipeline.lock` cannot be parsed
 = help: nothing was removed; `--skip-failed` goes on without what it uses
[exit 2]
"#]],
    );
    check(
        &p.cvops("gc -A -f --drop-runs --skip-failed"),
        str![[r#"
nothing to remove from the cache (10 objects in use)
--- stderr ---
warning: `pipeline.lock` cannot be parsed
 --> pipeline.lock:1:5
  |
1 | a: [
  |     ^ did not find expected node content
  |
  = note: the revision `[..]` was left out
[exit 0]
"#]],
    );
    // In the workspace there is no way round.
    p.write("x.cvops", "outs: [\n");
    check(
        &p.cvops("gc -w -f"),
        str![[r#"
--- stderr ---
error: `x.cvops` cannot be parsed
 --> x.cvops:1:8
  |
1 | outs: [
  |        ^ did not find expected node content
[exit 2]
"#]],
    );
}

#[test]
fn the_remote_is_swept_or_relieves_the_cache() {
    let p = three_results();
    p.ok("push -A");
    assert_eq!(files(&far(&p)).len(), 7);
    check(
        &p.cvops("gc -w --drop-runs -c --dry"),
        str![[r#"
4 objects (480 B) would be removed from the cache, 6 kept
4 objects (480 B) would be removed from the remote `far`, 3 kept
--- stderr ---
4 records of the run cache, whose results are not kept, would go
[exit 0]
"#]],
    );
    check(
        &p.cvops("gc -w --drop-runs -c -f"),
        str![[r#"
4 objects (480 B) removed from the cache, 6 kept
4 objects (480 B) removed from the remote `far`, 3 kept
--- stderr ---
4 records of the run cache, whose results are not kept, went
[exit 0]
"#]],
    );
    assert_eq!(files(&far(&p)).len(), 3);
    check(
        &p.cvops("gc -w --not-in-remote -f"),
        str![[r#"
3 objects (245 B) removed from the cache, 3 kept
--- stderr ---
2 folders could not be looked into: neither the cache nor the remote has their listing
[exit 0]
"#]],
    );
    // Only what is never pushed is left: with the changes since the commit that two runs recorded.
    assert_eq!(cached(&p).len(), 3);
    p.ok("pull");
    p.ok("cache verify");
}

#[test]
fn projects_that_share_a_cache_keep_theirs() {
    let p = project();
    for (name, content) in [("a", "1"), ("b", "2")] {
        p.write(
            &format!("{name}/pipeline.yaml"),
            format!("stages: {{s: {{cmd: echo {content} > o, outs: [o]}}}}\n"),
        );
        p.write(
            &format!("{name}/.cvops/config.yaml"),
            "cache: {dir: ../shared}\n",
        );
        p.ok(&format!("-C {name} repro"));
    }
    check(
        &p.cvops("-C a gc -w -f -p ../b"),
        str![[r#"
nothing to remove from the cache (2 objects in use)
[exit 0]
"#]],
    );
    check(
        &p.cvops("-C a gc -w"),
        str![[r#"
--- stderr ---
error: this removes from the cache `[ROOT]/shared` all but what is used by the workspace and recorded runs
 |
 = note: nobody can be asked: the input is no terminal
 = help: `--dry` says what would go, `--force` removes it
[exit 2]
"#]],
    );
    check(
        &p.cvops("-C a gc -w -f"),
        str![[r#"
1 object (2 B) removed from the cache, 1 kept
[exit 0]
"#]],
    );
}

#[test]
fn killed_at_any_removal_the_cache_is_clean() {
    for n in 1..100 {
        let p = three_results();
        let args = "gc -w --drop-runs -f";
        let output = p.run(p.command(args).env("CVOPS_CRASH_AT", n.to_string()));
        p.ok("cache verify");
        p.ok(args);
        p.ok("cache verify");
        p.remove("d");
        p.ok("checkout");
        if output.exit == Exit::Code(0) {
            assert!(6 < n, "disturbed too little");
            return;
        }
    }
    panic!("no end");
}

#[test]
fn commits_are_dated_one_by_one() {
    let p = three_results();
    // As after a rebase: the newest commits are not those with the latest times.
    p.write("n.txt", "9\n").ok("repro");
    p.git("add --all");
    p.git("commit --quiet --message old --date 2001-01-01T00:00:00");
    p.git("rebase --quiet --committer-date-is-author-date --force-rebase HEAD~1");
    p.ok("gc --date 2020-01-01 --drop-runs -f");
    p.git("checkout --quiet first");
    let _ = fs::remove_dir_all(p.path("d"));
    p.ok("checkout d");
    for date in ["2026-02-30", "2026-13-03", "2026-1-1"] {
        let refused = p.cvops(&format!("gc --date {date} -f"));
        assert_eq!(refused.exit, Exit::Code(2), "{date}");
    }
}
