//! Cuts a Python text into logical lines of tokens: brackets, backslashes and texts over several
//! lines join them. Imports: nothing of ours.

use super::{Fault, fault};

/// A piece of a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// A name or keyword.
    Name(&'t str),
    /// A number as it is written.
    Number(&'t str),
    /// A text, its escapes resolved.
    Text(String),
    /// Bytes or a text with placeholders: no value of ours.
    OtherText,
    /// One character of an operator. `=` alone is an assignment.
    Op(char),
    /// An operator that ends in `=` and is no assignment.
    OtherOp,
}

/// A logical line.
#[derive(Clone, Debug)]
pub(super) struct Line<'t> {
    /// Columns of blanks in front.
    pub(super) indent: usize,
    /// The byte where it begins.
    pub(super) at: usize,
    pub(super) tokens: Vec<Token<'t>>,
}

/// Tabs go on to the next multiple of this.
const TAB_COLUMNS: usize = 8;

/// Returns the lines of `text` that hold anything.
pub(super) fn lines(text: &str) -> Result<Vec<Line<'_>>, Fault> {
    let mut lexer = Lexer {
        text,
        at: if text.starts_with('\u{feff}') { 3 } else { 0 },
    };
    let mut lines = Vec::new();
    while lexer.at < text.len() {
        if let Some(line) = lexer.line()? {
            lines.push(line);
        }
    }
    Ok(lines)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Reads up to the end of a logical line; `None` if nothing stands on it.
    fn line(&mut self) -> Result<Option<Line<'t>>, Fault> {
        let mut indent = 0;
        for c in self.take(|c| matches!(c, ' ' | '\t' | '\x0c')).chars() {
            indent = match c {
                '\t' => (indent / TAB_COLUMNS + 1) * TAB_COLUMNS,
                '\x0c' => 0,
                _ => indent + 1,
            };
        }
        let start = self.at;
        let mut tokens = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\n' => {
                    self.at += 1;
                    if open.is_empty() {
                        break;
                    }
                }
                '#' => {
                    self.take(|c| c != '\n');
                }
                '\\' => {
                    self.at += 1;
                    self.take(|c| c == '\r');
                    self.take_one('\n');
                }
                c if c.is_whitespace() => self.at += c.len_utf8(),
                '(' | '[' | '{' => {
                    open.push(self.at);
                    self.at += 1;
                    tokens.push(Token::Op(c));
                }
                ')' | ']' | '}' => {
                    open.pop();
                    self.at += 1;
                    tokens.push(Token::Op(c));
                }
                _ => tokens.push(self.token(c)?),
            }
        }
        if let Some(at) = open.first() {
            return Err(fault(*at, "this bracket is never closed"));
        }
        Ok((!tokens.is_empty()).then_some(Line {
            indent,
            at: start,
            tokens,
        }))
    }

    fn take_one(&mut self, c: char) {
        if self.rest().starts_with(c) {
            self.at += c.len_utf8();
        }
    }

    fn token(&mut self, first: char) -> Result<Token<'t>, Fault> {
        let second = self.rest()[first.len_utf8()..].chars().next();
        let is_number =
            first.is_ascii_digit() || (first == '.' && second.is_some_and(|c| c.is_ascii_digit()));
        if is_number {
            return Ok(Token::Number(self.number()));
        }
        if matches!(first, '\'' | '"') {
            return self.quoted("");
        }
        if first == '_' || first.is_alphabetic() {
            let name = self.take(|c| c == '_' || c.is_alphanumeric());
            let is_prefix = name.len() <= 2 && name.chars().all(|c| "rRbBuUfFtT".contains(c));
            if is_prefix && self.rest().starts_with(['\'', '"']) {
                return self.quoted(name);
            }
            return Ok(Token::Name(name));
        }
        self.at += first.len_utf8();
        if second == Some('=') {
            self.at += 1;
            return Ok(Token::OtherOp);
        }
        // `**=`, `//=`, `<<=` and `>>=`.
        let is_doubled = matches!(first, '*' | '/' | '<' | '>') && second == Some(first);
        if is_doubled && self.rest()[1..].starts_with('=') {
            self.at += 2;
            return Ok(Token::OtherOp);
        }
        Ok(Token::Op(first))
    }

    fn number(&mut self) -> &'t str {
        let start = self.at;
        let is_hex = self.rest().starts_with("0x") || self.rest().starts_with("0X");
        while let Some(c) = self.rest().chars().next() {
            let before = self.text[start..self.at].chars().last();
            let is_sign = matches!(c, '+' | '-') && matches!(before, Some('e' | 'E')) && !is_hex;
            if c != '.' && c != '_' && !c.is_alphanumeric() && !is_sign {
                break;
            }
            self.at += c.len_utf8();
        }
        &self.text[start..self.at]
    }

    fn quoted(&mut self, prefix: &str) -> Result<Token<'t>, Fault> {
        let start = self.at;
        let rest = self.rest();
        let quote = if rest.starts_with('"') { '"' } else { '\'' };
        let triple: String = [quote; 3].iter().collect();
        let is_triple = rest.starts_with(&triple);
        let close = if is_triple { &triple[..] } else { &triple[..1] };
        self.at += close.len();
        let never = || fault(start, "this text is never closed");
        let inner_start = self.at;
        while !self.rest().starts_with(close) {
            let c = self.rest().chars().next().ok_or_else(never)?;
            if c == '\n' && !is_triple {
                return Err(never());
            }
            self.at += c.len_utf8();
            if c == '\\' {
                let next = self.rest().chars().next().ok_or_else(never)?;
                self.at += next.len_utf8();
                if next == '\r' {
                    self.take_one('\n');
                }
            }
        }
        let inner = &self.text[inner_start..self.at];
        self.at += close.len();
        let has = |letters: &str| prefix.chars().any(|c| letters.contains(c));
        if has("bBfFtT") {
            return Ok(Token::OtherText);
        }
        let inner = inner.replace("\r\n", "\n");
        if has("rR") {
            return Ok(Token::Text(inner));
        }
        Ok(unescaped(&inner).map_or(Token::OtherText, Token::Text))
    }
}

/// Resolves the escapes of a text; `None` where one names no character.
fn unescaped(inner: &str) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            '\n' => {}
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\x0b'),
            same @ ('\\' | '\'' | '"') => out.push(same),
            'x' => out.push(coded(&mut chars, 2)?),
            'u' => out.push(coded(&mut chars, 4)?),
            'U' => out.push(coded(&mut chars, 8)?),
            'N' => return None,
            digit @ '0'..='7' => {
                let mut code = digit.to_digit(8)?;
                for _ in 0..2 {
                    let next = chars.clone().next().and_then(|c| c.to_digit(8));
                    let Some(next) = next else { break };
                    chars.next();
                    code = code * 8 + next;
                }
                out.push(char::from_u32(code)?);
            }
            other => out.extend(['\\', other]),
        }
    }
    Some(out)
}

fn coded(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let mut code = 0;
    for _ in 0..digits {
        code = code * 16 + chars.next()?.to_digit(16)?;
    }
    char::from_u32(code)
}
