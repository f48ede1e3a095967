//! Sizes of a convolution and what follows it in the same pass.

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

impl ConvShape {
    /// Rows of the output.
    #[must_use]
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.border - self.kernel) / self.stride + 1
    }

    /// Columns of the output.
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
    /// Results x below zero become slope·x: 0 is ReLU, 1 leaves them.
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
