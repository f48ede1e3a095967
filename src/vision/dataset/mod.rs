//! Sets of pictures, as folders, manifests or arrays: which classes, which pictures, which split each
//! belongs to, and the data card that says what is odd about them. Imports: base, `image`.

mod card;
mod exclusions;
mod found;
mod idx;
mod locate;
mod manifest;
mod page;
mod scan;
mod source;
mod split;
mod starter;

pub(crate) use card::UsedImage;
pub use card::{ClassCounts, CorruptImage, DataCard, Group};
pub use exclusions::Exclusions;
pub use found::{Dataset, ImageFile, Survey};
pub use locate::{Located, Search, locate};
pub use manifest::Mistake;
pub(crate) use page::{Thumbnail, card_page, thumbnails_per_class};
pub use scan::{scan, survey};
pub use source::{Content, PictureSource, folder_of};
pub use split::{Candidate, Fractions, Split, assign};
pub use starter::Starter;
