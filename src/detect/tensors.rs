//! The file `reference.safetensors`: rows, labels, scores and pictures of the reference.
//! Imports: drift, `detect::{features, fitted, projection}`.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::drift::Sample;

use super::features::Input;
use super::fitted::Thumbnails;
use super::projection::Projection;

const LABELS: &str = "labels";
const USUAL: &str = "outlier.usual";
const MEAN: &str = "projection.mean";
const DIRECTIONS: &str = "projection.directions";
const THUMBNAIL_ROWS: &str = "thumbnails.rows";
/// Where the file of each picture ends in the bytes of all of them.
const THUMBNAIL_ENDS: &str = "thumbnails.ends";
const THUMBNAIL_FILES: &str = "thumbnails.files";

/// What the file holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensors {
    pub(super) samples: Vec<(Input, Sample)>,
    pub(super) labels: Vec<u32>,
    pub(super) projection: Option<Projection>,
    /// Scores of the outlier detector.
    pub(super) usual: Option<Vec<f64>>,
    pub(super) thumbnails: Thumbnails,
}

/// A tensor on its way into the file.
struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Entry {
    fn floats(name: &str, shape: &[usize], values: &[f64]) -> Self {
        Self {
            name: name.to_owned(),
            dtype: Dtype::F64,
            shape: shape.to_vec(),
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    fn whole(name: &str, values: impl Iterator<Item = u64>) -> Self {
        // i64 is what other programs expect of labels and indices; all here are far below 2^63.
        let bytes: Vec<u8> = values
            .flat_map(|value| (value as i64).to_le_bytes())
            .collect();
        Self {
            name: name.to_owned(),
            dtype: Dtype::I64,
            shape: vec![bytes.len() / 8],
            bytes,
        }
    }
}

/// Returns the bytes of the file.
///
/// # Errors
/// Only for a header that is too large.
pub(super) fn encode(tensors: &Tensors) -> Result<Vec<u8>, SafeTensorError> {
    let mut entries = vec![Entry::whole(
        LABELS,
        tensors.labels.iter().copied().map(u64::from),
    )];
    for (input, sample) in &tensors.samples {
        let shape = [sample.rows(), sample.width()];
        entries.push(Entry::floats(input.name(), &shape, sample.values()));
    }
    if let Some(Projection { mean, directions }) = &tensors.projection {
        let width = mean.len();
        entries.push(Entry::floats(MEAN, &[width], mean));
        let shape = [directions.len() / width, width];
        entries.push(Entry::floats(DIRECTIONS, &shape, directions));
    }
    if let Some(usual) = &tensors.usual {
        entries.push(Entry::floats(USUAL, &[usual.len()], usual));
    }
    let Thumbnails { pictures, rows } = &tensors.thumbnails;
    entries.push(Entry::whole(
        THUMBNAIL_ROWS,
        rows.iter().map(|row| *row as u64),
    ));
    let ends = pictures.iter().scan(0, |end, picture| {
        *end += picture.len() as u64;
        Some(*end)
    });
    entries.push(Entry::whole(THUMBNAIL_ENDS, ends));
    let files = pictures.concat();
    entries.push(Entry {
        name: THUMBNAIL_FILES.to_owned(),
        dtype: Dtype::U8,
        shape: vec![files.len()],
        bytes: files,
    });
    let views = entries
        .iter()
        .map(|entry| {
            let view = TensorView::new(entry.dtype, entry.shape.clone(), &entry.bytes)?;
            Ok((entry.name.as_str(), view))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    safetensors::serialize(views, None)
}

/// Reads the bytes of the file; that its parts belong together is the caller's to check.
///
/// # Errors
/// They are no such file, or hold what is no sample.
pub(super) fn decode(bytes: &[u8]) -> Result<Tensors, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let file = File(&file);
    let mut samples = Vec::new();
    for (_, input) in Input::NAMES {
        let Some((shape, values)) = file.floats(input.name())? else {
            continue;
        };
        let [_, width] = shape[..] else {
            return Err(format!("tensor `{}` has no rows", input.name()));
        };
        let sample = Sample::new(values, width);
        let sample = sample.map_err(|e| format!("tensor `{}`: {e}", input.name()))?;
        samples.push((input, sample));
    }
    let projection = match (file.floats(MEAN)?, file.floats(DIRECTIONS)?) {
        (Some((_, mean)), Some((_, directions)))
            if !mean.is_empty() && directions.len().is_multiple_of(mean.len()) =>
        {
            Some(Projection { mean, directions })
        }
        (None, None) => None,
        _ => return Err("the parts of the projection do not fit together".to_owned()),
    };
    let whole = |name: &str| file.whole(name);
    let labels = whole(LABELS)?.into_iter().map(u32::try_from);
    Ok(Tensors {
        samples,
        labels: labels
            .collect::<Result<_, _>>()
            .map_err(|_| "a label names no class")?,
        projection,
        usual: file.floats(USUAL)?.map(|(_, values)| values),
        thumbnails: Thumbnails {
            pictures: cut(file.bytes(THUMBNAIL_FILES)?, &whole(THUMBNAIL_ENDS)?)?,
            rows: whole(THUMBNAIL_ROWS)?,
        },
    })
}

fn cut(files: &[u8], ends: &[usize]) -> Result<Vec<Vec<u8>>, String> {
    let mut start = 0;
    let mut pictures = Vec::with_capacity(ends.len());
    for end in ends {
        let picture = files.get(start..*end);
        pictures.push(
            picture
                .ok_or("the ends of thumbnails are out of order")?
                .to_vec(),
        );
        start = *end;
    }
    Ok(pictures)
}

/// Shape and values of a tensor.
type Floats = (Vec<usize>, Vec<f64>);

/// The file, by types.
struct File<'a>(&'a SafeTensors<'a>);

impl<'a> File<'a> {
    /// Returns shape and values; `None` if there is no such tensor.
    fn floats(&self, name: &str) -> Result<Option<Floats>, String> {
        if !self.0.names().contains(&name) {
            return Ok(None);
        }
        let (shape, bytes) = self.typed(name, Dtype::F64)?;
        let values = bytes.as_chunks::<8>().0.iter().copied();
        Ok(Some((shape, values.map(f64::from_le_bytes).collect())))
    }

    fn whole(&self, name: &str) -> Result<Vec<usize>, String> {
        let (_, bytes) = self.typed(name, Dtype::I64)?;
        let values = bytes.as_chunks::<8>().0.iter().copied();
        values
            .map(|bytes| usize::try_from(i64::from_le_bytes(bytes)))
            .collect::<Result<_, _>>()
            .map_err(|_| format!("tensor `{name}` holds numbers below 0"))
    }

    fn bytes(&self, name: &str) -> Result<&'a [u8], String> {
        Ok(self.typed(name, Dtype::U8)?.1)
    }

    fn typed(&self, name: &str, dtype: Dtype) -> Result<(Vec<usize>, &'a [u8]), String> {
        let tensor = self.0.tensor(name).map_err(|e| e.to_string())?;
        if tensor.dtype() != dtype {
            return Err(format!(
                "tensor `{name}` is {:?}, not {dtype:?}",
                tensor.dtype()
            ));
        }
        Ok((tensor.shape().to_vec(), tensor.data()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Tensors {
        let sample = |values: &[f64], width| Sample::new(values.to_vec(), width).unwrap();
        Tensors {
            samples: vec![
                (Input::Softmax, sample(&[0.1, 0.9, 0.75, 0.25], 2)),
                (Input::Label, sample(&[1.0, 0.0], 1)),
            ],
            labels: vec![1, 1],
            projection: Some(Projection {
                mean: vec![0.5, -1.0, 1.0 / 3.0],
                directions: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            }),
            usual: Some(vec![2.5, 0.1]),
            thumbnails: Thumbnails {
                pictures: vec![vec![1, 2, 3], vec![], vec![9]],
                rows: vec![0, 1, 1],
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let all = tensors();
        assert_eq!(decode(&encode(&all).unwrap()).unwrap(), all);
        let none = Tensors {
            projection: None,
            usual: None,
            thumbnails: Thumbnails {
                pictures: vec![],
                rows: vec![],
            },
            ..all
        };
        assert_eq!(decode(&encode(&none).unwrap()).unwrap(), none);
    }

    #[test]
    fn what_is_cut_is_refused() {
        let bytes = encode(&tensors()).unwrap();
        for length in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(&bytes[..length]).is_err(), "{length}");
        }
    }
}
