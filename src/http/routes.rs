//! The table of routes: which paths there are, which methods each knows, how large its bodies may be
//! and whether they are collected or streamed.
//!
//! Asked before warp is: warp's rejections mix up "no such path" and "no such method", and it reads
//! bodies of any size. Imports: nothing of ours.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hyper::Method;
use hyper::header::HeaderValue;

use super::places::Probes;

/// What becomes of a request's body before the filter is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// It is read to its end; the filter finds it as the body.
    Collected,
    /// It is left where it is; the filter finds an `Upload` among the request's extensions.
    Streamed,
}

/// To whom a route is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// To the connections that the server may have.
    WithinLimit,
    /// To a few more, too: it says how the server is, and costs next to nothing.
    Always,
}

/// One route of a server.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its method. `GET` also answers `HEAD`; `OPTIONS` needs no route.
    pub method: Method,
    /// Its path. A segment `{name}` stands for any one segment, `{name}:verb` for one that ends
    /// with `:verb`, a last segment `{*name}` for all that follows, at least one character.
    pub template: Cow<'static, str>,
    /// Larger bodies are refused, bytes.
    pub body_max: u64,
    /// What becomes of its body.
    pub intake: Intake,
    /// To whom it is answered.
    pub admission: Admission,
}

impl Route {
    /// Describes a route that takes a body of at most `body_max` bytes.
    #[must_use]
    pub fn new(method: Method, template: impl Into<Cow<'static, str>>, body_max: u64) -> Self {
        Self {
            method,
            template: template.into(),
            body_max,
            intake: Intake::Collected,
            admission: Admission::WithinLimit,
        }
    }

    /// Describes a route that takes no body.
    #[must_use]
    pub fn get(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::GET, template, 0)
    }

    /// Describes a route that takes a body of at most `body_max` bytes.
    #[must_use]
    pub fn post(template: impl Into<Cow<'static, str>>, body_max: u64) -> Self {
        Self::new(Method::POST, template, body_max)
    }

    /// Describes a route that takes no body and is answered to a few connections beyond their limit, too.
    #[must_use]
    pub fn probe(template: impl Into<Cow<'static, str>>) -> Self {
        Self {
            admission: Admission::Always,
            ..Self::get(template)
        }
    }

    /// Leaves bodies to the filter.
    #[must_use]
    pub fn streamed(mut self) -> Self {
        self.intake = Intake::Streamed;
        self
    }
}

/// Which route a request took; among its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// The route's place among those that the table was made of.
    pub route: usize,
    /// What stands for the placeholders, in order, as in the URL: not decoded.
    pub params: Vec<String>,
}

/// One path with its methods.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) template: Cow<'static, str>,
    segments: Vec<Segment>,
    /// In the order of the table.
    pub(super) methods: Vec<Known>,
    /// The methods that are answered: those of the table, HEAD where there is GET, OPTIONS.
    pub(super) answered: Vec<Method>,
    /// The value of `Allow`: these.
    pub(super) allow: HeaderValue,
}

/// A method of a path.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) method: Method,
    pub(super) body_max: u64,
    pub(super) intake: Intake,
    pub(super) admission: Admission,
    /// Its route's place in the table.
    route: usize,
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
    exact: BTreeMap<Cow<'static, str>, usize>,
    /// Paths with a placeholder, the ones with the longest fixed text first.
    templates: Vec<usize>,
}

#[derive(Debug)]
enum Segment {
    Fixed(String),
    Any { suffix: String },
    Tail,
}

impl RouteTable {
    /// Puts `routes` into a table. Of two routes with the same method and template the first counts.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let mut paths: Vec<Path> = Vec::new();
        let mut numbers: BTreeMap<Cow<'static, str>, usize> = BTreeMap::new();
        for (place, route) in routes.into_iter().enumerate() {
            let index = *numbers.entry(route.template.clone()).or_insert_with(|| {
                paths.push(Path {
                    segments: segments(&route.template),
                    template: route.template,
                    methods: Vec::new(),
                    answered: Vec::new(),
                    allow: HeaderValue::from_static(""),
                });
                paths.len() - 1
            });
            let methods = &mut paths[index].methods;
            if !methods.iter().any(|known| known.method == route.method) {
                methods.push(Known {
                    method: route.method,
                    body_max: route.body_max,
                    intake: route.intake,
                    admission: route.admission,
                    route: place,
                });
            }
        }
        for path in &mut paths {
            path.answered = answered(&path.methods);
            path.allow = allow(&path.answered);
        }
        let (templates, exact): (Vec<_>, Vec<_>) = numbers
            .into_iter()
            .partition(|(template, _)| template.contains('{'));
        let mut templates: Vec<usize> = templates.into_iter().map(|(_, index)| index).collect();
        templates.sort_by_key(|index| precision(&paths[*index].segments));
        Self {
            paths,
            exact: exact.into_iter().collect(),
            templates,
        }
    }

    /// Are there routes that are answered beyond the limit of connections?
    pub(super) fn probes(&self) -> Probes {
        let mut methods = self.paths.iter().flat_map(|path| &path.methods);
        if methods.any(|known| known.admission == Admission::Always) {
            Probes::Present
        } else {
            Probes::Absent
        }
    }

    /// Returns to whom a request is answered of which this was found.
    pub(super) fn admission(&self, found: &Found) -> Admission {
        match found {
            Found::Nothing | Found::OtherMethods { .. } => Admission::WithinLimit,
            Found::Route { path, method } => self.paths[*path].methods[*method].admission,
        }
    }

    /// Returns all paths; `Found` names them by number.
    pub(super) fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Looks `path` up, and the method in it.
    pub(super) fn find(&self, method: &Method, path: &str) -> Found {
        let found = self.exact.get(path).copied().or_else(|| {
            let mut templates = self.templates.iter().copied();
            templates.find(|index| fits(&self.paths[*index].segments, path))
        });
        let Some(index) = found else {
            return Found::Nothing;
        };
        let methods = &self.paths[index].methods;
        let position = |wanted: &Method| methods.iter().position(|known| known.method == *wanted);
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

impl Path {
    /// Returns what a request for `path`, which was found here, took.
    pub(super) fn matched(&self, method: usize, path: &str) -> Matched {
        let mut params = Vec::new();
        let mut rest = path;
        for segment in &self.segments {
            let (part, after) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::Fixed(_) => {}
                Segment::Any { suffix } => {
                    params.push(
                        part.strip_suffix(suffix.as_str())
                            .unwrap_or(part)
                            .to_owned(),
                    );
                }
                Segment::Tail => params.push(rest.to_owned()),
            }
            rest = after;
        }
        Matched {
            route: self.methods[method].route,
            params,
        }
    }
}

fn answered(methods: &[Known]) -> Vec<Method> {
    let mut all: Vec<Method> = methods.iter().map(|known| known.method.clone()).collect();
    let has_get = all.contains(&Method::GET);
    for (more, when) in [(Method::HEAD, has_get), (Method::OPTIONS, true)] {
        if when && !all.contains(&more) {
            all.push(more);
        }
    }
    all
}

fn allow(answered: &[Method]) -> HeaderValue {
    let names: Vec<&str> = answered.iter().map(Method::as_str).collect();
    // Method names are tokens, which a header value may hold.
    HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}

fn segments(template: &str) -> Vec<Segment> {
    template
        .split('/')
        .map(
            |part| match part.strip_prefix('{').and_then(|p| p.split_once('}')) {
                Some((name, _)) if name.starts_with('*') => Segment::Tail,
                Some((_, suffix)) => Segment::Any {
                    suffix: suffix.to_owned(),
                },
                None => Segment::Fixed(part.to_owned()),
            },
        )
        .collect()
}

/// Sorts the more precise before the less: by fixed text, and a tail after a single segment.
fn precision(segments: &[Segment]) -> (std::cmp::Reverse<usize>, bool) {
    let fixed = segments.iter().map(|segment| match segment {
        Segment::Fixed(text) => text.len() + 1,
        Segment::Any { suffix } => suffix.len(),
        Segment::Tail => 0,
    });
    let has_tail = segments.iter().any(|s| matches!(s, Segment::Tail));
    (std::cmp::Reverse(fixed.sum()), has_tail)
}

fn fits(segments: &[Segment], path: &str) -> bool {
    let mut parts = path.split('/');
    for segment in segments {
        let Some(part) = parts.next() else {
            return false;
        };
        let does = match segment {
            Segment::Fixed(text) => *text == part,
            Segment::Any { suffix } => part.len() > suffix.len() && part.ends_with(suffix.as_str()),
            Segment::Tail => return !part.is_empty() || parts.next().is_some(),
        };
        if !does {
            return false;
        }
    }
    parts.next().is_none()
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
                format!("{} {}", path.methods[method].method, path.template)
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

    #[test]
    fn placeholders_are_handed_on_as_they_stand_in_the_url() {
        let put = |template| Route::new(Method::PUT, template, 10).streamed();
        let table = RouteTable::new(vec![
            Route::get("/files"),
            put("/files/{*path}"),
            Route::get("/files/{*path}"),
            Route::get("/files/{id}/tags/{key}"),
            Route::new(Method::PATCH, "/m/{name}:stage", 10),
            Route::get("/m/{name}"),
            Route::get("/m/{name}/tags"),
        ]);
        let matched = |method: &str, path: &str| {
            let found = table.find(&method.parse().unwrap(), path);
            let Found::Route { path: at, method } = found else {
                return format!("{found:?}");
            };
            let at = &table.paths()[at];
            let matched = at.matched(method, path);
            format!("{} {:?}", matched.route, matched.params)
        };
        for (method, path, expected) in [
            ("PUT", "/files/a/b%20c/", "1 [\"a/b%20c/\"]"),
            ("GET", "/files/a", "2 [\"a\"]"),
            ("HEAD", "/files/a//b", "2 [\"a//b\"]"),
            ("GET", "/files//b", "2 [\"/b\"]"),
            ("GET", "/files", "0 []"),
            ("GET", "/files/", "Nothing"),
            ("GET", "/files/7/tags/k", "3 [\"7\", \"k\"]"),
            ("GET", "/files/7/tags/k/l", "2 [\"7/tags/k/l\"]"),
            ("PATCH", "/m/x:stage", "4 [\"x\"]"),
            ("GET", "/m/x", "5 [\"x\"]"),
            ("PATCH", "/m/x:y:stage", "4 [\"x:y\"]"),
            ("GET", "/m/x:y", "5 [\"x:y\"]"),
            ("GET", "/m/x%3Astage", "5 [\"x%3Astage\"]"),
            ("GET", "/m/tags", "5 [\"tags\"]"),
            ("GET", "/m/tags/tags", "6 [\"tags\"]"),
            ("GET", "/m/x:y/tags", "6 [\"x:y\"]"),
        ] {
            assert_eq!(matched(method, path), expected, "{method} {path}");
        }
    }
}
