//! Committed offsets.

mod commit;
mod delete;
mod fetch;
mod store;

pub(crate) use store::{GroupOffsets, Offsets};
