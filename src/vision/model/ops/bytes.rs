//! Buffers of the pool as tensors of Flex, and back to slices, without copying.
//! Imports: burn, burn-flex, burn-std, `kernels::Buffer`.

use std::mem::MaybeUninit;
use std::slice;

use burn::backend::DType;
use burn_flex::{FlexTensor, Layout};
use burn_std::{AccessError, AccessPolicy, AllocationController, AllocationProperty, Bytes, Shape};

use crate::vision::kernels::Buffer;

/// Returns a tensor that owns `buffer`; its memory goes back to the pool with the tensor's last
/// handle.
///
/// # Panics
/// `shape` has another number of values.
pub(in crate::vision) fn tensor_of<const D: usize>(
    buffer: Buffer,
    shape: [usize; D],
) -> FlexTensor {
    tensor_like(buffer, &Shape::from(shape.to_vec()))
}

/// Returns a tensor that owns `buffer` and has the shape of another one.
///
/// # Panics
/// `shape` has another number of values.
pub(in crate::vision) fn tensor_like(buffer: Buffer, shape: &Shape) -> FlexTensor {
    assert_eq!(buffer.len(), shape.num_elements(), "values of a tensor");
    FlexTensor::new(
        bytes_of(buffer),
        Layout::contiguous(shape.clone()),
        DType::F32,
    )
}

/// Returns `tensor` with its values in order: itself, or a copy if it is a view.
pub(in crate::vision) fn in_order(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// Returns the values of a tensor that is in order.
pub(in crate::vision) fn flat(tensor: &FlexTensor) -> &[f32] {
    tensor
        .as_slice()
        .expect("the tensor was put in order and is of f32")
}

/// Returns the values of a tensor to be changed, `None` if they are not f32. They are copied first
/// when they are shared, a view, or part of a larger memory.
pub(in crate::vision) fn flat_mut(tensor: &mut FlexTensor) -> Option<&mut [f32]> {
    if tensor.dtype() != DType::F32 {
        return None;
    }
    let layout = tensor.layout();
    let whole = layout.is_contiguous()
        && layout.start_offset() == 0
        && tensor.bytes().len() == layout.num_elements() * size_of::<f32>();
    if !whole {
        *tensor = tensor.to_contiguous();
    }
    Some(tensor.storage_mut())
}

fn bytes_of(buffer: Buffer) -> Bytes {
    let len = size_of_val(&*buffer);
    #[expect(unsafe_code, reason = "burn takes memory of others only this way")]
    // SAFETY: all `len` bytes of a buffer are initialised.
    unsafe {
        Bytes::from_controller(Box::new(Pooled(buffer)), len)
    }
}

/// A buffer as burn's byte containers hold their memory.
struct Pooled(Buffer);

impl AllocationController for Pooled {
    fn alloc_align(&self) -> usize {
        // Buffers are aligned to more, but burn refuses alignments above this one.
        align_of::<u128>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    fn memory(&self, _policy: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let (start, len) = (self.0.as_ptr().cast(), size_of_val(&*self.0));
        #[expect(unsafe_code, reason = "burn asks for bytes that may be uninitialised")]
        // SAFETY: these are the bytes of the buffer, borrowed as long as `self`; any byte is valid.
        Ok(unsafe { slice::from_raw_parts(start, len) })
    }

    #[expect(unsafe_code, reason = "burn declares it so")]
    unsafe fn memory_mut(
        &mut self,
        _policy: AccessPolicy,
    ) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let (start, len) = (self.0.as_mut_ptr().cast(), size_of_val(&*self.0));
        // SAFETY: as in `memory`, borrowed for writing; the caller writes initialised bytes only,
        // and any four of them are an f32.
        Ok(unsafe { slice::from_raw_parts_mut(start, len) })
    }

    /// A copy, also from the pool: burn's own would come from the allocator.
    fn duplicate(&self) -> Option<Box<dyn AllocationController>> {
        Some(Box::new(Self(Buffer::copy_of(&self.0))))
    }
}
