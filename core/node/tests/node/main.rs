//! The machines together: what clients may rely on under every order of events, and after crashes.
#![cfg(test)]

mod admin;
mod harness;
mod produce;
mod replay;
