//! Reads the values that a Python file assigns, as DVC does: literals at the top level and in classes,
//! and `self.x` in `__init__`. Nothing is run; whatever is no literal is passed over.
//!
//! `token` cuts the text into lines of tokens, `literal` reads values, this page finds the
//! assignments. Imports: `base::doc`.

mod literal;
mod token;

use super::value::{Map, Value};

use literal::Literal;
use token::{Line, Token};

/// Why a text is no Python of ours: where, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The byte where it is.
    pub(super) at: usize,
    pub(super) message: String,
}

/// Deeper values and blocks are refused: nobody writes them, and reading them could overflow the
/// stack.
const DEPTH_MAX: usize = 100;

/// Returns what `text` assigns.
pub(super) fn read(text: &str) -> Result<Value, Fault> {
    let lines = token::lines(text)?;
    let indent = lines.first().map_or(0, |line| line.indent);
    let mut reader = Reader { lines: &lines };
    Ok(Value::Map(reader.block(indent, Names::All, 0)?))
}

/// Which targets of assignments count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// `x` and `self.x`.
    All,
    /// `self.x` only: inside `__init__`.
    OfSelf,
}

struct Reader<'l, 't> {
    /// What is left to read.
    lines: &'l [Line<'t>],
}

impl<'t> Reader<'_, 't> {
    /// Reads the lines that stand at `indent` or deeper.
    fn block(&mut self, indent: usize, names: Names, depth: usize) -> Result<Map, Fault> {
        let mut found = Map::new();
        while let Some((line, rest)) = self.lines.split_first() {
            if line.indent < indent {
                break;
            }
            self.lines = rest;
            if DEPTH_MAX < depth {
                return Err(fault(line.at, "this is nested too deeply"));
            }
            match line.tokens.as_slice() {
                [Token::Name("class"), Token::Name(name), ..] => {
                    let inner = self.suite(line, Names::All, depth)?;
                    found.insert((*name).to_owned(), Value::Map(inner));
                }
                [Token::Name("def"), Token::Name("__init__"), ..] => {
                    found.extend(self.suite(line, Names::OfSelf, depth)?);
                }
                tokens => {
                    statements(line, tokens, names, &mut found)?;
                    // What a branch or a loop assigns is not known without running it.
                    self.skip_deeper(line.indent);
                }
            }
        }
        Ok(found)
    }

    /// Reads the body of the class or function that begins with `head`: behind its colon, or in the
    /// lines below.
    fn suite(&mut self, head: &Line<'t>, names: Names, depth: usize) -> Result<Map, Fault> {
        let mut found = Map::new();
        let Some(colon) = head_end(&head.tokens) else {
            self.skip_deeper(head.indent);
            return Ok(found);
        };
        let inline = &head.tokens[colon + 1..];
        if !inline.is_empty() {
            statements(head, inline, names, &mut found)?;
            return Ok(found);
        }
        match self.lines.first() {
            Some(first) if head.indent < first.indent => self.block(first.indent, names, depth + 1),
            _ => Ok(found),
        }
    }

    fn skip_deeper(&mut self, indent: usize) {
        let deeper = self.lines.iter().take_while(|line| indent < line.indent);
        self.lines = &self.lines[deeper.count()..];
    }
}

/// Returns the place of the colon that ends the head of a class or function.
fn head_end(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate() {
        match token {
            Token::Op('(' | '[' | '{') => depth += 1,
            Token::Op(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Op(':') if depth == 0 => return Some(i),
            _ => {}
        }
    }
    None
}

/// Reads the statements of a line.
fn statements(
    line: &Line<'_>,
    tokens: &[Token<'_>],
    names: Names,
    found: &mut Map,
) -> Result<(), Fault> {
    for statement in tokens.split(|token| *token == Token::Op(';')) {
        if let Some((name, value)) = assignment(statement, names) {
            match literal::read(value) {
                Literal::Value(value) => {
                    found.insert(name.to_owned(), value);
                }
                Literal::Other => {}
                Literal::Refused(message) => return Err(fault(line.at, &message)),
            }
        }
    }
    Ok(())
}

/// Returns the name and the value's tokens of an assignment to one name, with or without a type.
fn assignment<'s, 't>(tokens: &'s [Token<'t>], names: Names) -> Option<(&'t str, &'s [Token<'t>])> {
    let (name, rest) = match tokens {
        [
            Token::Name("self"),
            Token::Op('.'),
            Token::Name(name),
            rest @ ..,
        ] => (*name, rest),
        // `else: a = 1` looks like a typed name.
        [Token::Name("else" | "try" | "finally" | "except"), ..] => return None,
        [Token::Name(name), rest @ ..] if names == Names::All => (*name, rest),
        _ => return None,
    };
    let value = match rest {
        [Token::Op('='), value @ ..] => value,
        [Token::Op(':'), typed @ ..] => {
            let at = typed.iter().position(|token| *token == Token::Op('='))?;
            &typed[at + 1..]
        }
        _ => return None,
    };
    Some((name, value))
}

fn fault(at: usize, message: &str) -> Fault {
    Fault {
        at,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
