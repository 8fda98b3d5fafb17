//! Bytes that no well-meaning client or disk would send, against everything that reads bytes.
//!
//! A *target* takes one input at a time: the frame reader, the whole broker without its shell, the
//! readers of every file. Inputs are made from valid ones, by a seed: [`mutate`] damages them, a
//! target may repair their checksums afterwards so that the damage gets past them. What is watched:
//! no panic, no answer out of order or undecodable, no state that contradicts itself, and no more
//! memory than four times the input and a constant of the target.
//!
//! `docs/hostile-bytes.md` says how to use the driver.

pub mod allocator;
pub mod campaign;
pub mod case;
pub mod chance;
pub mod live;
pub mod mutate;
pub mod node;
pub mod reduce;
pub mod requests;
pub mod schema;
pub mod seal;
pub mod target;
pub mod targets;
