//! Folders of pictures: which classes, which files, which split each file belongs to, and the data
//! card that says what is odd about them. Imports: base, `image`.

mod card;
mod exclusions;
mod locate;
mod page;
mod scan;
mod split;
mod starter;

pub(crate) use card::UsedImage;
pub use card::{ClassCounts, CorruptImage, DataCard, Group};
pub use exclusions::Exclusions;
pub use locate::{Located, Search, locate};
pub(crate) use page::{Thumbnail, card_page, thumbnails_per_class};
pub use scan::{Dataset, ImageFile, Survey, scan, survey};
pub use split::{Candidate, Fractions, Split, assign};
pub use starter::Starter;
