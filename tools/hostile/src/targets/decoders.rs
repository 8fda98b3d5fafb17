//! Every request decoder by itself, for what it allocates.

use bytes::Bytes;
use chronik_model::rng::Rng;
use chronik_protocol::{ApiKey, RequestHeader};

use super::{samples, wire};
use crate::chance::{index, one_in};
use crate::mutate::mutate;
use crate::requests::Requests;
use crate::target::{Failure, Handled, Target, four_times, handled};

/// What the structs of a body may take beyond four times its bytes: as many elements and fields as the
/// decoder lets one request have, 50 to 160 bytes each.
const STRUCTS_BYTES: u64 = 16 << 20;

/// See the module. An input is a frame.
#[derive(Debug)]
pub(super) struct Decoders {
    requests: Requests,
}

impl Decoders {
    pub(super) fn new() -> Self {
        Self {
            requests: Requests::new(samples::batches()),
        }
    }
}

impl Target for Decoders {
    fn name(&self) -> &'static str {
        "decoders"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let api = &self.requests.apis[index(rng, self.requests.apis.len())];
        let mut frame = self.requests.write(api, 1, rng);
        if !one_in(rng, 16) {
            let other = self.requests.write(api, 1, rng);
            mutate(rng, &mut frame, &other);
        }
        frame
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let frame = Bytes::copy_from_slice(input);
        handled(|| {
            let Ok((header, body)) = RequestHeader::decode(&frame) else {
                return Ok(false);
            };
            let Some(key) = ApiKey::from_i16(header.api_key) else {
                return Ok(false);
            };
            Ok(wire::read_request(key, header.api_version, &body).is_ok())
        })
    }

    fn allowance(&self, length: usize) -> u64 {
        four_times(length) + STRUCTS_BYTES
    }
}
