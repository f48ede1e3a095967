//! Tables of one column: pandas' forms `split` and `records` in JSON, and CSV. A cell is a picture,
//! encoded in base64 (or, in JSON, as numbers). Imports: serde, csv, `protocol::{given, json_inputs}`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::super::given::Given;
use super::super::json_inputs::{Gathered, Place, Texts};

/// Reads `{"columns": ["image"], "data": [["…"], …]}`; an `index` is passed over.
pub(super) fn split<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Given>, D::Error> {
    deserializer.deserialize_any(Split).map(Some)
}

/// Reads `[{"image": "…"}, …]`.
pub(super) fn records<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Given>, D::Error> {
    deserializer.deserialize_any(Records).map(Some)
}

fn one_column(columns: usize) -> String {
    format!(
        "a dataframe has one column here, the pictures (base64 of PNG, JPEG, …); found {columns} columns"
    )
}

struct Split;

impl<'de> Visitor<'de> for Split {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object: Dataframe split format must be a dictionary")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Given, A::Error> {
        let mut gathered = None;
        while let Some(key) = members.next_key::<Cow<'de, str>>()? {
            match &*key {
                "columns" => {
                    // Items of no size: only counted.
                    let columns = members.next_value::<Vec<IgnoredAny>>()?.len();
                    if columns != 1 {
                        return Err(A::Error::custom(one_column(columns)));
                    }
                }
                "index" => {
                    members.next_value::<IgnoredAny>()?;
                }
                "data" if gathered.is_none() => {
                    let mut rows = Gathered::new(Texts::Pictures);
                    members.next_value_seed(Rows(&mut rows))?;
                    gathered = Some(rows);
                }
                _ => return Err(A::Error::custom(SPLIT_KEYS)),
            }
        }
        gathered
            .ok_or_else(|| A::Error::custom(SPLIT_KEYS))?
            .finish()
    }
}

const SPLIT_KEYS: &str =
    "Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields";

/// The rows of a `split`: lists of one cell.
struct Rows<'g>(&'g mut Gathered);

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        self.0.enter::<A::Error>()?;
        let mut count = 0;
        while rows.next_element_seed(Row(self.0))?.is_some() {
            count += 1;
        }
        self.0.leave(count)
    }
}

struct Row<'g>(&'g mut Gathered);

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row: a list of one cell")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut cells: A) -> Result<(), A::Error> {
        if cells.next_element_seed(self.0.at(Place::Cell))?.is_none() {
            return Err(A::Error::custom(one_column(0)));
        }
        let mut others = 0;
        while cells.next_element::<IgnoredAny>()?.is_some() {
            others += 1;
        }
        if 0 < others {
            return Err(A::Error::custom(one_column(1 + others)));
        }
        Ok(())
    }
}

struct Records;

impl<'de> Visitor<'de> for Records {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list: Dataframe records format must be a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<Given, A::Error> {
        let mut gathered = Gathered::new(Texts::Pictures);
        gathered.enter::<A::Error>()?;
        let mut column = None;
        let mut count = 0;
        loop {
            let record = Record {
                gathered: &mut gathered,
                column: &mut column,
            };
            if records.next_element_seed(record)?.is_none() {
                break;
            }
            count += 1;
        }
        gathered.leave::<A::Error>(count)?;
        gathered.finish()
    }
}

struct Record<'g> {
    gathered: &'g mut Gathered,
    /// The name of the one column, known from the first record.
    column: &'g mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record: an object with one column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut cells: A) -> Result<(), A::Error> {
        let Some(name) = cells.next_key::<Cow<'de, str>>()? else {
            return Err(A::Error::custom(one_column(0)));
        };
        if *self.column.get_or_insert_with(|| name.clone().into_owned()) != name {
            return Err(A::Error::custom(one_column(2)));
        }
        cells.next_value_seed(self.gathered.at(Place::Cell))?;
        let mut others = 0;
        while cells.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            others += 1;
        }
        if 0 < others {
            return Err(A::Error::custom(one_column(1 + others)));
        }
        Ok(())
    }
}

/// Reads a table with a head, as `DataFrame.to_csv()` writes it: one column, and perhaps the index
/// before it, whose head is empty.
pub(super) fn csv(body: &[u8]) -> Result<Given, String> {
    let failed = |problem: &dyn fmt::Display| {
        format!(
            "Failed to parse input as a Pandas DataFrame. Ensure that the input is a valid CSV-formatted Pandas DataFrame produced using the `pandas.DataFrame.to_csv()` method. Error: '{problem}'"
        )
    };
    let mut reader = csv::Reader::from_reader(body);
    let head = reader.headers().map_err(|e| failed(&e))?;
    let column = match (head.len(), head.get(0)) {
        (1, _) => 0,
        (2, Some("")) => 1,
        (columns, _) => return Err(failed(&one_column(columns))),
    };
    let mut gathered = Gathered::new(Texts::Pictures);
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row).map_err(|e| failed(&e))? {
        gathered.picture(row.get(column).unwrap_or_default());
    }
    gathered
        .finish::<serde_json::Error>()
        .map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::serve::tensor::Tensor;

    fn hi(times: usize) -> Given {
        Given::Files(vec![Ok(Bytes::from_static(b"hi")); times])
    }

    fn read(
        what: impl FnOnce(
            &mut serde_json::Deserializer<serde_json::de::StrRead<'_>>,
        ) -> serde_json::Result<Option<Given>>,
        body: &str,
    ) -> Result<Given, String> {
        let given = what(&mut serde_json::Deserializer::from_str(body));
        given.map(Option::unwrap).map_err(|e| e.to_string())
    }

    proptest! {
        #[test]
        fn any_text_is_a_table_or_an_error(
            text in r#"[\[\]\{\}",:a-z0-9 ]{0,60}"#,
            members in r#""(columns|data|index)":[\[\]\{\}",:a-z0-9]{0,40}"#,
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            for body in [text, format!("{{{members}}}"), format!("[{{{members}}}]")] {
                let _ = read(|d| split(d), &body);
                let _ = read(|d| records(d), &body);
                let _ = csv(body.as_bytes());
            }
            let _ = csv(&bytes);
        }

        #[test]
        fn pictures_come_out_of_every_table_as_they_went_in(
            files in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..5),
            column in "[a-z]{1,9}",
        ) {
            let texts: Vec<String> = files.iter().map(|file| STANDARD.encode(file)).collect();
            let rows: Vec<_> = texts.iter().map(|text| json!([text])).collect();
            let objects: Vec<_> = texts.iter().map(|text| json!({column.as_str(): text})).collect();
            let files = files.into_iter().map(|file| Ok(file.into())).collect();
            let given: Result<Given, String> = Ok(Given::Files(files));
            let table = json!({"columns": [column], "data": rows}).to_string();
            prop_assert_eq!(read(|d| split(d), &table), given.clone());
            let table = json!(objects).to_string();
            prop_assert_eq!(read(|d| records(d), &table), given.clone());
            let table = format!("{column}\n{}\n", texts.join("\n"));
            prop_assert_eq!(csv(table.as_bytes()), given);
        }
    }

    #[test]
    fn tables_of_one_column() {
        for body in [
            r#"{"columns": ["image"], "data": [["aGk="], ["aGk\n="]]}"#,
            r#"{"index": [0, 1], "data": [["aGk="], ["aGk="]], "columns": ["x"]}"#,
        ] {
            assert_eq!(read(|d| split(d), body), Ok(hi(2)), "{body}");
        }
        let numbers = Given::Numbers(Tensor {
            shape: vec![1, 2],
            values: vec![1.0, 2.0],
        });
        assert_eq!(read(|d| split(d), r#"{"data": [[[1, 2]]]}"#), Ok(numbers));
        let body = r#"[{"image": "aGk="}, {"image": "aGk="}]"#;
        assert_eq!(read(|d| records(d), body), Ok(hi(2)));
        for body in [
            "image\naGk=\n\"aG\nk=\"\n",
            ",image\r\n0,aGk=\r\n1,aGk=\r\n",
        ] {
            assert_eq!(csv(body.as_bytes()), Ok(hi(2)), "{body}");
        }
    }

    #[test]
    fn other_tables_are_refused() {
        for (body, part) in [
            ("[]", "must be a dictionary"),
            ("{}", "must have 'data'"),
            (r#"{"data": [["aGk="]], "dtypes": []}"#, "must have 'data'"),
            (r#"{"data": [], "data": []}"#, "must have 'data'"),
            (r#"{"columns": ["a", "b"], "data": []}"#, "found 2 columns"),
            (r#"{"data": [["aGk=", 1, 2]]}"#, "found 3 columns"),
            (r#"{"data": [[]]}"#, "found 0 columns"),
            (r#"{"data": ["aGk="]}"#, "a list of one cell"),
            (r#"{"data": [[null]]}"#, "invalid type: null"),
        ] {
            let error = read(|d| split(d), body).unwrap_err();
            assert!(error.contains(part), "{body}: {error}");
        }
        for (body, part) in [
            ("{}", "must be a list of records"),
            ("[{}]", "found 0 columns"),
            ("[[\"aGk=\"]]", "an object with one column"),
            (r#"[{"a": "aGk=", "b": 1}]"#, "found 2 columns"),
            (r#"[{"a": "aGk="}, {"b": "aGk="}]"#, "found 2 columns"),
        ] {
            let error = read(|d| records(d), body).unwrap_err();
            assert!(error.contains(part), "{body}: {error}");
        }
        for (body, part) in [
            (&b"a,b\n1,2\n"[..], "found 2 columns"),
            (b"", "found 0 columns"),
            (b"image\n\xff\n", "UTF-8"),
            (b"image\nx,y\n", "Error: '"),
        ] {
            let error = csv(body).unwrap_err();
            assert!(error.contains(part), "{body:?}: {error}");
        }
    }
}
