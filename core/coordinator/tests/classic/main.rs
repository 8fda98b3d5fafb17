//! Classic groups and committed offsets, in virtual time.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test names the answer that it wants, and fails on every other"
)]

mod bench;
mod bounds;
mod commits;
mod groups;
mod joins;
mod members;
mod random;
mod records;
mod retention;
mod statics;
mod syncs;
