//! What a picture file says of itself before it is decoded: format, colours, depth, frames.
//!
//! For those who look for odd files; `decode` makes all of them 8-bit pictures of one frame.
//! Imports: `image::format`.

use std::io::Cursor;

use image::codecs::{gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, ExtendedColorType, ImageDecoder};

use super::format::Format;

/// Memory that a look at a file may take.
const LOOK_BYTES: u64 = 64 << 20;

/// What a picture file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// By its content; `None` for bare values, which have no file of their own.
    pub format: Option<Format>,
    /// What its values mean.
    pub space: Space,
    /// Bits per value.
    pub bits: u8,
    /// Whether there is more than the picture that is decoded.
    pub frames: Frames,
}

impl Facts {
    /// Of grey pictures that an array of bytes holds.
    pub const ARRAY: Self = Self {
        format: None,
        space: Space::Light,
        bits: 8,
        frames: Frames::One,
    };

    /// Returns the format's name for people.
    #[must_use]
    pub fn format_name(&self) -> &'static str {
        self.format.map_or("IDX", Format::name)
    }
}

/// What the values of a file mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Brightness, or red, green and blue, or indices into a palette of them.
    Light,
    /// Inks of print: cyan, magenta, yellow, black.
    Cmyk,
}

/// How many pictures a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// One.
    One,
    /// An animation, or several pages.
    Several,
}

/// Returns what the picture file `bytes` says of itself; `None` if it is none. What cannot be read is
/// taken to be as usual. Nothing but the first two frames of a GIF is decoded.
#[must_use]
pub fn facts(bytes: &[u8]) -> Option<Facts> {
    let format = Format::of(bytes)?;
    let (space, bits, frames) = look(format, bytes).unwrap_or((Space::Light, 8, Frames::One));
    Some(Facts {
        format: Some(format),
        space,
        bits,
        frames,
    })
}

fn look(format: Format, bytes: &[u8]) -> Option<(Space, u8, Frames)> {
    let mut memory = image::Limits::no_limits();
    memory.max_alloc = Some(LOOK_BYTES);
    let (space, bits, has_more) = match format {
        Format::Png => {
            let decoder = PngDecoder::with_limits(Cursor::new(bytes), memory).ok()?;
            let is_animated = decoder.is_apng().ok()?;
            (Space::Light, depth(&decoder), is_animated)
        }
        Format::Jpeg => {
            let (bits, components) = jpeg_frame(bytes)?;
            let space = if components == 4 {
                Space::Cmyk
            } else {
                Space::Light
            };
            (space, bits, false)
        }
        Format::WebP => {
            let decoder = WebPDecoder::new(Cursor::new(bytes)).ok()?;
            (Space::Light, depth(&decoder), decoder.has_animation())
        }
        Format::Bmp => (Space::Light, 8, false),
        Format::Gif => {
            let mut decoder = GifDecoder::new(Cursor::new(bytes)).ok()?;
            decoder.set_limits(memory).ok()?;
            let frames = decoder.into_frames().take(2).flatten().count();
            (Space::Light, 8, frames == 2)
        }
        Format::Tiff => {
            let decoder = TiffDecoder::new(Cursor::new(bytes)).ok()?;
            let space = match decoder.original_color_type() {
                ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => Space::Cmyk,
                _ => Space::Light,
            };
            (space, depth(&decoder), tiff_has_pages(bytes))
        }
    };
    let frames = if has_more {
        Frames::Several
    } else {
        Frames::One
    };
    Some((space, bits, frames))
}

/// Returns the bits per value of what a decoder gives, which has those of its file or 8.
fn depth(decoder: &impl ImageDecoder) -> u8 {
    let color = decoder.color_type();
    (color.bits_per_pixel() / u16::from(color.channel_count())) as u8
}

/// Returns the bits and the number of components that the frame header of a JPEG file declares
/// (ITU-T T.81, annex B.2.2).
fn jpeg_frame(bytes: &[u8]) -> Option<(u8, u8)> {
    let mut at = 2;
    loop {
        let [first, marker] = *bytes.get(at..)?.first_chunk::<2>()?;
        match (first, marker) {
            (0xFF, 0xFF) => at += 1,
            (0xFF, 0x01 | 0xD0..=0xD8) => at += 2,
            // All but the tables and the arithmetic conditioning among them.
            (0xFF, 0xC0..=0xCF) if ![0xC4, 0xC8, 0xCC].contains(&marker) => {
                return Some((*bytes.get(at + 4)?, *bytes.get(at + 9)?));
            }
            (0xFF, 0xD9 | 0xDA) => return None,
            (0xFF, _) => {
                let length = bytes.get(at + 2..)?.first_chunk::<2>()?;
                at += 2 + usize::from(u16::from_be_bytes(*length));
            }
            _ => at += 1,
        }
    }
}

/// Does a second page follow the first one? (TIFF 6.0, section 2)
fn tiff_has_pages(bytes: &[u8]) -> bool {
    let is_little = bytes.starts_with(b"II");
    let short = |at: usize| {
        let two = bytes.get(at..)?.first_chunk::<2>()?;
        Some(if is_little {
            u16::from_le_bytes(*two)
        } else {
            u16::from_be_bytes(*two)
        })
    };
    let long = |at: usize| {
        let four = bytes.get(at..)?.first_chunk::<4>()?;
        Some(if is_little {
            u32::from_le_bytes(*four)
        } else {
            u32::from_be_bytes(*four)
        })
    };
    let next = || {
        let directory = long(4)? as usize;
        let entries = usize::from(short(directory)?);
        long(directory.checked_add(2 + 12 * entries)?)
    };
    // 43 instead of 42 is BigTIFF, with other offsets.
    short(2) == Some(42) && next().is_some_and(|next| next != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::{gif::GifEncoder, jpeg::JpegEncoder, png::PngEncoder, tiff::TiffEncoder};
    use image::{Frame, ImageEncoder, RgbaImage};

    #[test]
    fn depth_and_format_are_those_of_the_file() {
        let mut deep = Vec::new();
        PngEncoder::new(&mut deep)
            .write_image(&[0; 2 * 4], 2, 2, ExtendedColorType::L16)
            .unwrap();
        let mut jpeg = Vec::new();
        JpegEncoder::new(&mut jpeg)
            .write_image(&[0; 3 * 4], 2, 2, ExtendedColorType::Rgb8)
            .unwrap();
        let mut tiff = Cursor::new(Vec::new());
        TiffEncoder::new(&mut tiff)
            .write_image(&[0; 4], 2, 2, ExtendedColorType::L8)
            .unwrap();
        let of = |bytes: &[u8]| {
            let facts = facts(bytes).unwrap();
            (facts.format.unwrap(), facts.space, facts.bits, facts.frames)
        };
        assert_eq!(of(&deep), (Format::Png, Space::Light, 16, Frames::One));
        assert_eq!(of(&jpeg), (Format::Jpeg, Space::Light, 8, Frames::One));
        assert_eq!(
            of(tiff.get_ref()),
            (Format::Tiff, Space::Light, 8, Frames::One)
        );
        // A fourth component in the frame header: cyan, magenta, yellow, black.
        let at = jpeg.windows(2).position(|two| two == [0xFF, 0xC0]).unwrap();
        jpeg[at + 9] = 4;
        assert_eq!(facts(&jpeg).unwrap().space, Space::Cmyk);
    }

    #[test]
    fn second_frames_are_seen() {
        let gif = |frames: usize| {
            let mut bytes = Vec::new();
            let mut encoder = GifEncoder::new(&mut bytes);
            for _ in 0..frames {
                encoder
                    .encode_frame(Frame::new(RgbaImage::new(2, 2)))
                    .unwrap();
            }
            drop(encoder);
            facts(&bytes).unwrap().frames
        };
        assert_eq!((gif(1), gif(2)), (Frames::One, Frames::Several));
    }

    #[test]
    fn tiff_pages_are_counted_by_their_directories() {
        // Header, directory of no entries at 8, and where the next one is.
        let file = |next: u32| [&b"II\x2A\0\x08\0\0\0\0\0"[..], &next.to_le_bytes()].concat();
        assert!(!tiff_has_pages(&file(0)) && tiff_has_pages(&file(100)));
        assert!(!tiff_has_pages(b"II\x2A\0\xFF\xFF\xFF\xFF"));
    }

    proptest::proptest! {
        /// Whatever stands in a file, a look at it ends.
        #[test]
        fn no_bytes_are_fatal(kind in 0_usize..3, rest in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let head: [&[u8]; 3] = [b"\xFF\xD8\xFF\xE0", b"II\x2A\0", b"GIF89a"];
            let _ = facts(&[head[kind], &rest].concat());
        }
    }
}
