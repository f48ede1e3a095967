//! `Pixels`: many pictures of one size in one block of bytes. Imports: nothing.

/// Pictures as `u8` values, `[count, height, width, channels]` in row-major order (NHWC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    count: usize,
    height: usize,
    width: usize,
    channels: usize,
    data: Vec<u8>,
}

impl Pixels {
    /// Returns an empty block for pictures of this size.
    ///
    /// # Panics
    /// If a side or the number of channels is zero.
    #[must_use]
    pub fn new(height: usize, width: usize, channels: usize) -> Self {
        assert!(
            0 < height && 0 < width && 0 < channels,
            "a picture has at least one value"
        );
        Self {
            count: 0,
            height,
            width,
            channels,
            data: Vec::new(),
        }
    }

    /// Returns a block over `data`, or `None` if it does not hold a whole number of pictures.
    ///
    /// # Panics
    /// If a side or the number of channels is zero.
    #[must_use]
    pub fn from_data(height: usize, width: usize, channels: usize, data: Vec<u8>) -> Option<Self> {
        let empty = Self::new(height, width, channels);
        let image_len = empty.image_len();
        data.len().is_multiple_of(image_len).then(|| Self {
            count: data.len() / image_len,
            data,
            ..empty
        })
    }

    /// Returns the number of pictures.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the number of values per pixel: 1 (grey) or 3 (red, green, blue).
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the number of values of one picture.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Returns all values, picture after picture.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Returns picture number `index`, `[height, width, channels]`.
    ///
    /// # Panics
    /// If there is no such picture.
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        &self.data[index * self.image_len()..(index + 1) * self.image_len()]
    }

    /// Adds one picture at the end.
    ///
    /// # Panics
    /// If `image` has another number of values than a picture here.
    pub fn push(&mut self, image: &[u8]) {
        assert_eq!(
            image.len(),
            self.image_len(),
            "pictures of one block have one size"
        );
        self.data.extend_from_slice(image);
        self.count += 1;
    }

    /// Adds all pictures of `other` at the end.
    ///
    /// # Panics
    /// If the pictures there have another size.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(
            (self.height, self.width, self.channels),
            (other.height, other.width, other.channels),
            "pictures of one block have one size"
        );
        self.data.extend_from_slice(&other.data);
        self.count += other.count;
    }
}
