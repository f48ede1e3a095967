//! The functions of the grammar: what `choice`, `range`, `interval`, `tag`, casts and orders make
//! of their arguments. Imports: base, `sweep::domain`.

use crate::base::diag::{Span, nearest};
use crate::base::doc::Value;

use super::super::domain::{Domain, Interval, Number, Order, Spread};
use super::{Arg, CHOICES_MAX, Element, Problem};

const NAMES: [&str; 10] = [
    "choice", "range", "interval", "tag", "int", "float", "str", "bool", "sort", "shuffle",
];

/// Makes the domain of what stands between commas: several values are choices.
pub(super) fn one_domain(mut args: Vec<Arg>) -> Result<Domain, Problem> {
    if args.len() == 1
        && let Some(arg) = args.pop()
    {
        return Ok(match arg.element {
            Element::Domain(domain) => domain,
            Element::Value(value) => Domain::choices(vec![value]),
        });
    }
    values(args).map(Domain::choices)
}

fn values(args: Vec<Arg>) -> Result<Vec<Value>, Problem> {
    args.into_iter()
        .map(|arg| match arg.element {
            Element::Value(value) => Ok(value),
            Element::Domain(_) => Err(Problem::at(
                arg.span,
                "a function that gives several values cannot be one of several",
            )
            .help("write all values into one `choice(…)`")),
        })
        .collect()
}

/// Evaluates a call. `named` is the place of the name, `span` of the whole call.
pub(super) fn call(
    name: &str,
    named: Span,
    span: Span,
    args: Vec<Arg>,
) -> Result<Element, Problem> {
    if let Some(arg) = args.iter().find(|arg| {
        let known: &[&str] = match name {
            "range" => &["start", "stop", "step"],
            "interval" => &["start", "end"],
            "sort" => &["reverse"],
            _ => &[],
        };
        arg.name.as_deref().is_some_and(|n| !known.contains(&n))
    }) {
        let given = arg.name.as_deref().unwrap_or_default();
        return Err(Problem::at(
            arg.span,
            format!("`{name}` has no argument named `{given}`"),
        ));
    }
    match name {
        "choice" => {
            let values = values(args)?;
            if values.is_empty() {
                return Err(Problem::at(span, "`choice` needs at least one value"));
            }
            Ok(Element::Domain(Domain::choices(values)))
        }
        "range" => range(span, &args).map(Element::Domain),
        "interval" => interval(span, &args).map(Element::Domain),
        "tag" => tag(span, args).map(Element::Domain),
        "int" | "float" | "str" | "bool" => cast(name, span, args),
        "sort" => sort(span, args),
        "shuffle" => shuffle(span, args),
        "glob" => {
            Err(Problem::at(named, "`glob` is not supported")
                .help("name the choices: `choice(a,b)`"))
        }
        _ => {
            let problem = Problem::at(named, format!("there is no function `{name}`"));
            Err(match nearest(name, NAMES) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help(format!(
                    "known functions: {}; put a text with brackets into quotes",
                    NAMES.map(|n| format!("`{n}`")).join(", ")
                )),
            })
        }
    }
}

/// A number as it was written: whole or not.
fn number(arg: &Arg) -> Result<&Value, Problem> {
    match &arg.element {
        Element::Value(value @ (Value::Int(_) | Value::Float(_))) => Ok(value),
        _ => Err(Problem::at(arg.span, "expected a number")),
    }
}

/// Sorts positional and named arguments into the order of `names`.
fn placed<'a>(
    span: Span,
    names: &[&str],
    args: &'a [Arg],
) -> Result<Vec<Option<&'a Arg>>, Problem> {
    let mut found: Vec<Option<&Arg>> = vec![None; names.len()];
    for (i, arg) in args.iter().enumerate() {
        let place = match &arg.name {
            Some(name) => names.iter().position(|n| n == name),
            None => Some(i),
        };
        match place.and_then(|p| found.get_mut(p)) {
            Some(slot) if slot.is_none() => *slot = Some(arg),
            Some(_) => return Err(Problem::at(arg.span, "given twice")),
            None => {
                return Err(Problem::at(
                    span,
                    format!("at most {} numbers", names.len()),
                ));
            }
        }
    }
    Ok(found)
}

fn range(span: Span, args: &[Arg]) -> Result<Domain, Problem> {
    let found = placed(span, &["start", "stop", "step"], args)?;
    let zero = Value::Int(0);
    let one = Value::Int(1);
    let get = |i: usize| found[i].map(number).transpose();
    let (start, stop) = match (get(0)?, get(1)?) {
        (Some(start), Some(stop)) => (start, stop),
        (Some(stop), None) | (None, Some(stop)) => (&zero, stop),
        (None, None) => return Err(Problem::at(span, "`range` needs where to stop")),
    };
    let step = get(2)?.unwrap_or(&one);
    let numbers = (start.as_f64(), stop.as_f64(), step.as_f64());
    let (Some(from), Some(to), Some(by)) = numbers else {
        return Err(Problem::at(span, "expected numbers"));
    };
    if by == 0.0 {
        return Err(Problem::at(span, "the step of `range` must not be 0"));
    }
    // A hair is taken off, so that `range(0,0.3,0.1)` excludes its end although 0.3 / 0.1 > 3.
    let count = ((to - from) / by - 1e-9).ceil();
    if count <= 0.0 {
        return Err(Problem::at(
            span,
            "this range is empty (its end is excluded)",
        ));
    }
    if CHOICES_MAX as f64 <= count {
        return Err(Problem::at(span, format!("more than {CHOICES_MAX} values")));
    }
    let whole = match (start, stop, step) {
        (Value::Int(start), Value::Int(_), Value::Int(step)) => Some((*start, *step)),
        _ => None,
    };
    let decimals = decimals(from).max(decimals(by));
    let values = (0..count as i64).map(|i| match whole {
        Some((start, step)) => Value::Int(start.saturating_add(step.saturating_mul(i))),
        // 0.1 * 3 is 0.30000000000000004; what is meant is 0.3.
        None => {
            let exact = from + by * i as f64;
            Value::Float(format!("{exact:.decimals$}").parse().unwrap_or(exact))
        }
    });
    Ok(Domain::choices(values.collect()))
}

/// Digits after the point in the shortest form of `value`.
fn decimals(value: f64) -> usize {
    let text = format!("{value}");
    text.split_once('.').map_or(0, |(_, after)| after.len())
}

fn interval(span: Span, args: &[Arg]) -> Result<Domain, Problem> {
    let found = placed(span, &["start", "end"], args)?;
    let (Some(low), Some(high)) = (found[0], found[1]) else {
        return Err(Problem::at(
            span,
            "`interval` needs two numbers: `interval(0,1)`",
        ));
    };
    let (low, high) = (number(low)?.as_f64(), number(high)?.as_f64());
    match (low, high) {
        (Some(low), Some(high)) if low <= high => Ok(Domain::Interval(Interval {
            low,
            high,
            spread: Spread::Linear,
            number: Number::Float,
        })),
        _ => Err(Problem::at(
            span,
            "the first number must not be above the second",
        )),
    }
}

fn tag(span: Span, mut args: Vec<Arg>) -> Result<Domain, Problem> {
    let Some(Arg {
        element: Element::Domain(domain),
        ..
    }) = args.pop()
    else {
        return Err(Problem::at(
            span,
            "`tag` needs a tag and an interval: `tag(log,interval(1e-4,1e-1))`",
        ));
    };
    for arg in &args {
        if !matches!(&arg.element, Element::Value(Value::Str(tag)) if tag == "log") {
            return Err(Problem::at(arg.span, "the only known tag is `log`"));
        }
    }
    match (args.is_empty(), domain) {
        (true, domain) => Ok(domain),
        (false, Domain::Interval(interval)) if 0.0 < interval.low => {
            Ok(Domain::Interval(Interval {
                spread: Spread::Log,
                ..interval
            }))
        }
        (false, Domain::Interval(_)) => {
            Err(Problem::at(span, "a logarithmic interval must lie above 0"))
        }
        (false, Domain::Choices { .. }) => Err(Problem::at(span, "`tag(log,…)` is for intervals")),
    }
}

fn cast(name: &str, span: Span, mut args: Vec<Arg>) -> Result<Element, Problem> {
    if args.is_empty() {
        return Err(Problem::at(
            span,
            format!("`{name}` needs something to convert"),
        ));
    }
    if args.len() == 1
        && let Some(Arg {
            element: Element::Value(value),
            span,
            ..
        }) = args.first()
    {
        return convert(name, value)
            .map(Element::Value)
            .ok_or_else(|| no_cast(name, value, *span));
    }
    let spans: Vec<Span> = args.iter().map(|a| a.span).collect();
    let only = (args.len() == 1).then(|| args.pop()).flatten();
    let domain = match only {
        Some(arg) => one_domain(vec![arg])?,
        None => one_domain(args)?,
    };
    Ok(Element::Domain(match domain {
        Domain::Choices { values, order } => Domain::Choices {
            values: values
                .iter()
                .enumerate()
                .map(|(i, v)| {
                    let at = spans
                        .get(i)
                        .filter(|_| 1 < spans.len())
                        .copied()
                        .unwrap_or(span);
                    convert(name, v).ok_or_else(|| no_cast(name, v, at))
                })
                .collect::<Result<_, _>>()?,
            order,
        },
        Domain::Interval(interval) => Domain::Interval(match name {
            "int" => whole_interval(interval)
                .ok_or_else(|| Problem::at(span, "there is no whole number in this interval"))?,
            "float" => Interval {
                number: Number::Float,
                ..interval
            },
            _ => return Err(Problem::at(span, format!("`{name}` is not for intervals"))),
        }),
    }))
}

/// Whole numbers up to here are exact as floats.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

fn whole_interval(interval: Interval) -> Option<Interval> {
    // Adding 0 makes -0 a plain 0.
    let (low, high) = (interval.low.ceil() + 0.0, interval.high.floor() + 0.0);
    (low <= high && -EXACT_MAX <= low && high <= EXACT_MAX).then_some(Interval {
        low,
        high,
        number: Number::Int,
        ..interval
    })
}

fn no_cast(name: &str, value: &Value, at: Span) -> Problem {
    Problem::at(at, format!("{} cannot become `{name}`", value.kind()))
}

/// Converts as Hydra does; lists and mappings item by item.
fn convert(name: &str, value: &Value) -> Option<Value> {
    match value {
        Value::List(items) => {
            let items = items.iter().map(|item| convert(name, item));
            return items.collect::<Option<_>>().map(Value::List);
        }
        Value::Map(map) => {
            let items = map
                .iter()
                .map(|(k, v)| Some((k.clone(), convert(name, v)?)));
            return items.collect::<Option<_>>().map(Value::Map);
        }
        _ => {}
    }
    match name {
        "str" => Some(Value::Str(match value {
            Value::Str(text) => text.clone(),
            other => other.to_string(),
        })),
        "bool" => match value {
            Value::Bool(b) => Some(Value::Bool(*b)),
            Value::Int(i) => Some(Value::Bool(*i != 0)),
            Value::Float(x) => Some(Value::Bool(*x != 0.0)),
            Value::Str(s) if s.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
            Value::Str(s) if s.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
            _ => None,
        },
        "int" => match value {
            Value::Bool(b) => Some(Value::Int(i64::from(*b))),
            Value::Int(_) | Value::UInt(_) => Some(value.clone()),
            Value::Float(x) if x.abs() < EXACT_MAX => Some(Value::Int(x.trunc() as i64)),
            Value::Str(s) => s.trim().parse().ok().map(Value::Int),
            _ => None,
        },
        _ => match value {
            Value::Bool(b) => Some(Value::Float(f64::from(u8::from(*b)))),
            Value::Str(s) => {
                let float: f64 = s.trim().parse().ok()?;
                float.is_finite().then_some(Value::Float(float))
            }
            number => number.as_f64().map(Value::Float),
        },
    }
}

fn sort(span: Span, args: Vec<Arg>) -> Result<Element, Problem> {
    let (named, plain): (Vec<Arg>, Vec<Arg>) = args.into_iter().partition(|a| a.name.is_some());
    let reverse = match named.first() {
        None => false,
        Some(arg) => match &arg.element {
            Element::Value(Value::Bool(reverse)) => *reverse,
            _ => return Err(Problem::at(arg.span, "expected `reverse=true`")),
        },
    };
    if plain.is_empty() {
        return Err(Problem::at(span, "`sort` needs values"));
    }
    let is_list = plain.len() == 1 && matches!(plain[0].element, Element::Value(Value::List(_)));
    let (mut values, order) = match one_domain(plain)? {
        Domain::Choices { mut values, .. } if is_list => match values.pop() {
            Some(Value::List(items)) => (items, Order::Given),
            _ => return Err(Problem::at(span, "expected a list")),
        },
        Domain::Choices { values, .. } => (values, Order::Given),
        Domain::Interval(_) => return Err(Problem::at(span, "an interval has no order to sort")),
    };
    let all_numbers = values.iter().all(|v| v.as_f64().is_some());
    let all_texts = values.iter().all(|v| v.as_str().is_some());
    if !all_numbers && !all_texts {
        return Err(Problem::at(
            span,
            "only numbers or only texts can be sorted",
        ));
    }
    values.sort_by(|a, b| match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.as_str().cmp(&b.as_str()),
    });
    if reverse {
        values.reverse();
    }
    Ok(if is_list {
        Element::Value(Value::List(values))
    } else {
        Element::Domain(Domain::Choices { values, order })
    })
}

fn shuffle(span: Span, args: Vec<Arg>) -> Result<Element, Problem> {
    if args.is_empty() {
        return Err(Problem::at(span, "`shuffle` needs values"));
    }
    match one_domain(args)? {
        Domain::Choices { values, .. } => Ok(Element::Domain(Domain::Choices {
            values,
            order: Order::Shuffled,
        })),
        Domain::Interval(_) => Err(Problem::at(span, "an interval has no order to shuffle")),
    }
}
