//! What the grammar reads, what it refuses, and that nothing makes it panic. Imports: base.

use proptest::prelude::*;

use super::*;
use crate::experiment::sweep::domain::{Interval, Number, Order, Spread};

#[track_caller]
fn reads(text: &str, expected: &str) {
    let got = parse(text).map(|o| o.domain.to_string());
    assert_eq!(got.as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn fails(text: &str, place: &str, problem: &str) {
    let error = parse(text).unwrap_err();
    let marked = &text[error.span.start..error.span.end];
    assert_eq!((marked, error.problem.as_str()), (place, problem), "{text}");
}

#[test]
fn specs_read_as_hydra_reads_them() {
    reads("lr=0.1,0.01", "choice(0.1,0.01)");
    reads("lr = 0.1 , 1e-3", "choice(0.1,0.001)");
    reads("bs=choice(16,32)", "choice(16,32)");
    reads("bs=16", "choice(16)");
    reads("n=range(1,4)", "choice(1,2,3)");
    reads("n=range(5)", "choice(0,1,2,3,4)");
    reads("n=range(0,1,0.25)", "choice(0.0,0.25,0.5,0.75)");
    reads("n=range(0,0.5,0.1)", "choice(0.0,0.1,0.2,0.3,0.4)");
    reads("n=range(3,0,-1)", "choice(3,2,1)");
    reads("n=range(start=1,stop=7,step=3)", "choice(1,4)");
    reads("x=[1,2],[3, 4]", "choice([1,2],[3,4])");
    reads("x={a: 1},{a:2, b: [x]}", "choice({a:1},{a:2,b:[x]})");
    reads("x='a,b'", "choice('a,b')");
    reads("x=\"it's\",plain", "choice('it\\'s',plain)");
    reads("x=null,true,1.0,text,'1'", "choice(null,true,1.0,text,'1')");
    reads("x=sort(3,1,2)", "choice(1,2,3)");
    reads("x=sort(3,1,2,reverse=true)", "choice(3,2,1)");
    reads("x=sort(range(3),reverse=true)", "choice(2,1,0)");
    reads("x=sort([b,a])", "choice([a,b])");
    reads("x=shuffle(1,2,3)", "shuffle(choice(1,2,3))");
    reads("x=shuffle(range(3))", "shuffle(choice(0,1,2))");
    reads("x=int(choice(1.5,2.5))", "choice(1,2)");
    reads("x=int(1.5,'7')", "choice(1,7)");
    reads("x=float(1,2)", "choice(1.0,2.0)");
    reads("x=str(1,2.0)", "choice('1','2.0')");
    reads("x=bool(0,1)", "choice(false,true)");
    reads("lr=interval(0,1)", "interval(0.0,1.0)");
    reads(
        "lr=tag(log,interval(1e-4,1e-1))",
        "tag(log,interval(0.0001,0.1))",
    );
    reads("d=int(interval(2,6))", "int(interval(2,6))");
    reads(
        "d=int(tag(log,interval(2,64)))",
        "int(tag(log,interval(2,64)))",
    );
    reads(
        "d=tag(log,int(interval(2,64)))",
        "int(tag(log,interval(2,64)))",
    );
    reads("opt=some/path-1.txt", "choice(some/path-1.txt)");
    reads("v=a=b", "choice('a=b')");
}

#[test]
fn keys_may_name_a_file_and_may_be_new() {
    let read = |text: &str| {
        let o = parse(text).unwrap();
        (o.file, o.key.to_string(), o.presence)
    };
    assert_eq!(
        read("train.lr=1"),
        (None, "train.lr".to_owned(), Expected::Present)
    );
    assert_eq!(
        read("+a.b[0]=1"),
        (None, "a.b[0]".to_owned(), Expected::Any)
    );
    assert_eq!(
        read("conf/p.yaml:lr=1"),
        (
            Some("conf/p.yaml".to_owned()),
            "lr".to_owned(),
            Expected::Present
        )
    );
    assert_eq!(
        read("x=http://a:80"),
        (None, "x".to_owned(), Expected::Present)
    );
}

#[test]
fn errors_mark_their_place() {
    fails("lr", "r", "expected `=` and the values to try");
    fails("lr=", "=", "expected a value");
    fails("lr=0.1,", ",", "expected a value");
    fails("lr=choise(1,2)", "choise", "there is no function `choise`");
    fails(
        "lr=choice(1,2",
        "2",
        "expected `,` or `)` to close `choice(`",
    );
    fails(
        "lr=choice()",
        "choice()",
        "`choice` needs at least one value",
    );
    fails(
        "lr=interval(1,0)",
        "interval(1,0)",
        "the first number must not be above the second",
    );
    fails("lr=interval(0,x)", "x", "expected a number");
    fails(
        "lr=tag(log,interval(0,1))",
        "tag(log,interval(0,1))",
        "a logarithmic interval must lie above 0",
    );
    fails(
        "lr=tag(lin,interval(0,1))",
        "lin",
        "the only known tag is `log`",
    );
    fails(
        "lr=range(4,1)",
        "range(4,1)",
        "this range is empty (its end is excluded)",
    );
    fails(
        "lr=1,range(3)",
        "range(3)",
        "a function that gives several values cannot be one of several",
    );
    fails("lr=[1,2", "[", "this is not closed: expected `]`");
    fails("lr='abc", "'", "this quote is not closed");
    fails(
        "lr=nan",
        "nan",
        "`nan` is not a finite number; put it into quotes if a text is meant",
    );
    fails("~lr", "~", "removing a parameter is not supported");
    fails("x=glob(*)", "glob", "`glob` is not supported");
    fails(
        "a..b=1",
        "a..b",
        "`a..b` is not a key: expected names joined by dots, like `train.learning_rate` or `a.b[0]`",
    );
    fails("lr=1)", ")", "expected `,` or the end");
    fails(
        "n=range(0,1,1e-9)",
        "range(0,1,1e-9)",
        "more than 100000 values",
    );
    fails(
        "n=int(interval(0.1,0.2))",
        "int(interval(0.1,0.2))",
        "there is no whole number in this interval",
    );
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[", "{a:", "int(", "choice("] {
        assert!(parse(&format!("x={}", text.repeat(5000))).is_err());
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e6..1e6f64).prop_map(Value::Float),
        "[ -~é]{0,8}".prop_map(Value::Str),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::btree_map("[ -~]{0,5}", inner, 0..3)
                .prop_map(|m| Value::Map(m.into_iter().collect())),
        ]
    })
}

fn domains() -> impl Strategy<Value = Domain> {
    let choices =
        (prop::collection::vec(values(), 1..4), any::<bool>()).prop_map(|(values, shuffled)| {
            Domain::Choices {
                values,
                order: if shuffled {
                    Order::Shuffled
                } else {
                    Order::Given
                },
            }
        });
    let interval =
        (1u32..1000, 0u32..1000, any::<bool>(), any::<bool>()).prop_map(|(low, more, log, int)| {
            let scale = if int { 1.0 } else { 1000.0 };
            Domain::Interval(Interval {
                low: f64::from(low) / scale,
                high: f64::from(low + more) / scale,
                spread: if log { Spread::Log } else { Spread::Linear },
                number: if int { Number::Int } else { Number::Float },
            })
        });
    prop_oneof![choices, interval]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(domain in domains()) {
        let text = domain.to_string();
        prop_assert_eq!(parse_spec(&text).map_err(|e| e.problem), Ok(domain.clone()), "{}", text);
        let whole = format!("a.b={text}");
        prop_assert!(parse(&whole).is_ok());
    }

    #[test]
    fn nothing_panics(text in "[a-z0-9=,()\\[\\]{}'\":.+~é\\\\ -]{0,30}") {
        if let Err(error) = parse(&text) {
            prop_assert!(text.get(error.span.start..error.span.end).is_some());
        }
        let _ = parse(&format!("x={text}"));
        let _ = parse(&format!("x=choice({text}"));
    }
}
