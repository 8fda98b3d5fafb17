//! Request headers.

use bytes::{Bytes, BytesMut};
use chronik_model::rng::Rng;
use chronik_protocol::RequestHeader;

use crate::chance::{index, one_in};
use crate::mutate::mutate;
use crate::requests::Requests;
use crate::target::{Failure, Handled, Target, handled};

/// See the module. An input is a frame.
#[derive(Debug)]
pub(super) struct Headers {
    requests: Requests,
}

impl Headers {
    pub(super) fn new() -> Self {
        Self {
            requests: Requests::new(vec![Vec::new()]),
        }
    }
}

impl Target for Headers {
    fn name(&self) -> &'static str {
        "headers"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let api = &self.requests.apis[index(rng, self.requests.apis.len())];
        let mut frame = self.requests.write(api, 7, rng);
        frame.truncate(64);
        if !one_in(rng, 8) {
            let other = frame.clone();
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
            if !frame.ends_with(&body) {
                return Err("the body is not the end of the frame".to_owned());
            }
            let mut again = BytesMut::new();
            header.write(&mut again);
            let again = again.freeze();
            let read = RequestHeader::decode(&again).map_err(|error| error.to_string())?;
            if read != (header, Bytes::new()) {
                return Err(format!("written again: {read:?}, first: {header:?}"));
            }
            Ok(true)
        })
    }
}
