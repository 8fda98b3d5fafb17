//! Groups of the consumer protocol, as their clients see them, under a clock that the tests move.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test names the answer that it wants, and fails on every other"
)]

mod classic_client;
mod epochs;
mod harness;
mod joining;
mod migration;
mod offsets;
mod random;
mod reconciliation;
mod regexes;
mod static_members;
mod timeouts;
