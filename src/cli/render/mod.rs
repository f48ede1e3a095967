//! Values of the rooms below as text or JSON. Imports: base, pipeline, store, out.

pub(super) mod decision;
pub(super) mod diagnostic;
pub(super) mod events;
pub(super) mod timing;
