//! Push, fetch, and how cache and remotes differ. Imports: base, project, store, `data::used`.
//!
//! An output that names its remote goes there and nowhere else; with `-r NAME` those that name
//! another one are left out, as in DVC. Everything else goes to the remote that was named, or to the
//! default one.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::fs::LinkKind;
use crate::base::{ArtifactPath, Cancel, ObjectId, Observer};
use crate::project::{self, Project};
use crate::store::{Cache, Listing, Look, Remote, Standing, Store, Transfer, TransferEvent};

use super::error::{Direction, Error};
use super::records;
use super::used::{Used, objects};

/// How much is moved, and where.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// `-r NAME`.
    pub remote: Option<&'a str>,
    /// `-j N`.
    pub jobs: Option<usize>,
    /// How well a push looks at what is there.
    pub look: Option<Look>,
    /// Are the records of runs moved too, with what they name?
    pub records: Records,
}

/// Are records of runs part of it?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Records {
    /// Only outputs and data.
    #[default]
    Without,
    /// `--run-cache`.
    With,
}

/// What was moved.
#[derive(Clone, Debug, Default)]
pub struct Synced {
    /// Files that arrived: objects and records.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What the source does not have, by path (or hash, where no path leads to it).
    pub lacking: BTreeMap<String, ObjectId>,
    /// What the source has damaged.
    pub damaged: BTreeMap<String, ObjectId>,
    /// Of what the cache lacks for a push, what stands in the workspace as it is recorded: it was
    /// never stored (`--no-commit`), or the cache lost it.
    pub in_place: Vec<String>,
    /// The remotes that were used.
    pub remotes: Vec<String>,
}

impl Synced {
    /// Returns what is wrong if not everything arrived.
    #[must_use]
    pub fn problem(&self, direction: Direction) -> Option<Error> {
        let names = |of: &BTreeMap<String, ObjectId>| of.keys().cloned().collect::<Vec<_>>();
        let is_complete = self.lacking.is_empty() && self.damaged.is_empty();
        (!is_complete).then(|| Error::Incomplete {
            direction,
            remotes: self.remotes.clone(),
            lacking: names(&self.lacking),
            in_place: self.in_place.clone(),
            damaged: names(&self.damaged),
        })
    }
}

/// What a command works with.
#[derive(Clone, Copy)]
pub struct Sync<'a> {
    /// The project.
    pub project: &'a Project,
    /// Its cache.
    pub cache: &'a Cache,
    /// Asks to stop.
    pub cancel: &'a Cancel,
    /// Is told of progress.
    pub observer: &'a (dyn Observer<TransferEvent> + std::marker::Sync),
}

impl Sync<'_> {
    /// Sends what remotes lack of `used`.
    ///
    /// # Errors
    /// No remote is configured, one cannot be used, or the caller cancelled.
    pub fn push(&self, used: &[Used], request: &Request<'_>) -> Result<Synced, Error> {
        let used: Vec<Used> = used.iter().filter(|used| used.push).cloned().collect();
        let look = request.look.unwrap_or(Look::Trusting);
        let mut synced = Synced::default();
        for (name, used) in self.by_remote(used, request) {
            let (remote, jobs) = self.open(name.as_deref(), request)?;
            let transfer = self.transfer(&remote, jobs);
            let mut wanted = objects(&used);
            let with_records = name.is_none() && request.records == Records::With;
            if with_records {
                wanted.extend(records::objects(self.project)?);
            }
            let moved = transfer.push(&wanted, look)?;
            synced.files += moved.objects;
            synced.bytes += moved.bytes;
            // A record may name what was removed since: that is for the run cache to find out.
            let labels = Labels::of(&transfer, &used, &moved.lacking, &moved.damaged)?;
            synced.lacking.extend(labels.name(&moved.lacking));
            synced.damaged.extend(labels.name(&moved.damaged));
            synced.in_place.extend(self.in_place(&used, &moved.lacking));
            if with_records {
                synced.files += records::push(self.project, &remote, self.cancel)?;
            }
            synced.remotes.push(remote.name);
        }
        Ok(synced)
    }

    /// Brings what the cache lacks of `used`, without what is kept away from remotes.
    ///
    /// # Errors
    /// As `push`; no remote is needed where nothing is lacking.
    pub fn fetch(&self, used: &[Used], request: &Request<'_>) -> Result<Synced, Error> {
        if self.project.config.link_kinds.contains(&LinkKind::Symlink) {
            let store = Store::open(self.project, self.cancel);
            for used in used {
                store.rescue_edits(&used.path)?;
            }
        }
        let used: Vec<Used> = used.iter().filter(|used| used.push).cloned().collect();
        let mut synced = Synced::default();
        for (name, used) in self.by_remote(used, request) {
            let opened = self.open(name.as_deref(), request);
            let with_records = name.is_none() && request.records == Records::With;
            let (remote, jobs) = match opened {
                Ok(opened) => opened,
                Err(Error::Project(project::Error::NoRemote { .. }))
                    if !with_records && self.has_all(&used)? =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let transfer = self.transfer(&remote, jobs);
            let mut wanted = objects(&used);
            if with_records {
                synced.files += records::fetch(self.project, &remote, self.cancel)?;
                wanted.extend(records::objects(self.project)?);
            }
            let moved = transfer.fetch(&wanted)?;
            synced.files += moved.objects;
            synced.bytes += moved.bytes;
            let labels = Labels::of(&transfer, &used, &moved.lacking, &moved.damaged)?;
            synced.lacking.extend(labels.name(&moved.lacking));
            synced.damaged.extend(labels.name(&moved.damaged));
            synced.remotes.push(remote.name);
        }
        Ok(synced)
    }

    /// Returns the paths of `used` that stand in the workspace with the content which the cache
    /// `lacks`. What cannot be read is left out: this is for a help only.
    fn in_place(&self, used: &[Used], lacks: &[ObjectId]) -> Vec<String> {
        let lacking: BTreeSet<&ObjectId> = lacks.iter().collect();
        let store = Store::open(self.project, self.cancel);
        let is_in_place = |used: &&Used| {
            let now = store.snapshot(&used.path);
            now.is_ok_and(|now| now.object() == Some(used.object()))
        };
        let used = used.iter().filter(|used| lacking.contains(&used.object()));
        let paths: BTreeSet<&ArtifactPath> = used.filter(is_in_place).map(|u| &u.path).collect();
        paths.into_iter().map(ToString::to_string).collect()
    }

    /// Says which files of `used` are not both in the cache and on their remote, by path.
    ///
    /// # Errors
    /// As `push`.
    pub fn compare(
        &self,
        used: &[Used],
        request: &Request<'_>,
    ) -> Result<(BTreeMap<String, Standing>, Vec<String>), Error> {
        let used: Vec<Used> = used.iter().filter(|used| used.push).cloned().collect();
        let mut standings = BTreeMap::new();
        let mut remotes = Vec::new();
        for (name, used) in self.by_remote(used, request) {
            let (remote, jobs) = self.open(name.as_deref(), request)?;
            let transfer = self.transfer(&remote, jobs);
            let found = transfer.compare(&objects(&used))?;
            let differing: Vec<ObjectId> = found.keys().copied().collect();
            let labels = Labels::of(&transfer, &used, &differing, &[])?;
            for (object, standing) in &found {
                let paths = labels.of_object(object);
                standings.extend(paths.into_iter().map(|path| (path, *standing)));
            }
            remotes.push(remote.name);
        }
        Ok((standings, remotes))
    }

    /// Returns the file at `path` inside the folder `whole`, as something used by itself; its
    /// members when `path` is a folder inside it. Nothing if it holds no such path.
    ///
    /// # Errors
    /// As `fetch`.
    pub fn part(
        &self,
        whole: &Used,
        path: &ArtifactPath,
        request: &Request<'_>,
    ) -> Result<Vec<Used>, Error> {
        let ObjectId::Tree(hash) = whole.object() else {
            return Ok(Vec::new());
        };
        let listing = match self.cache.listing(&hash) {
            Ok(listing) => Some(listing),
            Err(crate::store::Error::NotInCache { .. }) => {
                let (remote, jobs) = self.open(whole.remote.as_deref(), request)?;
                let listing = self.transfer(&remote, jobs).listing(&hash)?;
                // Whoever works on a part of the folder has to know the rest of it.
                if let Some(listing) = &listing {
                    self.cache.insert_listing(listing)?;
                    self.cache.make_durable()?;
                }
                listing
            }
            Err(error) => return Err(error.into()),
        };
        let entries = listing.iter().flat_map(Listing::entries);
        let parts = entries.filter_map(|entry| {
            let at = whole.path.join(&entry.path);
            let mut content = whole.content;
            content.object = ObjectId::File(entry.hash);
            content.size = entry.size.unwrap_or_default();
            content.files = None;
            content.exec = entry.exec;
            path.contains(&at).then_some(Used {
                path: at,
                content,
                push: whole.push,
                remote: whole.remote.clone(),
            })
        });
        Ok(parts.collect())
    }

    /// Opens a remote; also returns how many files move at once.
    ///
    /// # Errors
    /// There is none of this name, no default one, or it is of a kind that is not supported.
    pub fn open(
        &self,
        name: Option<&str>,
        request: &Request<'_>,
    ) -> Result<(Remote, Option<usize>), Error> {
        let (name, settings) = self.project.config.remote(name.or(request.remote))?;
        Ok((
            Remote::open(name, settings)?,
            request.jobs.or(settings.jobs),
        ))
    }

    /// Returns how to move objects between the cache and `remote`.
    #[must_use]
    pub fn transfer<'t>(&'t self, remote: &'t Remote, jobs: Option<usize>) -> Transfer<'t> {
        Transfer {
            cache: self.cache,
            remote,
            jobs,
            cancel: self.cancel,
            observer: self.observer,
        }
    }

    /// Groups by the remote that an output insists on; `None`, the chosen one, always has a group.
    fn by_remote(
        &self,
        used: Vec<Used>,
        request: &Request<'_>,
    ) -> BTreeMap<Option<String>, Vec<Used>> {
        let config = &self.project.config;
        let chosen = request.remote.or(config.default_remote.as_deref());
        let mut groups = BTreeMap::from([(None, Vec::new())]);
        for used in used {
            let own = used.remote.as_deref().filter(|own| Some(*own) != chosen);
            if own.is_some() && request.remote.is_some() {
                continue;
            }
            let group = groups.entry(own.map(str::to_owned)).or_default();
            group.push(used);
        }
        let needless = request.records == Records::Without && 1 < groups.len();
        if needless && groups.get(&None).is_some_and(Vec::is_empty) {
            groups.remove(&None);
        }
        groups
    }

    fn has_all(&self, used: &[Used]) -> Result<bool, Error> {
        for object in objects(used) {
            if self.cache.contains(&object)? != crate::store::Held::Whole {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The paths at which objects belong.
struct Labels(BTreeMap<ObjectId, BTreeSet<String>>);

impl Labels {
    /// Finds the paths of `some` and `others`, looking into folders only where it must.
    fn of(
        transfer: &Transfer<'_>,
        used: &[Used],
        some: &[ObjectId],
        others: &[ObjectId],
    ) -> Result<Self, Error> {
        let sought: BTreeSet<&ObjectId> = some.iter().chain(others).collect();
        let mut labels = Self(BTreeMap::new());
        if sought.is_empty() {
            return Ok(labels);
        }
        let mut trees: BTreeMap<ObjectId, Vec<&ArtifactPath>> = BTreeMap::new();
        for used in used {
            labels.add(used.object(), used.path.to_string());
            if matches!(used.object(), ObjectId::Tree(_)) {
                trees.entry(used.object()).or_default().push(&used.path);
            }
        }
        for (tree, paths) in trees {
            let Some(listing) = transfer.listing(tree.hash())? else {
                continue;
            };
            for entry in listing.entries() {
                let member = ObjectId::File(entry.hash);
                if sought.contains(&member) {
                    for path in &paths {
                        labels.add(member, path.join(&entry.path).to_string());
                    }
                }
            }
        }
        Ok(labels)
    }

    fn add(&mut self, object: ObjectId, path: String) {
        self.0.entry(object).or_default().insert(path);
    }

    /// Returns all paths of an object; its hash if there is none.
    fn of_object(&self, object: &ObjectId) -> Vec<String> {
        match self.0.get(object) {
            Some(paths) => paths.iter().cloned().collect(),
            None => vec![object.to_string()],
        }
    }

    /// Returns the objects that have a path, by each of them.
    fn name(&self, objects: &[ObjectId]) -> Vec<(String, ObjectId)> {
        let mut named = Vec::new();
        for object in objects {
            let paths = self.0.get(object).into_iter().flatten();
            named.extend(paths.map(|path| (path.clone(), *object)));
        }
        named
    }
}
