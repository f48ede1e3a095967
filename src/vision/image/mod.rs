//! Pictures: bytes of a file, or of an array, become a `Picture`, a picture becomes a row of `Pixels`.
//!
//! `preprocess` and `predict` both go through `decode` and `fit`, so a served picture is treated
//! exactly as a training picture was. Imports: nothing of ours.

mod decode;
mod facts;
mod fit;
mod format;
mod pixels;
mod properties;
mod thumbnail;

pub use decode::{ImageError, Layout, Limits, Picture, decode, grey, pixels};
pub use facts::{Facts, Frames, Space, facts};
pub use fit::{Channels, Filter, Target, fit};
pub use format::{EXTENSIONS, FORMAT_LIST, Format, is_picture_name};
pub use pixels::Pixels;
pub use properties::{PROPERTIES, properties, properties_of};
pub use thumbnail::{png, shrunk, thumbnail, thumbnail_of};
