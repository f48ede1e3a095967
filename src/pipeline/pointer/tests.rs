//! Pointers as DVC 3.67.1 writes them, and as people edit them.

use proptest::prelude::*;

use super::*;
use crate::base::ToDiagnostics;
use crate::base::fs::Executable;
use crate::base::hash::HashAlgo;

fn read(file: &str, text: &str) -> Pointer {
    parse(&file.parse().unwrap(), text.to_owned()).unwrap()
}

fn md5(text: &str) -> Presence {
    Presence::Present(Present {
        object: ObjectId::File(HashAlgo::Md5.hash(text.as_bytes())),
        size: text.len() as u64,
        files: None,
        exec: Executable::No,
    })
}

/// Written by DVC.
const OF_DVC: [&str; 4] = [
    "outs:\n- md5: 98a840a5cd11b32c15633e9bb6c8bd42.dir\n  size: 78\n  nfiles: 6\n  hash: md5\n  path: raw\n",
    "outs:\n- md5: c9a689574e0e69c2933a7fead321993a\n  size: 8\n  hash: md5\n  path: labels.txt\n",
    "outs:\n- md5: d751713988987e9331980363e24189ce.dir\n  size: 0\n  nfiles: 0\n  hash: md5\n  path: e\n",
    "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 0\n  isexec: true\n  hash: md5\n  path: f\n",
];

#[test]
fn what_dvc_writes_is_read_and_written_alike() {
    for text in OF_DVC {
        let pointer = read("data/raw.dvc", text);
        assert_eq!(pointer.to_text().unwrap(), text);
        let out = &pointer.outs[0];
        let new = Pointer::new(pointer.file.clone(), out.path.clone(), out.recorded);
        assert_eq!(new.to_text().unwrap(), text);
    }
    let pointer = read("data/raw.dvc", OF_DVC[0]);
    assert_eq!(pointer.outs[0].path.as_str(), "data/raw");
    assert_eq!(pointer.outs[0].present().unwrap().files, Some(6));
}

#[test]
fn only_what_differs_is_written() {
    let text = "# ours\nwdir: ..\nouts:\n- md5: c9a689574e0e69c2933a7fead321993a\n  path: x  # here\n  hash: md5\n  size: 8\n  push: false\n  desc: all of it\n  meta: {a: [1, 2]}\nmeta:\n  owner: me\n";
    let mut pointer = read("sub/x.dvc", text);
    assert_eq!(pointer.outs[0].path.as_str(), "x");
    assert!(!pointer.outs[0].push);
    assert_eq!(pointer.to_text().unwrap(), text);
    pointer.outs[0].recorded = md5("new");
    let expected = text
        .replace(
            "c9a689574e0e69c2933a7fead321993a",
            "22af645d1859cb5ca6da0c484f1f37ea",
        )
        .replace("size: 8", "size: 3");
    assert_eq!(pointer.to_text().unwrap(), expected);
    // Moved: its file now lies beside it.
    pointer.file = "moved.dvc".parse().unwrap();
    pointer.base = None;
    pointer.outs[0].path = "moved".parse().unwrap();
    let moved = pointer.to_text().unwrap();
    assert!(
        !moved.contains("wdir") && moved.contains("path: moved") && moved.contains("# here"),
        "{moved}"
    );
}

#[test]
fn dvc_2_and_imports_are_kept_as_they_are() {
    let text = "md5: 0123456789abcdef0123456789abcdef\nfrozen: true\ndeps:\n- path: ../in\n  md5: 22af645d1859cb5ca6da0c484f1f37ea\nouts:\n- md5: 22af645d1859cb5ca6da0c484f1f37ea\n  path: x\n";
    let mut pointer = read("d/x.dvc", text);
    assert_eq!(pointer.to_text().unwrap(), text);
    let object = pointer.outs[0].object().unwrap();
    assert_eq!(object.hash().algo(), HashAlgo::Md5Dos2Unix);
    assert_eq!(pointer.deps[0].path.as_ref().unwrap().as_str(), "in");
    assert!(pointer.frozen && pointer.is_import());
    pointer.outs[0].recorded = md5("new");
    assert!(pointer.to_text().unwrap().contains("hash: md5"));
}

#[test]
fn every_problem_is_told() {
    let text =
        "outs:\n- md5: abc\n  pth: x\n- path: ../../x\n  size: -1\n  cache: maybe\nfrozn: true\n";
    let error = parse(&"d/x.dvc".parse().unwrap(), text.to_owned()).unwrap_err();
    let said: Vec<String> = error
        .to_diagnostics()
        .into_iter()
        .map(|d| d.headline)
        .collect();
    assert_eq!(said.len(), 7, "{said:#?}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "(outs:\n|- |  |md5: |path: |x|\n|a{32}|\\.dir|:|#|\\[|\\]|hash: md5)*") {
        if let Ok(pointer) = parse(&"d/x.dvc".parse().unwrap(), text) {
            let _ = pointer.to_text();
        }
    }

    #[test]
    fn any_path_survives(name in "[ -~é]{1,100}") {
        if let Ok(path) = format!("d/{name}").parse::<ArtifactPath>() {
            let pointer = Pointer::new("d/p.dvc".parse().unwrap(), path.clone(), md5("x"));
            let again = read("d/p.dvc", &pointer.to_text().unwrap());
            prop_assert_eq!(&again.outs[0].path, &path);
        }
    }
}
