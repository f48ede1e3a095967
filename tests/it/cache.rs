//! `cvops cache`: where it is, and whether it is as it should be.

use std::fs;

use snapbox::str;

use crate::support::check;
use crate::support::stages::sample;

#[test]
fn the_folder_is_printed_also_from_below_and_as_configured() {
    let p = sample();
    check(
        &p.cvops("cache dir"),
        str![[r#"
[ROOT]/.cvops/cache
[exit 0]
"#]],
    );
    check(
        &p.cvops("-C data cache dir --json"),
        str![[r#"
{"dir":"[ROOT]/.cvops/cache"}
[exit 0]
"#]],
    );
    p.write(".cvops/config.local.yaml", "cache: {dir: ../shared}\n");
    let shared = p.root().parent().unwrap().join("shared");
    assert_eq!(p.ok("cache dir").stdout.trim(), shared.to_str().unwrap());
}

#[test]
fn verify_counts_and_sweeps() {
    let p = sample();
    check(
        &p.cvops("cache verify"),
        str![[r#"
0 objects (0 B) verified; all are what they should be
[exit 0]
"#]],
    );
    p.ok("repro");
    check(
        &p.cvops("cache verify"),
        str![[r#"
3 objects (25 B) verified; all are what they should be
[exit 0]
"#]],
    );
    check(
        &p.cvops("cache verify --json"),
        str![[r#"
{"bytes":25,"checked":3,"clean":true,"corrupt":[],"incomplete":[],"repaired":0,"rescued":[]}
[exit 0]
"#]],
    );
    let lost = p.path(".cvops/cache/tmp/.cvops-tmp-lost");
    fs::write(&lost, "half an object").unwrap();
    p.ok("cache verify");
    assert!(!lost.exists());
}

#[test]
fn cached_objects_may_not_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let p = sample();
    p.ok("repro");
    for folder in fs::read_dir(p.path(".cvops/cache/blake3")).unwrap() {
        for object in fs::read_dir(folder.unwrap().path()).unwrap() {
            assert_eq!(
                object.unwrap().metadata().unwrap().permissions().mode() & 0o222,
                0
            );
        }
    }
    // A copy in the workspace may: nobody's cache is damaged by an editor.
    p.write("top.txt", "edited\n");
    p.ok("cache verify");
}
