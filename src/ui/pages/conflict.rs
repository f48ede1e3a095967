//! Texts that people edit in forms: a form says with which text it began, so that what somebody else
//! wrote meanwhile is not lost. Imports: base, http, `ui::*`.

use askama::Template;

use crate::base::ContentHash;
use crate::http::{Response, StatusCode};
use crate::mlflow::Refused;
use crate::ui::asked::{Asked, Query};
use crate::ui::layout::Layout;
use crate::ui::reply;

/// The field of a form that holds `mark` of the text that it began with.
const BEGAN: &str = "began";

/// Two people wrote one text: shows both.
#[derive(Template)]
#[template(path = "pages/conflict.html")]
pub(super) struct Conflict {
    pub(super) layout: Layout,
    /// The address of the form, and what it says beside the text.
    pub(super) action: String,
    pub(super) hidden: Vec<(&'static str, &'static str)>,
    /// The name of its text.
    pub(super) field: &'static str,
    /// What was to be saved.
    pub(super) own: String,
    /// What is there now.
    pub(super) now: String,
    /// Where it is shown.
    pub(super) back: String,
}

impl Conflict {
    /// Answers with both texts.
    ///
    /// # Errors
    /// The page cannot be written, which is a mistake of ours.
    pub(super) fn answer(&self, asked: &Asked) -> Result<Response, Refused> {
        let mut response = reply::html(asked, self)?;
        *response.status_mut() = StatusCode::CONFLICT;
        Ok(response)
    }

    /// Who saves now has seen what is there now.
    fn began(&self) -> String {
        mark(&self.now)
    }
}

/// Returns what a form says of the text that it begins with.
pub(super) fn mark(text: &str) -> String {
    ContentHash::of(text.as_bytes()).to_string()
}

/// Returns what a form says of the text that it began with; `None`: nothing, as one of a script.
pub(super) fn began(form: &Query) -> Option<String> {
    form.filled(BEGAN).map(str::to_owned)
}

/// Is there another text by now than a form began with, and than is wanted?
pub(super) fn is_stale(began: Option<&str>, now: &str, wanted: &str) -> bool {
    now != wanted && began.is_some_and(|began| began != mark(now))
}

/// Returns a text of a form as it is kept: browsers send line breaks as CR LF.
pub(super) fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_stale_when_another_one_is_there() {
        let old = mark("old");
        for (began, now, wanted, expected) in [
            (Some(&old), "old", "new", false),
            (Some(&old), "other", "new", true),
            // Two people wrote the same.
            (Some(&old), "new", "new", false),
            (None, "other", "new", false),
        ] {
            let stale = is_stale(began.map(String::as_str), now, wanted);
            assert_eq!(stale, expected, "{now} {wanted}");
        }
    }
}
