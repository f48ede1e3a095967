//! What filters and orders are read as, and what is refused in which words.

use proptest::prelude::*;

use super::*;
use crate::track::error::Error;

fn runs(text: &str) -> Result<Vec<Clause<RunAttribute>>, String> {
    filter(text).map_err(message)
}

fn message(error: Error) -> String {
    match error {
        Error::Refused { message, .. } => message,
        other => panic!("not refused: {other:?}"),
    }
}

fn metric(name: &str, relation: Relation, value: f64) -> Clause<RunAttribute> {
    Clause::Metric {
        name: name.into(),
        relation,
        value,
    }
}

fn param(key: &str, test: Text) -> Clause<RunAttribute> {
    Clause::Param {
        key: key.into(),
        test: Test::Is(test),
    }
}

fn tag(key: &str, test: Test) -> Clause<RunAttribute> {
    Clause::Tag {
        key: key.into(),
        test,
    }
}

fn equal(text: &str) -> Text {
    Text::Equal(text.into())
}

#[test]
fn filters_are_read() {
    let check = |text: &str, expected: Vec<Clause<RunAttribute>>| {
        assert_eq!(runs(text), Ok(expected), "{text}");
    };
    check("", vec![]);
    check("  ", vec![]);
    for (text, value) in [
        ("metrics.x>0.5", 0.5),
        ("metrics.x > -0.5", -0.5),
        ("metric.x > .5", 0.5),
        ("metrics.x > 5.", 5.0),
        ("metrics.`x` > 1e-3", 1e-3),
        ("metrics.\"x\" > 1.0E+2", 100.0),
    ] {
        check(text, vec![metric("x", Relation::Greater, value)]);
    }
    check(
        "metrics.1x != 1",
        vec![metric("1x", Relation::NotEqual, 1.0)],
    );
    check("params.x = \"a'b\"", vec![param("x", equal("a'b"))]);
    check("parameters.`a b/c` = 'x'", vec![param("a b/c", equal("x"))]);
    check("param.\"a`b\" = 'x'", vec![param("a`b", equal("x"))]);
    check("`params`.x = ''", vec![param("x", equal(""))]);
    check("params.日本 = 'é'", vec![param("日本", equal("é"))]);
    check(
        "tags.mlflow.parentRunId = 'x' AND",
        vec![tag("mlflow.parentRunId", Test::Is(equal("x")))],
    );
    check(
        "params.a like 'x%' and\tparams.b ILIKE '_Y'",
        vec![
            param("a", Text::Like("x%".into())),
            param("b", Text::ILike("_Y".into())),
        ],
    );
    check("tags.x is null", vec![tag("x", Test::Missing)]);
    check("tags.x IS  NOT\nNULL", vec![tag("x", Test::Present)]);
    check(
        "run_id not in ('a', \"b\",)",
        vec![Clause::Text {
            attribute: RunAttribute::Id,
            test: Text::NotIn(vec!["a".into(), "b".into()]),
        }],
    );
    for name in [
        "run_name",
        "attr.run_name",
        "run.`Run Name`",
        "\"run name\"",
    ] {
        check(
            &format!("{name} = 'x'"),
            vec![Clause::Text {
                attribute: RunAttribute::Name,
                test: equal("x"),
            }],
        );
    }
    check(
        "Created >= 1664067852747",
        vec![Clause::Number {
            attribute: RunAttribute::Started,
            relation: Relation::AtLeast,
            value: Number::Integer(1_664_067_852_747),
        }],
    );
    check(
        "datasets.context IN ('train')",
        vec![Clause::Dataset {
            attribute: DatasetAttribute::Context,
            test: Text::In(vec!["train".into()]),
        }],
    );
}

#[test]
fn what_is_no_filter_is_refused_in_the_words_of_mlflow() {
    let check = |text: &str, expected: &str| {
        let said = runs(text).unwrap_err();
        assert!(said.contains(expected), "{text}: {said}");
    };
    let clauses = |text: &str, expected: &str| {
        check(
            text,
            &format!("Invalid clause(s) in filter string: {expected}"),
        );
    };
    clauses("metrics.acc >", "'metrics.acc', '>'");
    clauses("metrics.a > 1 OR metrics.b > 2", "'OR'");
    clauses("NOT params.x = 'a'", "'NOT'");
    clauses("(params.x = 'a')", "'(params.x = 'a')'");
    clauses("params.x = 'a';", "';'");
    clauses("params.a-b = 'x'", "'params.a', '-'");
    clauses("tags.x = 'a", "'tags.x', '=', '''");
    clauses("metrics.x > 1 AND metrics.y", "'metrics.y'");
    clauses("metrics.x > AND metrics.y > 1", "'metrics.x', '>'");
    clauses("run_id IN 'a'", "'run_id', 'IN', ''a''");
    clauses("'RUNNING' = status", "''RUNNING''");
    check(
        "params.x = a",
        "either not quoted or unidentified quote types",
    );
    check(
        "params.x = 1",
        "Expected a quoted string value for parameter (e.g. 'my-value'). Got value 1",
    );
    check("params.x IN ('a')", "Got value ('a')");
    check(
        "params.x > 'a'",
        "Invalid comparator '>' not one of '{'!=', '=', 'ILIKE', 'IS NOT NULL', 'IS NULL', 'LIKE'}'",
    );
    check("params.x RLIKE 'a'", "Invalid comparator 'RLIKE'");
    check(
        "metrics.x > 'a'",
        "Expected numeric value type for metric. Found 'a'",
    );
    check(
        "metrics.x > nan",
        "Expected numeric value type for metric. Found nan",
    );
    check("metrics.x == 1", "Invalid comparator '==' not one of");
    check("metrics.x LIKE 1", "Invalid comparator 'LIKE' not one of");
    check(
        "start_time > 'a'",
        "Expected numeric value type for numeric attribute: start_time. Found 'a'",
    );
    check(
        "status IN ('a')",
        "Only ['run_id'] attributes support comparison with a list",
    );
    check("run_id = ('a')", "Invalid comparator '='");
    check("run_id IN ()", "but got empty list");
    check("run_id IN (1)", "but got different type in list: (1)");
    check("run_id IN (a)", "ill-formed list");
    check("run_id IN ('a' 'b')", "ill-formed list");
    check(
        "status IS NULL",
        "only supported for tags and params, not for 'attribute' 'status'",
    );
    check(
        "speed = 'x'",
        "Invalid attribute key 'speed' specified. Valid keys are '{'Created'",
    );
    check("dataset.size = 'x'", "Invalid dataset key 'size' specified");
    check(
        "metricz.x > 1",
        "Invalid entity type 'metricz'. Valid values are ['metric'",
    );
    check("\"params\".x = 'a'", "Invalid entity type");
    check(&"metrics.x > 1 AND ".repeat(201), "at most 200 comparisons");
    check(
        &format!("params.x LIKE '{}'", "a".repeat(50_001)),
        "at most 50000 bytes",
    );
    // Neither takes long: it would if each parenthesis were looked for to the end.
    check(
        &"(".repeat(200_000),
        "Invalid clause(s) in filter string: '(', '('",
    );
    check(
        &"a = (,".repeat(200_000),
        "Invalid clause(s) in filter string: 'a'",
    );
    check(
        &format!("params.x = '{}'", "a".repeat(3 << 20)),
        "at most 2097152 bytes",
    );
}

#[test]
fn each_search_has_its_own_keys() {
    let experiment = |text: &str| filter::<ExperimentAttribute>(text).map_err(message);
    assert!(experiment("attribute.name LIKE 'x%' AND tags.a IS NULL").is_ok());
    assert!(experiment("experiment_id IN ('1', '2') AND creation_time > 5").is_ok());
    assert!(
        experiment("metrics.x > 1")
            .unwrap_err()
            .contains("('attribute', 'tag', 'tags')")
    );
    assert!(
        experiment("name IS NULL")
            .unwrap_err()
            .contains("not for attribute 'name'")
    );
    let model = |text: &str| filter::<ModelAttribute>(text).map_err(message);
    assert!(model("name IN ('a') AND tag.`mlflow.prompt.is_prompt` != 'true'").is_ok());
    assert!(
        model("tags.x IS NULL")
            .unwrap_err()
            .contains("Expected 3 tokens found 2")
    );
    assert!(
        model("creation_timestamp > 5")
            .unwrap_err()
            .contains("Valid keys are '{'name'}'")
    );
    let version = |text: &str| filter::<VersionAttribute>(text).map_err(message);
    assert!(version("run_id IN ('a') AND version_number > 5 AND source_path LIKE 'x'").is_ok());
    let logged = |text: &str| filter::<LoggedModelAttribute>(text).map_err(message);
    assert!(logged("name = 'x' AND metrics.a > 1 AND tags.x IN ('a')").is_ok());
    assert!(
        logged("tag.x = 'a'")
            .unwrap_err()
            .contains("Invalid entity type: 'tag'")
    );
}

#[test]
fn orders_are_read() {
    let read = |texts: &[&str]| {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        orders::<RunAttribute>(&texts).map_err(message)
    };
    let order = |field, direction| Order { field, direction };
    assert_eq!(
        read(&["metrics.`a b` desc", "params.\"c\"", "start_time ASC"]),
        Ok(vec![
            order(Field::Metric("a b".into()), Direction::Descending),
            order(Field::Param("c".into()), Direction::Ascending),
            order(
                Field::Attribute(RunAttribute::Started),
                Direction::Ascending
            ),
        ])
    );
    let check = |texts: &[&str], expected: &str| {
        let said = read(texts).unwrap_err();
        assert!(said.contains(expected), "{texts:?}: {said}");
    };
    check(&[""], "Invalid order_by clause ''. Could not be parsed.");
    check(&["metrics.x DESC y"], "Could not be parsed.");
    check(&["metrics.x, metrics.y"], "Could not be parsed.");
    check(&["metrics.x 'DESC'"], "Could not be parsed.");
    check(
        &["metrics.x down"],
        "Invalid ordering key in order_by clause 'metrics.x down'.",
    );
    check(&["speed"], "Invalid attribute key 'speed' specified");
    check(&["dataset.name"], "Invalid identifier type 'dataset'");
    check(
        &["metrics.x", "metric.x DESC"],
        "`order_by` contains duplicate fields: ['metrics.x', 'metric.x DESC']",
    );
    check(&["created", "start_time"], "duplicate fields");
    let many: Vec<String> = (0..21).map(|i| format!("metrics.m{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check(&many, "at most 20 fields are supported, got 21");
    check(&["x".repeat(20_000).as_str()], "Could not be parsed.");
    let model = |text: &str| orders::<ModelAttribute>(&[text.to_owned()]).map_err(message);
    assert!(model("timestamp DESC").is_ok() && model("creation_timestamp").is_ok());
    assert_eq!(
        model("tags.x"),
        Err("Invalid order_by entity: tag".to_owned())
    );
    assert!(
        model("speed")
            .unwrap_err()
            .contains("Invalid order by key 'speed'")
    );
    let logged = |field: &str| {
        let one = ModelOrder {
            field: field.into(),
            ascending: true,
            dataset: None,
        };
        model_orders(&[one]).map(drop).map_err(message)
    };
    assert_eq!(logged("metrics.a.b"), Ok(()));
    assert_eq!(logged("creation_time"), Ok(()));
    assert!(
        logged("params.x")
            .unwrap_err()
            .contains("only `metrics.<name>` is allowed")
    );
    assert!(
        logged("speed")
            .unwrap_err()
            .contains("Invalid order by field name: speed.")
    );
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC*") {
        let _ = filter::<RunAttribute>(&text);
        let _ = filter::<ExperimentAttribute>(&text);
        let _ = filter::<VersionAttribute>(&text);
        let _ = filter::<LoggedModelAttribute>(&text);
        let _ = orders::<RunAttribute>(&[text]);
    }

    #[test]
    fn no_mixture_of_tokens_is_too_strange(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "metrics", "params.x", "tags.", "`", "\"", "'", "''", ".", "-", "-1", "1e", "1e5", "(", ")",
            ",", "=", "!=", "<", ">=", "LIKE", "NOT", "IN", "IS", "NULL", "AND", " ", "é", "run_id",
            "'a'", "\"b\"", "`c`", ";", "\\", "%", "\u{0}", "🦦", "0",
        ]), 0..30)
    ) {
        let _ = filter::<RunAttribute>(&pieces.concat());
        let _ = filter::<LoggedModelAttribute>(&pieces.join(" "));
        let _ = orders::<RunAttribute>(&[pieces.concat()]);
    }
}
