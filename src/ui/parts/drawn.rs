//! Cells as `table.js` draws them: the rows that it fetches look like those that the page came with.
//! Imports: base, `ui::parts`.

use serde_json::{Value, json};

use super::number::number;
use super::table::Cell;
use super::time::{Ago, ago, took};
use crate::base::clock;

/// Returns a cell as `table.js` draws it; `null` is an empty one.
pub(in crate::ui) fn drawn(cell: &Cell) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Text(text) | Cell::Markup { text, .. } => json!({ "text": text }),
        Cell::Code(text) => json!({ "code": text }),
        Cell::Number(value) => json!({ "text": number(*value) }),
        Cell::Shown { text, .. } => json!({ "text": text }),
        Cell::Duration(ms) => json!({ "text": took(*ms) }),
        Cell::Time(Ago { at_ms, now_ms }) => {
            json!({ "text": ago(*at_ms, *now_ms), "at": clock::utc(*at_ms) })
        }
        Cell::State(chip) => {
            json!({ "text": chip.text, "tone": chip.tone.class(), "mark": chip.tone.mark() })
        }
        Cell::Link { text, href } => json!({ "text": text, "href": href }),
        Cell::Links(links) => {
            let links: Vec<Value> = links
                .iter()
                .map(|(text, href)| json!({ "text": text, "href": href }))
                .collect();
            json!({ "links": links })
        }
        Cell::Picture { src, alt } => json!({ "src": src, "alt": alt }),
        meter @ Cell::Meter(_) => json!({ "text": meter.shown() }),
    }
}
