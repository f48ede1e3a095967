//! Pictures of prepared data one at a time, as PNG: what pages show of many.
//!
//! Of a shard only the header and the one picture are read, so a page costs what it shows and not
//! what the shard holds. For the same reason no hash is checked here: what is looked at is judged by
//! the eye; training and evaluation read through `shard`, which checks. Files are opened by the
//! caller, because prepared data of an earlier run lies in pieces in a cache. Pure otherwise: the
//! same files and numbers give the same bytes. Imports: `vision::{augment, image, shard}`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::Error;
use super::augment::{self, AugmentParams, Shape, augment};
use super::dataset::Split;
use super::image::{Channels, shrunk};
use super::shard::{MANIFEST, Prepared};

/// Longest manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Longest header of a shard that is read; ours have some hundred bytes.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// Values of a picture that is shown at most: 4700 x 4700 pixels in colour.
const VALUES_MAX: usize = 64 << 20;

/// Opens a file of a folder of prepared data by its name; `None` if there is none.
pub type Opener<'a> = dyn Fn(&str) -> io::Result<Option<File>> + 'a;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which pictures.
    pub split: Split,
    /// Which of them, in the order of their paths.
    pub index: usize,
    /// The longer side in pixels at most; smaller pictures keep their size.
    pub side_max: u32,
}

/// How a training would change a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variation {
    /// The section `train.augment`.
    pub params: AugmentParams,
    /// `train.seed`.
    pub seed: u64,
    /// From 0.
    pub epoch: usize,
}

/// Returns a picture as a PNG file; `None` if the split has fewer.
///
/// # Errors
/// A file is missing or cannot be read, or is not what `preprocess` writes.
pub fn picture(open: &Opener<'_>, wanted: Wanted) -> Result<Option<Vec<u8>>, Error> {
    let found = read(open, wanted)?;
    Ok(found.map(|(prepared, values)| file(&prepared, &values, wanted.side_max)))
}

/// Returns a picture as a PNG file, changed as a training with this seed would change it in this
/// epoch, if the picture is one of the training; `None` if the split has fewer.
///
/// # Errors
/// As `picture`.
pub fn varied(
    open: &Opener<'_>,
    wanted: Wanted,
    variation: Variation,
) -> Result<Option<Vec<u8>>, Error> {
    let Some((prepared, values)) = read(open, wanted)? else {
        return Ok(None);
    };
    let shape = Shape {
        height: prepared.height,
        width: prepared.width,
        channels: prepared.channels,
    };
    let mut rng = augment::dice(variation.seed, variation.epoch, wanted.index);
    let mut changed = vec![0.0; shape.values()];
    augment(&values, shape, &variation.params, &mut rng, &mut changed);
    let values: Vec<u8> = changed
        .into_iter()
        // Saturates: the values are 0..=1 up to rounding.
        .map(|value| (value * 255.0).round() as u8)
        .collect();
    Ok(Some(file(&prepared, &values, wanted.side_max)))
}

fn file(prepared: &Prepared, values: &[u8], side_max: u32) -> Vec<u8> {
    let channels = match prepared.channels {
        1 => Channels::Grey,
        _ => Channels::Rgb,
    };
    shrunk(values, prepared.height, prepared.width, channels, side_max)
}

/// Reads the values of one picture, `[height, width, channels]`.
fn read(open: &Opener<'_>, wanted: Wanted) -> Result<Option<(Prepared, Vec<u8>)>, Error> {
    let mut manifest = Vec::new();
    found(open, MANIFEST)?
        .take(MANIFEST_BYTES_MAX)
        .read_to_end(&mut manifest)
        .map_err(Error::io("read", Path::new(MANIFEST)))?;
    let prepared = Prepared::of_manifest(Path::new(""), &manifest)?;
    let Some((shard, within)) = prepared.shard_of(wanted.split, wanted.index) else {
        return Ok(None);
    };
    let path = Path::new(&shard.file);
    let values = read_image(found(open, &shard.file)?, &prepared, shard.images, within)
        .map_err(Error::io("read", path))?
        .map_err(Error::not_prepared(path))?;
    Ok(Some((prepared, values)))
}

fn found(open: &Opener<'_>, name: &str) -> Result<File, Error> {
    let path = Path::new(name);
    open(name)
        .map_err(Error::io("open", path))?
        .ok_or_else(|| Error::not_prepared(path)("the file is missing"))
}

fn values_of(prepared: &Prepared) -> Option<usize> {
    let pixels = prepared.height.checked_mul(prepared.width)?;
    pixels.checked_mul(prepared.channels)
}

/// Reads picture `within` of a shard of `images`; the inner error says how the file is no such shard.
fn read_image(
    mut shard: File,
    prepared: &Prepared,
    images: usize,
    within: usize,
) -> io::Result<Result<Vec<u8>, String>> {
    let mut length = [0; 8];
    shard.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if HEADER_BYTES_MAX < length {
        return Ok(Err("it does not begin as a safetensors file".to_owned()));
    }
    let mut header = vec![0; length as usize];
    shard.read_exact(&mut header)?;
    let metadata: Metadata = match serde_json::from_slice(&header) {
        Ok(metadata) => metadata,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let shape = [images, prepared.height, prepared.width, prepared.channels];
    let Some(tensor) = metadata
        .info("pixels")
        .filter(|tensor| tensor.dtype == Dtype::U8 && tensor.shape == shape)
    else {
        return Ok(Err(format!("it holds no tensor `pixels` of {shape:?}")));
    };
    // The sides are those of the manifest and the place is that of the header: what they say may be
    // anything, so memory is taken for what is there only.
    let len = values_of(prepared).filter(|len| *len <= VALUES_MAX);
    let Some(len) = len else {
        let (height, width) = (prepared.height, prepared.width);
        return Ok(Err(format!(
            "its pictures of {height} x {width} are too large to be shown"
        )));
    };
    let start = within
        .checked_mul(len)
        .and_then(|before| before.checked_add(tensor.data_offsets.0))
        .and_then(|before| (before as u64).checked_add(8 + length));
    let end = start.and_then(|start| start.checked_add(len as u64));
    let bytes = shard.metadata()?.len();
    let (Some(start), Some(true)) = (start, end.map(|end| end <= bytes)) else {
        return Ok(Err(format!("it ends before picture {within}")));
    };
    shard.seek(SeekFrom::Start(start))?;
    let mut values = vec![0; len];
    shard.read_exact(&mut values)?;
    Ok(Ok(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::{Document, Format, KeyPath, Problems};
    use crate::base::{Cancel, fs};
    use crate::vision::dataset::Exclusions;
    use crate::vision::image::{Limits, decode};
    use crate::vision::params::PreprocessParams;
    use crate::vision::preprocess::preprocess;

    const LIMITS: Limits = Limits {
        pixels_max: 1 << 20,
        side_max: u32::MAX,
        file_bytes_max: 1 << 20,
    };

    /// Twelve pictures of two classes in shards of four, as the folder they were prepared in.
    fn prepared() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..12u8 {
            let class = if i % 2 == 0 { "cat" } else { "dog" };
            let values: Vec<u8> = (0..8 * 8).map(|at| at * 3 + i).collect();
            let path = dir.path().join(format!("in/{class}/{i:02}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write_atomic(&path, &shrunk(&values, 8, 8, Channels::Grey, 8)).unwrap();
        }
        let text = "{size: 8, channels: 1, shard_images: 4, val: 0.0, test: 0.0}".to_owned();
        let document = Document::parse("p", text, Format::Yaml).unwrap();
        let problems = Problems::new(&document);
        let params = PreprocessParams::read(problems.fields(KeyPath::root()));
        let out = dir.path().join("out");
        preprocess(
            &dir.path().join("in"),
            &out,
            &params,
            &Exclusions::default(),
            &Cancel::new(),
            &|_| {},
        )
        .unwrap();
        dir
    }

    fn opener(dir: &tempfile::TempDir) -> impl Fn(&str) -> io::Result<Option<File>> {
        let out = dir.path().join("out");
        move |name: &str| match File::open(out.join(name)) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn at(index: usize) -> Wanted {
        Wanted {
            split: Split::Train,
            index,
            side_max: 512,
        }
    }

    #[test]
    fn each_picture_is_the_one_that_a_loaded_shard_holds() {
        let dir = prepared();
        let all = Prepared::open(&dir.path().join("out")).unwrap();
        let all = all.load(Split::Train).unwrap();
        assert_eq!(all.labels.len(), 12);
        for index in 0..12 {
            let file = picture(&opener(&dir), at(index)).unwrap().unwrap();
            assert_eq!(decode(&file, LIMITS).unwrap().data, all.pixels.image(index));
        }
        assert_eq!(picture(&opener(&dir), at(12)).unwrap(), None);
        let wanted = Wanted {
            split: Split::Test,
            ..at(0)
        };
        assert_eq!(picture(&opener(&dir), wanted).unwrap(), None);
    }

    #[test]
    fn a_varied_picture_is_what_the_training_saw() {
        let dir = prepared();
        let all = Prepared::open(&dir.path().join("out")).unwrap();
        let all = all.load(Split::Train).unwrap();
        let params = AugmentParams {
            flip: 0.5,
            shift: 2,
            rotate: 10.0,
            crop: 1,
        };
        let shape = Shape {
            height: 8,
            width: 8,
            channels: 1,
        };
        for (index, epoch) in [(0, 0), (5, 3)] {
            let variation = Variation {
                params,
                seed: 7,
                epoch,
            };
            let file = varied(&opener(&dir), at(index), variation)
                .unwrap()
                .unwrap();
            let mut seen = vec![0.0; 64];
            let mut rng = augment::dice(7, epoch, index);
            augment(all.pixels.image(index), shape, &params, &mut rng, &mut seen);
            let seen: Vec<u8> = seen.iter().map(|v| (v * 255.0).round() as u8).collect();
            assert_eq!(decode(&file, LIMITS).unwrap().data, seen);
        }
    }

    #[test]
    fn what_is_no_prepared_data_is_said() {
        let dir = prepared();
        let says = |open: &Opener<'_>| picture(open, at(0)).unwrap_err().to_string();
        assert_eq!(
            says(&|_| Ok(None)),
            "`prepared.json` does not hold prepared data: the file is missing"
        );
        let shard = dir.path().join("out/train-00000.safetensors");
        let whole = std::fs::read(&shard).unwrap();
        fs::write_atomic(&shard, &whole[..100]).unwrap();
        assert!(picture(&opener(&dir), at(0)).is_err());
        fs::write_atomic(&shard, &whole[..whole.len() - 1]).unwrap();
        assert!(picture(&opener(&dir), at(2)).is_ok());
        assert_eq!(
            picture(&opener(&dir), at(3)).unwrap_err().to_string(),
            "`train-00000.safetensors` does not hold prepared data: it ends before picture 3"
        );
        fs::write_atomic(&shard, &[255; 100]).unwrap();
        assert_eq!(
            says(&opener(&dir)),
            "`train-00000.safetensors` does not hold prepared data: it does not begin as a \
             safetensors file"
        );
    }

    /// Writes a shard that is a header alone, and a manifest that tells of it.
    fn told(dir: &tempfile::TempDir, side: usize, images: usize) {
        let out = dir.path().join("out");
        let text = std::fs::read(out.join(MANIFEST)).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
        manifest["input"]["height"] = side.into();
        manifest["input"]["width"] = side.into();
        for shard in manifest["shards"].as_array_mut().unwrap() {
            shard["images"] = images.into();
        }
        fs::write_atomic(&out.join(MANIFEST), manifest.to_string().as_bytes()).unwrap();
        let end = images.wrapping_mul(side * side);
        let header = serde_json::json!({"pixels": {
            "dtype": "U8", "shape": [images, side, side, 1], "data_offsets": [0, end],
        }});
        let header = header.to_string();
        let mut shard = (header.len() as u64).to_le_bytes().to_vec();
        shard.extend(header.bytes());
        fs::write_atomic(&out.join("train-00000.safetensors"), &shard).unwrap();
    }

    #[test]
    fn numbers_of_a_damaged_file_are_not_believed() {
        let dir = prepared();
        for (side, images, index, problem) in [
            (8, 1 << 50, 1 << 49, "before picture 562949953421312"),
            (8, usize::MAX, usize::MAX - 1, ""),
            (8000, 4, 1, "it ends before picture 1"),
            (65535, 4, 1, "pictures of 65535 x 65535 are too large"),
            // All shards together hold more than there are numbers.
            (8, usize::MAX, usize::MAX, ""),
        ] {
            told(&dir, side, images);
            let said = picture(&opener(&dir), at(index)).unwrap_err().to_string();
            assert!(said.contains(problem), "{said}");
        }
    }
}
