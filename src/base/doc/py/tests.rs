//! What is read of Python files.

use super::*;
use proptest::prelude::*;

#[track_caller]
fn check(text: &str, expected: &str) {
    match read(text) {
        Ok(value) => assert_eq!(value.to_string(), expected),
        Err(fault) => assert_eq!(format!("{}: {}", fault.at, fault.message), expected),
    }
}

#[test]
fn literals_are_read() {
    check(
        "A = 1\nB: float = 2.5\nC = -3\nD = 'x' \"y\"\nE = [1, (2, 3), {4}]\nF = {'a': None, 1: True,}\n",
        r#"{"A": 1, "B": 2.5, "C": -3, "D": "xy", "E": [1, [2, 3], [4]], "F": {"a": null, "1": true}}"#,
    );
    check(
        "a = 0x1F\nb = 1_000\nc = 1e-3\nd = .5\ne = 5.\nf = 1E5\ng = 0o17\nh = (1)\ni = (1,)\nj = 1, 2\nk = ()\n",
        r#"{"a": 31, "b": 1000, "c": 0.001, "d": 0.5, "e": 5.0, "f": 100000.0, "g": 15, "h": 1, "i": [1], "j": [1, 2], "k": []}"#,
    );
    check(
        "a = r'\\n'\nb = '\\x41\\u00e9\\n\\q'\nc = '''two\nlines'''\nd = u'x'\ne = \"it's\"\n",
        r#"{"a": "\\n", "b": "Aé\n\\q", "c": "two\nlines", "d": "x", "e": "it's"}"#,
    );
    check(
        "a = [\n  1,  # one\n  2,\n]\nb = 1 + \\\n  2\nc = \\\n  3\n",
        r#"{"a": [1, 2], "c": 3}"#,
    );
    check(
        "a = set()\nb = {1, 2}\nc = {}\n",
        r#"{"a": [], "b": [1, 2], "c": {}}"#,
    );
}

#[test]
fn what_is_no_literal_is_passed_over() {
    check(
        "import os\na = os.name\nb = 2 * 3\nc = dict(a=1)\nd = f'{x}'\ne = b'x'\nf = g = 1\nh += 1\ni, j = 1, 2\nk[0] = 1\nl: int\nm = 1j\nn = 017\no = ...\np = a if b else c\nq == 1\nr = {**s}\nt = 'a' f'b'\nu = [x for x in y]\n",
        "{}",
    );
    check(
        "if x:\n    a = 1\nelse: b = 2\nfor i in j: c = 3\ndef f():\n    d = 4\nx = 1; y = 2\n",
        r#"{"x": 1, "y": 2}"#,
    );
}

#[test]
fn classes_and_what_init_sets() {
    check(
        "class C(Base, x=[1]):\n    \"\"\"doc: x = 1\"\"\"\n    D = 'x'\n    class In:\n        e = 1\n    def other(self):\n        self.no = 1\n    @wrapped\n    def __init__(self, a: int = 3) -> None:\n        self.G = 7\n        local = 8\n        self.h.i = 9\n        if a:\n            self.no = 1\n        self.J: int = 10\n    K = 11\nL = 12\nclass M: n = 1\nclass O: pass\n",
        r#"{"C": {"D": "x", "In": {"e": 1}, "G": 7, "J": 10, "K": 11}, "L": 12, "M": {"n": 1}, "O": {}}"#,
    );
}

#[test]
fn faults_have_places() {
    check("a = 1\nb = [1,\n", "10: this bracket is never closed");
    check("a = 'x\n", "4: this text is never closed");
    check("a = '''x\n", "4: this text is never closed");
    check(
        "x = 1\na = 123456789012345678901\n",
        "6: `123456789012345678901` is beyond 64 bits; write it as a text in quotes",
    );
    check(
        &format!("a = {}{}", "[".repeat(500), "]".repeat(500)),
        "0: this is nested too deeply",
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-c =:;,.'\"#\\\\\\[\\](){}\n\t0-9éxe_+*-]{0,60}") {
        let _ = read(&text);
        let _ = read(&format!("class C:\n  def __init__(self):\n    self.x = {text}\n"));
    }
}
