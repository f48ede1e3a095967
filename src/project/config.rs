//! Settings: those of the machine, of the user, the project's committed ones, then those of this
//! machine; a later level overrides an earlier one key by key. Imports: `base`,
//! `project::{error, layout, personality, remote, settings}`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base;
use crate::base::Diagnostic;
use crate::base::diag::{Severity, nearest};
use crate::base::doc::{Document, Fields, KeyPath, On, Problems, Value};
use crate::base::fs::{self, LinkKind};
use crate::base::units;

use super::layout::{Layout, LockKind};
use super::personality::Personality;
use super::remote::{self, Remote};
use super::settings::{
    DVC_REMOTE_OPTIONS, DVC_SECTIONS, DVC_SETTINGS, OuterSettings, SETTINGS, SettingsFile,
    SettingsForm, remote_path,
};

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
    /// Who may write into the cache (`cache.shared`).
    pub shared: Sharing,
    /// Parallel jobs, if set (`core.jobs`).
    pub jobs: Option<usize>,
    /// Are written files handed to `git add` (`core.autostage`)?
    pub autostage: bool,
    /// How are DVC's locks taken (`core.hardlink_lock`)?
    pub lock_kind: LockKind,
    /// Is git left alone, even where there is a repository (`core.no_scm`)?
    pub no_scm: bool,
    /// How templates write values into commands (`parsing.bool`, `parsing.list`).
    pub parsing: Parsing,
    /// The remote that is meant when none is named (`core.remote`).
    pub default_remote: Option<String>,
    /// The remotes that have a URL, by name.
    pub remotes: BTreeMap<String, Remote>,
    /// Are system metrics recorded with runs (`tracking.system_metrics`)?
    pub system_metrics: bool,
    /// The server that gets the recorded runs as well, without a slash at its end (`tracking.uri`).
    pub tracking_uri: Option<String>,
    /// What a prediction server runs when drift is found (`on_drift.command`, `.period`, `.after`).
    pub on_drift: OnDriftSettings,
    /// Options of remotes that have no URL: left over when a remote was removed in another file.
    pub(super) lost_remotes: Vec<String>,
    /// What is odd in the files without being wrong, for whoever shows messages.
    pub warnings: Vec<Diagnostic>,
}

/// What a prediction server runs when drift is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDriftSettings {
    /// A shell command; `None`: nothing is run.
    pub command: Option<String>,
    /// In this time it is run at most once.
    pub period: Duration,
    /// For so long a detector must have found drift before.
    pub after: Duration,
}

impl Default for OnDriftSettings {
    fn default() -> Self {
        Self {
            command: None,
            period: Duration::from_hours(24),
            after: Duration::from_mins(15),
        }
    }
}

/// Who may write into a cache or a remote folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// What the user's umask says.
    #[default]
    Umask,
    /// The group as well.
    Group,
}

impl Sharing {
    /// Creates a folder and its parents, open to whom it is for.
    ///
    /// # Errors
    /// A parent is no folder or not writable.
    pub fn create_dir_all(self, dir: &Path) -> std::io::Result<()> {
        match self {
            Self::Umask => fs::create_dir_all(dir),
            Self::Group => fs::create_dir_all_for_group(dir),
        }
    }
}

/// How templates write truth values and lists into commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parsing {
    /// Truth values.
    pub bools: BoolFlags,
    /// Lists.
    pub lists: ListFlags,
}

/// How a truth value `k` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoolFlags {
    /// `--k`, or nothing.
    #[default]
    StoreTrue,
    /// `--k` or `--no-k`.
    BooleanOptional,
}

/// How a list `k` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListFlags {
    /// `--k 1 2`.
    #[default]
    Nargs,
    /// `--k 1 --k 2`.
    Append,
}

const SHARING: [(&str, Sharing); 1] = [("group", Sharing::Group)];
const BOOL_FLAGS: [(&str, BoolFlags); 2] = [
    ("store_true", BoolFlags::StoreTrue),
    ("boolean_optional", BoolFlags::BooleanOptional),
];
const LIST_FLAGS: [(&str, ListFlags); 2] =
    [("nargs", ListFlags::Nargs), ("append", ListFlags::Append)];

/// What one file sets.
#[derive(Default)]
struct Level {
    cache_dir: Option<PathBuf>,
    link_kinds: Option<Vec<LinkKind>>,
    shared: Option<Sharing>,
    jobs: Option<usize>,
    autostage: Option<bool>,
    lock_kind: Option<LockKind>,
    no_scm: Option<bool>,
    bools: Option<BoolFlags>,
    lists: Option<ListFlags>,
    default_remote: Option<String>,
    remotes: remote::Options,
    system_metrics: Option<bool>,
    tracking_uri: Option<String>,
    on_drift: OnDriftLevel,
}

/// What one file sets of `on_drift`.
#[derive(Default)]
struct OnDriftLevel {
    command: Option<String>,
    period: Option<Duration>,
    after: Option<Duration>,
}

impl Config {
    /// Returns the settings of a project that sets nothing.
    #[must_use]
    pub fn defaults(layout: &Layout) -> Self {
        Self {
            cache_dir: layout.default_cache(),
            link_kinds: vec![LinkKind::Reflink, LinkKind::Copy],
            shared: Sharing::Umask,
            jobs: None,
            autostage: false,
            lock_kind: LockKind::default(),
            no_scm: false,
            parsing: Parsing::default(),
            default_remote: None,
            remotes: BTreeMap::new(),
            system_metrics: true,
            tracking_uri: None,
            on_drift: OnDriftSettings::default(),
            lost_remotes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reads the levels that exist.
    ///
    /// # Errors
    /// A file cannot be read or holds a wrong value, or one of ours an unknown key; all problems of
    /// that file.
    pub fn load(
        root: &Path,
        layout: &Layout,
        personality: &Personality,
        outer: &OuterSettings,
    ) -> Result<Self, base::Error> {
        let mut config = Self::defaults(layout);
        let mut options = remote::Options::new();
        for file in SettingsFile::of_project(root, layout, personality, outer) {
            let Some(document) = file.read()? else {
                continue;
            };
            let (mut level, warnings) = read(&document, &file)?;
            if !file.is_native {
                // Where the cache of our own projects is says nothing about DVC's.
                level = Level {
                    jobs: level.jobs,
                    on_drift: level.on_drift,
                    ..Level::default()
                };
            }
            for (name, more) in std::mem::take(&mut level.remotes) {
                options.entry(name).or_default().extend(more);
            }
            config.apply(level);
            config.warnings.extend(warnings);
        }
        (config.remotes, config.lost_remotes) = remote::of_options(options);
        Ok(config)
    }

    fn apply(&mut self, level: Level) {
        fn put<T>(to: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *to = value;
            }
        }
        put(&mut self.cache_dir, level.cache_dir);
        put(&mut self.link_kinds, level.link_kinds);
        put(&mut self.shared, level.shared);
        put(&mut self.autostage, level.autostage);
        put(&mut self.lock_kind, level.lock_kind);
        put(&mut self.no_scm, level.no_scm);
        put(&mut self.parsing.bools, level.bools);
        put(&mut self.parsing.lists, level.lists);
        put(&mut self.system_metrics, level.system_metrics);
        put(&mut self.on_drift.period, level.on_drift.period);
        put(&mut self.on_drift.after, level.on_drift.after);
        if level.on_drift.command.is_some() {
            self.on_drift.command = level.on_drift.command;
        }
        self.jobs = level.jobs.or(self.jobs);
        if level.default_remote.is_some() {
            self.default_remote = level.default_remote;
        }
        if level.tracking_uri.is_some() {
            self.tracking_uri = level.tracking_uri;
        }
    }
}

/// Reads one level, and what is odd in it.
fn read(document: &Document, file: &SettingsFile) -> Result<(Level, Vec<Diagnostic>), base::Error> {
    let problems = Problems::new(document);
    let top = problems.fields(KeyPath::root());
    let (cache, core, parsing) = (
        top.section("cache"),
        top.section("core"),
        top.section("parsing"),
    );
    let remotes = top.section("remote");
    let tracking = top.section("tracking");
    let on_drift = match file.form {
        SettingsForm::Yaml => on_drift(&top),
        // A section that DVC does not know.
        SettingsForm::Ini => OnDriftLevel::default(),
    };
    let level = Level {
        cache_dir: cache_dir(&cache, file),
        link_kinds: link_kinds(&cache),
        shared: choice(&cache, "shared", &SHARING),
        jobs: number(&core, "jobs"),
        autostage: flag(&core, "autostage"),
        lock_kind: match file.form {
            SettingsForm::Yaml => None,
            SettingsForm::Ini => flag(&core, "hardlink_lock").map(|wanted| {
                if wanted {
                    LockKind::Hardlink
                } else {
                    LockKind::Flock
                }
            }),
        },
        no_scm: flag(&core, "no_scm"),
        bools: choice(&parsing, "bool", &BOOL_FLAGS),
        lists: choice(&parsing, "list", &LIST_FLAGS),
        default_remote: text(&core, "remote").map(|name| match file.form {
            SettingsForm::Yaml => name,
            // As all names in an INI file.
            SettingsForm::Ini => name.to_lowercase(),
        }),
        remotes: read_remotes(&problems, &remotes, file),
        system_metrics: match file.form {
            SettingsForm::Yaml => flag(&tracking, "system_metrics"),
            SettingsForm::Ini => None,
        },
        tracking_uri: match file.form {
            SettingsForm::Yaml => tracking_uri(&tracking),
            SettingsForm::Ini => None,
        },
        on_drift,
    };
    let mut warnings = Vec::new();
    match file.form {
        SettingsForm::Yaml => {
            for fields in [&cache, &core, &parsing, &tracking, &top] {
                fields.check_unknown();
            }
        }
        // A later DVC may know more settings, and what it knows is no mistake.
        SettingsForm::Ini => {
            let odd = Problems::new(document);
            for path in unknown_of_dvc(document) {
                report_unknown(&odd, &path);
            }
            if let Err(base::Error::Document { problems, .. }) = odd.into_result(()) {
                warnings = problems;
                for warning in &mut warnings {
                    warning.severity = Severity::Warning;
                }
            }
        }
    }
    problems.into_result((level, warnings))
}

/// Fails if `document`, as the text of `file`, holds a wrong value or, in a file of ours, an unknown
/// key.
pub(super) fn check(document: &Document, file: &SettingsFile) -> Result<(), base::Error> {
    read(document, file).map(drop)
}

/// Returns the places of keys that neither we nor DVC know.
fn unknown_of_dvc(document: &Document) -> Vec<KeyPath> {
    let mut unknown = Vec::new();
    let Value::Map(sections) = &document.root else {
        return unknown;
    };
    for (section, inner) in sections {
        let at = KeyPath::root().key(section);
        if DVC_SECTIONS.contains(&section.as_str()) {
            continue;
        }
        match inner {
            Value::Map(remotes) if section == "remote" => {
                for (name, options) in remotes {
                    let Value::Map(options) = options else {
                        continue;
                    };
                    let odd = options.keys().filter(|option| !is_remote_option(option));
                    unknown.extend(odd.map(|option| at.key(name).key(option)));
                }
            }
            Value::Map(keys) => {
                let is_known = |key: &String| {
                    let key = format!("{section}.{key}");
                    DVC_SETTINGS.contains(&key.as_str())
                        || SETTINGS
                            .iter()
                            .any(|s| s.key == key && SettingsForm::Ini.holds(s))
                };
                let is_section_known = SETTINGS
                    .iter()
                    .any(|s| s.key.starts_with(&format!("{section}.")));
                if is_section_known {
                    unknown.extend(keys.keys().filter(|k| !is_known(k)).map(|k| at.key(k)));
                } else {
                    unknown.push(at);
                }
            }
            _ => unknown.push(at),
        }
    }
    unknown
}

fn is_remote_option(option: &str) -> bool {
    DVC_REMOTE_OPTIONS.contains(&option) || our_remote_options().any(|known| known == option)
}

fn our_remote_options() -> impl Iterator<Item = &'static str> {
    SETTINGS
        .iter()
        .filter_map(|s| s.key.strip_prefix("remote.NAME."))
}

fn report_unknown(problems: &Problems, path: &KeyPath) {
    let shown = path.to_string();
    let known = SETTINGS.iter().map(|s| s.key).chain(DVC_SETTINGS);
    let help = nearest(&shown, known).map(|name| format!("did you mean `{name}`?"));
    let headline = format!("unknown setting `{shown}` is not used");
    problems.report(
        path,
        On::Key,
        "unknown-setting",
        headline,
        "not known",
        help,
    );
}

/// Reads what is run when drift is found.
fn on_drift(top: &Fields) -> OnDriftLevel {
    let fields = top.section("on_drift");
    let command = text(&fields, "command");
    if command
        .as_ref()
        .is_some_and(|command| command.trim().is_empty())
    {
        let headline = "`on_drift.command` is empty";
        let help = Some("write a shell command, or remove the key".to_owned());
        fields.problem("command", On::Value, "empty-command", headline, help);
    }
    let level = OnDriftLevel {
        command,
        period: time(&fields, "period"),
        after: time(&fields, "after"),
    };
    fields.check_unknown();
    level
}

/// Reads a time, `None` when absent.
fn time(fields: &Fields, key: &'static str) -> Option<Duration> {
    let written = text(fields, key)?;
    let time = units::parse_duration(&written);
    if time.is_none() {
        let headline = format!("`{}` is no time: `{written}`", fields.path(key));
        let help = Some(format!("write {}", units::DURATION_FORM));
        fields.problem(key, On::Value, "bad-time", headline, help);
    }
    time
}

/// Reads the address of a tracking server. It holds no password: settings are committed.
fn tracking_uri(tracking: &Fields) -> Option<String> {
    let uri = text(tracking, "uri")?;
    let host = ["http://", "https://"]
        .iter()
        .find_map(|scheme| uri.strip_prefix(scheme));
    let (headline, help) = match host.map(|host| host.split('/').next().unwrap_or_default()) {
        Some(host) if host.contains('@') => (
            "`tracking.uri` holds a password",
            "leave it out; `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD` say it",
        ),
        Some(host) if !host.is_empty() && !uri.contains(['?', '#', ' ']) => {
            return Some(uri.trim_end_matches('/').to_owned());
        }
        Some(_) | None => (
            "`tracking.uri` is no address of a tracking server",
            "write it like `http://127.0.0.1:5000`",
        ),
    };
    let help = Some(help.to_owned());
    tracking.problem("uri", On::Value, "bad-uri", headline, help);
    None
}

fn cache_dir(cache: &Fields, file: &SettingsFile) -> Option<PathBuf> {
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
    if text.starts_with('~') && file.home.is_none() {
        return refuse(
            "`cache.dir` starts with `~`, which only a shell expands",
            "write the whole path",
        );
    }
    match file.absolute(text) {
        Some(path) => Some(PathBuf::from(path)),
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
    // DVC writes the list as one text.
    let words = cache
        .texts("type")
        .into_iter()
        .flat_map(|text| text.split(','));
    for text in words.map(str::trim).filter(|text| !text.is_empty()) {
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

/// Reads one of a set of names, `None` when absent.
fn choice<T: Copy>(fields: &Fields, key: &'static str, names: &[(&str, T)]) -> Option<T> {
    if !fields.has(key) {
        return None;
    }
    let (_, first) = names.first()?;
    Some(fields.choice(key, *first, names))
}

/// Reads `true` or `false`, in any case as DVC does; `None` when absent.
fn flag(fields: &Fields, key: &'static str) -> Option<bool> {
    let value = fields.get(key)?;
    if let Some(flag) = value
        .as_str()
        .and_then(|text| text.to_lowercase().parse().ok())
    {
        return Some(flag);
    }
    Some(fields.bool(key, false))
}

/// Reads a number of jobs, `None` when absent.
fn number(fields: &Fields, key: &'static str) -> Option<usize> {
    let value = fields.get(key)?;
    // In an INI file it may stand in quotes.
    match value.as_str().and_then(|text| text.parse::<u64>().ok()) {
        Some(number) if (1..=JOBS_MAX).contains(&number) => usize::try_from(number).ok(),
        _ => fields
            .optional_int(key, 1..=JOBS_MAX)
            .and_then(|n| usize::try_from(n).ok()),
    }
}

/// Reads a name, `None` when absent. A remote may be called `7`.
fn text(fields: &Fields, key: &'static str) -> Option<String> {
    match fields.get(key)? {
        Value::List(_) | Value::Map(_) => fields.optional_text(key).map(str::to_owned),
        value => Some(plain(value)),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads the options of all remotes, paths made absolute.
fn read_remotes(problems: &Problems, remotes: &Fields, file: &SettingsFile) -> remote::Options {
    let mut all = remote::Options::new();
    for (name, _) in remotes.entries() {
        let fields = problems.fields(remote_path(name));
        // What is wrong with these is said with their place, now and not when the remote is used.
        let _ = (flag(&fields, "verify"), flag(&fields, "version_aware"));
        let _ = (number(&fields, "jobs"), choice(&fields, "shared", &SHARING));
        let mut options = BTreeMap::new();
        for (option, value) in fields.entries() {
            if file.form == SettingsForm::Yaml && !is_remote_option(option) {
                let names: Vec<&str> = our_remote_options().collect();
                let help = nearest(option, names.iter().copied())
                    .map(|name| format!("did you mean `{name}`?"));
                fields.problem(
                    option,
                    On::Key,
                    "unknown-key",
                    format!("unknown key `{option}` in `remote.{name}`"),
                    help,
                );
                continue;
            }
            let mut text = match value {
                Value::Null => continue,
                Value::List(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
                value => plain(value),
            };
            if is_place(option) {
                match file.absolute(&text) {
                    Some(absolute) => text = absolute,
                    None => fields.problem(
                        option,
                        On::Value,
                        "bad-path",
                        format!("`remote.{name}.{option}` must be absolute in the user's settings"),
                        Some("relative paths belong in the project's settings".to_owned()),
                    ),
                }
            }
            options.insert(option.clone(), text);
        }
        all.insert(name.clone(), options);
    }
    all
}

fn is_place(option: &str) -> bool {
    const PATHS: [&str; 8] = [
        "url",
        "gdrive_user_credentials_file",
        "gdrive_service_account_json_file_path",
        "credentialpath",
        "configpath",
        "keyfile",
        "cert_path",
        "key_path",
    ];
    PATHS.contains(&option)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::fs;
    use crate::project::personality::{CVOPS, DVC};

    /// Loads files at their paths below a folder, with a home in it.
    fn load(
        personality: &Personality,
        files: &[(&str, &str)],
    ) -> Result<(Config, PathBuf), Vec<String>> {
        let tmp = tempfile::tempdir().unwrap();
        let top = tmp.path().canonicalize().unwrap();
        for (path, text) in files {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write_atomic(&path, text.as_bytes()).unwrap();
        }
        let mut outer = OuterSettings::default();
        outer.cvops.user = Some(top.join("home/config.yaml"));
        outer.dvc.user = Some(top.join("home/dvc/config"));
        outer.home = Some(top.join("home"));
        let root = top.join("p");
        let layout = Layout::new(&root, personality);
        match Config::load(&root, &layout, personality, &outer) {
            Ok(config) => Ok((config, top)),
            Err(base::Error::Document { problems, .. }) => {
                Err(problems.into_iter().map(|d| d.headline).collect())
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn later_levels_override_key_by_key() {
        let (config, top) = load(
            &CVOPS,
            &[
                ("home/config.yaml", "core: {jobs: 2}\ncache: {dir: /shared}\n"),
                (
                    "p/.cvops/config.yaml",
                    "cache: {type: [hardlink, copy]}\ncore: {remote: s}\nremote: {s: {url: ../store, jobs: 3}}\n",
                ),
                (
                    "p/.cvops/config.local.yaml",
                    "cache: {dir: elsewhere}\nremote: {s: {jobs: 4}}\n",
                ),
            ],
        )
        .unwrap();
        assert_eq!(config.jobs, Some(2));
        assert_eq!(config.cache_dir, top.join("p/elsewhere"));
        assert_eq!(config.link_kinds, [LinkKind::Hardlink, LinkKind::Copy]);
        let (name, remote) = config.remote(None).unwrap();
        assert_eq!((name, remote.jobs), ("s", Some(4)));
        assert_eq!(remote.folder(), Some(top.join("store").as_path()));
        let (plain, top) = load(&CVOPS, &[("p/.cvops/config.yaml", "# nothing\n")]).unwrap();
        assert_eq!(plain.cache_dir, top.join("p/.cvops/cache"));
        assert_eq!(plain.link_kinds, [LinkKind::Reflink, LinkKind::Copy]);
        assert!(matches!(
            plain.remote(None),
            Err(crate::project::Error::NoRemote { .. })
        ));
    }

    #[test]
    fn every_problem_of_a_file_is_reported() {
        let problems = load(
            &CVOPS,
            &[(
                "p/.cvops/config.yaml",
                "cache: {dri: x, type: reflnk}\ncore: {jobs: 0}\nremote: {s: {ulr: x}}\nremotes: {}\n",
            )],
        )
        .unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:?}");
        let user = load(&CVOPS, &[("home/config.yaml", "cache: {dir: here}")]).unwrap_err();
        assert!(user[0].contains("absolute"), "{user:?}");
    }

    #[test]
    fn files_of_dvc_are_read_with_their_levels_and_paths() {
        let (config, top) = load(
            &DVC,
            &[
                ("home/config.yaml", "core: {jobs: 2}\ncache: {dir: /ours}\n"),
                ("home/dvc/config", "[cache]\n    dir = ~/big\n    type = \"hardlink,copy\"\n"),
                (
                    "p/.dvc/config",
                    "[core]\n    remote = Store\n    analytics = false\n    autostage = True\n['remote \"store\"']\n    url = ../../store\n[cache]\n    shared = group\n[parsing]\n    bool = boolean_optional\n",
                ),
                (
                    "p/.dvc/config.local",
                    "['remote \"store\"']\n    jobs = 8\n['remote \"gone\"']\n    password = x\n",
                ),
            ],
        )
        .unwrap();
        assert_eq!(config.jobs, Some(2));
        assert_eq!(config.cache_dir, top.join("home/big"));
        assert_eq!(config.link_kinds, [LinkKind::Hardlink, LinkKind::Copy]);
        assert_eq!(config.parsing.bools, BoolFlags::BooleanOptional);
        assert_eq!((config.shared, config.autostage), (Sharing::Group, true));
        let (_, remote) = config.remote(None).unwrap();
        assert_eq!(remote.folder(), Some(top.join("store").as_path()));
        assert_eq!(remote.jobs, Some(8));
        assert!(matches!(
            config.remote(Some("gone")),
            Err(crate::project::Error::RemoteWithoutUrl { .. })
        ));
        assert_eq!(config.warnings, []);

        let text = "[core]\n    autostge = true\n[remot]\nx = 1\n";
        let (config, _) = load(&DVC, &[("p/.dvc/config", text)]).unwrap();
        let warnings: Vec<_> = config
            .warnings
            .iter()
            .map(|d| d.headline.as_str())
            .collect();
        assert_eq!(
            warnings,
            [
                "unknown setting `core.autostge` is not used",
                "unknown setting `remot` is not used"
            ]
        );
        let wrong = "[core]\n    autostage = maybe\n['remote \"s\"']\n    jobs = many\n";
        assert_eq!(
            load(&DVC, &[("p/.dvc/config", wrong)]).unwrap_err().len(),
            2
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Any text is settings, or all that is wrong in it is said.
        #[test]
        fn any_settings_are_read_or_refused(
            ini in "(\\[core\\]\n|\\['remote \"r\"'\\]\n|\\[cache\\]\n|(remote|url|type|autostage|jobs|dir) = [a-z0-9,/.]{0,5}\n|[\\[\\]='\"#\n]){0,8}",
            yaml in "((core|cache|remotes|jobs):|  (type|dir|url): [a-z0-9\\[\\],]{0,5}|\n| |- |:){0,10}"
        ) {
            let _ = load(&DVC, &[("p/.dvc/config", ini.as_str())]);
            let _ = load(&CVOPS, &[("p/.cvops/config.yaml", yaml.as_str())]);
        }
    }
}
