//! Control records: what the broker itself writes into a partition.
//!
//! ```text
//! key:   version i16 (0) | type i16
//! value: version i16 (0) | coordinator epoch i32      (of transaction markers)
//! ```

use super::builder::{BatchBuilder, BatchSpec, BuildError};
use super::record::RecordView;

/// How a transaction ended: the type of its marker (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKind {
    /// The transaction's records must not be seen by `read_committed` consumers.
    Abort,
    /// The transaction's records count.
    Commit,
}

/// The end of a transaction in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// How it ended.
    pub kind: ControlKind,
    /// Epoch of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Reads the record of a control batch; `None` when it is no transaction marker. Later versions
    /// may append fields, which are skipped.
    #[must_use]
    pub fn parse(record: &RecordView<'_>) -> Option<Self> {
        let (_version, kind) = record.key?.split_first_chunk::<2>()?;
        let kind = match i16::from_be_bytes(*kind.first_chunk()?) {
            ABORT => ControlKind::Abort,
            COMMIT => ControlKind::Commit,
            _ => return None,
        };
        let (_version, epoch) = record.value?.split_first_chunk::<2>()?;
        let coordinator_epoch = i32::from_be_bytes(*epoch.first_chunk()?);
        Some(Self {
            kind,
            coordinator_epoch,
        })
    }
}

/// Writes a batch of one transaction marker. `spec` brings the producer, whose `base_sequence` is
/// -1; the control and transactional flags are set here.
///
/// # Errors
/// Those of [`BatchBuilder::append`], for which a marker gives no reason.
pub fn end_txn_marker(
    marker: EndTxnMarker,
    timestamp: i64,
    spec: BatchSpec,
) -> Result<Vec<u8>, BuildError> {
    let kind = match marker.kind {
        ControlKind::Abort => ABORT,
        ControlKind::Commit => COMMIT,
    };
    let [version_high, version_low] = VERSION.to_be_bytes();
    let [kind_high, kind_low] = kind.to_be_bytes();
    let [a, b, c, d] = marker.coordinator_epoch.to_be_bytes();
    let key = [version_high, version_low, kind_high, kind_low];
    let value = [version_high, version_low, a, b, c, d];
    let mut builder = BatchBuilder::new(BatchSpec {
        control: true,
        transactional: true,
        ..spec
    });
    builder.append(timestamp, Some(&key), Some(&value), &[])?;
    builder.finish()
}

const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;
