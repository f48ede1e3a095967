//! Tables of comma-separated numbers, with or without a line of names. Imports: `arrays::error`.

use super::error::{Fault, Place};
use super::{Bad, Content, Head, require_room};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a table from the bytes of its file. Lines that are empty or begin with `#` are passed over.
pub(super) fn read(bytes: &[u8], head: Head) -> Result<Content, Bad> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    // Ragged lines are reported here, by their number.
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let mut content = Content::default();
    let mut width = None;
    loop {
        let more = reader
            .read_byte_record(&mut record)
            .map_err(|error| Fault::NotCsv(error.to_string()))?;
        if !more {
            break;
        }
        let line = line_of(&record, bytes);
        let at = |fault| Bad {
            place: Some(Place::Line(line)),
            fault,
        };
        let fields: Vec<String> = record.iter().map(text).collect();
        let first = width.is_none();
        let expected = *width.get_or_insert(fields.len());
        if fields.len() != expected {
            return Err(at(Fault::Ragged {
                found: fields.len(),
                expected,
            }));
        }
        if first && is_heading(&fields, head, &mut content.notes).map_err(at)? {
            content.names = fields;
            continue;
        }
        require_room(content.values.len() + fields.len()).map_err(at)?;
        for (feature, field) in fields.iter().enumerate() {
            content.values.push(match number(field) {
                Some(value) => value,
                None if field.is_empty() => return Err(at(Fault::Missing { feature })),
                None => {
                    return Err(at(Fault::NotANumber {
                        feature,
                        text: short(field),
                    }));
                }
            });
        }
        content.lines.push(line);
    }
    content.shape = vec![content.lines.len(), width.unwrap_or(0)];
    Ok(content)
}

/// Says whether the first line holds names.
fn is_heading(fields: &[String], head: Head, notes: &mut Vec<String>) -> Result<bool, Fault> {
    match head {
        Head::Yes => return Ok(true),
        Head::No => return Ok(false),
        Head::Auto => {}
    }
    let none = fields.iter().find(|field| number(field).is_none());
    if none.is_none() {
        // What pandas writes for a table without names.
        let counted = 1 < fields.len()
            && (0..)
                .zip(fields)
                .all(|(at, field)| *field == usize::to_string(&at));
        if counted {
            notes.push(
                "the first line counts 0, 1, 2, …, so it was taken as names of columns: `--header no` \
                 if it is data"
                    .to_owned(),
            );
        }
        return Ok(counted);
    }
    if fields.len() > 1 && fields[0].is_empty() {
        return Err(Fault::IndexColumn);
    }
    match none {
        Some(text) if fields.iter().any(|field| number(field).is_some()) => {
            Err(Fault::HalfAHeading { text: short(text) })
        }
        _ => Ok(true),
    }
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim().to_owned()
}

/// Reads a number, also NaN and infinities, which are refused later; `True` and `False` are 1 and 0.
fn number(field: &str) -> Option<f64> {
    match field {
        "True" | "true" => Some(1.0),
        "False" | "false" => Some(0.0),
        _ => field.parse().ok(),
    }
}

/// A field as a message shows it.
fn short(field: &str) -> String {
    const SHOWN: usize = 40;
    if field.chars().count() <= SHOWN {
        return field.to_owned();
    }
    let start: String = field.chars().take(SHOWN).collect();
    format!("{start}…")
}

/// Returns the line on which a record begins, from 1. The reader's own place is where it began to look:
/// before empty lines and comments.
fn line_of(record: &csv::ByteRecord, bytes: &[u8]) -> u64 {
    let (mut at, mut line) = record
        .position()
        .map_or((0, 1), |place| (place.byte() as usize, place.line()));
    loop {
        match bytes.get(at) {
            Some(b'\r') => at += 1,
            Some(b'\n') => {
                at += 1;
                line += 1;
            }
            Some(b'#') => {
                let rest = &bytes[at..];
                at += rest
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .unwrap_or(rest.len());
            }
            _ => return line,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Result<Content, Bad> {
        read(text.as_bytes(), Head::Auto)
    }

    #[test]
    fn tables_with_and_without_names_are_read() {
        for text in [
            "1,2\n3,4\n",
            "\u{feff}1 , 2\r\n3,4",
            "# made by numpy\n1.0e0,2.0e0\n\n3,4\n",
            "a,b\n1,2\n3,4\n",
            "\"a\",\"b\"\n\"1\",\"2\"\n3,4\n",
            "0,1\n1,2\n3,4\n",
        ] {
            let found = of(text).unwrap();
            assert_eq!(found.shape, [2, 2], "{text}");
            assert_eq!(found.values, [1.0, 2.0, 3.0, 4.0], "{text}");
        }
        assert_eq!(of("a,b\n1,2\n").unwrap().names, ["a", "b"]);
        assert_eq!(of("0,1\n1,2\n").unwrap().notes.len(), 1);
        let column = of("0\n1\nTrue\nFalse\n").unwrap();
        assert_eq!(column.values, [0.0, 1.0, 1.0, 0.0]);
        let told = |head| read(b"0,1\n1,2\n", head).unwrap().shape;
        assert_eq!((told(Head::No), told(Head::Yes)), (vec![2, 2], vec![1, 2]));
    }

    #[test]
    fn lines_are_counted_as_editors_do() {
        let found = of("# one\n\n1,2\r\n\r\n# five\n3,4\n5,6\n").unwrap();
        assert_eq!(found.lines, [3, 6, 7]);
    }

    #[test]
    fn mistakes_are_at_their_line() {
        let at = |text| of(text).unwrap_err();
        let line = |line, fault| Bad {
            place: Some(Place::Line(line)),
            fault,
        };
        let ragged = Fault::Ragged {
            found: 1,
            expected: 2,
        };
        assert_eq!(at("1,2\n\n3\n"), line(3, ragged));
        let text = "x".to_owned();
        let none = Fault::NotANumber { feature: 1, text };
        assert_eq!(at("1,2\n3,x\n"), line(2, none));
        assert_eq!(at("1,2\n3,\n"), line(2, Fault::Missing { feature: 1 }));
        let text = "b".to_owned();
        assert_eq!(at("1,b\n3,4\n"), line(1, Fault::HalfAHeading { text }));
        assert_eq!(at(",0,1\n0,3,4\n"), line(1, Fault::IndexColumn));
        assert_eq!(of("").unwrap().shape, [0, 0]);
        assert_eq!(of("a,b\n").unwrap().shape, [0, 2]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            values in prop::collection::vec(prop::num::f64::NORMAL, 2..40),
            end in prop::sample::select(vec!["\n", "\r\n"]),
        ) {
            let rows: Vec<&[f64]> = values.chunks_exact(2).collect();
            let lines: Vec<String> = rows.iter().map(|row| format!("{},{:e}", row[0], row[1])).collect();
            let found = of(&lines.join(end)).unwrap();
            prop_assert_eq!(found.values, rows.concat());
            prop_assert_eq!(found.shape, vec![rows.len(), 2]);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            if let Ok(found) = of(&text) {
                prop_assert_eq!(found.values.len(), found.shape.iter().product::<usize>());
            }
        }
    }
}
