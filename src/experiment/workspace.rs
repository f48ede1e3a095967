//! The work tree of one trial: the project as it is, with other parameters, and with outputs of its
//! own. Imports: base, project, pipeline.
//!
//! It costs a handful of links, however large the project is. Folders that hold outputs, params
//! files or a stage's `wdir` are real folders of the tree, so that nothing is written through them;
//! everything else (data, code, virtual environments) is a symbolic link into the project, at the
//! highest level possible. Params files and the lock are files of the tree's own. Outputs are absent:
//! the run cache, which is shared, puts them there. What a frozen stage made is linked, because
//! nothing makes it again.
//!
//! Limits: a stage that writes beside its declared outputs into a folder of sources writes into the
//! project, as it would in a plain repro. A `persist` output starts empty.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::doc::Document;
use crate::base::fs::LinkKind;
use crate::base::{self, ArtifactPath, fs};
use crate::pipeline::execute::stop_leftovers;
use crate::pipeline::lock::LockFile;
use crate::pipeline::spec::Freshness;
use crate::pipeline::{StageGraph, lock_files};
use crate::project::Project;
use crate::project::claims::Tidy;
use crate::project::ignore::is_always_ignored;

use super::error::Error;

/// What a tree is made of besides links.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// The stages whose outputs are the tree's own.
    pub graph: &'a StageGraph,
    /// The stages of the project itself, where they are others: what they wrote is not the trial's.
    pub known: &'a StageGraph,
    /// Params files with the trial's values.
    pub params: &'a BTreeMap<ArtifactPath, Document>,
    /// What was last run.
    pub lock: &'a LockFile,
}

/// A work tree; removed when dropped.
#[derive(Debug)]
pub struct WorkTree {
    project: Project,
}

/// What becomes of a path of the project in the tree.
#[derive(Debug, Default)]
struct Layout {
    /// Folders that are real.
    folders: BTreeSet<ArtifactPath>,
    /// Paths that are not taken over.
    absent: BTreeSet<ArtifactPath>,
}

impl Layout {
    fn of(contents: &Contents<'_>) -> Self {
        let mut layout = Self::default();
        for file in contents.graph.files() {
            // The tree's own pipeline and lock files stand in it.
            let path = file.file.iter();
            layout
                .folders
                .extend(path.flat_map(ArtifactPath::ancestors));
        }
        let known = contents.known.stages().iter();
        for stage in contents.graph.stages().iter().chain(known) {
            layout.folders.extend(stage.wdir.iter().cloned());
            layout
                .folders
                .extend(stage.wdir.iter().flat_map(ArtifactPath::ancestors));
            if stage.freshness == Freshness::Frozen {
                continue;
            }
            for out in stage.outs.keys() {
                layout.folders.extend(out.ancestors());
                layout.absent.insert(out.clone());
            }
        }
        for file in contents.params.keys() {
            layout.folders.extend(file.ancestors());
            layout.absent.insert(file.clone());
        }
        layout
    }
}

impl WorkTree {
    /// Makes the tree at `root`, which must not exist, for `project`.
    ///
    /// # Errors
    /// A file or folder cannot be made; what was made is removed.
    pub fn create(project: &Project, root: &Path, contents: &Contents<'_>) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(base::Error::io("create folder", root))?;
        let tree = Self {
            project: Project {
                root: root.to_owned(),
                layout: project.layout.of_work_tree(root, &project.personality),
                ..project.clone()
            },
        };
        let layout = Layout::of(contents);
        link(&project.root, root, None, &layout, project)?;
        for (path, document) in contents.params {
            tree.write(&path.under(root), document.source.text.as_bytes())?;
        }
        for file in contents.graph.files() {
            let name = file
                .file
                .as_ref()
                .map_or(project.personality.pipeline_file, ArtifactPath::as_str);
            let path = project.root.join(name);
            let text = std::fs::read(&path).map_err(base::Error::io("read", &path))?;
            tree.write(&root.join(name), &text)?;
        }
        for (path, text) in lock_files::texts(&tree.project, contents.graph, contents.lock)? {
            tree.write(&root.join(path), text.as_bytes())?;
        }
        Ok(tree)
    }

    /// Writes a file of the tree. It need not survive a power loss: the tree does not either.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), base::Error> {
        let dir = path.parent().unwrap_or(&self.project.root);
        fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
        let mut staged = fs::Staged::new_in(dir).map_err(base::Error::io("write", path))?;
        std::io::Write::write_all(staged.file(), bytes).map_err(base::Error::io("write", path))?;
        staged.commit(path).map_err(base::Error::io("write", path))
    }

    /// Returns the tree as a project.
    #[must_use]
    pub fn project(&self) -> &Project {
        &self.project
    }
}

impl Drop for WorkTree {
    fn drop(&mut self) {
        // What stays is removed by the next sweep of this name.
        if let Err(error) = fs::remove_dir_all(&self.project.root) {
            tracing::warn!(%error, root = %self.project.root.display(), "a work tree could not be removed");
        }
    }
}

/// Takes over the folder `from` as `to`; `at` is its path in the project.
fn link(
    from: &Path,
    to: &Path,
    at: Option<&ArtifactPath>,
    layout: &Layout,
    project: &Project,
) -> Result<(), Error> {
    for entry in std::fs::read_dir(from).map_err(base::Error::io("read", from))? {
        let entry = entry.map_err(base::Error::io("read", from))?;
        // Names that are no text cannot be declared anywhere; they are linked like the others.
        let path = entry.file_name().to_str().and_then(|name| {
            let base = at.map_or("", ArtifactPath::as_str);
            ArtifactPath::parse_in(base, name).ok()
        });
        let name = entry.file_name();
        let is_ours = at.is_none()
            && (name == project.personality.pipeline_file || name == project.personality.lock_file);
        if is_ours || name.to_str().is_some_and(is_always_ignored) {
            continue;
        }
        let target = to.join(&name);
        match path {
            Some(path) if layout.absent.contains(&path) => {}
            Some(path) if layout.folders.contains(&path) && entry.path().is_dir() => {
                fs::create_dir_all(&target).map_err(base::Error::io("create folder", &target))?;
                link(&entry.path(), &target, Some(&path), layout, project)?;
            }
            _ => {
                fs::place(&entry.path(), &target, &[LinkKind::Symlink])
                    .map_err(base::Error::io("link", &target))?;
            }
        }
    }
    Ok(())
}

/// Removes the trees in `folder` that a killed sweep left behind, after stopping what still runs in
/// them; returns the stages that were stopped. Call it only while nobody else can use the folder.
///
/// # Errors
/// One of them cannot be removed.
pub fn remove_leftovers(project: &Project, folder: &Path) -> Result<Vec<String>, Error> {
    let mut stopped = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let root = entry.path();
        let layout = project.layout.of_work_tree(&root, &project.personality);
        stopped.extend(stop_leftovers(&layout, &root, Tidy::Yes)?.stopped);
    }
    fs::remove_dir_all(folder).map_err(base::Error::io("remove", folder))?;
    Ok(stopped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Cancel;
    use crate::base::doc::Format;
    use crate::pipeline::spec;
    use crate::store::Store;

    const PIPELINE: &str = "stages:\n  a:\n    cmd: x\n    wdir: sub\n    deps: [../data/in, ../src]\n    params: [k]\n    outs: [../data/made]\n    metrics: [m.json]\n  f:\n    cmd: y\n    frozen: true\n    outs: [frozen.txt]\n";

    fn text(text: &str, name: &str) -> Document {
        Document::parse(name, text.to_owned(), Format::Yaml).unwrap()
    }

    #[test]
    fn a_tree_links_sources_and_leaves_outputs_out() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().canonicalize().unwrap();
        for (path, content) in [
            ("pipeline.yaml", PIPELINE),
            ("sub/params.yaml", "k: 1\n"),
            ("sub/tool.sh", "x\n"),
            ("sub/m.json", "{}\n"),
            ("data/in/1.txt", "1\n"),
            ("data/made/o.txt", "o\n"),
            ("src/lib/a.py", "a\n"),
            ("frozen.txt", "f\n"),
            (".git/HEAD", "h\n"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write_atomic(&path, content.as_bytes()).unwrap();
        }
        let project = crate::project::discover(&root, None).unwrap();
        let graph =
            StageGraph::build(spec::read(text(PIPELINE, "pipeline.yaml")).unwrap()).unwrap();
        let params = BTreeMap::from([(
            "sub/params.yaml".parse().unwrap(),
            text("k: 2\n", "sub/params.yaml"),
        )]);
        let contents = Contents {
            graph: &graph,
            known: &graph,
            params: &params,
            lock: &LockFile::default(),
        };
        let place = project.layout.trials("s").join("1");
        let tree = WorkTree::create(&project, &place, &contents).unwrap();
        let is_link = |path: &str| {
            place
                .join(path)
                .symlink_metadata()
                .is_ok_and(|m| m.is_symlink())
        };
        assert!(
            is_link("src") && is_link("data/in") && is_link("sub/tool.sh") && is_link("frozen.txt")
        );
        assert!(!is_link("data") && !is_link("sub"));
        for absent in ["data/made", "sub/m.json", ".git", ".cvops"] {
            assert!(!place.join(absent).exists(), "{absent}");
        }
        let read = |path: &str| std::fs::read_to_string(place.join(path)).unwrap();
        assert_eq!(read("sub/params.yaml"), "k: 2\n");
        assert_eq!(read("pipeline.yaml"), PIPELINE);

        // What is linked has the same identity, and is known by the project's stat cache.
        let store = Store::open(&project, &Cancel::new());
        let paths: Vec<ArtifactPath> = ["src", "data/in", "frozen.txt"]
            .map(|p| p.parse().unwrap())
            .into();
        let here: Vec<_> = paths.iter().map(|p| store.snapshot(p).unwrap()).collect();
        store.finish();
        let there = Store::open(tree.project(), &Cancel::new());
        let seen: Vec<_> = paths.iter().map(|p| there.snapshot(p).unwrap()).collect();
        assert_eq!(here, seen);
        assert_eq!(there.snapshots.stats().files_hashed, 0);

        drop(tree);
        assert!(!place.exists());
        assert!(root.join("src/lib/a.py").exists());
        assert_eq!(
            remove_leftovers(&project, &project.layout.trials("s")).unwrap(),
            Vec::<String>::new()
        );
    }
}
