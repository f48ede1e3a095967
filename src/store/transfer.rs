//! Moves objects between the cache and a remote, and says how the two differ. Imports: `base`,
//! `store::{cache, remote, tree}`.
//!
//! **Push.** Which objects the remote lacks is asked in one go; where a folder object is, its
//! members are (`store::remote`). Files go up on several threads; after they are durable there, the
//! folder objects whose members are all there. Broken off anywhere: the next push sends the rest.
//!
//! **Fetch.** What comes is hashed before it gets its name, whatever the remote is said to be; a
//! folder object is kept after its members. What the remote lacks or has damaged is collected and
//! named at the end; the rest arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};

use rayon::prelude::*;

use crate::base::hash::hash_file;
use crate::base::{self, Cancel, ContentHash, ObjectId, Observer};

use super::cache::{Cache, Single};
use super::error::Error;
use super::remote::{Body, Remote};
use super::tree::Listing;

/// Objects that one task looks for in the cache.
const OBJECTS_PER_TASK: usize = 128;
/// Files up to this size are fetched through memory.
const SMALL_BYTES: u64 = 256 * 1024;

/// What happens while objects move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEvent {
    /// So many objects are to be moved.
    Started {
        /// How many.
        objects: u64,
    },
    /// One arrived.
    Moved {
        /// Its size.
        bytes: u64,
    },
}

/// How well a push looks at what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Where a folder object is, its members are.
    Trusting,
    /// Every object is looked for, read and hashed; what is damaged is sent again.
    Thorough,
}

/// What a transfer did.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Moved {
    /// Objects that arrived.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that the source does not have, sorted.
    pub lacking: Vec<ObjectId>,
    /// Objects whose bytes at the source are not what their name says, sorted.
    pub damaged: Vec<ObjectId>,
}

impl Moved {
    /// Did everything arrive that was asked for?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lacking.is_empty() && self.damaged.is_empty()
    }
}

/// Where an object is, when it is not both in the cache and on the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Only on the remote.
    Deleted,
    /// Only in the cache.
    New,
    /// In neither.
    Missing,
}

/// A cache, a remote, and how to work between them.
#[derive(Clone, Copy)]
pub struct Transfer<'a> {
    /// The cache.
    pub cache: &'a Cache,
    /// The remote.
    pub remote: &'a Remote,
    /// Objects that move at the same time; `None`: as many as there are cores.
    pub jobs: Option<usize>,
    /// Asks to stop.
    pub cancel: &'a Cancel,
    /// Is told of progress.
    pub observer: &'a (dyn Observer<TransferEvent> + Sync),
}

/// What became of one object.
enum One {
    Moved(u64),
    Lacking(ObjectId),
    Damaged(ObjectId),
}

impl Transfer<'_> {
    /// Sends `wanted`, folders with their members, as far as the remote lacks them.
    ///
    /// # Errors
    /// The remote cannot be used, the cache cannot be read, or the caller cancelled. What arrived
    /// stays.
    pub fn push(&self, wanted: &BTreeSet<ObjectId>, look: Look) -> Result<Moved, Error> {
        let (trees, mut files) = split(wanted);
        let mut moved = Moved::default();
        let mut closing = Vec::new();
        for (tree, there) in trees.iter().zip(self.there(&trees, look)?) {
            if there && look == Look::Trusting {
                continue;
            }
            match self.cache.listing(tree.hash()) {
                Ok(listing) => {
                    files.extend(members(&listing));
                    if !there {
                        closing.push((*tree, listing));
                    }
                }
                Err(Error::NotInCache { .. }) if there => {}
                Err(Error::NotInCache { corrupt, .. }) if corrupt.is_empty() => {
                    moved.lacking.push(*tree);
                }
                Err(Error::NotInCache { .. }) => moved.damaged.push(*tree),
                Err(error) => return Err(error),
            }
        }
        files.sort_unstable();
        files.dedup();
        let there = self.there(&files, look)?;
        let absent: Vec<ObjectId> = files
            .into_iter()
            .zip(there)
            .filter_map(|(file, there)| (!there).then_some(file))
            .collect();
        self.started(absent.len() + closing.len());
        self.each(&absent, &mut moved, |object| self.upload(object))?;
        self.settle(&moved)?;
        let held_back: BTreeSet<ObjectId> = moved
            .lacking
            .iter()
            .chain(&moved.damaged)
            .copied()
            .collect();
        let ready: Vec<ObjectId> = closing
            .into_iter()
            .filter(|(_, listing)| members(listing).all(|m| !held_back.contains(&m)))
            .map(|(tree, _)| tree)
            .collect();
        if !ready.is_empty() {
            self.each(&ready, &mut moved, |object| self.upload(object))?;
            self.settle(&moved)?;
        }
        Ok(moved)
    }

    /// Brings `wanted`, folders with their members, as far as the cache lacks them. Durable when it
    /// returns.
    ///
    /// # Errors
    /// As `push`; the cache cannot be written.
    pub fn fetch(&self, wanted: &BTreeSet<ObjectId>) -> Result<Moved, Error> {
        let (trees, files) = split(wanted);
        let mut files: Vec<(ObjectId, Option<u64>)> =
            files.into_iter().map(|file| (file, None)).collect();
        let mut moved = Moved::default();
        let mut closing = Vec::new();
        for tree in &trees {
            let (listing, bytes) = match self.find_listing(tree.hash())? {
                Found::Cached(listing) => (listing, None),
                Found::Remote(listing, bytes) => (listing, Some(bytes)),
                Found::Lacking => {
                    moved.lacking.push(*tree);
                    continue;
                }
                Found::Damaged => {
                    moved.damaged.push(*tree);
                    continue;
                }
            };
            files.extend(sized_members(&listing));
            closing.extend(bytes.map(|bytes| (*tree, bytes)));
        }
        files.sort_unstable();
        files.dedup_by_key(|(file, _)| *file);
        let absent = self.not_cached(&files)?;
        self.started(absent.len() + closing.len());
        self.each(&absent, &mut moved, |object| self.download(object))?;
        for (tree, bytes) in closing {
            self.cache.insert_bytes(&tree, &bytes)?;
            moved.objects += 1;
            moved.bytes += bytes.len() as u64;
            let bytes = bytes.len() as u64;
            self.observer.notify(TransferEvent::Moved { bytes });
        }
        if moved.objects != 0 {
            self.cache.make_durable()?;
        }
        Ok(moved)
    }

    /// Says which of `wanted`, and of the members of folders, are not in both places; sorted.
    ///
    /// # Errors
    /// As `push`.
    pub fn compare(
        &self,
        wanted: &BTreeSet<ObjectId>,
    ) -> Result<BTreeMap<ObjectId, Standing>, Error> {
        let (trees, files) = split(wanted);
        let mut standings = BTreeMap::new();
        // A member is on the remote for sure, or has to be looked for.
        let mut known: BTreeMap<ObjectId, bool> = files.iter().map(|f| (*f, false)).collect();
        for (tree, there) in trees.iter().zip(self.on_remote(&trees)?) {
            let here = self.cache.single(tree, None)?;
            standings.extend(standing(here, there).map(|standing| (*tree, standing)));
            if let Found::Cached(listing) | Found::Remote(listing, _) =
                self.find_listing(tree.hash())?
            {
                for member in members(&listing) {
                    *known.entry(member).or_default() |= there;
                }
            }
        }
        let unknown: Vec<ObjectId> = known
            .iter()
            .filter(|(_, t)| !**t)
            .map(|(o, _)| *o)
            .collect();
        for (object, there) in unknown.iter().zip(self.on_remote(&unknown)?) {
            known.insert(*object, there);
        }
        let all: Vec<(ObjectId, Option<u64>)> = known.keys().map(|o| (*o, None)).collect();
        let absent: BTreeSet<ObjectId> = self.not_cached(&all)?.into_iter().collect();
        for (object, there) in known {
            let here = if absent.contains(&object) {
                Single::Missing
            } else {
                Single::Good
            };
            let found = standing(here, there);
            standings.extend(found.map(|standing| (object, standing)));
        }
        Ok(standings)
    }

    /// Returns the files of a folder from the cache or, without keeping it, from the remote.
    ///
    /// # Errors
    /// As `push`.
    pub fn listing(&self, hash: &ContentHash) -> Result<Option<Listing>, Error> {
        match self.find_listing(hash)? {
            Found::Cached(listing) | Found::Remote(listing, _) => Ok(Some(listing)),
            Found::Lacking | Found::Damaged => Ok(None),
        }
    }

    /// Says for each object whether it is on the remote.
    ///
    /// # Errors
    /// The remote cannot be asked.
    pub fn on_remote(&self, objects: &[ObjectId]) -> Result<Vec<bool>, Error> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = objects.iter().map(|o| self.cache.key(o)).collect();
        let asked = self.remote.service().exists_many(&keys);
        asked.map_err(self.remote.failed("ask"))
    }

    /// Says for each object whether it is on the remote, whole as far as `look` finds out.
    fn there(&self, objects: &[ObjectId], look: Look) -> Result<Vec<bool>, Error> {
        let there = self.on_remote(objects)?;
        if look == Look::Trusting {
            return Ok(there);
        }
        let checked = objects.par_iter().zip(there).map(|(object, there)| {
            if self.cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            Ok(there && self.is_whole(object)?)
        });
        checked.collect()
    }

    /// Reads an object on the remote; is it what its name says?
    fn is_whole(&self, object: &ObjectId) -> Result<bool, Error> {
        let key = self.cache.key(object);
        let algo = object.hash().algo();
        let hash = match self.remote.service().read(&key, SMALL_BYTES) {
            Ok(Body::Whole(bytes)) => algo.hash(&bytes),
            Ok(Body::Larger) => {
                let temp = self.cache.incoming()?;
                let come = self.remote.service().download(&key, temp.path());
                come.map_err(self.remote.failed("read from"))?;
                hash_file(algo, temp.path()).map_err(base::Error::io("read", temp.path()))?
            }
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(self.remote.failed("read from")(e)),
        };
        Ok(hash == *object.hash())
    }

    /// Returns those that the cache does not hold; `Some` size is what a listing says.
    fn not_cached(&self, objects: &[(ObjectId, Option<u64>)]) -> Result<Vec<ObjectId>, Error> {
        let states: Vec<Option<ObjectId>> = objects
            .par_iter()
            .with_min_len(OBJECTS_PER_TASK)
            .map(|(object, size)| {
                let good = self.cache.single(object, *size)? == Single::Good;
                Ok((!good).then_some(*object))
            })
            .collect::<Result<_, Error>>()?;
        Ok(states.into_iter().flatten().collect())
    }

    fn find_listing(&self, hash: &ContentHash) -> Result<Found, Error> {
        match self.cache.listing(hash) {
            Ok(listing) => return Ok(Found::Cached(listing)),
            Err(Error::NotInCache { .. }) => {}
            Err(error) => return Err(error),
        }
        let tree = ObjectId::Tree(*hash);
        let bytes = match self.remote.service().read(&self.cache.key(&tree), u64::MAX) {
            Ok(Body::Whole(bytes)) => bytes,
            Ok(Body::Larger) => return Ok(Found::Damaged),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Lacking),
            Err(e) => return Err(self.remote.failed("read from")(e)),
        };
        if hash.algo().hash(&bytes) != *hash {
            return Ok(Found::Damaged);
        }
        match Listing::parse(hash.algo(), &bytes) {
            Ok(listing) => Ok(Found::Remote(listing, bytes)),
            Err(problem) => Err(Error::Listing {
                hash: *hash,
                problem: problem.to_string(),
            }),
        }
    }

    /// Moves each object, on several threads, and adds up what became of them.
    fn each(
        &self,
        objects: &[ObjectId],
        moved: &mut Moved,
        one: impl Fn(&ObjectId) -> Result<One, Error> + Sync,
    ) -> Result<(), Error> {
        let work = || {
            objects
                .par_iter()
                .map(|object| {
                    if self.cancel.is_requested() {
                        return Err(Error::Cancelled);
                    }
                    let one = one(object)?;
                    if let One::Moved(bytes) = one {
                        self.observer.notify(TransferEvent::Moved { bytes });
                    }
                    Ok(one)
                })
                .collect::<Result<Vec<One>, Error>>()
        };
        let done = match self.jobs {
            Some(jobs) if !objects.is_empty() => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
                pool.map_err(|e| self.remote.failed("start threads for")(io::Error::other(e)))?
                    .install(work)?
            }
            _ => work()?,
        };
        for one in done {
            match one {
                One::Moved(bytes) => {
                    moved.objects += 1;
                    moved.bytes += bytes;
                }
                One::Lacking(object) => moved.lacking.push(object),
                One::Damaged(object) => moved.damaged.push(object),
            }
        }
        moved.lacking.sort_unstable();
        moved.damaged.sort_unstable();
        Ok(())
    }

    fn upload(&self, object: &ObjectId) -> Result<One, Error> {
        match self.cache.single(object, None)? {
            Single::Good => {}
            Single::Missing => return Ok(One::Lacking(*object)),
            Single::Corrupt => return Ok(One::Damaged(*object)),
        }
        let path = self.cache.object_path(object);
        let size = std::fs::metadata(&path)
            .map_err(base::Error::io("inspect", &path))?
            .len();
        let sent = self.remote.service().upload(&path, &self.cache.key(object));
        sent.map_err(self.remote.failed("write to"))?;
        Ok(One::Moved(size))
    }

    fn download(&self, object: &ObjectId) -> Result<One, Error> {
        let key = self.cache.key(object);
        let failed = |e: io::Error| match e.kind() {
            ErrorKind::NotFound => Ok(One::Lacking(*object)),
            _ => Err(self.remote.failed("read from")(e)),
        };
        match self.remote.service().read(&key, SMALL_BYTES) {
            Ok(Body::Whole(bytes)) if object.hash().algo().hash(&bytes) == *object.hash() => {
                self.cache.insert_bytes(object, &bytes)?;
                Ok(One::Moved(bytes.len() as u64))
            }
            Ok(Body::Whole(_)) => Ok(One::Damaged(*object)),
            Ok(Body::Larger) => {
                let temp = self.cache.incoming()?;
                if let Err(e) = self.remote.service().download(&key, temp.path()) {
                    return failed(e);
                }
                Ok(match self.cache.adopt(object, &temp)? {
                    Some(size) => One::Moved(size),
                    None => One::Damaged(*object),
                })
            }
            Err(e) => failed(e),
        }
    }

    fn started(&self, objects: usize) {
        let objects = objects as u64;
        self.observer.notify(TransferEvent::Started { objects });
    }

    fn settle(&self, moved: &Moved) -> Result<(), Error> {
        if moved.objects == 0 {
            return Ok(());
        }
        let settled = self.remote.service().settle();
        settled.map_err(self.remote.failed("write to"))
    }
}

/// Where a folder object was found.
enum Found {
    Cached(Listing),
    Remote(Listing, Vec<u8>),
    Lacking,
    Damaged,
}

fn standing(here: Single, there: bool) -> Option<Standing> {
    match (here, there) {
        (Single::Good, true) => None,
        (Single::Good, false) => Some(Standing::New),
        (Single::Missing | Single::Corrupt, true) => Some(Standing::Deleted),
        (Single::Missing | Single::Corrupt, false) => Some(Standing::Missing),
    }
}

fn split(wanted: &BTreeSet<ObjectId>) -> (Vec<ObjectId>, Vec<ObjectId>) {
    wanted
        .iter()
        .partition(|object| matches!(object, ObjectId::Tree(_)))
}

fn members(listing: &Listing) -> impl Iterator<Item = ObjectId> {
    listing.entries().iter().map(|e| ObjectId::File(e.hash))
}

fn sized_members(listing: &Listing) -> impl Iterator<Item = (ObjectId, Option<u64>)> {
    let entries = listing.entries().iter();
    entries.map(|e| (ObjectId::File(e.hash), e.size))
}
