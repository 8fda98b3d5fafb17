//! Kafka's wire protocol: frames with limits, headers, Produce and Fetch by hand, everything else
//! through a facade over generated structs.
//!
//! The way of a request: [`frame::FrameReader`] cuts it out of the socket's bytes,
//! [`header::RequestHeader`] says which API it is for, and then one of [`produce::ProduceRequest`],
//! [`fetch::FetchRequest`] and [`messages::decode_request`] reads the body. The answer is a whole
//! frame, length prefix included.

#![warn(clippy::indexing_slicing)]

pub mod api_key;
pub mod fetch;
pub mod frame;
pub mod header;
pub mod messages;
pub mod produce;
pub mod topic;
pub mod unsupported;
pub mod wire;

pub use api_key::{ApiKey, ApiVersionRange};
pub use frame::{FrameError, FrameLimits, FrameReader};
pub use header::{RequestHeader, RequestHeaderError};
pub use topic::{CurrentLeader, NodeEndpoint, TopicRef};
pub use wire::{Reader, WireError, Writer};
