//! Fits a picture to the size a network reads: alpha over a background, channels, resize.
//!
//! Imports: `image::decode`.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::decode::{ImageError, Layout, Picture};

/// How a picture is brought to another size. All but `Nearest` average over the whole area when a
/// picture shrinks (antialiased), as Pillow does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Takes the nearest pixel: for pixel art and label masks.
    Nearest,
    /// Triangle, support 1.
    Bilinear,
    /// Cubic (a = -0.5), support 2: sharper.
    CatmullRom,
    /// Windowed sinc, support 3: sharpest, rings at hard edges.
    Lanczos3,
}

impl Filter {
    /// Names as written in params.yaml and in prepared data.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("nearest", Self::Nearest),
        ("bilinear", Self::Bilinear),
        ("catmullrom", Self::CatmullRom),
        ("lanczos3", Self::Lanczos3),
    ];

    /// Returns the filter with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, filter)| *filter)
    }

    /// Returns the name as written in params.yaml.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Bilinear => "bilinear",
            Self::CatmullRom => "catmullrom",
            Self::Lanczos3 => "lanczos3",
        }
    }

    fn algorithm(self) -> ResizeAlg {
        match self {
            Self::Nearest => ResizeAlg::Nearest,
            Self::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Self::CatmullRom => ResizeAlg::Convolution(FilterType::CatmullRom),
            Self::Lanczos3 => ResizeAlg::Convolution(FilterType::Lanczos3),
        }
    }
}

/// Values per pixel that a network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One: grey (ITU-R BT.601 luma of colour pictures).
    Grey,
    /// Three: red, green, blue (grey pictures repeat their value).
    Rgb,
}

impl Channels {
    /// Returns 1 or 3.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }

    /// Returns the channels for 1 or 3.
    #[must_use]
    pub fn from_count(count: u64) -> Option<Self> {
        match count {
            1 => Some(Self::Grey),
            3 => Some(Self::Rgb),
            _ => None,
        }
    }
}

/// What every picture becomes before a network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Height in pixels, at least 1.
    pub height: u32,
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Grey or colour.
    pub channels: Channels,
    /// How to resize.
    pub filter: Filter,
    /// Red, green, blue under transparent pixels.
    pub background: [u8; 3],
}

impl Target {
    /// Returns the number of values of one picture.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.height as usize * self.width as usize * self.channels.count()
    }
}

/// Returns `picture` as `[height, width, channels]` values of `target`. The whole picture is used;
/// its aspect ratio is not kept (as Keras' `image_dataset_from_directory` does).
///
/// # Errors
/// `Damaged` if the picture's data does not have the size it claims.
pub fn fit(picture: &Picture, target: &Target) -> Result<Vec<u8>, ImageError> {
    let damaged = |reason: String| ImageError::Damaged { reason };
    let flat = flatten(picture, target);
    let pixel = match target.channels {
        Channels::Grey => PixelType::U8,
        Channels::Rgb => PixelType::U8x3,
    };
    if (picture.width, picture.height) == (target.width, target.height) {
        return Ok(flat);
    }
    let source = ImageRef::new(picture.width, picture.height, &flat, pixel)
        .map_err(|e| damaged(e.to_string()))?;
    let mut out = Image::new(target.width, target.height, pixel);
    let options = ResizeOptions::new()
        .resize_alg(target.filter.algorithm())
        .use_alpha(false);
    Resizer::new()
        .resize(&source, &mut out, &options)
        .map_err(|e| damaged(e.to_string()))?;
    Ok(out.into_vec())
}

/// Lays the picture over the background and gives it the target's channels, at its own size.
///
/// Before resizing, because a filter then never mixes in the colour of invisible pixels.
fn flatten(picture: &Picture, target: &Target) -> Vec<u8> {
    let [red, green, blue] = target.background;
    let over = |value: u8, alpha: u8, under: u8| {
        let (value, alpha, under) = (u32::from(value), u32::from(alpha), u32::from(under));
        ((value * alpha + under * (255 - alpha) + 127) / 255) as u8
    };
    let data = &picture.data;
    match (picture.layout, target.channels) {
        (Layout::Grey, Channels::Grey) | (Layout::Rgb, Channels::Rgb) => data.clone(),
        (Layout::Grey, Channels::Rgb) => data.iter().flat_map(|&v| [v; 3]).collect(),
        (Layout::Rgb, Channels::Grey) => data
            .as_chunks::<3>()
            .0
            .iter()
            .map(|&rgb| luma(rgb))
            .collect(),
        (Layout::GreyAlpha, Channels::Rgb) => {
            let pairs = data.as_chunks::<2>().0.iter();
            pairs
                .flat_map(|&[v, a]| [over(v, a, red), over(v, a, green), over(v, a, blue)])
                .collect()
        }
        (Layout::GreyAlpha, Channels::Grey) => {
            let under = luma(target.background);
            data.as_chunks::<2>()
                .0
                .iter()
                .map(|&[v, a]| over(v, a, under))
                .collect()
        }
        (Layout::Rgba, channels) => {
            let quads = data.as_chunks::<4>().0.iter();
            let flat =
                quads.map(|&[r, g, b, a]| [over(r, a, red), over(g, a, green), over(b, a, blue)]);
            match channels {
                Channels::Rgb => flat.flatten().collect(),
                Channels::Grey => flat.map(luma).collect(),
            }
        }
    }
}

/// ITU-R BT.601 luma in 16-bit fixed point, rounded: the same numbers as Pillow's `convert("L")`.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target = Target {
        height: 1,
        width: 1,
        channels: Channels::Rgb,
        filter: Filter::Bilinear,
        background: [255, 255, 255],
    };

    fn picture(width: u32, height: u32, layout: Layout, data: &[u8]) -> Picture {
        Picture {
            width,
            height,
            layout,
            data: data.to_vec(),
        }
    }

    #[test]
    fn channels_and_alpha() {
        let grey = Target {
            channels: Channels::Grey,
            background: [100; 3],
            ..TARGET
        };
        let rows: [(Layout, &[u8], Target, &[u8]); 8] = [
            (Layout::Grey, &[9], TARGET, &[9, 9, 9]),
            (Layout::Rgb, &[1, 2, 3], TARGET, &[1, 2, 3]),
            (Layout::Rgb, &[255, 0, 0], grey, &[76]),
            (Layout::Rgba, &[10, 20, 30, 0], TARGET, &[255, 255, 255]),
            (Layout::Rgba, &[10, 20, 30, 255], TARGET, &[10, 20, 30]),
            (Layout::Rgba, &[0, 0, 0, 128], TARGET, &[127, 127, 127]),
            (Layout::GreyAlpha, &[7, 0], grey, &[100]),
            (Layout::GreyAlpha, &[7, 255], TARGET, &[7, 7, 7]),
        ];
        for (layout, data, target, expected) in rows {
            assert_eq!(
                fit(&picture(1, 1, layout, data), &target).unwrap(),
                expected,
                "{data:?}"
            );
        }
    }

    #[test]
    fn shrinking_averages_and_nearest_does_not() {
        let checker: Vec<u8> = (0..64)
            .map(|i| if (i / 8 + i % 8) % 2 == 0 { 0 } else { 255 })
            .collect();
        let target = Target {
            channels: Channels::Grey,
            height: 2,
            width: 2,
            ..TARGET
        };
        let checker = picture(8, 8, Layout::Grey, &checker);
        for value in fit(&checker, &target).unwrap() {
            assert!((110..=145).contains(&value), "{value}");
        }
        let nearest = fit(
            &checker,
            &Target {
                filter: Filter::Nearest,
                ..target
            },
        )
        .unwrap();
        assert!(nearest.iter().all(|v| [0, 255].contains(v)));
    }

    #[test]
    fn a_flat_picture_stays_flat_in_any_size() {
        for (_, filter) in Filter::NAMES {
            for (width, height) in [(1, 1), (3, 7), (64, 2), (35, 35)] {
                let flat = picture(
                    width,
                    height,
                    Layout::Rgb,
                    &[10, 20, 30].repeat((width * height) as usize),
                );
                let out = fit(
                    &flat,
                    &Target {
                        height: 35,
                        width: 35,
                        filter,
                        ..TARGET
                    },
                )
                .unwrap();
                assert_eq!(
                    out,
                    [10, 20, 30].repeat(35 * 35),
                    "{filter:?} from {width}x{height}"
                );
            }
        }
    }

    #[test]
    fn names_round_trip() {
        for (name, filter) in Filter::NAMES {
            assert_eq!(
                (filter.name(), Filter::from_name(name)),
                (name, Some(filter))
            );
        }
    }
}
