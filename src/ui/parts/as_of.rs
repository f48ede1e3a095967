//! Of when it is what a page says of the stages, where that is long ago. Imports: `ui::{looks, parts}`.

use askama::Template;
use askama::filters::HtmlSafe;

use super::time::Ago;
use crate::ui::looks::{Anew, Told};

/// Says it, or nothing.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    ext = "html",
    source = "{% if let Some((at, anew)) = old %}<p class=\"muted\">The stages as of {{ at }}{% match anew %}{% when Anew::GoesOn %}; they are being judged anew{% when Anew::Later %}{% endmatch %}.</p>{% endif %}"
)]
pub(in crate::ui) struct AsOf {
    old: Option<(Ago, Anew)>,
}

/// Nothing of it comes from outside.
impl HtmlSafe for AsOf {}

impl AsOf {
    pub(in crate::ui) fn of(told: &Told, now_ms: i64) -> Self {
        let old = told.if_old(now_ms);
        Self {
            old: old.map(|(at_ms, anew)| (Ago { at_ms, now_ms }, anew)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_what_is_old_is_told() {
        let told = |old: Option<(i64, Anew)>| {
            let now_ms = 300_000;
            let old = old.map(|(at_ms, anew)| (Ago { at_ms, now_ms }, anew));
            AsOf { old }.render().unwrap()
        };
        assert_eq!(told(None), "");
        assert_eq!(
            told(Some((0, Anew::GoesOn))),
            "<p class=\"muted\">The stages as of <time datetime=\"1970-01-01T00:00:00Z\" title=\"1970-01-01T00:00:00Z\">5 min ago</time>; they are being judged anew.</p>"
        );
        assert!(told(Some((0, Anew::Later))).ends_with("5 min ago</time>.</p>"));
    }
}
