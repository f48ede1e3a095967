//! Sizes of a convolution and what follows it in the same pass.

use super::simd::LANES_MAX;

/// A convolution with a square kernel over NHWC maps; cross-correlation, as deep learning means it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Pictures.
    pub batch: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step of the kernel in both directions.
    pub stride: usize,
    /// Zeros around the input at each side.
    pub border: usize,
}

/// More values than any memory holds, few enough for sizes derived from them to be counted in bytes.
const LEN_MAX: f64 = (1u64 << 52) as f64;

impl ConvShape {
    /// Sees that there is something to compute and that no length overflows: all that kernels read
    /// and write without a further look rests on it.
    ///
    /// # Panics
    /// A size but the batch is 0, the kernel is larger than the input with its border, the window of
    /// `finish` is not of 1 to 16, or there are more values than could be stored.
    pub(super) fn check(&self, finish: Finish) {
        let sizes = [self.height, self.width, self.inputs, self.outputs];
        assert!(
            sizes.iter().all(|size| *size != 0) && self.kernel != 0 && self.stride != 0,
            "a convolution of nothing: {self:?}"
        );
        assert!(
            (1..=16).contains(&finish.pool),
            "a window has a side of 1 to 16: {finish:?}"
        );
        // In floats, where nothing overflows. Maps come with a border, kernels and tiles that hang
        // over, and channels in whole vectors.
        let [height, width] = [self.height, self.width]
            .map(|side| side as f64 + 2.0 * self.border as f64 + self.kernel as f64);
        let [inputs, outputs] =
            [self.inputs, self.outputs].map(|channels| (channels + LANES_MAX - 1) as f64);
        let taps = (self.kernel as f64).powi(2).max(36.0);
        let pictures = self.batch.max(16) as f64;
        assert!(
            height * width * inputs.max(outputs) * pictures < LEN_MAX
                && taps * inputs * outputs * pictures < LEN_MAX
                && (self.stride as f64) < LEN_MAX,
            "more values than fit into memory: {self:?}"
        );
        assert!(
            self.kernel <= self.height.min(self.width) + 2 * self.border,
            "the kernel is larger than the map with its border: {self:?}"
        );
    }

    /// Rows of the output; the kernel fits into the map with its border.
    #[must_use]
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.border - self.kernel) / self.stride + 1
    }

    /// Columns of the output; the kernel fits into the map with its border.
    #[must_use]
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.border - self.kernel) / self.stride + 1
    }

    /// Values of one input picture.
    #[must_use]
    pub fn in_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    /// Values of one output map, before pooling.
    #[must_use]
    pub fn map_len(&self) -> usize {
        self.out_height() * self.out_width() * self.outputs
    }

    /// Values of one output map after `finish`.
    #[must_use]
    pub fn out_len(&self, finish: Finish) -> usize {
        (self.out_height() / finish.pool) * (self.out_width() / finish.pool) * self.outputs
    }

    /// Values of the weights, `[outputs, inputs, kernel, kernel]`.
    #[must_use]
    pub fn weights_len(&self) -> usize {
        self.outputs * self.inputs * self.kernel * self.kernel
    }
}

/// What happens to the sums of a convolution before they are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finish {
    /// Results x below zero become slope·x: 0 is ReLU, 1 leaves them. Not negative: on the way back
    /// the sign of the result tells that of x.
    pub slope: f32,
    /// Side and step of the window whose largest value is kept; rows and columns that fill no
    /// window are dropped. 1 keeps everything. At most 16.
    pub pool: usize,
}

impl Finish {
    /// Nothing happens.
    pub const NONE: Self = Self {
        slope: 1.0,
        pool: 1,
    };
}
