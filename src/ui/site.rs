//! All pages of one project, as a server takes them (`mlflow::Pages`). Imports: http, mlflow,
//! project, `ui::*`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use askama::Template;

use crate::http::header::{
    CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use crate::http::{HeaderMap, Rendered, Response, Route};
use crate::mlflow::rest::Access;
use crate::mlflow::{Code, PageAsk, Pages, Refused};
use crate::project::Project;

use super::asked::Asked;
use super::eye::Eye;
use super::layout::{Layout, Section};
use super::looks::Looks;
use super::memo::Memo;
use super::pages;
use super::pages::serving::Watch;

/// What a page may do: show what this server sends, and ask it for more.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data: blob:; connect-src 'self'; frame-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// Memory for parsed files: two large evaluations beside each other, and the pictures of both.
const PARSED_BYTES_MAX: usize = 512 << 20;

/// The largest form, bytes.
const FORM_BYTES_MAX: u64 = 1 << 20;

/// What answers a route.
#[derive(Clone, Copy)]
pub(super) struct Endpoint {
    /// How it is asked.
    pub(super) how: How,
    /// Its path, in the form of `http::Route`.
    pub(super) path: &'static str,
    /// Who may.
    pub(super) access: Access,
    /// Answers it; runs on a thread that may wait.
    pub(super) answer: fn(&Site, &Asked) -> Result<Response, Refused>,
}

/// How a route is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// For something to look at.
    Get,
    /// To change something, with a form.
    Post,
}

impl Endpoint {
    /// Something to look at.
    pub(super) const fn get(
        path: &'static str,
        answer: fn(&Site, &Asked) -> Result<Response, Refused>,
    ) -> Self {
        Self {
            how: How::Get,
            path,
            access: Access::Read,
            answer,
        }
    }

    /// A change, by a form.
    pub(super) const fn post(
        path: &'static str,
        answer: fn(&Site, &Asked) -> Result<Response, Refused>,
    ) -> Self {
        Self {
            how: How::Post,
            path,
            access: Access::Write,
            answer,
        }
    }

    fn route(&self) -> Route {
        match self.how {
            How::Get => Route::get(self.path),
            How::Post => Route::post(self.path, FORM_BYTES_MAX),
        }
    }
}

/// What the pages are of.
#[derive(Debug)]
pub struct Options {
    /// The project.
    pub project: Project,
    /// Where the project's prediction server answers: `http://127.0.0.1:5001`.
    pub serve_url: String,
    /// Sees pictures in prepared data, in a program that was built with vision.
    pub eye: Option<Arc<dyn Eye>>,
    /// The environment, for stages that depend on variables.
    pub env: BTreeMap<String, String>,
}

/// The pages of one project.
pub struct Site {
    pub(super) project: Project,
    pub(super) serve_url: String,
    pub(super) eye: Option<Arc<dyn Eye>>,
    /// Predictions and lists of pictures that were looked at last.
    pub(super) parsed: Memo,
    /// How the stages are.
    pub(super) looks: Arc<Looks>,
    /// What the cache takes.
    pub(super) disk: Arc<pages::Disk>,
    /// What was seen of the prediction server.
    pub(super) serving: Arc<Watch>,
    endpoints: Vec<Endpoint>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Site").field(&self.project.root).finish()
    }
}

impl Site {
    /// Puts the pages together.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            looks: Looks::new(&options.project, options.env),
            disk: Arc::default(),
            project: options.project,
            serve_url: options.serve_url,
            eye: options.eye,
            parsed: Memo::new(PARSED_BYTES_MAX),
            serving: Arc::default(),
            endpoints: pages::TABLES.iter().copied().flatten().copied().collect(),
        }
    }
}

impl Pages for Site {
    fn routes(&self) -> Vec<(Route, Access)> {
        let endpoints = self.endpoints.iter();
        endpoints
            .map(|endpoint| (endpoint.route(), endpoint.access))
            .collect()
    }

    fn answer(&self, ask: PageAsk) -> Result<Response, Refused> {
        let endpoint = self.endpoints.get(ask.route).ok_or_else(Refused::bug)?;
        (endpoint.answer)(self, &Asked::from(ask))
    }

    fn refused(&self, refused: &Refused) -> Rendered {
        let title = match refused.code {
            Code::ResourceDoesNotExist | Code::EndpointNotFound => "Not found",
            Code::Unauthenticated | Code::PermissionDenied => "Not allowed",
            Code::InternalError => "Something broke",
            Code::TemporarilyUnavailable | Code::RequestLimitExceeded => "Not now",
            _ => "That did not work",
        };
        let page = RefusedPage {
            layout: Layout::bare(self, Section::Other, title),
            message: &refused.message,
        };
        // Only a mistake in the template can keep it from being written.
        let text = page.render().unwrap_or_else(|_| title.to_owned());
        let mut rendered = Rendered::html(text);
        self.protect(&mut rendered.headers);
        rendered
    }

    fn protect(&self, headers: &mut HeaderMap) {
        let always = [
            (X_FRAME_OPTIONS, "SAMEORIGIN"),
            (REFERRER_POLICY, "same-origin"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        for (name, value) in always {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // Files of others have a stricter one.
        if !headers.contains_key(CONTENT_SECURITY_POLICY) {
            headers.insert(
                CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(PAGE_POLICY),
            );
        }
    }
}

/// Says what was refused.
#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    layout: Layout,
    message: &'a str,
}
