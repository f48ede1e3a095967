//! What differs between two runs of the same thing, replaced by its kind: `[HASH]`, `[TIME]`,
//! `[PID]`, `[RATE]`, `[RUN]`, `[DATE]`. A transcript that holds only what is promised can be compared byte for byte.

/// A filter looks at the start of a text and says how many bytes to replace by what.
type Filter = fn(&str) -> Option<(usize, &'static str)>;

/// Tried in this order at each place where a word begins.
const FILTERS: [Filter; 6] = [hash, date, rate, duration, pid, run];

/// Replaces the volatile parts of `text`.
pub(crate) fn volatile(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_word = false;
    while let Some(c) = rest.chars().next() {
        let hit = if in_word {
            None
        } else {
            FILTERS.iter().find_map(|f| f(rest))
        };
        let len = if let Some((len, name)) = hit {
            out.push_str(name);
            len
        } else {
            out.push(c);
            c.len_utf8()
        };
        in_word = hit.is_none() && (c.is_alphanumeric() || c == '.' || c == '_');
        rest = &rest[len..];
    }
    out
}

/// A name that a run was given by chance: `brave-otter-412`.
fn run(text: &str) -> Option<(usize, &'static str)> {
    let mut words = text.splitn(3, '-');
    let mut word = || {
        let word = words.next()?;
        let is_word = 3 <= word.len() && word.bytes().all(|b| b.is_ascii_lowercase());
        is_word.then_some(word.len())
    };
    let (first, second) = (word()?, word()?);
    let start = first + second + 2;
    let rest = text.get(start..)?;
    (number(rest) == Some(3) && ends_word(&rest[3..])).then_some((start + 3, "[RUN]"))
}

/// A date with a time: `2026-03-01 14:05`.
fn date(text: &str) -> Option<(usize, &'static str)> {
    const SHAPE: &[u8] = b"0000-00-00 00:00";
    let bytes = text.as_bytes().get(..SHAPE.len())?;
    let fits = bytes.iter().zip(SHAPE).all(|(b, shape)| match shape {
        b'0' => b.is_ascii_digit(),
        other => b == other,
    });
    fits.then_some((SHAPE.len(), "[DATE]"))
}

/// A content hash (64 hexadecimal digits), a run's id (32), or its short form (8, at least one of them a digit).
fn hash(text: &str) -> Option<(usize, &'static str)> {
    let len = text
        .bytes()
        .take_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        .count();
    let digits = text[..len].bytes().any(|b| b.is_ascii_digit());
    ((len == 64 || len == 32 || (len == 8 && digits)) && ends_word(&text[len..]))
        .then_some((len, "[HASH]"))
}

/// `1234 images/s`: the number before a rate.
fn rate(text: &str) -> Option<(usize, &'static str)> {
    let len = number(text)?;
    let unit = text[len..].strip_prefix(' ')?;
    let word = unit.bytes().take_while(u8::is_ascii_alphabetic).count();
    (0 < word && unit[word..].starts_with("/s") && ends_word(&unit[word + 2..]))
        .then_some((len, "[RATE]"))
}

/// `12 ms`, `3.4 s`, `2 m 05 s`, `1 h 02 m`: what `base::units::duration` prints.
fn duration(text: &str) -> Option<(usize, &'static str)> {
    let first = number(text)?;
    let rest = &text[first..];
    let tail = if rest.starts_with(" ms") {
        3
    } else if rest.starts_with(" s") {
        2
    } else {
        let (gap, last) = if rest.starts_with(" m ") {
            (3, " s")
        } else if rest.starts_with(" h ") {
            (3, " m")
        } else {
            return None;
        };
        let second = number(&rest[gap..])?;
        if !rest[gap + second..].starts_with(last) {
            return None;
        }
        gap + second + last.len()
    };
    ends_word(&rest[tail..]).then_some((first + tail, "[TIME]"))
}

/// `pid 1234`.
fn pid(text: &str) -> Option<(usize, &'static str)> {
    let rest = text.strip_prefix("pid ")?;
    let len = rest.bytes().take_while(u8::is_ascii_digit).count();
    (0 < len).then_some((4 + len, "pid [PID]"))
}

/// Returns the length of a decimal number at the start of `text`.
fn number(text: &str) -> Option<usize> {
    let whole = text.bytes().take_while(u8::is_ascii_digit).count();
    if whole == 0 {
        return None;
    }
    let fraction = text[whole..].strip_prefix('.').map_or(0, |f| {
        let digits = f.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 { 0 } else { digits + 1 }
    });
    Some(whole + fraction)
}

fn ends_word(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '/')
}

#[test]
fn only_what_varies_is_replaced() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(volatile(text), expected);
    }
    let hash = "0123456789abcdef".repeat(4);
    check(&format!("{hash}.dir"), "[HASH].dir");
    check(
        "dep `a` changed (1a2b3c4d -> deadbee0)",
        "dep `a` changed ([HASH] -> [HASH])",
    );
    check(
        "an abcdefab is a word, 123456789 a number",
        "an abcdefab is a word, 123456789 a number",
    );
    check(
        "took 12 ms, 3.4 s, 2 m 05 s, 1 h 02 m.",
        "took [TIME], [TIME], [TIME], [TIME].",
    );
    check(
        "3 stages, 2 models, epoch 3/8, 2.5 MiB",
        "3 stages, 2 models, epoch 3/8, 2.5 MiB",
    );
    check("1234 images/s, ETA 3 s", "[RATE] images/s, ETA [TIME]");
    check(
        "held by `repro`, pid 4711, for 3 s",
        "held by `repro`, pid [PID], for [TIME]",
    );
    check("größe é1 s", "größe é1 s");
    check(
        "recorded as `brave-otter-412` at 2026-03-01 14:05; not my-run-1 or a-b-123",
        "recorded as `[RUN]` at [DATE]; not my-run-1 or a-b-123",
    );
}
