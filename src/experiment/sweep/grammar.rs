//! Reads `KEY=SPEC` as users of DVC know it: Hydra's override grammar
//! (<https://hydra.cc/docs/advanced/override_grammar/basic/> and `…/extended/`). Pure. Imports: base.
//!
//! `lr=0.1,0.01` · `bs=choice(16,32)` · `n=range(1,4)` · `lr=tag(log,interval(1e-4,1e-1))` ·
//! `depth=int(interval(2,6))` · `x=[1,2],[3,4]` · `x='a,b'` · `+new=1` · `file.yaml:key=…`.
//! Not read: `~key`, `glob(…)`, `${…}`.

mod functions;
mod value;

use std::sync::Arc;

use crate::base::diag::{Diagnostic, Source, Span, ToDiagnostics};
use crate::base::doc::{KeyPath, Value};

use super::domain::Domain;

pub(super) use value::reads_as_text;

/// Lists, mappings and functions may be nested this deep.
const DEPTH_MAX: usize = 32;
/// Most values of one parameter.
pub(super) const CHOICES_MAX: usize = 100_000;

/// One `KEY=SPEC`, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The params file, if one is named.
    pub file: Option<String>,
    /// The parameter.
    pub key: KeyPath,
    /// Must it exist?
    pub presence: Expected,
    /// What it may be.
    pub domain: Domain,
}

/// Is the parameter in the file already?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It must be: a slip in the key would sweep nothing.
    Present,
    /// `+key`: it may be new.
    Any,
}

/// Why a text is no `KEY=SPEC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrammarError {
    /// The argument.
    pub text: String,
    /// The place of the problem.
    pub span: Span,
    /// What is wrong there.
    pub problem: String,
    /// The next step.
    pub help: Option<String>,
}

impl ToDiagnostics for GrammarError {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let source = Arc::new(Source {
            name: "argument".to_owned(),
            text: self.text.clone(),
        });
        let mut diagnostic = Diagnostic::error(
            "sweep-grammar",
            format!("`{}` cannot be read as KEY=SPEC", self.text.escape_debug()),
        )
        .label(&source, self.span, self.problem.clone());
        diagnostic.help = self.help.clone().or_else(|| {
            Some(
                "a SPEC is `0.1,0.01`, `choice(a,b)`, `range(1,4)`, `interval(0,1)`, `tag(log,interval(1e-4,1e-1))` or `int(interval(2,6))`"
                    .to_owned(),
            )
        });
        vec![diagnostic]
    }
}

/// A problem inside the argument, before the argument is known.
#[derive(Debug)]
pub(super) struct Problem {
    span: Span,
    text: String,
    help: Option<String>,
}

impl Problem {
    fn at(span: Span, problem: impl Into<String>) -> Self {
        Self {
            span,
            text: problem.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What stands between two commas.
#[derive(Clone, Debug)]
pub(super) enum Element {
    Value(Value),
    Domain(Domain),
}

/// An argument of a function.
#[derive(Clone, Debug)]
pub(super) struct Arg {
    name: Option<String>,
    element: Element,
    span: Span,
}

/// Reads one `KEY=SPEC`.
///
/// # Errors
/// It breaks the grammar; the error marks the place.
pub fn parse(text: &str) -> Result<Override, GrammarError> {
    parse_override(text).map_err(|p| GrammarError {
        text: text.to_owned(),
        span: visible(text, p.span),
        problem: p.text,
        help: p.help,
    })
}

/// Reads a SPEC alone, as `Domain` writes it.
///
/// # Errors
/// It breaks the grammar; the error marks the place.
pub fn parse_spec(text: &str) -> Result<Domain, GrammarError> {
    Parser {
        text,
        pos: 0,
        depth: 0,
    }
    .spec()
    .map_err(|p| GrammarError {
        text: text.to_owned(),
        span: visible(text, p.span),
        problem: p.text,
        help: p.help,
    })
}

/// A caret needs a character to stand under: at the end of the text that is the last one.
fn visible(text: &str, span: Span) -> Span {
    if span.start < span.end {
        return span;
    }
    let mut start = span.start.min(text.len());
    while 0 < start && (start == text.len() || !text.is_char_boundary(start)) {
        start -= 1;
    }
    let end = text[start..]
        .chars()
        .next()
        .map_or(start, |c| start + c.len_utf8());
    Span { start, end }
}

fn parse_override(text: &str) -> Result<Override, Problem> {
    let whole = |start: usize, end: usize| Span { start, end };
    if text.starts_with('~') {
        return Err(
            Problem::at(whole(0, 1), "removing a parameter is not supported").help(
                "edit the params file, or sweep the parameter over values that switch it off",
            ),
        );
    }
    let Some(equals) = text.find('=') else {
        return Err(Problem::at(
            whole(text.len(), text.len()),
            "expected `=` and the values to try",
        )
        .help("for example `train.learning_rate=0.1,0.01`"));
    };
    let name = &text[..equals];
    let plain = name.trim_start_matches('+');
    let presence = if plain.len() == name.len() {
        Expected::Present
    } else {
        Expected::Any
    };
    let start = name.len() - plain.len();
    let (file, key, key_start) = match plain.rsplit_once(':') {
        Some((file, key)) => (Some(file.to_owned()), key, start + file.len() + 1),
        None => (None, plain, start),
    };
    if file.as_deref() == Some("") {
        return Err(Problem::at(
            whole(start, start + 1),
            "expected a file name before `:`",
        ));
    }
    let trimmed = key.trim();
    let key = trimmed
        .parse::<KeyPath>()
        .map_err(|e| Problem::at(whole(key_start, equals.max(key_start)), e.to_string()))?;
    let mut parser = Parser {
        text,
        pos: equals + 1,
        depth: 0,
    };
    let domain = parser.spec()?;
    Ok(Override {
        file,
        key,
        presence,
        domain,
    })
}

/// A place in the text and how deep we are.
pub(super) struct Parser<'t> {
    text: &'t str,
    pos: usize,
    depth: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_blanks(&mut self) {
        self.pos += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        let found = self.peek() == Some(wanted);
        if found {
            self.pos += wanted.len_utf8();
        }
        found
    }

    fn here(&self) -> Span {
        Span {
            start: self.pos,
            end: self.pos + self.peek().map_or(0, char::len_utf8),
        }
    }

    fn since(&self, start: usize) -> Span {
        Span {
            start,
            end: self.pos,
        }
    }

    fn deeper(&mut self) -> Result<(), Problem> {
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            return Err(Problem::at(self.here(), "nested too deeply"));
        }
        Ok(())
    }

    /// The whole right-hand side.
    fn spec(&mut self) -> Result<Domain, Problem> {
        let mut args = Vec::new();
        loop {
            args.push(self.arg(Names::No)?);
            if !self.eat(',') {
                break;
            }
        }
        self.skip_blanks();
        if self.pos < self.text.len() {
            return Err(Problem::at(self.here(), "expected `,` or the end")
                .help("put texts with special characters into quotes: `x='a(b)'`"));
        }
        functions::one_domain(args)
    }

    /// A value, or a function call with what comes of it.
    fn element(&mut self) -> Result<Element, Problem> {
        self.skip_blanks();
        let start = self.pos;
        let name_len = self
            .rest()
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(self.rest().len());
        let is_call = 0 < name_len && self.rest()[name_len..].starts_with('(');
        if !is_call {
            return self.value().map(Element::Value);
        }
        let name = self.rest()[..name_len].to_owned();
        self.pos += name_len + 1;
        self.deeper()?;
        let mut args = Vec::new();
        if !self.eat(')') {
            loop {
                args.push(self.arg(Names::Yes)?);
                if self.eat(')') {
                    break;
                }
                if !self.eat(',') {
                    return Err(Problem::at(
                        self.here(),
                        format!("expected `,` or `)` to close `{name}(`"),
                    ));
                }
            }
        }
        self.depth -= 1;
        let named = Span {
            start,
            end: start + name_len,
        };
        functions::call(&name, named, self.since(start), args)
    }

    fn arg(&mut self, names: Names) -> Result<Arg, Problem> {
        self.skip_blanks();
        let start = self.pos;
        let name_len = self
            .rest()
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(0);
        let is_named =
            names == Names::Yes && 0 < name_len && self.rest()[name_len..].starts_with('=');
        let name = is_named.then(|| self.rest()[..name_len].to_owned());
        if is_named {
            self.pos += name_len + 1;
        }
        let element = self.element()?;
        Ok(Arg {
            name,
            element,
            span: self.since(start),
        })
    }
}

/// May arguments have names here?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Yes,
    No,
}

#[cfg(test)]
mod tests;
