//! The style sheet and the ES modules, embedded. A build for development reads them from the source
//! tree each time. Imports: base, http, mlflow, report, `ui::{asked, reply}`.

use rust_embed::RustEmbed;

use crate::base::ContentHash;
use crate::http::header::HeaderValue;
use crate::http::{self, Response};
use crate::mlflow::Refused;

use super::asked::Asked;
use super::reply;

#[derive(RustEmbed)]
#[folder = "src/ui/assets"]
struct Assets;

/// The style sheet of charts, behind the theme of what `report` draws.
const CHARTS: &str = "chart.css";

/// Answers `/assets/NAME`: the browser keeps it and asks each time whether it is still the same.
pub(super) fn answer(asked: &Asked) -> Result<Response, Refused> {
    let name = asked.param(0);
    let file = Assets::get(name)
        .ok_or_else(|| Refused::missing(format!("there is no `/assets/{name}`")))?;
    let mut data = file.data.into_owned();
    if name == CHARTS {
        // The theme of drawings is where they are drawn.
        let theme = crate::report::svg::theme_css();
        data.splice(0..0, theme.into_bytes());
    }
    let hash = ContentHash::of(&data).to_string();
    if let Some(response) = reply::unchanged(asked, &hash) {
        return Ok(response);
    }
    let kind = HeaderValue::from_static(content_type(name));
    let response = http::text(data.into(), kind, &asked.headers);
    Ok(reply::tagged(response, &hash))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
