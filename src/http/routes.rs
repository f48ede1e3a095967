//! The table of routes: which paths there are, which methods each knows, how large its bodies may be.
//!
//! Asked before warp is: warp's rejections mix up "no such path" and "no such method", and it reads
//! bodies of any size. Imports: nothing of ours.

use std::collections::BTreeMap;

use hyper::Method;
use hyper::header::HeaderValue;

/// One route of a server.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its method. `GET` also answers `HEAD`; `OPTIONS` needs no route.
    pub method: Method,
    /// Its path. A segment `{name}` stands for any one segment, `{name}:verb` for one that ends
    /// with `:verb`.
    pub template: &'static str,
    /// Larger bodies are refused, bytes.
    pub body_max: u64,
}

impl Route {
    /// Describes a route that takes no body.
    #[must_use]
    pub fn get(template: &'static str) -> Self {
        Self {
            method: Method::GET,
            template,
            body_max: 0,
        }
    }

    /// Describes a route that takes a body of at most `body_max` bytes.
    #[must_use]
    pub fn post(template: &'static str, body_max: u64) -> Self {
        Self {
            method: Method::POST,
            template,
            body_max,
        }
    }
}

/// One path with its methods.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) template: &'static str,
    /// Methods with the limit of their bodies, in the order of the table.
    pub(super) methods: Vec<(Method, u64)>,
    /// The value of `Allow`.
    pub(super) allow: HeaderValue,
}

/// What the table says of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No such path.
    Nothing,
    /// The path is number `path`, and knows other methods only.
    OtherMethods {
        /// The path.
        path: usize,
    },
    /// A route.
    Route {
        /// The path.
        path: usize,
        /// Which of its methods.
        method: usize,
    },
}

/// All routes of a server.
#[derive(Debug)]
pub struct RouteTable {
    paths: Vec<Path>,
    exact: BTreeMap<&'static str, usize>,
    /// Paths with a placeholder, the ones with the longest fixed text first.
    templates: Vec<(Vec<Segment>, usize)>,
}

#[derive(Debug)]
enum Segment {
    Fixed(&'static str),
    Any { suffix: &'static str },
}

impl RouteTable {
    /// Puts `routes` into a table. Of two routes with the same method and template the first counts.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let mut paths: Vec<Path> = Vec::new();
        let mut numbers: BTreeMap<&'static str, usize> = BTreeMap::new();
        for route in routes {
            let index = *numbers.entry(route.template).or_insert_with(|| {
                paths.push(Path {
                    template: route.template,
                    methods: Vec::new(),
                    allow: HeaderValue::from_static(""),
                });
                paths.len() - 1
            });
            let methods = &mut paths[index].methods;
            if !methods.iter().any(|(method, _)| *method == route.method) {
                methods.push((route.method, route.body_max));
            }
        }
        for path in &mut paths {
            path.allow = allow(&path.methods);
        }
        let (templates, exact): (Vec<_>, Vec<_>) = numbers
            .into_iter()
            .partition(|(template, _)| template.contains('{'));
        let mut templates: Vec<_> = templates
            .into_iter()
            .map(|(template, index)| (segments(template), index))
            .collect();
        templates.sort_by_key(|(segments, _)| std::cmp::Reverse(fixed_chars(segments)));
        Self {
            paths,
            exact: exact.into_iter().collect(),
            templates,
        }
    }

    /// Returns all paths; `Found` names them by number.
    pub(super) fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Looks `path` up, and the method in it.
    pub(super) fn find(&self, method: &Method, path: &str) -> Found {
        let found = self.exact.get(path).copied().or_else(|| {
            self.templates
                .iter()
                .find(|(segments, _)| fits(segments, path))
                .map(|(_, index)| *index)
        });
        let Some(index) = found else {
            return Found::Nothing;
        };
        let methods = &self.paths[index].methods;
        let position = |wanted: &Method| methods.iter().position(|(m, _)| m == wanted);
        let with_get = || {
            (method == Method::HEAD)
                .then(|| position(&Method::GET))
                .flatten()
        };
        match position(method).or_else(with_get) {
            Some(method) => Found::Route {
                path: index,
                method,
            },
            None => Found::OtherMethods { path: index },
        }
    }
}

fn allow(methods: &[(Method, u64)]) -> HeaderValue {
    let mut names: Vec<&str> = methods.iter().map(|(m, _)| m.as_str()).collect();
    for (more, when) in [("HEAD", names.contains(&"GET")), ("OPTIONS", true)] {
        if when && !names.contains(&more) {
            names.push(more);
        }
    }
    // Method names are tokens, which a header value may hold.
    HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}

fn segments(template: &'static str) -> Vec<Segment> {
    template
        .split('/')
        .map(
            |part| match part.strip_prefix('{').and_then(|p| p.split_once('}')) {
                Some((_, suffix)) => Segment::Any { suffix },
                None => Segment::Fixed(part),
            },
        )
        .collect()
}

fn fixed_chars(segments: &[Segment]) -> usize {
    segments
        .iter()
        .map(|segment| match segment {
            Segment::Fixed(text) => text.len() + 1,
            Segment::Any { suffix } => suffix.len(),
        })
        .sum()
}

fn fits(segments: &[Segment], path: &str) -> bool {
    let mut parts = path.split('/');
    let all = segments
        .iter()
        .all(|segment| match (segment, parts.next()) {
            (_, None) => false,
            (Segment::Fixed(text), Some(part)) => *text == part,
            (Segment::Any { suffix }, Some(part)) => {
                part.len() > suffix.len() && part.ends_with(suffix)
            }
        });
    all && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_before_methods() {
        let table = RouteTable::new(vec![
            Route::get("/health"),
            Route::post("/predict", 10),
            Route::get("/predict"),
            Route::get("/v1/models/{name}"),
            Route::post("/v1/models/{name}:predict", 10),
        ]);
        let found = |method: &str, path: &str| match table.find(&method.parse().unwrap(), path) {
            Found::Nothing => "nothing".to_owned(),
            Found::OtherMethods { path } => {
                format!("allow {}", table.paths()[path].allow.to_str().unwrap())
            }
            Found::Route { path, method } => {
                let path = &table.paths()[path];
                format!("{} {}", path.methods[method].0, path.template)
            }
        };
        for (method, path, expected) in [
            ("GET", "/health", "GET /health"),
            ("HEAD", "/health", "GET /health"),
            ("POST", "/health", "allow GET, HEAD, OPTIONS"),
            ("DELETE", "/predict", "allow POST, GET, HEAD, OPTIONS"),
            ("BREW", "/predict", "allow POST, GET, HEAD, OPTIONS"),
            ("GET", "/health/", "nothing"),
            ("GET", "/", "nothing"),
            ("GET", "/v1/models/digits", "GET /v1/models/{name}"),
            (
                "POST",
                "/v1/models/digits:predict",
                "POST /v1/models/{name}:predict",
            ),
            ("POST", "/v1/models/digits", "allow GET, HEAD, OPTIONS"),
            ("GET", "/v1/models/", "nothing"),
            ("GET", "/v1/models/a/b", "nothing"),
        ] {
            assert_eq!(found(method, path), expected, "{method} {path}");
        }
    }
}
