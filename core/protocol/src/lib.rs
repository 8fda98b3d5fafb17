//! Kafka's wire protocol: frames with limits, headers, Produce and Fetch by hand, everything else
//! through a facade over generated structs.

/// Generated request and response structs of the cold APIs.
pub mod messages {
    pub use proto_kafka::messages::*;
    pub use proto_kafka::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes};
}
