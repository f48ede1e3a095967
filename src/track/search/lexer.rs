//! Cuts a filter or an order into tokens. Never fails: what is no token is one of its own, which no
//! rule of the grammar takes. Imports: nothing of ours.

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// As written.
    pub(super) text: &'a str,
    /// Where it begins, in bytes.
    pub(super) start: usize,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A name, perhaps with an entity before it.
    Name(Name<'a>),
    /// A text in single quotes, without them.
    Single(&'a str),
    /// Digits, perhaps with sign, point and exponent.
    Number,
    /// `=`, `!=`, `<`, …
    Operator,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// Anything else.
    Other,
}

/// `key` or `entity.key`; each part bare, in back-ticks or in double quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// What stands before the first dot, without back-ticks.
    pub(super) entity: Option<&'a str>,
    /// What stands behind it, without its quotes.
    pub(super) key: &'a str,
    /// How the key is quoted.
    pub(super) quoting: Quoting,
}

/// How a name is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    Bare,
    BackTicks,
    Double,
}

/// Longest first: `<=` is no `<`.
const OPERATORS: [&str; 8] = ["!=", "<>", "==", "<=", ">=", "=", "<", ">"];

/// Cuts `text` into tokens; white space parts them.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        }
        let (kind, length) = one(&text[at..], next);
        found.push(Token {
            kind,
            text: &text[at..at + length],
            start: at,
        });
        at += length;
    }
    found
}

/// Returns the token at the beginning of `rest`, whose first character is `first`, and its length.
fn one(rest: &str, first: char) -> (Kind<'_>, usize) {
    let single = match first {
        '(' => Some(Kind::Open),
        ')' => Some(Kind::Close),
        ',' => Some(Kind::Comma),
        _ => None,
    };
    if let Some(kind) = single {
        return (kind, 1);
    }
    if first == '\''
        && let Some(inside) = quoted(rest, '\'')
    {
        return (Kind::Single(inside), inside.len() + 2);
    }
    if let Some(operator) = OPERATORS.iter().find(|one| rest.starts_with(**one)) {
        return (Kind::Operator, operator.len());
    }
    if let Some(length) = number(rest) {
        return (Kind::Number, length);
    }
    if let Some((name, length)) = name(rest) {
        return (Kind::Name(name), length);
    }
    (Kind::Other, first.len_utf8())
}

/// Returns what stands between the quote at the beginning and the next one.
fn quoted(rest: &str, quote: char) -> Option<&str> {
    let inside = rest.strip_prefix(quote)?;
    inside.find(quote).map(|end| &inside[..end])
}

/// Returns the length of the number at the beginning, if a number and nothing else stands there.
fn number(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| {
        let run = bytes[from.min(bytes.len())..].iter();
        run.take_while(|b| b.is_ascii_digit()).count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    at += whole;
    let mut part = 0;
    if bytes.get(at) == Some(&b'.') {
        part = digits(at + 1);
        at += 1 + part;
    }
    if whole + part == 0 {
        return None;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let power = digits(at + 1 + sign);
        if 0 < power {
            at += 1 + sign + power;
        }
    }
    // `1x` is a word.
    let after = rest[at..].chars().next();
    (!after.is_some_and(is_of_word)).then_some(at)
}

fn is_of_word(one: char) -> bool {
    one.is_alphanumeric() || matches!(one, '_' | '$' | '#' | '@')
}

/// Returns the name at the beginning and its length.
fn name(rest: &str) -> Option<(Name<'_>, usize)> {
    let (first, quoting) = part(rest)?;
    let mut end = first;
    let mut behind = None;
    let mut last = quoting;
    let mut parts = 1;
    while let Some((length, quoting)) = rest[end..].strip_prefix('.').and_then(part) {
        behind = behind.or(Some(end + 1));
        end += 1 + length;
        last = quoting;
        parts += 1;
    }
    let name = match behind {
        None => Name {
            entity: None,
            key: bare(&rest[..end], quoting),
            quoting,
        },
        Some(key) => {
            // The quotes of one part are not of the key; those of the key's parts are.
            let of_key = if parts == 2 { last } else { Quoting::Bare };
            let of_entity = match quoting {
                Quoting::Double => Quoting::Bare,
                other => other,
            };
            Name {
                entity: Some(bare(&rest[..first], of_entity)),
                key: bare(&rest[key..end], of_key),
                quoting: of_key,
            }
        }
    };
    Some((name, end))
}

/// Returns the length of the part of a name at the beginning, and how it is quoted.
fn part(rest: &str) -> Option<(usize, Quoting)> {
    for (quote, quoting) in [('`', Quoting::BackTicks), ('"', Quoting::Double)] {
        if let Some(inside) = quoted(rest, quote) {
            return Some((inside.len() + 2, quoting));
        }
    }
    let length: usize = rest
        .chars()
        .take_while(|one| is_of_word(*one))
        .map(char::len_utf8)
        .sum();
    (0 < length).then_some((length, Quoting::Bare))
}

fn bare(text: &str, quoting: Quoting) -> &str {
    match quoting {
        Quoting::Bare => text,
        Quoting::BackTicks | Quoting::Double => &text[1..text.len() - 1],
    }
}
