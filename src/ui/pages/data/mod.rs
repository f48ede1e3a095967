//! `/data`: what a network is trained and judged on, of the workspace or of any run: how many pictures
//! of which class, how they look as they are and as a training changes them, and what `preprocess`
//! found odd. `page` puts it together, `samples` chooses pictures, `oddities` has the tables of what is
//! odd, `augment` reads what a training does, `pictures` answers the pictures themselves.
//! Imports: base, report, track, `ui::*`.

mod augment;
mod oddities;
mod page;
mod pictures;
mod samples;

use crate::ui::site::Endpoint;

/// What is answered.
pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/data", page::answer),
    Endpoint::get("/ajax-api/cvops/data/picture", pictures::picture),
    Endpoint::get("/ajax-api/cvops/data/augmented", pictures::augmented),
];
