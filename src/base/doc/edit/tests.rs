//! Edits: the value arrives, nothing else moves.

use proptest::prelude::*;

use super::*;

fn document(text: &str, format: Format) -> Document {
    Document::parse("f", text.to_owned(), format).unwrap()
}

fn value(text: &str) -> Value {
    document(text, Format::Yaml).root
}

#[track_caller]
fn check_in(format: Format, before: &str, key: &str, new: &str, after: &str) {
    let edited = set(
        &document(before, format),
        &key.parse().unwrap(),
        &value(new),
    )
    .unwrap();
    assert_eq!(edited.source.text, after);
}

#[track_caller]
fn check(before: &str, key: &str, new: &str, after: &str) {
    check_in(Format::Yaml, before, key, new, after);
}

#[track_caller]
fn check_removed(before: &str, key: &str, after: &str) {
    let edited = remove(&document(before, Format::Yaml), &key.parse().unwrap()).unwrap();
    assert_eq!(edited.source.text, after);
}

#[track_caller]
fn check_refused(before: &str, key: &str, new: &str, why: &str) {
    let error = set(
        &document(before, Format::Yaml),
        &key.parse().unwrap(),
        &value(new),
    )
    .unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn scalars_are_replaced_in_their_place() {
    check("a: 0.5    # one\n", "a", "0.25", "a: 0.25   # one\n");
    check("a: 0.5  # one\n", "a", "0.25", "a: 0.25  # one\n");
    check("a: 1  # one\nb: 2\n", "a", "3", "a: 3  # one\nb: 2\n");
    check(
        "a: {b: [1, 2], c: x}\n",
        "a.b[1]",
        "9",
        "a: {b: [1, 9], c: x}\n",
    );
    check("a: 'x' # c\n", "a", "it's", "a: 'it''s' # c\n");
    check("a: \"x\"\n", "a", "y", "a: \"y\"\n");
    check("a: x", "a", "'1'", "a: '1'");
    check("a: x\r\nb: y\r\n", "a", "z", "a: z\r\nb: y\r\n");
    check("a: &n 1\nb: 2\n", "a", "2", "a: &n 2\nb: 2\n");
    check("é: {ü: ä} # ö\n", "é.ü", "ß", "é: {ü: ß} # ö\n");
    check("a: |\n  long\n  text\nb: 1\n", "a", "5", "a: 5\nb: 1\n");
    check("a: {x: b}\n", "a.x", "'p, q'", "a: {x: \"p, q\"}\n");
    check("a: 1\n", "a", "\"x\\ny\"", "a: \"x\\ny\"\n");
}

#[test]
fn an_absent_value_gets_one() {
    check("a:\nb: 1\n", "a", "2", "a: 2\nb: 1\n");
    check("a:   # later\nb: 1\n", "a", "2", "a: 2  # later\nb: 1\n");
    check("s:\n  a:\n  b: 1\n", "s.a", "[1]", "s:\n  a: [1]\n  b: 1\n");
}

#[test]
fn new_keys_stand_at_the_end_of_their_section() {
    check(
        "t:\n  a: 1 # one\n\n# next\nu: 2\n",
        "t.b",
        "2",
        "t:\n  a: 1 # one\n  b: 2\n\n# next\nu: 2\n",
    );
    check("a: 1", "b", "2", "a: 1\nb: 2");
    check("", "a.b", "2", "a:\n  b: 2\n");
    check("# only this\n", "a", "x", "# only this\na: x\n");
    check("a: {}\n", "a.b.c", "1", "a: {b: {c: 1}}\n");
    check("a: {x: 1}\n", "a.b.c", "1", "a: {x: 1, b: {c: 1}}\n");
    check("a: {x: 1,}\n", "a.b", "1", "a: {x: 1, b: 1,}\n");
    check(
        "a:\n    b: 1\n",
        "a.c.d",
        "x",
        "a:\n    b: 1\n    c:\n      d: x\n",
    );
    check(
        "a:\n    b: 1\nc:\n",
        "c.d",
        "x",
        "a:\n    b: 1\nc:\n    d: x\n",
    );
    check(
        "a: {x: 1}\n",
        "b",
        "{c: {d: 1}, e: [x]}",
        "a: {x: 1}\nb:\n  c:\n    d: 1\n  e: [x]\n",
    );
    check("l: [1, 2]\n", "l[2]", "3", "l: [1, 2, 3]\n");
    check(
        "l:\n- 1 # x\nk: 1\n",
        "l[1]",
        "{a: b}",
        "l:\n- 1 # x\n- {a: b}\nk: 1\n",
    );
    check(
        "b: &b {x: 1}\nz:\n  <<: *b\n  y: 2\n",
        "z.x",
        "3",
        "b: &b {x: 1}\nz:\n  <<: *b\n  y: 2\n  x: 3\n",
    );
    check("a: x\r\n", "b", "1", "a: x\r\nb: 1\r\n");
    check(
        "a: |\n  text\nb: 1\n",
        "c",
        "1",
        "a: |\n  text\nb: 1\nc: 1\n",
    );
}

#[test]
fn lists_of_new_stages_stand_item_below_item() {
    let document = Document::parse("t", "s: {}\nb:\n  c: 1\n".to_owned(), Format::Yaml).unwrap();
    let yaml = "{cmd: x, deps: [p, q], outs: [{o: {cache: false}}], empty: []}";
    let value = Document::parse("v", yaml.to_owned(), Format::Yaml).unwrap();
    let set = |at: &str| set_blocks(&document, &at.parse().unwrap(), &value.root).unwrap();
    assert_eq!(
        set("b.d").source.text,
        "s: {}\nb:\n  c: 1\n  d:\n    cmd: x\n    deps:\n    - p\n    - q\n    outs:\n    - o:\n        cache: false\n    empty: []\n"
    );
    assert_eq!(
        set("s.d").source.text,
        "s: {d: {cmd: x, deps: [p, q], outs: [{o: {cache: false}}], empty: []}}\nb:\n  c: 1\n"
    );
}

#[test]
fn collections_change_only_where_they_differ() {
    check(
        "m:\n  - {f: 16, k: 5}  # first\n  - {f: 32}\n",
        "m",
        "[{f: 8, k: 5}, {f: 32}, {f: 64}]",
        "m:\n  - {f: 8, k: 5}  # first\n  - {f: 32}\n  - {f: 64}\n",
    );
    check("l: [1, 2, 3]  # c\n", "l", "[1]", "l: [1]  # c\n");
    check(
        "l:\n  - a # 1\n  - b # 2\nk: 1\n",
        "l",
        "[a]",
        "l:\n  - a # 1\nk: 1\n",
    );
    check(
        "m:\n  a: 1 # x\n  b: 2\n",
        "m",
        "{a: 1, c: 3}",
        "m:\n  a: 1 # x\n  c: 3\n",
    );
    check(
        "m:\n  a: 1\n  # inside\n  b: 2\nk: 1\n",
        "m",
        "text",
        "m: text\nk: 1\n",
    );
    check("m: 1\n", "m", "{a: 1}", "m: {a: 1}\n");
}

#[test]
fn other_formats() {
    let json = "{\n  \"a\": {\"b\": 1},\n  \"c\": [1, 2]\n}\n";
    check_in(
        Format::Json,
        json,
        "a.b",
        "x",
        &json.replace("\"b\": 1", "\"b\": \"x\""),
    );
    check_in(
        Format::Json,
        json,
        "d.e",
        "true",
        "{\n  \"a\": {\"b\": 1},\n  \"c\": [1, 2],\n  \"d\": {\"e\": true}\n}\n",
    );
    check_in(
        Format::Json,
        json,
        "c[2]",
        "null",
        &json.replace("[1, 2]", "[1, 2, null]"),
    );
    check_in(
        Format::Toml,
        "[a]\nb = 1 # c\n",
        "a.b",
        "2.5",
        "[a]\nb = 2.5 # c\n",
    );
    check_in(Format::Toml, "a = 'x'\n", "a", "y", "a = \"y\"\n");
    let toml = document("[a]\nb = 1\n", Format::Toml);
    assert!(set(&toml, &"a.c".parse().unwrap(), &Value::Int(1)).is_err());
}

#[test]
fn what_would_change_more_is_refused() {
    check_refused("b: &b {x: 1}\nz: *b\n", "b.x", "2", "`z.x` would change");
    check_refused("b: &b {x: 1}\nz: *b\n", "z.x", "2", "copy of another value");
    check_refused("a: 1\n", "a.b", "2", "a whole number holds no key `b`");
    check_refused("a: [1]\n", "a[3]", "2", "no item 3");
    let there = document("a: 1\n", Format::Yaml);
    assert!(remove(&there, &"b".parse().unwrap()).is_err());
}

#[test]
fn values_are_removed_with_their_line() {
    check_removed("a: 1\nb: 2 # x\nc: 3\n", "b", "a: 1\nc: 3\n");
    check_removed("a: {x: 1, y: 2}\n", "a.x", "a: {y: 2}\n");
    check_removed("a: {x: 1, y: 2}\n", "a.y", "a: {x: 1}\n");
    check_removed("a:\n  x: 1 # c\nb: 1\n", "a.x", "a: {}\nb: 1\n");
    check_removed(
        "a:\n  - 1\n  - x: 1\n    y: 2\nb: 1\n",
        "a[1]",
        "a:\n  - 1\nb: 1\n",
    );
    check_removed("# c\na: 1\n", "a", "# c\n\n{}\n");
    check_removed("a:\n  b:\n    c: 1\n  d: 2\n", "a.b", "a:\n  d: 2\n");
}

/// A document of two levels with comments, in several layouts, and the keys in it.
fn texts() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("1"),
        Just("2.5"),
        Just("plain text"),
        Just("'single'"),
        Just("\"double\""),
        Just("true"),
        Just("~"),
        Just("[1, b]"),
        Just("{k: v}"),
        Just("&anchor 3"),
        Just("|\n      block\n      text"),
        Just(""),
        Just("\n      - x  # item\n      - y"),
        Just("\n      p: 1  # deep\n      q: 2"),
    ];
    let comment = prop_oneof![Just(""), Just("  # note"), Just("  # a: 1")];
    let entry = (scalar, comment, any::<bool>());
    proptest::collection::vec((0..2usize, entry), 1..6).prop_map(|entries| {
        let mut text = String::from("# head\n");
        let mut inside = false;
        for (i, (level, (value, comment, gap))) in entries.into_iter().enumerate() {
            if level == 0 || !inside {
                text += &format!("s{i}:{comment}\n");
                inside = true;
            }
            let comment = if value.contains('\n') { "" } else { comment };
            let value = value.replace("&anchor", &format!("&anchor{i}"));
            let between = if value.is_empty() || value.starts_with('\n') {
                ""
            } else {
                " "
            };
            text += &format!("    k{i}:{between}{value}{comment}\n");
            if gap {
                text += "\n    # between\n";
            }
        }
        text
    })
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        "[ -~é\n\t]{0,8}".prop_map(Value::Str),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            proptest::collection::vec(("[a-z]{1,3}", inner), 0..3)
                .prop_map(|items| Value::Map(items.into_iter().collect())),
        ]
    })
}

fn keys_of(value: &Value, at: &KeyPath, out: &mut Vec<KeyPath>) {
    if let Value::Map(map) = value {
        for (key, inner) in map {
            let at = at.key(key);
            out.push(at.clone());
            keys_of(inner, &at, out);
        }
    }
}

#[test]
fn texts_that_yaml_1_1_reads_otherwise_get_quotes() {
    for text in [
        "yes", "No", "ON", "off", "y", "017", "1_000", "12:30", "-1:30:00", "0x_ff", "0b1", "1_0.5",
    ] {
        let new = Value::Str(text.to_owned());
        let edited = set(
            &document("a: 1\n", Format::Yaml),
            &"a".parse().unwrap(),
            &new,
        );
        let after = edited.unwrap().source.text.clone();
        assert_eq!(after, format!("a: '{text}'\n"));
    }
    for text in ["sgd", "yesterday", "10px", "1.2.3", "v1_0", "2026-11-27"] {
        let new = Value::Str(text.to_owned());
        let edited = set(
            &document("a: 1\n", Format::Yaml),
            &"a".parse().unwrap(),
            &new,
        );
        let after = edited.unwrap().source.text.clone();
        assert_eq!(after, format!("a: {text}\n"));
    }
}

#[test]
fn what_a_format_has_no_word_for_is_refused() {
    let why = |format, text: &str, new: &Value| {
        let edited = set(&document(text, format), &"a".parse().unwrap(), new);
        match edited {
            Err(Error::Edit { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    };
    let nothing = why(Format::Toml, "a = 1\n", &Value::Null);
    assert_eq!(nothing, "TOML has no word for nothing (`null`)");
    let nan = Value::List(vec![Value::Float(f64::NAN)]);
    assert!(why(Format::Json, "{\"a\": 1}", &nan).starts_with("JSON has no word"));
    let date = "a = 2026-01-01 # day\n";
    let text = Value::Str("soon".to_owned());
    let no_date = why(Format::Toml, date, &text);
    assert_eq!(no_date, "it is a date, and `soon` is none");
    check_in(
        Format::Toml,
        date,
        "a",
        "2027-02-03",
        "a = 2027-02-03 # day\n",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Every existing key of ordinary YAML can be set to every value; `set` itself has compared
    /// what the text says, so what is left to see is that it is not refused and keeps the comments.
    #[test]
    fn existing_keys_take_any_value(text in texts(), value in values(), pick in any::<prop::sample::Index>()) {
        let before = document(&text, Format::Yaml);
        let mut keys = Vec::new();
        keys_of(&before.root, &KeyPath::root(), &mut keys);
        let key = pick.get(&keys);
        let edited = set(&before, key, &value).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert!(key.get(&edited.root).unwrap().same(&value));
        let old = key.get(&before.root).unwrap();
        if !matches!(old, Value::Map(_) | Value::List(_)) {
            let count = |t: &str, what: &str| t.matches(what).count();
            for comment in ["# head", "# note", "# a: 1", "# between", "# item", "# deep"] {
                prop_assert!(count(&text, comment) <= count(&edited.source.text, comment), "{}", edited.source.text);
            }
        }
    }

    #[test]
    fn new_keys_take_any_value(text in texts(), value in values(), pick in any::<prop::sample::Index>(), deep in any::<bool>()) {
        let before = document(&text, Format::Yaml);
        let mut sections = vec![KeyPath::root()];
        keys_of(&before.root, &KeyPath::root(), &mut sections);
        sections.retain(|s| matches!(s.get(&before.root), Some(Value::Map(_))));
        let mut key = pick.get(&sections).key("new");
        if deep {
            key = key.key("deeper").key("x y");
        }
        let edited = set(&before, &key, &value).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert!(key.get(&edited.root).unwrap().same(&value));
        // Nothing but additions: the old lines are all there, in order.
        let mut lines = edited.source.text.lines();
        for line in text.lines().filter(|l| !l.contains('{')) {
            prop_assert!(lines.any(|l| l == line), "`{line}` is gone from\n{}", edited.source.text);
        }
    }

    #[test]
    fn removed_is_gone(text in texts(), pick in any::<prop::sample::Index>()) {
        let before = document(&text, Format::Yaml);
        let mut keys = Vec::new();
        keys_of(&before.root, &KeyPath::root(), &mut keys);
        let key = pick.get(&keys);
        let edited = remove(&before, key).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert!(key.get(&edited.root).is_none());
    }

    #[test]
    fn no_text_panics(text in "([a-c]: ?|- |[\\[\\]{},&*|#'\" \n]|1){0,14}", value in values()) {
        if let Ok(document) = Document::parse("f", text, Format::Yaml) {
            let _ = set(&document, &"a.b".parse().unwrap(), &value);
            let _ = set(&document, &"a[0]".parse().unwrap(), &value);
            let _ = remove(&document, &"a".parse().unwrap());
        }
    }
}
