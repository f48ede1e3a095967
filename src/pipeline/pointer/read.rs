//! Reads a pointer file; every problem is reported at once, with its place. Imports: base, store.

use crate::base::doc::{Document, Fields, Format, KeyPath, Map, On, Problems, Value};
use crate::base::fs::Executable;
use crate::base::path::PathError;
use crate::base::{ArtifactPath, Error, ObjectId};
use crate::pipeline::spec::{BeforeRun, Storage};
use crate::store::{Presence, Present};

use super::{Pointer, PointerDep, PointerOut};

/// Keys of DVC's that say nothing to us, and stay where they are.
const KEPT_AT_TOP: [&str; 3] = ["meta", "always_changed", "locked"];
/// The same, of an out.
const KEPT_IN_OUT: [&str; 7] = [
    "cloud",
    "files",
    "fs_config",
    "etag",
    "checksum",
    "version_id",
    "metric",
];

/// Reads the text of the pointer `file`.
///
/// # Errors
/// Broken YAML, or all unknown keys, wrong types and bad paths, in source order.
pub fn parse(file: &ArtifactPath, text: String) -> Result<Pointer, Error> {
    let document = Document::parse(file.as_str(), text, Format::Yaml)?;
    let problems = Problems::new(&document);
    let root = problems.fields(KeyPath::root());
    for key in KEPT_AT_TOP {
        let _ = root.get(key);
    }
    let base = read_base(file, &root);
    let folder = base.as_ref().map_or("", ArtifactPath::as_str);
    let outs: Vec<PointerOut> = items(&root, "outs")
        .iter()
        .filter_map(|at| read_out(folder, &problems.fields(at.clone())))
        .collect();
    if !root.has("outs") && !problems.any() {
        problems.report(
            &KeyPath::root(),
            On::Value,
            "no-outs",
            format!("`{file}` names no data"),
            "",
            Some(
                "it needs `outs:` with a `path` and its hash; `cvops add PATH` writes such files"
                    .to_owned(),
            ),
        );
    }
    let deps = items(&root, "deps")
        .into_iter()
        .map(|at| read_dep(folder, &document, at))
        .collect();
    let frozen = root.bool("frozen", false);
    let md5 = root.optional_text("md5").map(str::to_owned);
    let desc = root.optional_text("desc").map(str::to_owned);
    root.finish();
    problems.into_result(())?;
    Ok(Pointer {
        file: file.clone(),
        base,
        outs,
        deps,
        frozen,
        md5,
        desc,
        document: Some(document),
    })
}

/// Returns the folder that the paths of `file` are relative to.
fn read_base(file: &ArtifactPath, root: &Fields<'_, '_>) -> Option<ArtifactPath> {
    let folder = file.parent();
    let Some(wdir) = root.optional_text("wdir") else {
        return folder;
    };
    let above = folder.as_ref().map_or("", ArtifactPath::as_str);
    match ArtifactPath::parse_in(above, wdir) {
        Ok(path) => Some(path),
        // The top folder itself has no path.
        Err(PathError::Empty) => None,
        Err(error) => {
            root.problem("wdir", On::Value, "bad-path", error.to_string(), None);
            folder
        }
    }
}

/// Returns the places of the items of the list under `key`.
fn items(root: &Fields<'_, '_>, key: &'static str) -> Vec<KeyPath> {
    let at = root.path(key);
    match root.get(key) {
        None => Vec::new(),
        Some(Value::List(list)) => (0..list.len()).map(|i| at.index(i)).collect(),
        Some(other) => {
            let headline = format!("`{key}` must be a list");
            let label = format!("this is {}", other.kind());
            let problems = root.problems();
            problems.report(&at, On::Value, "wrong-type", headline, label, None);
            Vec::new()
        }
    }
}

fn read_out(folder: &str, fields: &Fields<'_, '_>) -> Option<PointerOut> {
    for key in KEPT_IN_OUT {
        let _ = fields.get(key);
    }
    let path = read_path(folder, fields);
    let recorded = read_content(fields);
    let storage = if fields.bool("cache", true) {
        Storage::Cached
    } else {
        Storage::Git
    };
    let before_run = if fields.bool("persist", false) {
        BeforeRun::Keep
    } else {
        BeforeRun::Remove
    };
    let text = |key| fields.optional_text(key).map(str::to_owned);
    let labels = fields.texts("labels");
    let meta = fields.get("meta").cloned();
    let (push, remote) = (fields.bool("push", true), text("remote"));
    let (desc, kind) = (text("desc"), text("type"));
    fields.check_unknown();
    Some(PointerOut {
        path: path?,
        recorded,
        storage,
        before_run,
        push,
        remote,
        desc,
        kind,
        labels: labels.into_iter().map(str::to_owned).collect(),
        meta: meta.unwrap_or(Value::Null),
        declared: fields.at().clone(),
    })
}

fn read_path(folder: &str, fields: &Fields<'_, '_>) -> Option<ArtifactPath> {
    let Some(text) = fields.optional_text("path") else {
        if !fields.has("path") {
            let headline = format!("`{}` has no `path`", fields.at());
            fields.problem("path", On::Value, "missing-key", headline, None);
        }
        return None;
    };
    match ArtifactPath::parse_in(folder, text) {
        Ok(path) => Some(path),
        Err(error) => {
            let help = matches!(error, PathError::Absolute(_) | PathError::Outside(_))
                .then(|| "copy the data into the project and `cvops add` it there".to_owned());
            fields.problem("path", On::Value, "bad-path", error.to_string(), help);
            None
        }
    }
}

/// Reads hash, size, number of files and execute bit.
fn read_content(fields: &Fields<'_, '_>) -> Presence {
    let is_exact = match fields.optional_text("hash") {
        Some("md5") => true,
        Some(other) => {
            let headline = format!("`{other}` is not a known hash");
            let help = Some("known: `md5`".to_owned());
            fields.problem("hash", On::Value, "unknown-choice", headline, help);
            true
        }
        None => false,
    };
    let size = fields.optional_int("size", 0..=u64::MAX).unwrap_or(0);
    let files = fields.optional_int("nfiles", 0..=u64::MAX);
    let exec = if fields.bool("isexec", false) {
        Executable::Yes
    } else {
        Executable::No
    };
    let mut object = None;
    for key in ["md5", "blake3"] {
        match fields.optional_text(key) {
            None | Some("") => {}
            Some(text) => match text.to_lowercase().parse::<ObjectId>() {
                Ok(id) if is_exact => object = Some(id),
                Ok(ObjectId::File(hash)) => object = Some(ObjectId::File(hash.dos2unix())),
                Ok(ObjectId::Tree(hash)) => object = Some(ObjectId::Tree(hash.dos2unix())),
                Err(error) => {
                    fields.problem(key, On::Value, "bad-hash", error.to_string(), None);
                }
            },
        }
    }
    object.map_or(Presence::Missing, |object| {
        let is_folder = matches!(object, ObjectId::Tree(_));
        Presence::Present(Present {
            object,
            size,
            files: is_folder.then(|| files.unwrap_or(0)),
            exec: if is_folder { Executable::No } else { exec },
        })
    })
}

fn read_dep(folder: &str, document: &Document, at: KeyPath) -> PointerDep {
    let fields: Map = at
        .get(&document.root)
        .and_then(Value::as_map)
        .cloned()
        .unwrap_or_default();
    let is_here = !fields.contains_key("repo");
    let text = fields.get("path").and_then(Value::as_str);
    let path = text.filter(|_| is_here);
    PointerDep {
        path: path.and_then(|text| ArtifactPath::parse_in(folder, text).ok()),
        fields,
        declared: at,
    }
}
