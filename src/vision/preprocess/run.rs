//! The two passes over the pictures, and what they write. Imports: base, `params`, `image`,
//! `dataset`, `shard`.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use crate::base::fs as files;
use crate::base::{Cancel, ContentHash, Observer};
use crate::vision::Error;
use crate::vision::dataset::{
    Candidate, CorruptImage, DataCard, Dataset, Exclusions, Fractions, ImageFile, PictureSource,
    Split, Thumbnail, UsedImage, assign, card_page, scan, thumbnails_per_class,
};
use crate::vision::image::{ImageError, Pixels, fit, thumbnail};
use crate::vision::params::PreprocessParams;
use crate::vision::shard::{self, IndexLine, Manifest, ShardEntry};

use super::folder::{OutputFolder, check_places};
use super::moments::Moments;

/// Largest shard file; large pictures make shards of fewer pictures than asked for.
const SHARD_BYTES_MAX: usize = 256 << 20;
/// Pictures between two progress events.
const PROGRESS_IMAGES: usize = 64;

/// What happens while pictures are prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreprocessEvent {
    /// The folder was read; no picture was opened yet.
    Scanned {
        /// Picture files.
        images: usize,
        /// Classes.
        classes: usize,
    },
    /// Pictures are left out because a list says so.
    Excluded {
        /// How many.
        images: usize,
        /// Paths on the list that are no pictures of the dataset, sorted.
        unknown: Vec<String>,
    },
    /// Pictures were decoded.
    Progress {
        /// So far.
        done: usize,
        /// In all.
        total: usize,
    },
    /// A picture cannot be used; told in order of split and path.
    Corrupt {
        /// Relative to the dataset.
        path: String,
        /// Why.
        reason: String,
    },
    /// The prepared data is complete and in place.
    Written {
        /// Shard files.
        shards: usize,
        /// Usable pictures.
        images: usize,
        /// Bytes of all shards.
        bytes: u64,
    },
}

/// Prepares the pictures of `input` (a folder of pictures or of IDX files, or a manifest) and writes
/// them into the folder `out`, which is replaced.
///
/// Those in `exclusions` are left out. They take part when pictures are assigned to splits, so that
/// leaving one out moves no other.
///
/// # Errors
/// `input` is no dataset; too many pictures are unreadable; `out` holds something else or cannot be
/// written; `cancel` was requested. What was in `out` is then still there.
pub fn preprocess(
    input: &Path,
    out: &Path,
    params: &PreprocessParams,
    exclusions: &Exclusions,
    cancel: &Cancel,
    observer: &dyn Observer<PreprocessEvent>,
) -> Result<DataCard, Error> {
    check_places(input, out)?;
    let dataset = scan(input)?;
    let source = PictureSource::open(input)?;
    observer.notify(PreprocessEvent::Scanned {
        images: dataset.images.len(),
        classes: dataset.classes.len(),
    });
    let contents = hash_all(&source, &dataset, cancel)?;
    let splits = split_all(&dataset, &contents, params);
    let excluded = dataset
        .images
        .iter()
        .filter(|image| exclusions.has(&image.path))
        .count();
    if !exclusions.is_empty() {
        observer.notify(PreprocessEvent::Excluded {
            images: excluded,
            unknown: exclusions.unknown(&dataset),
        });
    }

    let target = OutputFolder::begin(out)?;
    let mut work = Work {
        source: &source,
        params,
        cancel,
        observer,
        done: AtomicUsize::new(0),
        dataset: &dataset,
        excluded,
        folder: &target.partial,
        shards: Vec::new(),
        shard_bytes: 0,
        used: Vec::new(),
        corrupt: Vec::new(),
        thumbnails: Vec::new(),
        moments: Moments::new(params.target.channels.count()),
    };
    for split in Split::ALL {
        let members: Vec<(&ImageFile, &Hashed)> = (dataset.images.iter().zip(&contents))
            .zip(&splits)
            .filter(|(_, assigned)| **assigned == split)
            .map(|(image, _)| image)
            .filter(|(image, _)| !exclusions.has(&image.path))
            .collect();
        work.write_split(split, &members)?;
    }
    let (card, written) = work.finish()?;
    target.commit()?;
    observer.notify(written);
    Ok(card)
}

/// A picture's content hash, or why it could not be read.
pub(crate) type Hashed = Result<ContentHash, ImageError>;

/// The same with its fitted values, or why it is unusable.
type Decoded = Result<(ContentHash, Vec<u8>), ImageError>;

fn hash_all(
    source: &PictureSource,
    dataset: &Dataset,
    cancel: &Cancel,
) -> Result<Vec<Hashed>, Error> {
    dataset
        .images
        .par_iter()
        .map(|image| {
            stop_if_asked(cancel)?;
            Ok(source.hash(&image.path))
        })
        .collect()
}

/// Returns the split of each picture of `dataset`, whose files have these hashes.
pub(crate) fn split_all(
    dataset: &Dataset,
    contents: &[Hashed],
    params: &PreprocessParams,
) -> Vec<Split> {
    let candidates: Vec<Candidate> = dataset
        .images
        .iter()
        .zip(contents)
        .map(|(image, content)| Candidate {
            // An unreadable file ends in the corrupt list whatever its split; its name will do.
            content: content
                .clone()
                .unwrap_or_else(|_| ContentHash::of(image.path.as_bytes())),
            label: image.label,
            given: image.given,
        })
        .collect();
    let cut = |split, fraction| {
        if dataset.given.contains(&split) {
            0.0
        } else {
            fraction
        }
    };
    let fractions = Fractions {
        val: cut(Split::Val, params.val),
        test: cut(Split::Test, params.test),
    };
    assign(&candidates, fractions, params.seed)
}

fn stop_if_asked(cancel: &Cancel) -> Result<(), Error> {
    cancel
        .reason()
        .map_or(Ok(()), |reason| Err(Error::Cancelled(reason)))
}

/// The second pass: what was done so far.
struct Work<'a> {
    source: &'a PictureSource,
    params: &'a PreprocessParams,
    cancel: &'a Cancel,
    observer: &'a dyn Observer<PreprocessEvent>,
    done: AtomicUsize,
    dataset: &'a Dataset,
    /// Pictures of it that are left out.
    excluded: usize,
    folder: &'a Path,
    shards: Vec<ShardEntry>,
    shard_bytes: u64,
    used: Vec<UsedImage<'a>>,
    corrupt: Vec<CorruptImage>,
    thumbnails: Vec<Thumbnail>,
    moments: Moments,
}

impl<'a> Work<'a> {
    fn write_split(
        &mut self,
        split: Split,
        members: &[(&'a ImageFile, &'a Hashed)],
    ) -> Result<(), Error> {
        let fitting = SHARD_BYTES_MAX / self.params.target.image_len();
        let per_shard = self.params.shard_images.min(fitting).max(1);
        for (number, chunk) in members.chunks(per_shard).enumerate() {
            let decoded: Vec<Decoded> = chunk
                .par_iter()
                .map(|(image, content)| {
                    stop_if_asked(self.cancel)?;
                    let pixels = self.prepare_one(image, content);
                    self.tell_progress();
                    Ok(pixels)
                })
                .collect::<Result<_, Error>>()?;
            self.write_shard(split, number, chunk, decoded)?;
        }
        Ok(())
    }

    /// Reads, decodes and fits one picture.
    fn prepare_one(&self, image: &ImageFile, content: &Hashed) -> Decoded {
        let content = content.clone()?;
        let limits = self.params.limits;
        let found = self.source.read(&image.path, limits)?;
        // The split was decided on the hash; bytes that changed since belong to another picture.
        if found.hash() != content {
            return Err(ImageError::Unreadable {
                reason: "it changed in the meantime".to_owned(),
            });
        }
        Ok((content, fit(&found.decode(limits)?, &self.params.target)?))
    }

    /// Returns the number of pictures that are to be prepared.
    fn total(&self) -> usize {
        self.dataset.images.len() - self.excluded
    }

    fn tell_progress(&self) {
        let total = self.total();
        let done = 1 + self.done.fetch_add(1, Ordering::Relaxed);
        if done.is_multiple_of(PROGRESS_IMAGES) || done == total {
            self.observer
                .notify(PreprocessEvent::Progress { done, total });
        }
    }

    fn write_shard(
        &mut self,
        split: Split,
        number: usize,
        members: &[(&'a ImageFile, &'a Hashed)],
        decoded: Vec<Decoded>,
    ) -> Result<(), Error> {
        let target = &self.params.target;
        let (height, width) = (target.height as usize, target.width as usize);
        let mut pixels = Pixels::new(height, width, target.channels.count());
        let mut labels = Vec::new();
        for (&(file, _), decoded) in members.iter().zip(decoded) {
            let (content, values) = match decoded {
                Ok(usable) => usable,
                Err(error) => {
                    let (path, reason) = (file.path.clone(), error.to_string());
                    self.observer.notify(PreprocessEvent::Corrupt {
                        path: path.clone(),
                        reason: reason.clone(),
                    });
                    self.corrupt.push(CorruptImage { path, reason });
                    continue;
                }
            };
            if split == Split::Train {
                self.moments.add(&values);
                self.keep_thumbnail(file, &values);
            }
            pixels.push(&values);
            labels.push(file.label);
            self.used.push(UsedImage {
                file,
                content,
                split,
            });
        }
        if labels.is_empty() {
            return Ok(());
        }
        let file = format!("{}-{number:05}.safetensors", split.name());
        let path = self.folder.join(&file);
        let bytes = shard::encode(&pixels, &labels)
            .map_err(|e| Error::io("write", &path)(std::io::Error::other(e)))?;
        write_new(&path, &bytes)?;
        self.shard_bytes += bytes.len() as u64;
        self.shards.push(ShardEntry {
            file,
            split: split.name().to_owned(),
            images: labels.len(),
            hash: ContentHash::of(&bytes).to_string(),
        });
        Ok(())
    }

    /// Keeps the first training pictures of each class for the data card.
    fn keep_thumbnail(&mut self, file: &ImageFile, values: &[u8]) {
        let shown = self
            .thumbnails
            .iter()
            .filter(|t| t.label == file.label)
            .count();
        if shown < thumbnails_per_class(self.dataset.classes.len()) {
            let target = &self.params.target;
            let (height, width) = (target.height as usize, target.width as usize);
            self.thumbnails.push(Thumbnail {
                path: file.path.clone(),
                label: file.label,
                png: thumbnail(values, height, width, target.channels),
            });
        }
    }

    /// Judges the whole and writes the small files; the event is for after they are in place.
    fn finish(mut self) -> Result<(DataCard, PreprocessEvent), Error> {
        self.corrupt.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let total = self.total();
        let allowed = (self.params.max_corrupt * total as f64).floor() as usize;
        if allowed < self.corrupt.len() {
            let corrupt = self
                .corrupt
                .into_iter()
                .map(|c| (c.path, c.reason))
                .collect();
            return Err(Error::TooManyCorrupt {
                corrupt,
                total,
                allowed,
            });
        }
        let classes = &self.dataset.classes;
        let card = DataCard::new(
            classes,
            &self.used,
            self.corrupt,
            self.dataset.skipped.clone(),
            self.excluded,
        );
        for (class, &found) in classes.iter().zip(&card.counts.train) {
            let needed = self.params.min_per_class;
            if found < needed {
                return Err(Error::TooFewImages {
                    class: class.clone(),
                    found,
                    needed,
                });
            }
        }
        let mut index = Vec::new();
        for image in &self.used {
            let line = IndexLine {
                path: image.file.path.clone(),
                content: image.content.to_string(),
                split: image.split.name().to_owned(),
                class: image.file.label,
            };
            index.extend(json(
                &self.folder.join(shard::INDEX),
                &line,
                serde_json::to_vec,
            )?);
        }
        write_new(&self.folder.join(shard::INDEX), &index)?;
        let (mean, std) = self.moments.mean_and_std();
        let manifest = Manifest {
            format: shard::FORMAT.to_owned(),
            version: shard::VERSION,
            input: self.params.target.into(),
            seed: self.params.seed,
            classes: classes.clone(),
            mean,
            std,
            counts: card.counts.clone(),
            shards: self.shards,
            index: ContentHash::of(&index).to_string(),
        };
        write_json(&self.folder.join("classes.json"), classes)?;
        let page = card_page(&card, &self.thumbnails);
        write_new(&self.folder.join("card.html"), page.as_bytes())?;
        let path = self.folder.join("card.json");
        write_new(&path, &json(&path, &card, DataCard::to_json)?)?;
        write_json(&self.folder.join(shard::MANIFEST), &manifest)?;
        let written = PreprocessEvent::Written {
            shards: manifest.shards.len(),
            images: self.used.len(),
            bytes: self.shard_bytes,
        };
        Ok((card, written))
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    files::create_new(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(Error::io("write", path))
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    write_new(path, &json(path, value, serde_json::to_vec_pretty)?)
}

/// Returns `value` as one or more lines of JSON, newline included.
fn json<T: Serialize>(
    path: &Path,
    value: &T,
    encode: fn(&T) -> serde_json::Result<Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    let mut bytes = encode(value).map_err(|e| Error::io("write", path)(e.into()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
