//! `cvops migrate` and `cvops cache migrate`: from DVC, and from DVC 2 to DVC 3.

use std::fs;

use md5::{Digest, Md5};
use snapbox::str;

use crate::support::{Exit, Project, check, project};

/// A DVC repository with tracked data, a chain of two stages with a folder, and a remote.
fn repository() -> Project {
    let p = project();
    p.write(
        ".dvc/config",
        "[core]\n    remote = far\n    analytics = false\n['remote \"far\"']\n    url = ../../home/far\n    jobs = 3\n",
    );
    p.write(
        "dvc.yaml",
        "# What we do.\nstages:\n  upper:\n    cmd: mkdir -p out && tr a-z A-Z < words.txt > out/words && cp out/words out/run.sh && chmod +x out/run.sh\n    deps: [words.txt]\n    outs: [out]\n  count:\n    cmd: wc -l < out/words > count.txt # how many\n    deps: [out]\n    params: [top]\n    outs: [count.txt]\n",
    );
    p.write("params.yaml", "top: 1\n")
        .write("words.txt", "fig\nkiwi\n");
    p.ok("add words.txt");
    p.ok("repro");
    p.git_init();
    p
}

#[test]
fn a_dvc_repository_becomes_a_cvops_project() {
    let p = repository();
    check(
        &p.cvops("migrate --dry"),
        str![[r#"
would write words.txt.cvops
would write pipeline.lock
would write .cvops/config.yaml
would write pipeline.yaml
--- stderr ---
settings that stay with DVC: core.analytics
[exit 0]
"#]],
    );
    assert!(!p.exists("pipeline.yaml"));
    check(
        &p.cvops("migrate"),
        str![[r#"
wrote words.txt.cvops
wrote pipeline.lock
wrote .cvops/config.yaml
wrote pipeline.yaml
--- stderr ---
settings that stay with DVC: core.analytics
next: `cvops status`, then commit. Keep `.dvc/` for as long as you want to check out commits from before
[exit 0]
"#]],
    );
    assert_eq!(p.read("pipeline.yaml"), p.read("dvc.yaml"));
    check(
        &p.cvops("status"),
        str![[r#"
upper  unchanged
count  unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    check(
        &p.cvops("migrate"),
        str![[r#"
--- stderr ---
error: `[ROOT]` is a cvops project already
 |
 = help: `cvops migrate` is for DVC repositories, that is folders with `.dvc/` and no `pipeline.yaml`
[exit 2]
"#]],
    );
    check(
        &p.cvops("remote list"),
        str![[r#"
far	[HOME]/far	(default)
[exit 0]
"#]],
    );
    assert!(p.read("words.txt.cvops").contains("blake3: "));
    // Without anything in place, the new cache has it all.
    p.remove("out").remove("count.txt");
    p.ok("checkout");
    assert_eq!(p.read("count.txt").trim(), "2");
    p.ok("cache verify");
    // Commits from before are what they were, in cvops as in DVC.
    p.git("add --all");
    p.git("commit --quiet --message migrated");
    p.git("checkout --quiet HEAD~1");
    p.remove("out");
    p.ok("checkout");
    assert_eq!(p.read("out/words"), "FIG\nKIWI\n");
    p.git("checkout --quiet --force main");
    check(
        &p.cvops("status"),
        str![[r#"
upper  unchanged
count  unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
}

#[test]
fn what_is_not_here_runs_again_or_has_to_be_fetched() {
    let p = repository();
    p.write("out/words", "EDITED\n");
    p.remove(".dvc/cache");
    check(
        &p.cvops("migrate"),
        str![[r#"
wrote words.txt.cvops
wrote pipeline.lock
wrote .cvops/config.yaml
wrote pipeline.yaml
--- stderr ---
`count` runs again: not all that it read and wrote is here
`upper` runs again: not all that it read and wrote is here
settings that stay with DVC: core.analytics
next: `cvops status`, then commit. Keep `.dvc/` for as long as you want to check out commits from before
[exit 0]
"#]],
    );
    let p = repository();
    p.remove(".dvc/cache").write("words.txt", "other\n");
    check(
        &p.cvops("migrate"),
        str![[r#"
--- stderr ---
error: it cannot be hashed anew, for it is neither in place nor in the cache: `words.txt`
 |
 = help: `cvops fetch` brings it from the remote; then migrate again
[exit 1]
"#]],
    );
    assert!(!p.exists("pipeline.yaml"));
}

#[test]
fn several_pipeline_files_are_refused() {
    let p = repository();
    p.write(
        "sub/dvc.yaml",
        "stages: {a: {cmd: echo 1 > a, outs: [a]}}\n",
    );
    check(
        &p.cvops("migrate"),
        str![[r#"
--- stderr ---
error: a cvops project has one pipeline file, at its top; here are `dvc.yaml`, `sub/dvc.yaml`
 |
 = help: move their stages into one `dvc.yaml` at the top (with `wdir:` for those from below), or stay with DVC's files: cvops works with them as they are
[exit 2]
"#]],
    );
}

#[test]
fn killed_at_any_write_it_is_the_one_or_the_other() {
    for n in 1..200 {
        let p = repository();
        let output = p.run(p.command("migrate").env("CVOPS_CRASH_AT", n.to_string()));
        if !p.exists("pipeline.yaml") {
            assert!(
                p.ok("status")
                    .stdout
                    .lines()
                    .all(|line| line.contains("unchanged"))
            );
            p.ok("migrate");
        }
        assert_eq!(
            p.cvops("status --exit-code").exit,
            Exit::Code(0),
            "write {n}"
        );
        p.ok("cache verify");
        if output.exit == Exit::Code(0) {
            assert!(10 < n, "disturbed too little");
            return;
        }
    }
    panic!("no end");
}

fn md5(bytes: &[u8]) -> String {
    let digest = Md5::digest(bytes);
    let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[test]
fn objects_of_dvc_2_get_their_names_of_dvc_3() {
    let p = project();
    p.write(".dvc/config", "");
    let (text, same) = ("a\r\nb\r\n", "plain\n");
    let (old, plain) = (md5(b"a\nb\n"), md5(same.as_bytes()));
    let listing = format!(
        "[{{\"md5\": \"{old}\", \"relpath\": \"dos\"}}, {{\"md5\": \"{plain}\", \"relpath\": \"plain\"}}]"
    );
    let tree = md5(listing.as_bytes());
    for (hash, bytes, end) in [
        (&old, text, ""),
        (&plain, same, ""),
        (&tree, &listing, ".dir"),
    ] {
        p.write(
            &format!(".dvc/cache/{}/{}{end}", &hash[..2], &hash[2..]),
            bytes,
        );
    }
    p.write("d.dvc", format!("outs:\n- md5: {tree}.dir\n  path: d\n"));
    p.ok("checkout");
    assert_eq!(p.read("d/dos"), text);
    check(
        &p.cvops("cache migrate --dry"),
        str![[r#"
3 objects would be hashed again and stored in the layout of DVC 3
[exit 0]
"#]],
    );
    check(
        &p.cvops("cache migrate"),
        str![[r#"
3 objects in the layout of DVC 2, 3 objects stored in that of DVC 3
[exit 0]
"#]],
    );
    check(
        &p.cvops("cache migrate --json"),
        str![[r#"
{"damaged":[],"dry":false,"found":3,"stored":0}
[exit 0]
"#]],
    );
    let new = md5(text.as_bytes());
    assert_eq!(
        p.read(&format!(".dvc/cache/files/md5/{}/{}", &new[..2], &new[2..])),
        text
    );
    let listing = listing.replace(&old, &new);
    let tree = md5(listing.as_bytes());
    let path = format!(".dvc/cache/files/md5/{}/{}.dir", &tree[..2], &tree[2..]);
    assert_eq!(p.read(&path), listing);
    // The old names stay.
    fs::remove_dir_all(p.path("d")).unwrap();
    p.ok("checkout");
}
