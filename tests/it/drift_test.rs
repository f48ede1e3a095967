//! `cvops drift test`: values of other programs, reproduced from files, and files that are none.

use serde_json::Value;
use snapbox::str;

use crate::support::arrays::{Order, Rows, csv, npy, npy_f64, npy_file, safetensors};
use crate::support::{Exit, Project, check, project};

const NAMES: [&str; 6] = [
    "none",
    "mean_all",
    "mean_one",
    "variance",
    "ties",
    "heavy_tail",
];
const SIDES: [&str; 3] = ["two-sided", "greater", "less"];

fn golden(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn univariate() -> Value {
    golden(include_str!("../golden/drift/univariate.json"))
}

fn rows(value: &Value) -> Rows {
    serde_json::from_value(value.clone()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

fn column(values: &[f64]) -> Rows {
    values.iter().map(|value| vec![*value]).collect()
}

fn repeated(row: &[f64], rows: usize) -> Rows {
    vec![row.to_vec(); rows]
}

/// A project with the samples of the golden values: `ref.npy`, `none.npy`, …
fn samples() -> Project {
    let p = project();
    let all = golden(include_str!("../golden/drift/data.json"));
    for (name, sample) in all["data"].as_object().unwrap() {
        p.write(&format!("{name}.npy"), npy_f64(&rows(sample)));
    }
    p
}

/// What `drift test --json` says; whether there is drift is no failure.
#[track_caller]
fn tested(p: &Project, args: &str) -> Value {
    let output = p.ok(&format!("drift test --json --no-fail {args}"));
    serde_json::from_str(&output.stdout).unwrap()
}

#[track_caller]
fn assert_close(what: &str, found: &Value, expected: &Value, relative: f64, absolute: f64) {
    let (Some(a), Some(b)) = (found.as_f64(), expected.as_f64()) else {
        // Infinite odds are `null` on both sides.
        assert_eq!(found, expected, "{what}");
        return;
    };
    let tolerance = (relative * b.abs()).max(absolute);
    assert!((a - b).abs() <= tolerance, "{what}: {a}, expected {b}");
}

/// The golden file's tolerance for statistics.
#[track_caller]
fn assert_statistic(what: &str, found: &Value, expected: &Value) {
    assert_close(what, found, expected, 1e-9, 1e-15);
}

/// The golden file's tolerance for p-values of closed form.
#[track_caller]
fn assert_p(what: &str, found: &Value, expected: &Value) {
    assert_close(what, found, expected, 1e-6, 1e-9);
}

#[track_caller]
fn assert_each(what: &str, found: &Value, expected: &Value, assert_one: fn(&str, &Value, &Value)) {
    let (found, expected) = (found.as_array().unwrap(), expected.as_array().unwrap());
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert_one(&format!("{what}, feature {at}"), a, b);
    }
}

#[test]
fn kolmogorov_smirnov_is_that_of_scipy() {
    let (p, golden) = (samples(), univariate());
    for name in NAMES {
        for (key, method) in [("exact", "exact"), ("asymp", "asymptotic")] {
            for side in SIDES {
                let found = tested(
                    &p,
                    &format!(
                        "--detector ks --method {method} --alternative {side} ref.npy {name}.npy"
                    ),
                );
                let expected = &golden["univariate"][name]["ks"][format!("{key}/{side}")];
                let what = format!("{name}, {key}, {side}");
                assert_each(
                    &what,
                    &found["distance"],
                    &expected["statistic"],
                    assert_statistic,
                );
                assert_each(&what, &found["p_val"], &expected["p"], assert_p);
            }
        }
    }
}

#[test]
fn decisions_over_features_are_those_of_scipy() {
    let (p, golden) = (samples(), univariate());
    for name in NAMES {
        let case = &golden["univariate"][name];
        let ask = |correction: &str| {
            let options = "--detector ks --method asymptotic";
            tested(
                &p,
                &format!("{options} --correction {correction} ref.npy {name}.npy"),
            )
        };
        let as_number = |is: &Value| Value::from(u8::from(is.as_bool().unwrap()));
        let found = ask("bonferroni");
        assert_eq!(
            found["threshold"], case["bonferroni"]["threshold"],
            "{name}"
        );
        assert_eq!(
            as_number(&found["is_drift"]),
            case["bonferroni"]["is_drift"],
            "{name}"
        );
        let each = found["feature_is_drift"].as_array().unwrap().iter();
        let each: Value = each.map(as_number).collect();
        assert_eq!(each, case["feature_is_drift"], "{name}");
        assert_eq!(ask("holm")["is_drift"], found["is_drift"], "{name}");
        let found = ask("fdr");
        assert_eq!(found["threshold"], case["fdr_bh"]["threshold"], "{name}");
        assert_eq!(
            as_number(&found["is_drift"]),
            case["fdr_bh"]["is_drift"],
            "{name}"
        );
        assert_each(
            name,
            &found["adjusted_p"],
            &case["fdr_bh"]["adjusted_p"],
            assert_p,
        );
    }
}

#[test]
fn cramer_von_mises_is_that_of_scipy() {
    let (p, golden) = (samples(), univariate());
    // The series is cut at terms below 1e-7.
    let assert_cut = |what: &str, a: &Value, b: &Value| assert_close(what, a, b, 0.0, 2e-7);
    for name in NAMES {
        let options = "--detector cvm --method asymptotic";
        let found = tested(&p, &format!("{options} ref.npy {name}.npy"));
        let expected = &golden["univariate"][name]["cvm"];
        assert_each(
            name,
            &found["distance"],
            &expected["statistic"],
            assert_statistic,
        );
        assert_each(name, &found["p_val"], &expected["p_asymptotic"], assert_cut);
    }
    for case in golden["small_samples"].as_array().unwrap() {
        p.write("x.csv", csv(&["x"], &column(&numbers(&case["x"]))));
        p.write("y.csv", csv(&[], &column(&numbers(&case["y"]))));
        for (key, method) in [("cvm_exact", "exact"), ("cvm_asymptotic", "asymptotic")] {
            let found = tested(&p, &format!("--detector cvm --method {method} x.csv y.csv"));
            assert_statistic(key, &found["distance"][0], &case[key][0]);
            assert_cut(key, &found["p_val"][0], &case[key][1]);
        }
        for (key, method) in [("ks_exact", "exact"), ("ks_asymp", "asymptotic")] {
            for side in SIDES {
                let options = format!("--detector ks --method {method} --alternative {side}");
                let found = tested(&p, &format!("{options} x.csv y.csv"));
                assert_statistic(key, &found["distance"][0], &case[key][side][0]);
                assert_p(key, &found["p_val"][0], &case[key][side][1]);
            }
        }
    }
}

#[test]
fn categories_and_shares_are_those_of_scipy() {
    let (p, golden) = (project(), univariate());
    let spread = |counts: &Value| -> Vec<f64> {
        let counts = numbers(counts);
        let each = counts.iter().enumerate();
        each.flat_map(|(category, count)| vec![category as f64; *count as usize])
            .collect()
    };
    // One dimension, and whole numbers of one byte.
    let labels = |values: &[f64]| {
        let bytes: Vec<u8> = values.iter().map(|value| *value as u8).collect();
        npy_file("'|u1'", Order::C, &format!("({},)", bytes.len()), &bytes)
    };
    for case in golden["label_counts"].as_array().unwrap() {
        p.write("x.npy", labels(&spread(&case["ref"])));
        p.write("y.npy", labels(&spread(&case["test"])));
        let found = tested(&p, "--detector chi2 x.npy y.npy");
        assert_statistic("chi2", &found["distance"][0], &case["chi2"]["statistic"]);
        assert_p("chi2", &found["p_val"][0], &case["chi2"]["p"]);
        assert_statistic("effect", &found["effect"][0], &case["cramers_v"]);
    }
    for case in golden["fisher_exact"].as_array().unwrap() {
        let bits = |ones: &str, of: &str| {
            let ones = case[ones].as_u64().unwrap();
            let bits = (0..case[of].as_u64().unwrap()).map(|at| u8::from(at < ones));
            let bits: Vec<u8> = bits.collect();
            npy_file("'|b1'", Order::C, &format!("({},)", bits.len()), &bits)
        };
        p.write("x.npy", bits("ref_ones", "ref_n"));
        p.write("y.npy", bits("test_ones", "test_n"));
        for side in SIDES {
            let found = tested(
                &p,
                &format!("--detector fisher --alternative {side} x.npy y.npy"),
            );
            assert_statistic(side, &found["distance"][0], &case[side]["odds_ratio"]);
            assert_p(side, &found["p_val"][0], &case[side]["p"]);
        }
        let usual = tested(&p, "--detector fisher x.npy y.npy");
        assert_p("as usual", &usual["p_val"][0], &case["greater"]["p"]);
    }
}

#[test]
fn mmd_is_that_of_others_under_their_permutations() {
    let p = samples();
    let golden = golden(include_str!("../golden/drift/mmd.json"));
    for name in NAMES {
        let case = &golden[name];
        let found = tested(&p, &format!("--detector mmd ref.npy {name}.npy"));
        assert_statistic(name, &found["distance"], &case["mmd2_u"]);
        assert_statistic(name, &found["bandwidths"][0], &case["sigma"]);
        assert_eq!(found["permutations"], 1000);
        let (drawn, band) = (
            found["p_val"].as_f64().unwrap(),
            numbers(&case["p_band_1000"]),
        );
        assert!((band[0]..=band[1]).contains(&drawn), "{name}: {drawn}");
        let two = &case["mmd2_u_two_bandwidths"];
        let widths: Vec<String> = numbers(&two["sigmas"]).iter().map(f64::to_string).collect();
        let options = format!(
            "--detector mmd --permutations 20 --bandwidth {}",
            widths.join(",")
        );
        let found = tested(&p, &format!("{options} ref.npy {name}.npy"));
        assert_statistic(name, &found["distance"], &two["value"]);
    }
    let case = &golden["mean_one"];
    let lists = rows(&case["permutations"]);
    p.write(
        "p.npy",
        npy(&lists, Order::C, "<i8", |value| {
            (value as i64).to_le_bytes()
        }),
    );
    p.write("p.csv", csv(&[], &lists));
    p.write("p.safetensors", safetensors(&[("lists", &lists)]));
    for file in ["p.npy", "p.csv", "p.safetensors", "p.safetensors#lists"] {
        let options = format!("--detector mmd --permutations {file}");
        let found = tested(&p, &format!("{options} ref.npy mean_one.npy"));
        assert_statistic(file, &found["distance"], &case["mmd2_u"]);
        assert_statistic(file, &found["p_val"], &case["p_value"]["p"]);
        assert_statistic(file, &found["p_val_plain"], &case["p_value"]["p_alibi"]);
        assert_statistic(
            file,
            &found["distance_threshold"],
            &case["distance_threshold"],
        );
        assert_eq!(found["permutations"], 100);
    }
    // Permutations of a file may be too few to show drift: the numbers are wanted, and it is said.
    p.write("few.csv", csv(&[], &lists[..19]));
    let found = tested(
        &p,
        "--detector mmd --permutations few.csv ref.npy mean_one.npy",
    );
    let note = found["notes"][0].as_str().unwrap();
    assert!(note.contains("at least 20"), "{note}");
}

#[test]
fn lsdd_is_that_of_others_under_their_permutations() {
    let p = samples();
    let golden = golden(include_str!("../golden/drift/lsdd.json"));
    for name in NAMES {
        let case = &golden[name];
        let order = numbers(&case["ref_order_first_C_are_centers"]);
        p.write("order.csv", csv(&[], &column(&order)));
        let lambda = case["lambda"].as_f64().unwrap();
        let options =
            format!("--detector lsdd --order order.csv --lambda {lambda} --permutations 20");
        let found = tested(&p, &format!("{options} ref.npy {name}.npy"));
        assert_statistic(name, &found["distance"], &case["lsdd"]);
        assert_statistic(name, &found["bandwidths"][0], &case["sigma"]);
        let Some(lists) = case.get("permutations") else {
            continue;
        };
        p.write(
            "p.npy",
            npy(&rows(lists), Order::Fortran, ">i4", |v| {
                (v as i32).to_le_bytes()
            }),
        );
        let options = "--detector lsdd --order order.csv --permutations p.npy";
        let found = tested(&p, &format!("{options} ref.npy {name}.npy"));
        assert_statistic(name, &found["distance"], &case["lsdd"]);
        assert_statistic(name, &found["lambda"], &case["lambda"]);
        assert_statistic(name, &found["p_val"], &case["p_value"]["p"]);
        assert_statistic(name, &found["p_val_plain"], &case["p_value"]["p_alibi"]);
        assert_statistic(
            name,
            &found["distance_threshold"],
            &case["distance_threshold"],
        );
    }
}

#[test]
fn one_array_in_every_form_is_the_same_array() {
    let p = samples();
    let all = golden(include_str!("../golden/drift/data.json"));
    let moved = rows(&all["data"]["mean_one"]);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let of = |order, descr| npy(&moved, order, descr, f64::to_le_bytes);
    p.write("fortran.npy", of(Order::Fortran, "<f8"))
        .write("big.npy", of(Order::C, ">f8"))
        .write("both.npy", of(Order::Fortran, ">f8"))
        .write("plain.csv", csv(&[], &moved))
        .write("names.csv", csv(&names, &moved))
        .write(
            "counted.csv",
            csv(&["0", "1", "2", "3", "4", "5", "6", "7"], &moved),
        )
        .write("one.safetensors", safetensors(&[("x", &moved)]))
        .write(
            "two.safetensors",
            safetensors(&[("w", &column(&[1.0])), ("x", &moved)]),
        );
    let expected = tested(&p, "--detector ks ref.npy mean_one.npy");
    for file in [
        "fortran.npy",
        "big.npy",
        "both.npy",
        "plain.csv",
        "names.csv",
        "counted.csv",
        "one.safetensors",
        "one.safetensors#x",
        "two.safetensors#x",
    ] {
        let found = tested(&p, &format!("--detector ks ref.npy {file}"));
        for key in ["p_val", "distance", "effect", "threshold", "is_drift"] {
            assert_eq!(found[key], expected[key], "{file}, {key}");
        }
    }
    // Four decimal digits part the same values as f32.
    let f32s = |rows: &Rows| npy(rows, Order::C, "<f4", |value| (value as f32).to_le_bytes());
    p.write("f32.npy", f32s(&moved));
    p.write("ref32.npy", f32s(&rows(&all["data"]["ref"])));
    let found = tested(&p, "--detector ks ref32.npy f32.npy");
    assert_eq!(found["distance"], expected["distance"]);
    let found = tested(&p, "--detector ks ref.npy names.csv");
    assert_eq!(found["names"][7], "h");
    let found = tested(&p, "--detector ks ref.npy counted.csv");
    assert!(
        found["notes"][0].as_str().unwrap().contains("--header no"),
        "{found}"
    );
    let found = tested(&p, "--detector ks --header no ref.npy counted.csv");
    assert_eq!(found["test"]["rows"], 81);
}

#[test]
fn more_dimensions_are_flattened() {
    let p = project();
    let data: Vec<u8> = (0..120u8).collect();
    let file = |shape: &str| npy_file("'|u1'", Order::C, shape, &data);
    p.write("cube.npy", file("(20, 2, 3)"));
    p.write("flat.npy", file("(20, 6)"));
    let found = tested(&p, "--detector ks cube.npy flat.npy");
    assert_eq!(found["features"], 6);
    assert_eq!(found["is_drift"], false);
    let note = found["notes"][0].as_str().unwrap();
    assert_eq!(
        note,
        "`cube.npy`: it has 3 dimensions: each row was flattened to 6 features"
    );
}

#[test]
fn people_read_a_table_and_a_verdict() {
    let p = samples();
    check(
        &p.cvops("drift test --detector ks ref.npy mean_one.npy"),
        str![[r"
feature  distance         p  adjusted p  effect  drift
4          0.4675  2.739e-9    2.191e-8  1.1999  yes
1          0.1875    0.0776      0.6205  0.1943  no
2          0.1825    0.0918      0.7345  0.1995  no
6           0.165    0.1598           1  0.2242  no
7          0.1475    0.2628           1  0.2138  no
3          0.1375      0.34           1  0.1711  no
0            0.13     0.407           1  0.1805  no
5          0.1275     0.431           1  0.1552  no

drift: the smallest p, 2.739e-9, is below 0.0063 (alpha 0.05, bonferroni over 8 features)
[exit 1]
"]],
    );
    check(
        &p.cvops("drift test --detector mmd ref.npy none.npy"),
        str![[r"
detector  distance  threshold[..]p[..]effect  permutations
mmd [..]-0.003 [..]1000

no drift: p, [..], is not below 0.05
[exit 0]
"]],
    );
    let failed = p.cvops("drift test --detector mmd ref.npy mean_all.npy");
    assert_eq!(failed.exit, Exit::Code(1));
    p.ok("drift test --detector mmd --no-fail ref.npy mean_all.npy");
}

/// Asserts that the command fails with 2 and says all of `parts`, in both forms of message.
#[track_caller]
fn refused(p: &Project, args: &str, parts: &[&str]) {
    let output = p.cvops(&format!("drift test {args}"));
    assert_eq!(
        output.exit,
        Exit::Code(2),
        "{args}\n{}",
        output.transcript()
    );
    assert!(output.stdout.is_empty(), "{args}\n{}", output.transcript());
    // Long lines are broken where there is a blank.
    let said = output
        .stderr
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    for part in parts {
        assert!(
            said.contains(part),
            "{args}: `{part}` is missing in\n{said}"
        );
    }
    let output = p.cvops(&format!("drift test --json {args}"));
    assert_eq!(output.exit, Exit::Code(2), "{args}");
}

#[test]
fn bad_arrays_are_told_by_file_and_place() {
    let p = samples();
    let good = |rows: usize| npy_f64(&repeated(&[0.5, 1.5], rows));
    let f8 = |shape: &str| npy_file("'<f8'", Order::C, shape, &[0; 64]);
    let mut nan: Rows = (0..30).map(|at| vec![f64::from(at), 1.0]).collect();
    p.write("other.npy", good(30));
    nan[17][1] = f64::NAN;
    p.write("nan.npy", npy_f64(&nan));
    nan[17][1] = f64::NEG_INFINITY;
    p.write("inf.safetensors", safetensors(&[("x", &nan)]));
    p.write("nan.csv", "a,b\n1,2\n\n3,nan\n4,5\n");
    p.write("ragged.csv", "1,2\n3,4\n5,6,7\n");
    p.write("text.csv", "1,2\n3,four\n");
    p.write("gap.csv", "1,2\n3,\n");
    p.write("half.csv", "1,b\n3,4\n");
    p.write("index.csv", ",a\n0,4\n");
    p.write("heading.csv", "a,b\n");
    p.write("empty.csv", "");
    p.write("object.npy", npy_file("'|O'", Order::C, "(2,)", &[0; 16]));
    p.write("text.npy", npy_file("'<U2'", Order::C, "(2,)", &[0; 16]));
    p.write(
        "fields.npy",
        npy_file("[('a', '<f8')]", Order::C, "(2,)", &[0; 16]),
    );
    p.write("short.npy", f8("(9, 1)"));
    p.write("long.npy", f8("(7, 1)"));
    p.write("huge.npy", f8("(4611686018427387904, 16)"));
    p.write("scalar.npy", npy_file("'<f8'", Order::C, "()", &[0; 8]));
    p.write("none.npy", npy_file("'<f8'", Order::C, "(0, 3)", &[]));
    p.write("magic.npy", "PK\u{3}\u{4}");
    p.write(
        "header.npy",
        npy_file("'<f8', 'more': 1", Order::C, "(2,)", &[0; 16]),
    );
    p.write("cut.npy", &good(30)[..40]);
    p.write("cut.safetensors", &safetensors(&[("x", &nan)])[..100]);
    p.write("two.safetensors", safetensors(&[("b", &nan), ("a", &nan)]));
    p.write("data.parquet", "PAR1");
    p.write("folder.npy/x", "");
    let cases: &[(&str, &[&str])] = &[
        ("missing.npy", &["`missing.npy`"]),
        ("folder.npy", &["`folder.npy`", "directory"]),
        (
            "data.parquet",
            &["`data.parquet`", ".npy, .csv and .safetensors"],
        ),
        (
            "nan.npy",
            &["`nan.npy`, row 17: feature 1 is NaN", "counted from 0"],
        ),
        (
            "inf.safetensors",
            &["`inf.safetensors`, row 17: feature 1 is -inf"],
        ),
        ("nan.csv", &["`nan.csv`, line 4: feature 1 is NaN"]),
        (
            "ragged.csv",
            &["`ragged.csv`, line 3: 3 fields: expected 2"],
        ),
        ("text.csv", &["`text.csv`, line 2: feature 1 is `four`"]),
        ("gap.csv", &["`gap.csv`, line 2: feature 1 is empty"]),
        (
            "half.csv",
            &[
                "`half.csv`, line 1: some of its fields",
                "(`b`)",
                "--header",
            ],
        ),
        (
            "index.csv",
            &["`index.csv`, line 1", "pandas", "index=False"],
        ),
        ("heading.csv", &["`heading.csv`", "no values", "(0, 2)"]),
        ("empty.csv", &["`empty.csv`", "no values"]),
        (
            "object.npy",
            &["`object.npy`", "Python objects (`|O`)", "astype"],
        ),
        ("text.npy", &["`text.npy`", "texts"]),
        ("fields.npy", &["`fields.npy`", "records"]),
        ("short.npy", &["`short.npy`", "64 bytes", "(9, 1)", "72"]),
        ("long.npy", &["`long.npy`", "64 bytes", "56"]),
        ("huge.npy", &["`huge.npy`", "more than there can be"]),
        ("scalar.npy", &["`scalar.npy`", "single number"]),
        ("none.npy", &["`none.npy`", "(0, 3)"]),
        (
            "magic.npy",
            &["`magic.npy`", "does not begin as a .npy file"],
        ),
        ("header.npy", &["`header.npy`", "key `more`"]),
        ("cut.npy", &["`cut.npy`", "the file ends within it"]),
        (
            "cut.safetensors",
            &["`cut.safetensors`", "not a safetensors file"],
        ),
        (
            "two.safetensors",
            &["`two.safetensors`", "2 tensors (a, b)", "#NAME"],
        ),
        (
            "two.safetensors#c",
            &["`two.safetensors`", "no tensor `c`", "a, b"],
        ),
    ];
    for (file, parts) in cases {
        refused(&p, &format!("--detector ks other.npy {file}"), parts);
        refused(&p, &format!("--detector mmd {file} other.npy"), parts);
    }
}

#[test]
fn arrays_that_cannot_be_compared_are_told() {
    let p = samples();
    let rising = |rows: i32| -> Rows { (0..rows).map(|at| vec![f64::from(at)]).collect() };
    p.write("one.npy", npy_f64(&rising(1)));
    p.write("three.npy", npy_f64(&rising(3)));
    p.write("four.npy", npy_f64(&rising(4)));
    p.write("thirty.npy", npy_f64(&rising(30)));
    p.write("constant.npy", npy_f64(&repeated(&[2.0], 30)));
    p.write("wide.npy", npy_f64(&repeated(&[2.0, 1.0], 30)));
    p.write("ab.csv", csv(&["a", "b"], &repeated(&[2.0, 1.0], 30)));
    p.write("ac.csv", csv(&["a", "c"], &repeated(&[2.0, 1.0], 30)));
    p.write("many.npy", npy_f64(&rising(3000)));
    let mut bits = repeated(&[0.0], 30);
    bits[4][0] = 2.5;
    p.write("bits.npy", npy_f64(&bits));
    let cases: &[(&str, &[&str])] = &[
        (
            "ks thirty.npy wide.npy",
            &["`wide.npy`", "`thirty.npy`", "2 features", "has 1"],
        ),
        ("mmd thirty.npy wide.npy", &["`wide.npy`", "2 features"]),
        (
            "ks thirty.npy one.npy",
            &["`one.npy`", "at least 2 rows, found 1"],
        ),
        ("mmd one.npy thirty.npy", &["at least 2 rows, found 1"]),
        ("lsdd thirty.npy one.npy", &["at least 2 rows, found 1"]),
        (
            "ks three.npy three.npy",
            &["3 reference rows and 3 test rows cannot show drift"],
        ),
        (
            "mmd three.npy three.npy",
            &["3 reference rows and 3 test rows cannot show drift"],
        ),
        (
            "lsdd four.npy three.npy",
            &["3 reference rows and 3 test rows cannot show drift"],
        ),
        (
            "mmd --permutations 19 thirty.npy thirty.npy",
            &["19 permutations", "at least 20"],
        ),
        (
            "ks constant.npy constant.npy",
            &["`constant.npy`", "one and the same value"],
        ),
        ("cvm constant.npy constant.npy", &["one and the same value"]),
        (
            "mmd constant.npy thirty.npy",
            &["`constant.npy`", "half of all pairs of rows"],
        ),
        (
            "lsdd constant.npy thirty.npy",
            &["`constant.npy`", "feature 0 is 2 in all rows"],
        ),
        (
            "ks ab.csv ac.csv",
            &["feature 1 is called `c`", "`b`", "same order"],
        ),
        (
            "chi2 bits.npy thirty.npy",
            &["`bits.npy`, row 4", "2.5", "whole numbers"],
        ),
        (
            "fisher thirty.npy bits.npy",
            &["`thirty.npy`, row 2", "0 or 1"],
        ),
        (
            "ks --alpha 1.5 thirty.npy thirty.npy",
            &["significance level is 1.5"],
        ),
        (
            "mmd --alpha 0 thirty.npy thirty.npy",
            &["significance level is 0"],
        ),
        (
            "mmd --permutations 100000 many.npy many.npy",
            &[
                "100000 permutations of 3000 reference rows and 3000 test rows take 2.4 GiB",
                "at most 84214 permutations",
            ],
        ),
        (
            "mmd --bandwidth 0 thirty.npy thirty.npy",
            &["bandwidth is 0"],
        ),
        ("lsdd --lambda 0 thirty.npy thirty.npy", &["λ is 0"]),
    ];
    for (args, parts) in cases {
        refused(&p, &format!("--detector {args}"), parts);
    }
}

#[test]
fn a_constant_feature_beside_others_is_noted() {
    let p = project();
    let rows: Rows = (0..30).map(|at| vec![f64::from(at), 7.0]).collect();
    p.write("x.csv", csv(&["a", "b"], &rows));
    let rows: Rows = rows.iter().map(|row| vec![row[0] + 0.5, 7.0]).collect();
    p.write("y.csv", csv(&["a", "b"], &rows));
    let found = tested(&p, "--detector ks x.csv y.csv");
    assert_eq!(
        found["notes"][0],
        "feature b: constant: every row of both samples is 7, which is no evidence either way"
    );
    let said = p.ok("drift test --detector ks x.csv y.csv").stderr;
    assert!(said.contains("note: feature b: constant"), "{said}");
}

#[test]
fn bad_permutations_are_told_by_file_and_place() {
    let p = project();
    let rows: Rows = (0..4).map(|at| vec![f64::from(at)]).collect();
    p.write("x.npy", npy_f64(&rows));
    p.write("twice.csv", "0,1,2,3,4,5,6,7\n7,6,5,4,3,2,1,1\n");
    p.write("eight.csv", "0,1,2,3,4,5,6,8\n");
    p.write("half.csv", "0,1,2,3,4,5,6,6.5\n");
    p.write("narrow.csv", "0,1,2\n");
    p.write("order.csv", "3\n2\n1\n1\n");
    p.write("good.csv", "7,6,5,4,3,2,1,0\n");
    let cases: &[(&str, &[&str])] = &[
        (
            "mmd --permutations twice.csv",
            &["`twice.csv`", "permutation 1 does not hold each"],
        ),
        (
            "mmd --permutations eight.csv",
            &["`eight.csv`, line 1: entry 7 is 8", "0 to 7"],
        ),
        (
            "mmd --permutations half.csv",
            &["entry 7 is 6.5", "whole number"],
        ),
        (
            "mmd --permutations narrow.csv",
            &["`narrow.csv`", "(1, 3)", "(permutations, 8)"],
        ),
        ("mmd --permutations none.npy", &["`none.npy`"]),
        ("lsdd --permutations good.csv", &["(permutations, 7)"]),
        (
            "lsdd --order order.csv",
            &["`order.csv`", "does not hold each"],
        ),
        ("lsdd --order good.csv", &["`good.csv`", "(4,)"]),
        ("mmd --permutations 0", &["'0'", "1 to 100000"]),
        ("mmd --permutations 100001", &["1 to 100000"]),
        ("chi2 --permutations good.csv", &["is a number, not a file"]),
        (
            "ks --permutations 5",
            &["`--permutations` does not go with `--detector ks`", "mmd"],
        ),
        (
            "mmd --correction holm",
            &["`--correction` does not go with"],
        ),
        ("lsdd --bandwidth 2", &["`--bandwidth` does not go with"]),
        (
            "cvm --alternative less",
            &["`--alternative` does not go with"],
        ),
        ("kss", &["'kss'", "'ks'"]),
    ];
    for (args, parts) in cases {
        refused(&p, &format!("--detector {args} x.npy x.npy"), parts);
    }
}

#[test]
fn a_seed_makes_draws_the_same() {
    let p = samples();
    let ask = |options: &str| {
        let found = tested(&p, &format!("--detector lsdd {options} ref.npy none.npy"));
        found["distance"].clone()
    };
    assert_eq!(ask("--seed 7"), ask("--seed 7"));
    assert_ne!(ask("--seed 7"), ask("--seed 8"));
}
