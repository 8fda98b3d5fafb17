//! Decompressors within their limit.

use chronik_model::compression::{Codec, compress, decompress};
use chronik_model::rng::Rng;

use crate::chance::{byte, index, one_in, pick};
use crate::mutate::mutate;
use crate::target::{CONSTANT_BYTES, Failure, Handled, Target, four_times, handled};

/// No output is larger.
const LIMIT_BYTES: usize = 64 << 10;
/// The state of a decoder: windows and tables.
const STATE_BYTES: u64 = 256 << 10;

/// See the module. An input is the codec's number and what it shall decompress.
#[derive(Debug)]
pub(super) struct Compression {
    samples: Vec<Vec<u8>>,
}

impl Compression {
    pub(super) fn new() -> Self {
        let mut rng = Rng::new(11);
        let noise: Vec<u8> = (0..3_000).map(|_| byte(&mut rng)).collect();
        let plain = [
            b"short".to_vec(),
            b"something that comes again and again; ".repeat(200),
            noise,
            vec![0; 4 << 20],
        ];
        let mut samples = vec![Vec::new()];
        for codec in Codec::ALL {
            for plain in &plain {
                let compressed = compress(codec, None, plain).unwrap_or_default();
                let mut sample = vec![codec.id()];
                sample.extend(
                    compressed
                        .get(..compressed.len().min(32 << 10))
                        .unwrap_or_default(),
                );
                samples.push(sample);
            }
        }
        Self { samples }
    }
}

impl Target for Compression {
    fn name(&self) -> &'static str {
        "compression"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let mut sample = pick(rng, &self.samples).clone();
        if !one_in(rng, 8) {
            let other = &self.samples[index(rng, self.samples.len())];
            mutate(rng, &mut sample, other);
        }
        sample
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let Some((codec, rest)) = input.split_first() else {
            return handled(|| Ok(false));
        };
        let codec = Codec::from_id(codec % 5).unwrap_or_default();
        handled(|| match decompress(codec, rest, LIMIT_BYTES) {
            Ok(plain) if plain.len() > LIMIT_BYTES => Err(format!("{} bytes", plain.len())),
            Ok(_) => Ok(true),
            Err(_) => Ok(false),
        })
    }

    fn allowance(&self, length: usize) -> u64 {
        let limit = u64::try_from(LIMIT_BYTES).unwrap_or(u64::MAX);
        four_times(length) + limit + STATE_BYTES + CONSTANT_BYTES
    }
}
