//! What takes hostile bytes.

use chronik_model::rng::Rng;

use crate::allocator::measure;

/// What came of an input that was handled as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handled {
    /// Whether it was taken for what it looks like, or refused.
    pub accepted: bool,
    /// Bytes that were held at most on its account.
    pub held: u64,
}

/// How an input must be handled, and was not.
pub type Failure = String;

/// Something that takes bytes. Every target is driven by one thread.
pub trait Target {
    /// Its name, as the command line and the folders of the corpus have it.
    fn name(&self) -> &'static str;

    /// Makes an input: something valid, damaged mostly.
    fn generate(&mut self, rng: &mut Rng) -> Vec<u8>;

    /// Handles an input.
    ///
    /// # Errors
    /// What is wrong with how it was handled. A panic is a failure as well.
    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure>;

    /// Begins anew, as if nothing had been handled.
    fn reset(&mut self) {}

    /// Inputs since the last [`Target::reset`] may matter to a later one.
    fn remembers(&self) -> bool {
        false
    }

    /// Bytes that an input of this length may have the target hold at most, while it is handled.
    fn allowance(&self, length: usize) -> u64 {
        four_times(length) + CONSTANT_BYTES
    }
}

/// What any target may hold whatever the input: tables and buffers of a usual size.
pub const CONSTANT_BYTES: u64 = 256 << 10;

/// Four times the bytes that came.
#[must_use]
pub fn four_times(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX).saturating_mul(4)
}

/// Runs what says whether it accepts, and adds what it held.
///
/// # Errors
/// Those of `work`.
pub fn handled(work: impl FnOnce() -> Result<bool, Failure>) -> Result<Handled, Failure> {
    let (accepted, held) = measure(work);
    let accepted = accepted?;
    Ok(Handled { accepted, held })
}
