//! How a scalar is written: its quoting, and where long ones are folded. Imports: `base::doc`.

use crate::base::doc::Value;

use super::{Blank, Emitter, Kind, Opens};

/// Where a scalar stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Before a colon: it stays on its line.
    SimpleKey,
    /// Anywhere else.
    Value,
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Is the text free of line breaks?
pub(super) fn is_one_line(text: &str) -> bool {
    !text.contains(is_break)
}

/// A character that no quoting but the double one can hold.
fn is_special(c: char) -> bool {
    match c {
        '\u{feff}' => true,
        '\n' | ' '..='~' | '\u{85}' => false,
        '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => false,
        _ => true,
    }
}

/// A character that is escaped between double quotes.
fn is_escaped(c: char) -> bool {
    match c {
        '"' | '\\' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => true,
        ' '..='~' => false,
        '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => false,
        _ => true,
    }
}

/// Does a part of the text mean something to YAML?
fn has_indicators(text: &[char]) -> bool {
    let blank = |at: usize| {
        text.get(at)
            .is_none_or(|c| matches!(c, '\0' | ' ' | '\t' | '\r') || is_break(*c))
    };
    if matches!(text, ['-', '-', '-', ..] | ['.', '.', '.', ..]) {
        return true;
    }
    text.iter().enumerate().any(|(at, c)| match (at, c) {
        (0, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>') => true,
        (0, '\'' | '"' | '%' | '@' | '`') => true,
        (0, '?' | '-') => blank(1),
        (_, ':') => blank(at + 1),
        (_, '#') => blank(at - 1),
        _ => false,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Single,
    Double,
}

fn quotes(text: &str, chars: &[char], kind: Kind, place: Place) -> Quotes {
    let touches = |a: fn(char) -> bool, b: fn(char) -> bool| {
        chars.windows(2).any(|pair| a(pair[0]) && b(pair[1]))
    };
    let is_blank = |c: char| c == ' ';
    let needs_double = chars.iter().any(|c| is_special(*c))
        || touches(is_break, is_blank)
        || touches(is_blank, is_break);
    let has_break = !is_one_line(text);
    let at_ends = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
    let may_be_plain = !needs_double
        && !has_break
        && !at_ends(chars.first())
        && !at_ends(chars.last())
        && !has_indicators(chars)
        && (place == Place::Value || !text.is_empty());
    let reads_back = match kind {
        Kind::Text => crate::base::doc::scalar::is_text(text),
        Kind::Other => true,
    };
    if may_be_plain && reads_back {
        Quotes::None
    } else if text.contains(['\'', '\n'])
        || needs_double
        || (place == Place::SimpleKey && has_break)
    {
        Quotes::Double
    } else {
        Quotes::Single
    }
}

/// Does a scalar, as it was written, read as this text?
fn reads_as(shown: &str, text: &str) -> bool {
    match crate::base::doc::yaml::read(shown.trim_start_matches(' ')) {
        Ok(Value::Str(read)) => read == text,
        _ => false,
    }
}

impl Emitter<'_, '_> {
    /// Writes a scalar whose folded lines stand one level deeper than its collection.
    pub(super) fn any_scalar(&mut self, text: &str, kind: Kind, place: Place) {
        let outer = self.indent;
        self.indent = outer.map(|column| column + 2);
        let chars: Vec<char> = text.chars().collect();
        let quotes = quotes(text, &chars, kind, place);
        let (start, column, after_blank) = (self.out.len(), self.column, self.after_blank);
        self.in_quotes(quotes, &chars, place);
        let shown = &self.out[start..];
        let is_whole = |shown: &str| match kind {
            Kind::Text => place == Place::Value && reads_as(shown, text),
            Kind::Other => true,
        };
        if shown.contains('\n') && !is_whole(shown) {
            // ruamel.yaml folds between some blanks that are lost by it. Nothing may be lost.
            self.out.truncate(start);
            (self.column, self.after_blank) = (column, after_blank);
            let width = std::mem::replace(&mut self.columns_max, usize::MAX);
            self.in_quotes(Quotes::Double, &chars, place);
            self.columns_max = width;
        }
        self.indent = outer;
    }

    fn in_quotes(&mut self, quotes: Quotes, chars: &[char], place: Place) {
        match quotes {
            Quotes::None => self.plain(chars, place),
            Quotes::Single => self.single(chars, place),
            Quotes::Double => self.double(chars, place),
        }
    }

    fn chars(&mut self, chars: &[char]) {
        self.out.extend(chars);
        self.column += chars.len();
    }

    fn plain(&mut self, text: &[char], place: Place) {
        if text.is_empty() {
            return;
        }
        if !self.after_blank {
            self.text(" ");
        }
        self.after_blank = false;
        self.only_indicators = false;
        for run in text.chunk_by(|a, b| (*a == ' ') == (*b == ' ')) {
            if run[0] == ' ' {
                if run.len() == 1 && self.columns_max <= self.column && place == Place::Value {
                    self.break_to_indent();
                    self.after_blank = false;
                    self.only_indicators = false;
                } else {
                    self.chars(run);
                }
            } else {
                // A word that does not fit gets a line of its own; the blank before it stays.
                let is_indented = self.indent.is_some_and(|indent| indent < self.column);
                if self.columns_max < run.len() + self.column && is_indented {
                    self.break_to_indent();
                }
                self.chars(run);
            }
        }
    }

    fn single(&mut self, text: &[char], place: Place) {
        self.indicator("'", Blank::Before, Opens::No);
        let class = |c: char| match c {
            ' ' => 0,
            c if is_break(c) => 1,
            _ => 2,
        };
        let mut start = 0;
        for run in text.chunk_by(|a, b| class(*a) == class(*b)) {
            let end = start + run.len();
            match class(run[0]) {
                0 => {
                    let is_inside = start != 0 && end != text.len();
                    let is_long = self.columns_max < self.column && place == Place::Value;
                    // Between quotes and at their sides a blank is no place to fold.
                    if run.len() == 1 && is_inside && is_long {
                        self.break_to_indent();
                    } else {
                        self.chars(run);
                    }
                }
                1 => {
                    if run[0] == '\n' {
                        self.line_break('\n');
                    }
                    for c in run {
                        self.line_break(*c);
                    }
                    self.break_to_indent();
                }
                _ => {
                    for c in run {
                        self.chars(if *c == '\'' {
                            &['\'', '\'']
                        } else {
                            std::slice::from_ref(c)
                        });
                    }
                }
            }
            start = end;
        }
        self.indicator("'", Blank::No, Opens::No);
    }

    fn double(&mut self, text: &[char], place: Place) {
        self.indicator("\"", Blank::Before, Opens::No);
        let mut start = 0;
        for end in 0..=text.len() {
            let c = text.get(end).copied();
            if c.is_none_or(is_escaped) {
                if start < end {
                    self.chars(&text[start..end]);
                    start = end;
                }
                if let Some(c) = c {
                    self.text(&escape(c));
                    start = end + 1;
                }
            }
            let is_inside = 0 < end && end + 1 < text.len();
            let is_long = self.columns_max < (self.column + end).saturating_sub(start);
            if place == Place::Value && is_inside && (c == Some(' ') || end <= start) && is_long {
                start = self.fold_double(text, start, end);
            }
        }
        self.indicator("\"", Blank::No, Opens::No);
    }

    /// Folds a double-quoted text at `end`; returns where writing goes on.
    fn fold_double(&mut self, text: &[char], start: usize, end: usize) -> usize {
        let is_bare = folds_without_backslash(text, start, end);
        let mut next = start;
        if start < end {
            self.chars(&text[start..end]);
            next = end;
        }
        if !is_bare {
            self.text("\\");
        }
        self.break_to_indent();
        self.after_blank = false;
        self.only_indicators = false;
        if text[next] == ' ' {
            if is_bare {
                // The line break reads as this blank.
                next += 1;
            } else {
                self.text("\\");
            }
        }
        next
    }
}

/// May the line end at `end` without a backslash, the blank there being read from the break?
fn folds_without_backslash(text: &[char], start: usize, end: usize) -> bool {
    let Some(blank) = text[end..].iter().position(|c| *c == ' ') else {
        return false;
    };
    let word = &text[end..end + blank];
    let at = match word.iter().position(|c| *c == '\n') {
        Some(line) => end + line,
        None => end + blank,
    };
    let Some(after) = text.get(at + 1) else {
        return false;
    };
    if text[at] == '\n' && *after != ' ' {
        return false;
    }
    !text[end..at].iter().any(|c| matches!(c, '"' | '\''))
        && !matches!(after, ' ' | '\n')
        && text[end - 1..=end] != [' ', ' ']
        && start != end
}

fn escape(c: char) -> String {
    let letter = match c {
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c => {
            return match c as u32 {
                code @ ..=0xff => format!("\\x{code:02X}"),
                code @ ..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{letter}")
}
