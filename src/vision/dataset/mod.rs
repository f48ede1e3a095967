//! Folders of pictures: which classes, which files, which split each file belongs to, and the data
//! card that says what is odd about them. Imports: base, `image`.

mod split;
mod scan;
mod card;

pub(crate) use card::UsedImage;
pub use card::{ClassCounts, CorruptImage, DataCard, Group};
pub use scan::{Dataset, ImageFile, scan};
pub use split::{Candidate, Fractions, Split, assign};
