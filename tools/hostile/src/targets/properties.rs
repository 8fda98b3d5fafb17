//! `meta.properties`.

use chronik_model::rng::Rng;
use chronik_storage::meta_properties::MetaProperties;

use crate::chance::one_in;
use crate::mutate::mutate;
use crate::target::{CONSTANT_BYTES, Failure, Handled, Target, four_times, handled};

/// Two slices in a map, for a line of a few bytes.
const ENTRY_FACTOR: u64 = 8;

/// See the module. An input is the file.
#[derive(Debug)]
pub(super) struct Properties;

impl Target for Properties {
    fn name(&self) -> &'static str {
        "meta-properties"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let written = MetaProperties {
            cluster_id: "hostile".to_owned(),
            node_id: 1,
            directory_id: rng.bytes16(),
            journal_files: 4,
            journal_file_bytes: 1 << 20,
        };
        let mut text = written.encode().into_bytes();
        if !one_in(rng, 8) {
            let other = text.clone();
            mutate(rng, &mut text, &other);
        }
        text
    }

    fn allowance(&self, length: usize) -> u64 {
        // The file is the operator's, and is read once: its lines may stand in a map.
        ENTRY_FACTOR * four_times(length) + CONSTANT_BYTES
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let text = String::from_utf8_lossy(input);
        handled(|| {
            let Ok(read) = MetaProperties::decode(&text) else {
                return Ok(false);
            };
            match MetaProperties::decode(&read.encode()) {
                Ok(again) if again == read => Ok(true),
                other => Err(format!("written again: {other:?}, first: {read:?}")),
            }
        })
    }
}
