//! Which pictures among the artifacts of a run belong together, told by their names alone. Pure.
//! Imports: nothing of ours.
//!
//! **MLflow's.** `log_image(image, key=, step=)` writes `images/KEY+step+N+timestamp+MS+UUID.png` and a
//! small copy `….+compressed.webp`; before 3.10 `%` stands for `+`, and `#` or `~` for a `/` of the key.
//!
//! **Others.** Any picture (`png`, `jpg`, `jpeg`, `gif`, `webp`, `bmp`, `avif`, `svg`). Its step is the
//! number behind `step`, `epoch`, `iter`, `iteration` or `batch` in the last part of its path that has
//! such a word (`step-10/dog.png`, `dog_epoch_3.png`); else the number at the end of its name behind `_`,
//! `-` or `.` (`dog_000010.png`), or a name that is a number (`dogs/10.png`); else it has none. Its key is
//! the path without the step: `dog.png`, `dog.png`, `dog.png`, `dogs`.

/// Words behind which a step stands.
const WORDS: [&str; 5] = ["step", "epoch", "iteration", "iter", "batch"];

/// Endings of pictures.
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "gif", "webp", "bmp", "avif", "svg"];

/// A longer number is no step but a time or an id.
const STEP_DIGITS_MAX: usize = 12;

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) key: String,
    pub(super) step: Option<i64>,
    /// When it was logged, if the name says so: of two pictures in one place the later one counts.
    pub(super) at_ms: i64,
    /// Is it the small copy of another one?
    pub(super) is_small: bool,
}

/// Reads the path of an artifact; `None`: it is no picture.
pub(super) fn read(path: &str) -> Option<Named> {
    let (stem, ending) = path.rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    if !ENDINGS.contains(&ending.as_str()) || stem.is_empty() {
        return None;
    }
    Some(mlflow(stem).unwrap_or_else(|| other(stem, &ending)))
}

fn mlflow(stem: &str) -> Option<Named> {
    let name = stem.strip_prefix("images/")?;
    ['+', '%'].into_iter().find_map(|divider| {
        let mut parts = name.split(divider);
        let key = parts.next().filter(|key| !key.is_empty())?;
        let (word, step) = (parts.next()?, parts.next()?);
        let (at_word, at, _) = (parts.next()?, parts.next()?, parts.next()?);
        let more = parts.next();
        if word != "step" || at_word != "timestamp" || parts.next().is_some() {
            return None;
        }
        let is_small = match more {
            None => false,
            Some("compressed") => true,
            Some(_) => return None,
        };
        Some(Named {
            key: key.replace(['~', '#'], "/"),
            step: Some(step.parse().ok()?),
            at_ms: at.parse().ok()?,
            is_small,
        })
    })
}

fn other(stem: &str, ending: &str) -> Named {
    let named = |key: String, step| Named {
        key,
        step,
        at_ms: 0,
        is_small: false,
    };
    let parts: Vec<&str> = stem.split('/').collect();
    for (place, part) in parts.iter().enumerate().rev() {
        if let Some((rest, step)) = behind_word(part) {
            let mut kept: Vec<&str> = parts.clone();
            if rest.is_empty() {
                kept.remove(place);
            } else {
                kept[place] = &rest;
            }
            let key = kept.join("/");
            // A name that says its step only is called by its folder.
            let has_name = place + 1 < parts.len() || !rest.is_empty();
            return named(with_ending(key, ending, has_name), Some(step));
        }
    }
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    if let Some(step) = number(name) {
        return named(with_ending(folder.to_owned(), ending, false), Some(step));
    }
    let rest = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let divided = rest.trim_end_matches(['_', '-', '.']);
    if divided.len() < rest.len()
        && !divided.is_empty()
        && let Some(step) = number(&name[rest.len()..])
    {
        let kept = &stem[..stem.len() - name.len() + divided.len()];
        return named(with_ending(kept.to_owned(), ending, true), Some(step));
    }
    named(with_ending(stem.to_owned(), ending, true), None)
}

fn with_ending(key: String, ending: &str, has_name: bool) -> String {
    if key.is_empty() {
        "picture".to_owned()
    } else if has_name {
        format!("{key}.{ending}")
    } else {
        key
    }
}

fn number(text: &str) -> Option<i64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !text.is_empty() && text.len() <= STEP_DIGITS_MAX)
        .then(|| text.parse().ok())
        .flatten()
}

/// Looks for a word and a number behind it that stand by themselves; returns what is left without
/// them, and the number.
fn behind_word(part: &str) -> Option<(String, i64)> {
    let lower = part.to_ascii_lowercase();
    // Only ASCII letters were changed: places are the same.
    for word in WORDS {
        let Some(at) = lower.rfind(word) else {
            continue;
        };
        let before = &part[..at];
        if before.ends_with(|c: char| c.is_alphanumeric()) {
            continue;
        }
        let behind = part[at + word.len()..].trim_start_matches(['_', '-', '=', ' ']);
        let digits = behind.len()
            - behind
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        let after = &behind[digits..];
        if after.starts_with(|c: char| c.is_alphanumeric()) {
            continue;
        }
        if let Some(step) = number(&behind[..digits]) {
            let (before, after) = (
                before.trim_end_matches(['_', '-', '.', ' ']),
                after.trim_start_matches(['_', '-', '.', ' ']),
            );
            let divider = if before.is_empty() || after.is_empty() {
                ""
            } else {
                "_"
            };
            return Some((format!("{before}{divider}{after}"), step));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_key_and_step() {
        for (path, key, step) in [
            (
                "images/val~dog+step+12+timestamp+17+u-u.png",
                "val/dog",
                Some(12),
            ),
            ("images/dog%step%3%timestamp%17%u-u.png", "dog", Some(3)),
            ("images/a b+step+-1+timestamp+17+u.png", "a b", Some(-1)),
            // A client may call anything so.
            (
                "images/dog+step+x+timestamp+17+u.png",
                "images/dog+step+x+timestamp+17+u.png",
                None,
            ),
            (
                "images/dog+step+1+timestamp+17+u+what.png",
                "images/dog+step+1+timestamp+17+u+what.png",
                None,
            ),
            ("plots/dog_000010.png", "plots/dog.png", Some(10)),
            ("dog-3.JPG", "dog.jpg", Some(3)),
            ("step-10/dog.png", "dog.png", Some(10)),
            ("out/epoch_007/val/dog.webp", "out/val/dog.webp", Some(7)),
            ("dog_epoch_3.png", "dog.png", Some(3)),
            ("epoch=3-val.png", "val.png", Some(3)),
            ("dog_step5_raw.png", "dog_raw.png", Some(5)),
            ("out/step_4.png", "out", Some(4)),
            ("step_4.png", "picture", Some(4)),
            ("dogs/10.png", "dogs", Some(10)),
            ("10.png", "picture", Some(10)),
            ("resnet50.png", "resnet50.png", None),
            ("confusion_matrix.png", "confusion_matrix.png", None),
            ("footstep_x.png", "footstep_x.png", None),
            ("shot_1700000000000.png", "shot_1700000000000.png", None),
            ("ünï_2.svg", "ünï.svg", Some(2)),
        ] {
            let named = read(path).unwrap();
            assert_eq!((named.key.as_str(), named.step), (key, step), "{path}");
        }
        assert!(
            read("images/dog+step+1+timestamp+1+u+compressed.webp")
                .unwrap()
                .is_small
        );
        for path in ["a.txt", "a", ".png", "a.png.gz"] {
            assert_eq!(read(path), None, "{path}");
        }
    }
}
