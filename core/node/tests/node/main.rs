//! The machines together: what clients may rely on under every order of events, and after crashes.
#![cfg(test)]

mod admin;
mod compaction;
mod crash;
mod describe;
mod failure;
mod fetch;
mod groups;
mod harness;
mod idempotent;
mod lazy;
mod mixed;
mod produce;
mod replay;
mod retention;
mod segment_failure;
mod snapshots;
mod topics;
