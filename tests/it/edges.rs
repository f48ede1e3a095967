//! What file systems, clocks and hands do to data: changes that leave no trace in the time, names that
//! are one on another machine, links in circles, objects edited in place.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::stages::with_pipeline;
use crate::support::{Exit, Project, project};

const COPY: &str = "stages:\n  copy: {cmd: 'echo copy >> ~/runs; cp in.txt out.txt', deps: [in.txt], outs: [out.txt]}\n";

fn set_time(path: &Path, time: SystemTime) {
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

fn time(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// A file is written within the tick in which it was hashed, with the same length.
#[test]
fn a_change_within_one_tick_of_the_same_size_is_seen() {
    let p = with_pipeline(COPY);
    p.write("in.txt", "a\n");
    p.ok("repro");
    p.ran();
    for text in ["b\n", "c\n", "d\n", "e\n"] {
        let before = time(&p.path("in.txt"));
        p.write("in.txt", text);
        // As on a file system whose clock ticks once in a while: the time did not move.
        set_time(&p.path("in.txt"), before);
        p.ok("repro");
        assert_eq!(p.read("out.txt"), text);
    }
}

#[test]
fn a_clock_that_goes_backwards_hides_no_change() {
    let p = with_pipeline(COPY);
    p.write("in.txt", "a\n");
    let now = SystemTime::now();
    let hour = Duration::from_hours(1);
    for (i, moment) in [
        now + 24 * hour,
        now,
        now - 24 * hour,
        SystemTime::UNIX_EPOCH + hour,
    ]
    .into_iter()
    .enumerate()
    {
        let text = format!("{i}\n");
        p.write("in.txt", &text);
        set_time(&p.path("in.txt"), moment);
        p.ok("repro");
        assert_eq!(p.read("out.txt"), text, "at {moment:?}");
        assert_eq!(p.ran(), "copy");
        p.ok("repro");
        assert_eq!(p.ran(), "", "again at {moment:?}");
    }
}

#[test]
fn links_in_circles_are_named_and_not_followed_for_ever() {
    let p =
        with_pipeline("stages:\n  list: {cmd: ls -R d > out.txt, deps: [d], outs: [out.txt]}\n");
    p.write("d/a", "1\n");
    symlink("..", p.path("d/up")).unwrap();
    symlink("round", p.path("d/round")).unwrap();
    let output = p.cvops("repro");
    assert_eq!(output.exit, Exit::Code(1), "{}", output.transcript());
    assert!(
        output.stderr.contains("d/up") || output.stderr.contains("d/round"),
        "{}",
        output.transcript()
    );
    assert!(output.stderr.contains("help:"), "{}", output.transcript());
    for command in ["status", "add d"] {
        let output = p.cvops(command);
        assert!(
            matches!(output.exit, Exit::Code(0..=2)),
            "{command}: {}",
            output.transcript()
        );
        assert!(
            !output.stderr.contains("panicked"),
            "{command}: {}",
            output.transcript()
        );
    }
}

/// Two names that a Mac takes for one: both are kept, byte for byte, where they can be.
#[test]
fn names_that_another_system_takes_for_one_stay_two() {
    let p = project();
    p.ok("init");
    for (name, text) in [
        ("d/e\u{301}", "1\n"),
        ("d/\u{e9}", "2\n"),
        ("d/A", "3\n"),
        ("d/a", "4\n"),
    ] {
        p.write(name, text);
    }
    if fs::read_dir(p.path("d")).unwrap().count() != 4 {
        return; // This is such a system.
    }
    p.ok("add d");
    p.remove("d");
    p.ok("checkout");
    for (name, text) in [
        ("d/e\u{301}", "1\n"),
        ("d/\u{e9}", "2\n"),
        ("d/A", "3\n"),
        ("d/a", "4\n"),
    ] {
        assert_eq!(p.read(name), text);
    }
    p.ok("status --exit-code");
}

/// Returns the one object whose text is `text`.
fn object(p: &Project, text: &str) -> std::path::PathBuf {
    let mut folders = vec![p.path(".cvops/cache")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read_to_string(&path).is_ok_and(|t| t == text) {
                return path;
            }
        }
    }
    panic!("no object holds {text:?}");
}

fn edit_in_place(path: &Path, text: &str) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
}

#[test]
fn an_object_edited_by_hand_is_never_handed_out() {
    let p = with_pipeline(COPY);
    p.write("in.txt", "right\n");
    p.ok("repro");
    p.ran();
    edit_in_place(&object(&p, "right\n"), "wrong\n");
    p.remove("out.txt");
    // A result that is no longer what it was is none: the stage runs again.
    p.ok("repro");
    assert_eq!(p.read("out.txt"), "right\n");
    p.ok("cache verify");
}

#[test]
fn an_object_of_added_data_edited_by_hand_is_named() {
    let p = project();
    p.ok("init");
    p.write("f.txt", "right\n").ok("add f.txt");
    edit_in_place(&object(&p, "right\n"), "wrong\n");
    p.remove("f.txt");
    let output = p.cvops("checkout");
    assert_eq!(output.exit, Exit::Code(1), "{}", output.transcript());
    assert!(!p.exists("f.txt"), "{}", output.transcript());
    assert!(output.stderr.contains("f.txt"), "{}", output.transcript());
    p.ok("cache verify");
    // The file itself mends it.
    p.write("f.txt", "right\n").ok("add f.txt");
    p.ok("cache verify");
    p.remove("f.txt");
    p.ok("checkout");
    assert_eq!(p.read("f.txt"), "right\n");
}

#[test]
fn an_object_edited_by_hand_comes_back_from_the_remote() {
    let p = project();
    p.ok("init");
    p.write("f.txt", "right\n").ok("add f.txt");
    p.ok("remote add --default far ../far");
    p.ok("push");
    edit_in_place(&object(&p, "right\n"), "wrong\n");
    p.remove("f.txt");
    p.cvops("cache verify");
    p.ok("pull");
    assert_eq!(p.read("f.txt"), "right\n");
    p.ok("cache verify");
}
