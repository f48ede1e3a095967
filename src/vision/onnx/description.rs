//! What is said of a network beside its ONNX file, in `NAME.yaml`: all that the file itself cannot
//! tell. Every key may be left out where the network says it, or where the default fits.
//!
//! | key | meaning | values | default |
//! |---|---|---|---|
//! | `name` | under which the model is served | a text | the file's name, or its folder's |
//! | `classes` | output i is class i | a list, or a file beside it or below, with a name per line | `0`, `1`, … |
//! | `layout` | order of the dimensions | `nchw`, `nhwc` | where the network has 1 or 3 channels |
//! | `channels` | 1 (grey) or 3 (colour) | 1, 3 | the network's |
//! | `size` | side of a square, or `[height, width]` | 1 to 4096 | the network's |
//! | `scale` | what values 0 to 255 are multiplied by | above 0, to 1000 | 1/255 |
//! | `mean` | what is subtracted then, for all channels or each | -100000 to 100000 | 0 |
//! | `std` | what is divided by then, for all channels or each | above 0, to 100000 | 1 |
//! | `output` | what the numbers are | `logits`, `probabilities` | `probabilities` if a softmax comes last |
//! | `filter` | how pictures are resized | `nearest`, `bilinear`, `catmullrom`, `lanczos3` | `bilinear` |
//! | `background` | what shows through transparent pixels | 0 to 255, or `[red, green, blue]` | 255 |
//!
//! Imports: `base::doc`, `vision::{image`, params, error}.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use crate::base::doc::{Document, Fields, Format, KeyPath, On, Problems, Value};
use crate::vision::Error;
use crate::vision::image::{Channels, Filter};
use crate::vision::params::read_background;

/// Largest side of a picture that a network may take.
pub(super) const SIDE_MAX: usize = 4096;
/// What brings values 0 to 255 to 0 to 1.
const SCALE: f64 = 1.0 / 255.0;
const SCALE_MAX: f64 = 1000.0;
const SHIFT_MAX: f64 = 1e5;
/// Largest file of class names: a hundred thousand of forty letters.
const CLASSES_BYTES_MAX: u64 = 4 << 20;

/// The order of a batch's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Pictures, channels, height, width: what PyTorch exports.
    Nchw,
    /// Pictures, height, width, channels: what Keras exports.
    Nhwc,
}

impl Layout {
    pub(super) const NAMES: [(&'static str, Self); 2] =
        [("nchw", Self::Nchw), ("nhwc", Self::Nhwc)];
}

/// What the numbers of a network are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Larger is likelier; their softmax is the probabilities.
    Logits,
    /// Probabilities.
    Probabilities,
}

/// `NAME.yaml`, as read. What is absent is `None`, or has its default.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) document: Document,
    pub(super) classes: Option<Vec<String>>,
    pub(super) layout: Option<Layout>,
    pub(super) channels: Option<Channels>,
    /// Height and width.
    pub(super) size: Option<[usize; 2]>,
    pub(super) scale: f64,
    /// One number, or one per channel.
    pub(super) mean: Vec<f64>,
    /// One number, or one per channel.
    pub(super) std: Vec<f64>,
    pub(super) output: Option<Output>,
    pub(super) filter: Filter,
    pub(super) background: [u8; 3],
}

impl Description {
    /// Reads the file `path`; without one, everything is absent.
    ///
    /// # Errors
    /// It, or the file of classes that it names, cannot be read or breaks the rules above.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let document = match Document::read(path, &name) {
            Err(_) if !path.exists() => Document::parse(&name, String::new(), Format::Yaml)?,
            document => document.map_err(Error::Description)?,
        };
        let problems = Problems::new(&document);
        let fields = problems.fields(KeyPath::root());
        // Looked at when the server names its model; here it only has to be a text.
        fields.optional_text("name");
        let described = Self {
            classes: read_classes(&fields, path),
            layout: optional_choice(&fields, "layout", &Layout::NAMES),
            channels: read_channels(&fields),
            size: read_size(&fields),
            scale: positive(&fields, "scale", SCALE, SCALE_MAX),
            mean: read_mean(&fields),
            std: read_std(&fields),
            output: optional_choice(
                &fields,
                "output",
                &[
                    ("logits", Output::Logits),
                    ("probabilities", Output::Probabilities),
                ],
            ),
            filter: fields.choice("filter", Filter::Bilinear, &Filter::NAMES),
            background: read_background(&fields),
            document: document.clone(),
        };
        fields.finish();
        problems.into_result(described).map_err(Error::Description)
    }

    /// Returns the name of the file, for messages.
    pub(super) fn file(&self) -> &str {
        &self.document.source.name
    }
}

fn optional_choice<T: Copy>(
    fields: &Fields<'_, '_>,
    key: &'static str,
    names: &[(&str, T)],
) -> Option<T> {
    let (_, first) = names.first()?;
    fields.has(key).then(|| fields.choice(key, *first, names))
}

fn read_classes(fields: &Fields<'_, '_>, path: &Path) -> Option<Vec<String>> {
    let wrong = |headline: String, help: Option<&str>| {
        let help = help.map(str::to_owned);
        fields.problem("classes", On::Value, "classes", headline, help);
        None
    };
    let classes: Vec<String> = match fields.get("classes")? {
        Value::Str(file) => match class_file(path, file) {
            Ok(text) => text
                .trim_end()
                .lines()
                .map(|l| l.trim().to_owned())
                .collect(),
            Err(problem) => {
                return wrong(
                    format!("`classes` names `{file}`: {problem}"),
                    Some("give a list of names, or a file beside this one with a name per line"),
                );
            }
        },
        Value::List(items) => {
            let names: Option<Vec<String>> = items.iter().map(scalar).collect();
            let Some(names) = names else {
                return wrong("`classes` must be a list of names".to_owned(), None);
            };
            names
        }
        other => {
            let text = format!(
                "`classes` must be a list of names, or a file with one per line; this is {}",
                other.kind()
            );
            return wrong(text, None);
        }
    };
    if classes.iter().any(String::is_empty) {
        return wrong("a name in `classes` is empty".to_owned(), None);
    }
    let mut sorted: Vec<&String> = classes.iter().collect();
    sorted.sort();
    if let Some([twice, _]) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return wrong(format!("`classes` has `{twice}` twice"), None);
    }
    Some(classes)
}

/// Reads the file `name` of the folder in which the description `path` is: a description comes from
/// elsewhere, and is no reason to read what lies outside.
fn class_file(path: &Path, name: &str) -> Result<String, String> {
    let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if name.is_empty() || !Path::new(name).components().all(is_inside) {
        return Err("it must lie in the folder of this file, or below".to_owned());
    }
    let file = path.with_file_name(name);
    let failed = |error: std::io::Error| error.to_string();
    // Whoever opens a pipe waits for its other end.
    if !std::fs::metadata(&file).map_err(failed)?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut text = String::new();
    let file = File::open(&file).map_err(failed)?;
    let read = file.take(CLASSES_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(failed)?;
    if CLASSES_BYTES_MAX < text.len() as u64 {
        return Err(format!("it is larger than {} MiB", CLASSES_BYTES_MAX >> 20));
    }
    Ok(text)
}

/// Returns a name that YAML may read as a number: `[0, 1, 2]`.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.trim().to_owned()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

fn read_channels(fields: &Fields<'_, '_>) -> Option<Channels> {
    let value = fields.get("channels")?;
    let count = value.as_i64().and_then(|count| u64::try_from(count).ok());
    let channels = count.and_then(Channels::from_count);
    if channels.is_none() {
        let text = "`channels` must be 1 (grey) or 3 (colour)";
        fields.problem("channels", On::Value, "out-of-range", text, None);
    }
    channels
}

fn read_size(fields: &Fields<'_, '_>) -> Option<[usize; 2]> {
    let side = |value: &Value| {
        let side = usize::try_from(value.as_i64()?).ok()?;
        (1..=SIDE_MAX).contains(&side).then_some(side)
    };
    let sides: Option<Vec<usize>> = match fields.get("size")? {
        Value::List(sides) => sides.iter().map(side).collect(),
        one => side(one).map(|side| vec![side, side]),
    };
    if let Some(&[height, width]) = sides.as_deref() {
        return Some([height, width]);
    }
    let text = format!(
        "`size` must be a whole number from 1 to {SIDE_MAX}, or two of them: [height, width]"
    );
    fields.problem("size", On::Value, "out-of-range", text, None);
    None
}

fn read_mean(fields: &Fields<'_, '_>) -> Vec<f64> {
    let is_good = |mean: f64| mean.abs() <= SHIFT_MAX;
    let expected = format!("from -{SHIFT_MAX} to {SHIFT_MAX}");
    numbers(fields, "mean", 0.0, is_good, &expected)
}

fn read_std(fields: &Fields<'_, '_>) -> Vec<f64> {
    let is_good = |std: f64| 0.0 < std && std <= SHIFT_MAX;
    numbers(
        fields,
        "std",
        1.0,
        is_good,
        &format!("above 0, to {SHIFT_MAX}"),
    )
}

/// Reads a number, or one per channel.
fn numbers(
    fields: &Fields<'_, '_>,
    key: &'static str,
    default: f64,
    is_good: impl Fn(f64) -> bool,
    expected: &str,
) -> Vec<f64> {
    let number = |value: &Value| value.as_f64().filter(|number| is_good(*number));
    let numbers: Option<Vec<f64>> = match fields.get(key) {
        None => return vec![default],
        Some(Value::List(items)) => items.iter().map(number).collect(),
        Some(one) => number(one).map(|one| vec![one]),
    };
    match numbers {
        Some(numbers) if matches!(numbers.len(), 1 | 3) => numbers,
        _ => {
            let text = format!("`{key}` must be a number {expected}, or one for each channel");
            fields.problem(key, On::Value, "out-of-range", text, None);
            vec![default]
        }
    }
}

fn positive(fields: &Fields<'_, '_>, key: &'static str, default: f64, most: f64) -> f64 {
    let Some(value) = fields.get(key) else {
        return default;
    };
    match value.as_f64() {
        Some(number) if 0.0 < number && number <= most => number,
        _ => {
            let text = format!("`{key}` must be a number above 0, to {most}");
            fields.problem(key, On::Value, "out-of-range", text, None);
            default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ToDiagnostics, fs};

    fn read(text: &str) -> Result<Description, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.yaml");
        fs::write_atomic(&path, text.as_bytes()).unwrap();
        fs::write_atomic(&dir.path().join("labels.txt"), b"bag\ncoat\n\n").unwrap();
        if text.contains("large.txt") {
            let large = vec![b'x'; CLASSES_BYTES_MAX as usize + 1];
            fs::write_atomic(&dir.path().join("large.txt"), &large).unwrap();
        }
        fs::create_dir_all(&dir.path().join("empty")).unwrap();
        Description::read(&path).map_err(|error| {
            let problems = error.to_diagnostics().into_iter();
            problems.map(|problem| problem.headline).collect()
        })
    }

    #[test]
    fn what_is_absent_has_its_default() {
        let nothing = Description::read(Path::new("/nowhere/net.yaml")).unwrap();
        assert_eq!(nothing.file(), "/nowhere/net.yaml");
        assert_eq!(
            (nothing.classes, nothing.layout, nothing.size),
            (None, None, None)
        );
        assert_eq!((nothing.mean, nothing.std), (vec![0.0], vec![1.0]));
        assert!((nothing.scale * 255.0 - 1.0).abs() < 1e-12);
        assert_eq!(nothing.background, [255; 3]);
    }

    #[test]
    fn every_key_is_read() {
        let read = read(
            "name: digits\nclasses: [0, 1, coat]\nlayout: nhwc\nchannels: 1\nsize: [28, 32]\n\
             scale: 1\nmean: [1, 2, 3]\nstd: 2.5\noutput: probabilities\nfilter: nearest\n\
             background: 0\n",
        )
        .unwrap();
        assert_eq!(read.classes.unwrap(), ["0", "1", "coat"]);
        assert_eq!(
            (read.layout, read.channels),
            (Some(Layout::Nhwc), Some(Channels::Grey))
        );
        assert_eq!((read.size, read.scale), (Some([28, 32]), 1.0));
        assert_eq!((read.mean, read.std), (vec![1.0, 2.0, 3.0], vec![2.5]));
        assert_eq!(read.output, Some(Output::Probabilities));
        assert_eq!((read.filter, read.background), (Filter::Nearest, [0; 3]));
    }

    #[test]
    fn classes_may_stand_in_a_file() {
        assert_eq!(
            read("classes: labels.txt").unwrap().classes.unwrap(),
            ["bag", "coat"]
        );
        // A list of classes is no way to other files.
        for (file, part) in [
            ("/etc/hostname", "must lie in the folder"),
            ("../net.yaml", "must lie in the folder"),
            ("./labels/../../net.yaml", "must lie in the folder"),
            ("''", "must lie in the folder"),
            ("empty", "no regular file"),
            ("large.txt", "larger than 4 MiB"),
        ] {
            let problems = read(&format!("classes: {file}")).unwrap_err();
            assert!(problems[0].contains(part), "{file}: {problems:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_said() {
        let problems = read(
            "class: [a]\nclasses: [a, b, a]\nlayout: chw\nchannels: 4\nsize: 0\nscale: 0\n\
             mean: [1, 2]\nstd: [1, 0, 1]\noutput: softmax\n",
        )
        .unwrap_err();
        let expected = [
            "unknown key `class`",
            "`classes` has `a` twice",
            "`layout` must be one of `nchw`, `nhwc`",
            "`channels` must be 1 (grey) or 3 (colour)",
            "`size` must be a whole number from 1 to 4096, or two of them: [height, width]",
            "`scale` must be a number above 0, to 1000",
            "`mean` must be a number from -100000 to 100000, or one for each channel",
            "`std` must be a number above 0, to 100000, or one for each channel",
            "`output` must be one of `logits`, `probabilities`",
        ];
        assert_eq!(problems, expected);
        let absent = read("classes: nowhere.txt").unwrap_err();
        assert!(
            absent[0].contains("nowhere.txt`: No such file"),
            "{absent:?}"
        );
    }
}
