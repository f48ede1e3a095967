//! One request as handlers get it: headers, query, id, body; and what it may ask for beside.
//! Imports: warp, `http`, `form_urlencoded`, `percent_encoding`, `serve::{refusal, served}`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;
use warp::Filter;
use warp::http::HeaderMap;

use crate::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use crate::http::{BodyBudget, Matched, RequestId};

use super::refusal::{FieldProblem, Refusal};
use super::served::Wanted;
use super::service::Ends;

/// The header with which a client shortens the time it waits.
const TIMEOUT_HEADER: &str = "x-request-timeout-ms";

/// The header by which a client stays on one side of a canary.
const CANARY_HEADER: &str = "x-canary-key";

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) headers: HeaderMap,
    pub(super) query: String,
    pub(super) id: RequestId,
    pub(super) body: Bytes,
    /// The place of its route in the table.
    pub(super) route: usize,
    /// What stands for the placeholders of the route, decoded.
    pub(super) params: Vec<String>,
    /// The memory that bodies may take together, for handlers that unpack this one. `http` gives it.
    pub(super) body_budget: Option<BodyBudget>,
}

/// Returns the filter that takes everything out of a request.
pub(super) fn ask() -> impl Filter<Extract = (Ask,), Error = warp::Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::header::headers_cloned()
        .and(query)
        .and(warp::ext::get::<RequestId>())
        .and(warp::body::bytes())
        .and(warp::ext::get::<Matched>())
        .and(warp::ext::optional::<BodyBudget>())
        .map(
            |headers, query, id, body, matched: Matched, body_budget| Ask {
                headers,
                query,
                id,
                body,
                route: matched.route,
                params: matched.params.iter().map(|text| decoded(text)).collect(),
                body_budget,
            },
        )
}

/// Paths come as they were sent; a name that is no text is the name of nothing.
fn decoded(text: &str) -> String {
    let text = percent_encoding::percent_decode_str(text);
    text.decode_utf8_lossy().into_owned()
}

/// Query parameters of `/predict`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Options {
    /// How many classes; all of them if not given.
    pub(super) top_k: Option<usize>,
    /// Below this probability there is no label.
    pub(super) threshold: Option<f32>,
}

/// Which model a request names; the first one, whichever version, if it names none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Which {
    /// The name under which it is served.
    pub(super) model: Option<String>,
    /// The version that is to answer.
    pub(super) version: Option<String>,
    /// The alias of the version that is to answer.
    pub(super) alias: Option<String>,
}

impl Which {
    /// Returns which version is wanted.
    pub(super) fn wanted<'a>(&'a self, ask: &'a Ask) -> Wanted<'a> {
        match (&self.version, &self.alias) {
            (Some(version), _) => Wanted::Version(version),
            (None, Some(alias)) => Wanted::Alias(alias),
            (None, None) => ask.any_version(),
        }
    }
}

impl Ask {
    /// Returns what stands for the first placeholder of the route.
    pub(super) fn param(&self) -> &str {
        self.params.first().map_or("", String::as_str)
    }

    /// Asks for whichever version is to answer this client: who sends the header `X-Canary-Key` gets the
    /// same one each time.
    pub(super) fn any_version(&self) -> Wanted<'_> {
        let key = self.headers.get(CANARY_HEADER);
        let key = key.and_then(|key| key.to_str().ok());
        Wanted::Any {
            key: key.unwrap_or(self.id.as_str()),
        }
    }

    /// Returns which model the query names: `model`, and `version` or `alias`.
    pub(super) fn which(&self) -> Which {
        let mut which = Which::default();
        for (key, value) in form_urlencoded::parse(self.query.as_bytes()) {
            match &*key {
                "model" => which.model = Some(value.into_owned()),
                "version" => which.version = Some(value.into_owned()),
                "alias" => which.alias = Some(value.into_owned()),
                _ => {}
            }
        }
        which
    }

    /// Returns the header `Content-Type`, if it is text.
    pub(super) fn content_type(&self) -> Option<&str> {
        let value = self.headers.get(CONTENT_TYPE)?;
        Some(value.to_str().unwrap_or("unreadable"))
    }

    /// Is the body sent as it is? Compressed ones are not read.
    pub(super) fn require_plain(&self) -> Result<(), Refusal> {
        for value in self.headers.get_all(CONTENT_ENCODING) {
            let coding = value.to_str().unwrap_or("unreadable").trim();
            if !coding.eq_ignore_ascii_case("identity") {
                return Err(Refusal::content_encoding(coding));
            }
        }
        Ok(())
    }

    /// Returns when this request is given up: after `limit`, or earlier if the client says so.
    pub(super) fn ends(&self, limit: Duration) -> Result<Ends, Refusal> {
        let timeout = match self.headers.get(TIMEOUT_HEADER) {
            None => limit,
            Some(value) => {
                let text = value.to_str().unwrap_or_default();
                let wrong = || {
                    let loc = [json!("header"), json!(TIMEOUT_HEADER)];
                    let msg =
                        "Input should be a valid integer, unable to parse string as an integer";
                    let problem = FieldProblem::new("int_parsing", loc, msg, &json!(text));
                    Refusal::invalid(vec![problem])
                };
                // The largest one is that of the description's `int64`.
                let ms: i64 = text.trim().parse().map_err(|_| wrong())?;
                let ms = u64::try_from(ms).map_err(|_| wrong())?;
                limit.min(Duration::from_millis(ms))
            }
        };
        Ok(Ends {
            at: Instant::now() + timeout,
            timeout,
        })
    }

    /// Reads the query; parameters that are not known are left alone, as FastAPI does.
    pub(super) fn options(&self) -> Result<Options, Refusal> {
        let mut options = Options::default();
        let mut problems = Vec::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "top_k" => match top_k(value) {
                    Ok(k) => options.top_k = Some(k),
                    Err(problem) => problems.push(*problem),
                },
                "threshold" => match threshold(value) {
                    Ok(threshold) => options.threshold = Some(threshold),
                    Err(problem) => problems.push(*problem),
                },
                _ => {}
            }
        }
        if problems.is_empty() {
            Ok(options)
        } else {
            Err(Refusal::invalid(problems))
        }
    }
}

fn loc(key: &str) -> [Value; 2] {
    [json!("query"), json!(key)]
}

fn top_k(value: &str) -> Result<usize, Box<FieldProblem>> {
    let input = json!(value);
    let Ok(k) = value.parse::<i64>() else {
        let msg = "Input should be a valid integer, unable to parse string as an integer";
        let problem = FieldProblem::new("int_parsing", loc("top_k"), msg, &input);
        return Err(Box::new(problem));
    };
    match usize::try_from(k) {
        Ok(k) if 0 < k => Ok(k),
        _ => {
            let msg = "Input should be greater than or equal to 1";
            let problem = FieldProblem::new("greater_than_equal", loc("top_k"), msg, &input);
            Err(Box::new(problem.ctx(json!({"ge": 1}))))
        }
    }
}

fn threshold(value: &str) -> Result<f32, Box<FieldProblem>> {
    let input = json!(value);
    match value.parse::<f32>() {
        Ok(threshold) if (0.0..=1.0).contains(&threshold) => Ok(threshold),
        Ok(threshold) if threshold < 0.0 => {
            let msg = "Input should be greater than or equal to 0";
            let problem = FieldProblem::new("greater_than_equal", loc("threshold"), msg, &input);
            Err(Box::new(problem.ctx(json!({"ge": 0}))))
        }
        Ok(threshold) if 1.0 < threshold => {
            let msg = "Input should be less than or equal to 1";
            let problem = FieldProblem::new("less_than_equal", loc("threshold"), msg, &input);
            Err(Box::new(problem.ctx(json!({"le": 1}))))
        }
        _ => {
            let msg = "Input should be a valid number, unable to parse string as a number";
            let problem = FieldProblem::new("float_parsing", loc("threshold"), msg, &input);
            Err(Box::new(problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str, timeout: Option<&str>) -> Ask {
        let mut headers = HeaderMap::new();
        if let Some(timeout) = timeout {
            headers.insert(TIMEOUT_HEADER, timeout.parse().unwrap());
        }
        Ask {
            headers,
            query: query.to_owned(),
            id: RequestId::new(),
            body: Bytes::new(),
            route: 0,
            params: Vec::new(),
            body_budget: None,
        }
    }

    #[test]
    fn names_in_paths_are_decoded() {
        for (sent, name) in [
            ("digits", "digits"),
            ("a%20%2Fb", "a /b"),
            ("%33", "3"),
            ("a:b+c", "a:b+c"),
            ("100%", "100%"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(decoded(sent), name, "{sent}");
        }
    }

    #[test]
    fn query_parameters() {
        let read = |query: &str| ask(query, None).options();
        let expected = Options {
            top_k: Some(3),
            threshold: Some(0.5),
        };
        assert_eq!(read("top_k=3&threshold=0.5&other=1"), Ok(expected));
        assert_eq!(read(""), Ok(Options::default()));
        for (query, kind) in [
            ("top_k=x", "int_parsing"),
            ("top_k=0", "greater_than_equal"),
            ("threshold=2", "less_than_equal"),
            ("threshold=nan", "float_parsing"),
        ] {
            let refusal = read(query).unwrap_err();
            assert_eq!(refusal.status.as_u16(), 422);
            assert_eq!(refusal.item()["detail"][0]["type"], kind, "{query}");
        }
        let both = read("top_k=-1&threshold=-1").unwrap_err();
        assert_eq!(both.item()["detail"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_client_may_only_shorten_its_time() {
        let limit = Duration::from_secs(10);
        let ends = |timeout| ask("", timeout).ends(limit).map(|ends| ends.timeout);
        assert_eq!(ends(None), Ok(limit));
        assert_eq!(ends(Some("250")), Ok(Duration::from_millis(250)));
        assert_eq!(ends(Some("60000")), Ok(limit));
        assert!(ends(Some("soon")).is_err());
    }
}
