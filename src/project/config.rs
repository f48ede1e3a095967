//! Settings: user level, then the project's committed ones, then those of this machine; a later
//! level overrides an earlier one key by key. Imports: `base`, `project::{layout, settings}`.

use std::path::{Path, PathBuf};

use crate::base;
use crate::base::diag::nearest;
use crate::base::doc::{Document, Fields, KeyPath, On, Problems};
use crate::base::fs::LinkKind;

use super::layout::Layout;
use super::settings::SettingsFile;

/// Most parallel jobs that can be asked for.
const JOBS_MAX: u64 = 1024;

const LINK_KINDS: [LinkKind; 4] = [
    LinkKind::Reflink,
    LinkKind::Copy,
    LinkKind::Hardlink,
    LinkKind::Symlink,
];

/// The merged settings of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cache folder, absolute (`cache.dir`).
    pub cache_dir: PathBuf,
    /// How cached files reach the workspace, best first; never empty (`cache.type`).
    pub link_kinds: Vec<LinkKind>,
    /// Parallel jobs, if set (`core.jobs`).
    pub jobs: Option<usize>,
}

/// What one file sets.
#[derive(Default)]
struct Level {
    cache_dir: Option<PathBuf>,
    link_kinds: Option<Vec<LinkKind>>,
    jobs: Option<usize>,
}

impl Config {
    /// Returns the settings of a project that sets nothing.
    #[must_use]
    pub fn defaults(layout: &Layout) -> Self {
        Self {
            cache_dir: layout.default_cache(),
            link_kinds: vec![LinkKind::Reflink, LinkKind::Copy],
            jobs: None,
        }
    }

    /// Reads the levels that exist.
    ///
    /// # Errors
    /// A file cannot be read or holds an unknown key or a wrong value; all problems of that file.
    pub fn load(root: &Path, layout: &Layout, user: Option<&Path>) -> Result<Self, base::Error> {
        let mut config = Self::defaults(layout);
        for file in SettingsFile::of_project(root, layout, user) {
            if let Some(document) = file.read()? {
                config.apply(read(&document, file.base.as_deref())?);
            }
        }
        Ok(config)
    }

    fn apply(&mut self, level: Level) {
        if let Some(dir) = level.cache_dir {
            self.cache_dir = dir;
        }
        if let Some(kinds) = level.link_kinds {
            self.link_kinds = kinds;
        }
        self.jobs = level.jobs.or(self.jobs);
    }
}

/// Reads one level. `base` is what relative paths are relative to.
fn read(document: &Document, base: Option<&Path>) -> Result<Level, base::Error> {
    let problems = Problems::new(document);
    let top = problems.fields(KeyPath::root());
    let cache = top.section("cache");
    let core = top.section("core");
    let level = Level {
        cache_dir: cache_dir(&cache, base),
        link_kinds: link_kinds(&cache),
        jobs: core
            .optional_int("jobs", 1..=JOBS_MAX)
            .and_then(|n| usize::try_from(n).ok()),
    };
    cache.finish();
    core.finish();
    top.finish();
    problems.into_result(level)
}

/// Fails if `document` holds an unknown key or a wrong value; `base` as for `read`.
pub(super) fn check(document: &Document, base: Option<&Path>) -> Result<(), base::Error> {
    read(document, base).map(drop)
}

fn cache_dir(cache: &Fields, base: Option<&Path>) -> Option<PathBuf> {
    let text = cache.optional_text("dir")?;
    let refuse = |headline: &str, help: &str| {
        cache.problem(
            "dir",
            On::Value,
            "bad-path",
            headline,
            Some(help.to_owned()),
        );
        None
    };
    if text.is_empty() {
        return refuse("`cache.dir` is empty", "name a folder, or remove the key");
    }
    if text.starts_with('~') {
        return refuse(
            "`cache.dir` starts with `~`, which only a shell expands",
            "write the whole path",
        );
    }
    match base {
        Some(base) => Some(base.join(text)),
        None if Path::new(text).is_absolute() => Some(PathBuf::from(text)),
        None => refuse(
            "`cache.dir` must be absolute in the user's settings",
            "relative paths belong in the project's `.cvops/config.yaml`",
        ),
    }
}

fn link_kinds(cache: &Fields) -> Option<Vec<LinkKind>> {
    if !cache.has("type") {
        return None;
    }
    let mut kinds = Vec::new();
    for text in cache.texts("type") {
        match LINK_KINDS.iter().find(|kind| kind.name() == text) {
            Some(kind) if !kinds.contains(kind) => kinds.push(*kind),
            Some(_) => {}
            None => {
                let help = nearest(text, LINK_KINDS.map(LinkKind::name))
                    .map(|name| format!("did you mean `{name}`?"));
                cache.problem(
                    "type",
                    On::Value,
                    "unknown-value",
                    format!(
                        "`{text}` is no link type; `cache.type` is a list of \
                         `reflink`, `copy`, `hardlink`, `symlink`"
                    ),
                    help,
                );
            }
        }
    }
    if kinds.is_empty() {
        // Either reported above, or an empty list: then the default holds.
        return None;
    }
    Some(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs;
    use crate::project::personality::CVOPS;

    fn load(user: &str, project: &str, local: &str) -> Result<Config, Vec<String>> {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(Path::new("/p"), &CVOPS);
        let here = Layout::new(tmp.path(), &CVOPS);
        fs::create_dir_all(here.state_dir()).unwrap();
        let user_file = tmp.path().join("user.yaml");
        fs::write_atomic(&user_file, user.as_bytes()).unwrap();
        fs::write_atomic(&here.config(), project.as_bytes()).unwrap();
        fs::write_atomic(&here.local_config(), local.as_bytes()).unwrap();
        match Config::load(tmp.path(), &here, Some(&user_file)) {
            Ok(mut config) => {
                if let Ok(inside) = config.cache_dir.strip_prefix(tmp.path()) {
                    config.cache_dir = Path::new("/p").join(inside);
                }
                assert!(config.cache_dir.is_absolute(), "{layout:?}");
                Ok(config)
            }
            Err(base::Error::Document { problems, .. }) => {
                Err(problems.into_iter().map(|d| d.headline).collect())
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn later_levels_override_key_by_key() {
        let config = load(
            "core: {jobs: 2}\ncache: {dir: /shared}\n",
            "cache: {type: [hardlink, copy]}\n",
            "cache: {dir: elsewhere}\n",
        )
        .unwrap();
        assert_eq!(config.jobs, Some(2));
        assert_eq!(config.cache_dir, Path::new("/p/elsewhere"));
        assert_eq!(config.link_kinds, [LinkKind::Hardlink, LinkKind::Copy]);
        let plain = load("", "# nothing\n", "").unwrap();
        assert_eq!(plain.cache_dir, Path::new("/p/.cvops/cache"));
        assert_eq!(plain.link_kinds, [LinkKind::Reflink, LinkKind::Copy]);
    }

    #[test]
    fn every_problem_of_a_file_is_reported() {
        let problems = load(
            "",
            "cache: {dri: x, type: reflnk}\ncore: {jobs: 0}\nremote: {}\n",
            "",
        )
        .unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
        let user = load("cache: {dir: here}", "", "").unwrap_err();
        assert!(user[0].contains("absolute"), "{user:?}");
    }
}
