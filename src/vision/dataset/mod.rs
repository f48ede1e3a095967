//! Folders of pictures: which classes, which files, which split each file belongs to, and the data
//! card that says what is odd about them. Imports: base, `image`.

mod card;
mod locate;
mod page;
mod scan;
mod split;
mod starter;

pub(crate) use card::UsedImage;
pub use card::{ClassCounts, CorruptImage, DataCard, Group};
pub use locate::{Located, Search, locate};
pub(crate) use page::{Thumbnail, card_page, thumbnails_per_class};
pub use scan::{Dataset, ImageFile, scan};
pub use split::{Candidate, Fractions, Split, assign};
pub use starter::Starter;
