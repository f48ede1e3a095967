//! Cache and workspace together, as a command uses them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::base::fs::{self, Executable};
use crate::project::{discover, init};

/// A file in a test: its bytes and whether it is executable.
type Files = BTreeMap<String, (Vec<u8>, bool)>;

struct World {
    dir: tempfile::TempDir,
    store: Store,
}

fn world(config: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path()).unwrap();
    fs::write_atomic(&dir.path().join(".cvops/config.yaml"), config.as_bytes()).unwrap();
    let store = open(dir.path());
    World { dir, store }
}

fn open(root: &Path) -> Store {
    Store::open(&discover(root, None).unwrap(), &Cancel::new())
}

impl World {
    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write_atomic(&at, bytes).unwrap();
    }

    fn write_all(&self, path: &str, files: &Files) {
        fs::create_dir_all(&self.at(path)).unwrap();
        for (name, (bytes, exec)) in files {
            self.write(&format!("{path}/{name}"), bytes);
            let exec = if *exec {
                Executable::Yes
            } else {
                Executable::No
            };
            fs::set_executable(&self.at(path).join(name), exec).unwrap();
        }
    }

    fn read(&self, path: &str) -> String {
        String::from_utf8(std::fs::read(self.at(path)).unwrap()).unwrap()
    }

    /// Ends the command and begins the next one.
    fn next_command(&mut self) {
        self.store.finish();
        self.store = open(self.dir.path());
    }

    fn hashed(&self) -> u64 {
        self.store.snapshots.stats().files_hashed
    }
}

fn path(text: &str) -> ArtifactPath {
    text.parse().unwrap()
}

fn object(presence: &Presence) -> ObjectId {
    presence.object().unwrap()
}

#[test]
fn an_unchanged_workspace_is_not_read_again() {
    let mut w = world("");
    for i in 0..20 {
        w.write(
            &format!("data/{}/{i}", i % 3),
            format!("picture {i}").as_bytes(),
        );
    }
    w.write("script.py", b"print()");
    let (data, script) = (path("data"), path("script.py"));
    let first = (
        w.store.snapshot(&data).unwrap(),
        w.store.snapshot(&script).unwrap(),
    );
    assert!(matches!(first.0, Presence::Present(p) if p.files == Some(20)));
    w.next_command();
    let second = (
        w.store.snapshot(&data).unwrap(),
        w.store.snapshot(&script).unwrap(),
    );
    assert_eq!((first, w.hashed()), (second, 0));
    // One file changes: one file is read, for the folder and for a part of it.
    w.write("data/0/0", b"picture X");
    assert_ne!(w.store.snapshot(&data).unwrap(), first.0);
    assert_eq!(w.hashed(), 1);
    w.next_command();
    w.store.snapshot(&data).unwrap();
    w.store.snapshot(&path("data/1")).unwrap();
    assert_eq!(w.hashed(), 0);
}

#[test]
fn a_change_within_the_same_clock_tick_is_seen() {
    let mut w = world("");
    let file = path("f");
    for round in 0..20 {
        w.write("f", format!("a{round:02}").as_bytes());
        let before = w.store.snapshot(&file).unwrap();
        // In place: same inode, same size, and very likely the same time stamp.
        let mut open = std::fs::OpenOptions::new()
            .write(true)
            .open(w.at("f"))
            .unwrap();
        std::io::Write::write_all(&mut open, format!("b{round:02}").as_bytes()).unwrap();
        drop(open);
        assert_ne!(w.store.snapshot(&file).unwrap(), before);
    }
    let last = w.store.snapshot(&file).unwrap();
    w.next_command();
    assert_eq!(w.store.snapshot(&file).unwrap(), last);
    assert_eq!(w.hashed(), 0);
}

#[test]
fn saving_and_placing_touch_only_what_differs() {
    let mut w = world("");
    let out = path("out");
    let files = |texts: &[(&str, &str)]| -> Files {
        texts
            .iter()
            .map(|(n, t)| ((*n).to_owned(), (t.as_bytes().to_vec(), false)))
            .collect()
    };
    w.write_all("out", &files(&[("a", "1"), ("b", "2"), ("deep/er/c", "3")]));
    let old = object(&w.store.save(&out).unwrap());
    w.write("out/b", b"two");
    w.write("out/d", b"4");
    fs::remove_dir_all(&w.at("out/deep")).unwrap();
    let new = object(&w.store.save(&out).unwrap());
    w.store.make_durable().unwrap();

    let placed = w
        .store
        .place(&out, &old, Executable::No, OnConflict::Refuse)
        .unwrap();
    assert_eq!(
        placed,
        Placed {
            saved: None,
            written: 2,
            removed: 1
        }
    );
    assert_eq!(
        (w.read("out/b"), w.read("out/deep/er/c")),
        ("2".into(), "3".into())
    );
    w.next_command();
    assert_eq!(object(&w.store.snapshot(&out).unwrap()), old);
    assert_eq!(w.hashed(), 0, "what was placed is known");
    let placed = w
        .store
        .place(&out, &old, Executable::No, OnConflict::Refuse)
        .unwrap();
    assert_eq!(placed, Placed::default());
    w.store
        .place(&out, &new, Executable::No, OnConflict::Refuse)
        .unwrap();
    assert!(!w.at("out/deep").exists());
    // A file takes the place of the folder, and the other way round.
    w.write("file", b"one file");
    let file = object(&w.store.save(&path("file")).unwrap());
    w.store
        .place(&out, &file, Executable::Yes, OnConflict::Refuse)
        .unwrap();
    assert_eq!(w.read("out"), "one file");
    assert_eq!(
        std::fs::metadata(w.at("out")).unwrap().permissions().mode() & 0o111,
        0o111
    );
    w.store
        .place(&out, &old, Executable::No, OnConflict::Refuse)
        .unwrap();
    assert_eq!(w.read("out/a"), "1");
    assert_eq!(std::fs::read_dir(w.at(".cvops/tmp")).unwrap().count(), 0);
}

#[test]
fn content_outside_the_cache_is_never_lost() {
    let w = world("");
    let out = path("out");
    w.write("out", b"from the stage");
    let made = object(&w.store.save(&out).unwrap());
    w.write("out", b"edited by hand");
    let place = |on| w.store.place(&out, &made, Executable::No, on);
    assert!(matches!(
        place(OnConflict::Refuse),
        Err(Error::WouldOverwrite { .. })
    ));
    assert!(matches!(
        w.store.remove(&out, OnConflict::Refuse),
        Err(Error::WouldOverwrite { .. })
    ));
    let edited = place(OnConflict::SaveFirst).unwrap().saved.unwrap();
    assert_eq!(w.read("out"), "from the stage");
    w.store
        .place(&out, &edited, Executable::No, OnConflict::Refuse)
        .unwrap();
    assert_eq!(w.read("out"), "edited by hand");
    assert_eq!(
        w.store.remove(&out, OnConflict::Refuse).unwrap().saved,
        None
    );
    assert_eq!(w.store.snapshot(&out).unwrap(), Presence::Missing);
    w.store.remove(&out, OnConflict::Refuse).unwrap();
    w.write("out", b"worthless");
    w.store
        .place(&out, &made, Executable::No, OnConflict::Overwrite)
        .unwrap();
    assert_eq!(w.read("out"), "from the stage");
}

#[test]
fn ignored_files_are_not_tracked_and_stay() {
    let w = world("");
    w.write(".cvopsignore", b"*.log\n");
    w.write("out/a", b"1");
    let out = path("out");
    let made = object(&w.store.save(&out).unwrap());
    w.write("out/notes.log", b"mine");
    assert_eq!(object(&w.store.snapshot(&out).unwrap()), made);
    w.store.remove(&out, OnConflict::SaveFirst).unwrap();
    assert_eq!(w.read("out/notes.log"), "mine");
    assert!(!w.at("out/a").exists());
    w.store
        .place(&out, &made, Executable::No, OnConflict::SaveFirst)
        .unwrap();
    assert_eq!(w.read("out/a") + &w.read("out/notes.log"), "1mine");
    let file = w.store.save(&path(".cvopsignore")).unwrap();
    let over = w
        .store
        .place(&out, &object(&file), Executable::No, OnConflict::SaveFirst);
    assert!(matches!(over, Err(Error::InTheWay { left, .. }) if left == ["notes.log"]));
}

#[test]
fn a_corrupt_object_is_reported_and_made_again() {
    let w = world("");
    let out = path("out");
    w.write("out/a", b"good");
    let made = object(&w.store.save(&out).unwrap());
    let member = ObjectId::File(crate::base::ContentHash::of(b"good"));
    let at = w.store.cache.object_path(&member);
    fs::set_writable(&at).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&at).unwrap();
    std::io::Write::write_all(&mut file, b"evil").unwrap();
    let held = w.store.contains(&made).unwrap();
    assert_eq!(
        held,
        Held::Lacking {
            missing: vec![],
            corrupt: vec![member]
        }
    );
    let place = w
        .store
        .place(&out, &made, Executable::No, OnConflict::SaveFirst);
    assert!(matches!(place, Err(Error::NotInCache { .. })));
    assert_eq!(w.read("out/a"), "good");
    // The workspace still has it, so saving heals the cache.
    assert_eq!(object(&w.store.save(&out).unwrap()), made);
    assert_eq!(w.store.contains(&made).unwrap(), Held::Whole);
}

#[test]
fn links_are_used_only_when_configured_and_never_for_executables() {
    for kind in ["hardlink", "symlink"] {
        let mut w = world(&format!("cache: {{type: [{kind}, copy]}}\n"));
        let files = Files::from([
            ("plain".into(), (b"1".to_vec(), false)),
            ("run.sh".into(), (b"2".to_vec(), true)),
        ]);
        w.write_all("out", &files);
        let out = path("out");
        let made = object(&w.store.save(&out).unwrap());
        let cached = w
            .store
            .cache
            .object_path(&ObjectId::File(crate::base::ContentHash::of(b"1")));
        let inode =
            |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
        assert_eq!(inode(&w.at("out/plain")), inode(&cached), "{kind}");
        w.next_command();
        assert_eq!(object(&w.store.snapshot(&out).unwrap()), made);
        assert_eq!(w.hashed(), 0, "{kind}");
        w.store.remove(&out, OnConflict::Refuse).unwrap();
        w.store
            .place(&out, &made, Executable::No, OnConflict::Refuse)
            .unwrap();
        assert_eq!(inode(&w.at("out/plain")), inode(&cached), "{kind}");
        assert_eq!(object(&w.store.snapshot(&out).unwrap()), made);
        assert_eq!(w.store.contains(&made).unwrap(), Held::Whole);
    }
}

#[test]
fn special_files_and_odd_names_are_refused_by_name() {
    let w = world("");
    w.write("d/ok", b"");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        w.at("d/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let kind = w.store.snapshot(&path("d"));
    assert!(
        matches!(
            kind,
            Err(Error::SpecialFile {
                kind: "named pipe",
                ..
            })
        ),
        "{kind:?}"
    );
    fs::remove_file(&w.at("d/pipe")).unwrap();
    w.write("d/a\\b", b"");
    assert!(matches!(
        w.store.snapshot(&path("d")),
        Err(Error::UntrackableName { .. })
    ));
    fs::remove_file(&w.at("d/a\\b")).unwrap();
    std::os::unix::fs::symlink(w.at("d"), w.at("d/loop")).unwrap();
    assert!(w.store.snapshot(&path("d")).is_err());
}

#[test]
fn verify_finds_damage_that_the_stat_hides_and_sweeps_leftovers() {
    let w = world("");
    w.write("out/a", b"good");
    w.write("out/b", b"fine");
    let made = object(&w.store.save(&path("out")).unwrap());
    let member = ObjectId::File(crate::base::ContentHash::of(b"good"));
    let at = w.store.cache.object_path(&member);
    fs::set_writable(&at).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&at).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    std::io::Write::write_all(&mut file, b"evil").unwrap();
    file.set_modified(time).unwrap();
    w.write(".cvops/cache/tmp/.cvops-tmp-1-1", b"half an obj");
    w.write(".cvops/cache/blake3/zz/readme", b"?");
    let project = discover(w.dir.path(), None).unwrap();
    // A day in 2100: every leftover is older.
    let later = std::time::UNIX_EPOCH + std::time::Duration::from_hours(24 * 365 * 130);
    let sweep = Sweep::Before {
        project: &project,
        since: later,
    };
    let silent = |_: VerifyEvent| {};
    let report = verify(&w.store.cache, sweep, &Cancel::new(), &silent).unwrap();
    assert_eq!(report.checked, 3);
    assert_eq!(report.corrupt, [member]);
    assert_eq!(report.incomplete, [(made, vec![member])]);
    assert_eq!(report.foreign.len(), 1);
    assert_eq!(report.temporary_removed, 1);
    w.store.save(&path("out")).unwrap();
    let report = verify(&w.store.cache, Sweep::Keep, &Cancel::new(), &silent).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

fn files() -> impl Strategy<Value = Files> {
    // Names in several scripts, with spaces, quotes and a name that is a prefix of another.
    let name = "[a-c]{1,2}|[ä日 \"'#]{1,3}x|(d|e)/[a-c.]{1,2}f|(d|e)/(ß|g)/[a-b]{1,2}";
    proptest::collection::btree_map(
        name,
        (proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()),
        0..8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_saved_comes_back(first in files(), second in files()) {
        let w = world("");
        let out = path("out");
        w.write_all("out", &first);
        let one = object(&w.store.save(&out).unwrap());
        prop_assert_eq!(object(&w.store.snapshot(&out).unwrap()), one);
        w.store.remove(&out, OnConflict::Refuse).unwrap();
        prop_assert!(!w.at("out").exists());
        w.write_all("out", &second);
        let placed = w.store.place(&out, &one, Executable::No, OnConflict::SaveFirst).unwrap();
        // A command without memory reads the bytes and must come to the same identity.
        let fresh = open(w.dir.path());
        prop_assert_eq!(object(&fresh.snapshot(&out).unwrap()), one);
        if let Some(saved) = placed.saved {
            fresh.place(&out, &saved, Executable::No, OnConflict::Refuse).unwrap();
            let listing = fresh.snapshots.listing(&out).unwrap().unwrap();
            prop_assert_eq!(listing.files(), second.len() as u64);
        }
    }
}
