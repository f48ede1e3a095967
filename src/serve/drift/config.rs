//! `serve.drift` and `serve.models.NAME.drift` of params.yaml. The table of keys stands in `serve::config`.
//! Imports: base.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::doc::{Fields, On, Value};
use crate::base::units;

/// Pictures in a window if nobody says how many.
const WINDOW: u64 = 500;

/// How drift is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftConfig {
    /// Which detectors watch the one model, if each does not say its own.
    pub folder: DriftFolder,
    /// Pictures that are compared with the reference at a time, at least 10.
    pub window: usize,
    /// When the window is compared; `None`: as soon as all its pictures are new.
    pub every: Option<Every>,
}

/// Which detectors watch a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DriftFolder {
    /// Those that are where they usually are, if there are any.
    #[default]
    Usual,
    /// Those of this folder.
    Named(PathBuf),
    /// None.
    Off,
}

/// When a window is compared again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many pictures.
    Images(u64),
    /// After this time, if pictures came.
    Time(Duration),
}

impl DriftConfig {
    /// Reads `drift` of the section `serve`: a folder, `false`, or a section of its own.
    pub(in crate::serve) fn read(serve: &Fields<'_, '_>) -> Self {
        let usual = Self {
            folder: DriftFolder::Usual,
            window: WINDOW as usize,
            every: None,
        };
        match serve.get("drift") {
            Some(Value::Map(_)) => {}
            Some(Value::Bool(true)) => return usual,
            _ => {
                return Self {
                    folder: read_folder(serve, "a folder, `false` or a mapping of keys to values"),
                    ..usual
                };
            }
        }
        let fields = serve.section("drift");
        let dir = fields.optional_text("dir").map(PathBuf::from);
        let config = Self {
            folder: dir.map_or(DriftFolder::Usual, DriftFolder::Named),
            window: fields.int("window", WINDOW, 10..=20_000) as usize,
            every: read_every(&fields),
        };
        fields.finish();
        config
    }
}

/// Reads the key `drift` as a folder or `false`; `expected` says what it may be.
pub(in crate::serve) fn read_folder(fields: &Fields<'_, '_>, expected: &str) -> DriftFolder {
    match fields.get("drift") {
        None => DriftFolder::Usual,
        Some(Value::Bool(false)) => DriftFolder::Off,
        Some(Value::Str(dir)) if !dir.trim().is_empty() => DriftFolder::Named(PathBuf::from(dir)),
        Some(_) => {
            let headline = format!("`{}` must be {expected}", fields.path("drift"));
            let help = Some("for example `models/drift`".to_owned());
            fields.problem("drift", On::Value, "wrong-type", headline, help);
            DriftFolder::Usual
        }
    }
}

fn read_every(fields: &Fields<'_, '_>) -> Option<Every> {
    let value = fields.get("every")?;
    let images = value.as_i64().and_then(|n| u64::try_from(n).ok());
    if let Some(images) = images.filter(|images| (1..=1_000_000).contains(images)) {
        return Some(Every::Images(images));
    }
    if let Some(time) = value.as_str().and_then(units::parse_duration) {
        return Some(Every::Time(time));
    }
    let headline = format!(
        "`{}` must be a number of pictures from 1 to 1000000, or a time",
        fields.path("every")
    );
    let help = Some("for example `200` for pictures, `5m` for a time".to_owned());
    fields.problem("every", On::Value, "out-of-range", headline, help);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::config::tests::read;

    #[test]
    fn a_folder_or_false_or_keys() {
        let of = |text: &str| read(&format!("serve:\n  drift: {text}\n")).map(|c| c.drift);
        let usual = read("").unwrap().drift;
        assert_eq!((&usual.folder, usual.window), (&DriftFolder::Usual, 500));
        assert_eq!(usual.every, None);
        assert_eq!(of("true").unwrap(), usual);
        assert_eq!(of("false").unwrap().folder, DriftFolder::Off);
        let named = DriftFolder::Named(PathBuf::from("models/other"));
        assert_eq!(of("models/other").unwrap().folder, named);
        let keys = of("{dir: models/other, window: 50, every: 20}").unwrap();
        assert_eq!((keys.folder, keys.window), (named, 50));
        assert_eq!(keys.every, Some(Every::Images(20)));
        let timed = of("{every: 5m}").unwrap().every;
        assert_eq!(timed, Some(Every::Time(Duration::from_mins(5))));
        for (text, expected) in [
            ("7", "`serve.drift` must be a folder, `false` or a mapping"),
            ("''", "`serve.drift` must be a folder, `false` or a mapping"),
            (
                "{widow: 5}",
                "unknown key `widow` in `serve.drift` (did you mean `window`?)",
            ),
            (
                "{window: 5}",
                "`serve.drift.window` must be a whole number from 10 to 20000",
            ),
            (
                "{every: 0}",
                "`serve.drift.every` must be a number of pictures from 1 to 1000000, or a time",
            ),
            (
                "{every: soon}",
                "`serve.drift.every` must be a number of pictures",
            ),
        ] {
            let problems = of(text).unwrap_err();
            assert!(problems[0].starts_with(expected), "{text}: {problems:?}");
        }
    }
}
