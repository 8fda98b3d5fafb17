//! Record batches: read as a leader, a consumer and the log read them.

use chronik_model::batch::{
    BatchView, ProduceRules, TimestampRule, batches, check_records, recompress, records,
    validate_produced, verify,
};
use chronik_model::compression::{Codec, DecompressLimits, Decompressor};
use chronik_model::rng::Rng;

use super::samples;
use crate::target::{CONSTANT_BYTES, Failure, Handled, Target, four_times, handled};

const LIMITS: DecompressLimits = DecompressLimits {
    max_bytes: 256 << 10,
    max_ratio: 1_024,
};

const RULES: ProduceRules = ProduceRules {
    max_message_bytes: 1 << 20,
    zstd_allowed: true,
    transactional_allowed: true,
    keys_required: false,
    timestamps: TimestampRule::CreateTime {
        now_ms: samples::NOW_MS,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
    },
    decompress: LIMITS,
};

/// The decompressed records, as large as they may be, those of a copy in another codec, and the states
/// of the codecs.
const RECORDS_BYTES: u64 = 4 * (256 << 10);

/// See the module. An input is what a Produce request has for one partition.
#[derive(Debug)]
pub(super) struct Batches {
    samples: Vec<Vec<u8>>,
}

impl Batches {
    pub(super) fn new() -> Self {
        Self {
            samples: super::batches_of_every_kind(),
        }
    }
}

impl Target for Batches {
    fn name(&self) -> &'static str {
        "batches"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        samples::damaged_batch(rng, &self.samples)
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        handled(|| {
            let mut scratch = Decompressor::new();
            for view in batches(input).take_while(Result::is_ok).flatten() {
                let _unchecked = walk(&view, &mut scratch);
            }
            if let Ok(view) = verify(input) {
                let _checked = walk(&view, &mut scratch);
            }
            let Ok(valid) = validate_produced(input, &RULES) else {
                return Ok(false);
            };
            let Ok(summary) = check_records(valid.view(), &RULES, &mut scratch) else {
                return Ok(false);
            };
            if valid.codec() != Codec::None && summary.payload_bytes > LIMITS.for_input(input.len())
            {
                return Err(format!("{} bytes of records", summary.payload_bytes));
            }
            for codec in Codec::ALL {
                recompressed(valid.view(), codec, &mut scratch)?;
            }
            Ok(true)
        })
    }

    fn allowance(&self, length: usize) -> u64 {
        four_times(length) + RECORDS_BYTES + CONSTANT_BYTES
    }
}

/// What was checked must survive another codec.
fn recompressed(
    view: &BatchView<'_>,
    codec: Codec,
    scratch: &mut Decompressor,
) -> Result<(), Failure> {
    let Ok(other) = recompress(view, codec, None, scratch, LIMITS) else {
        return Ok(());
    };
    let other = verify(&other).map_err(|error| format!("{codec}: {error}"))?;
    let before = walk(view, scratch).map_err(|()| "read once, but not twice")?;
    let after = walk(&other, scratch).map_err(|()| "records were lost in another codec")?;
    if before == after {
        Ok(())
    } else {
        Err(format!("{codec}: {after} records of {before}"))
    }
}

fn walk(view: &BatchView<'_>, scratch: &mut Decompressor) -> Result<usize, ()> {
    let mut count = 0;
    for record in records(view, scratch, LIMITS).map_err(drop)? {
        let record = record.map_err(drop)?;
        record.headers.for_each(drop);
        count += 1;
    }
    Ok(count)
}
