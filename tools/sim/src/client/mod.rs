//! Clients: they speak the wire format, behave as real ones do, and note all that they do and see.

pub mod admin;
pub mod catalog;
pub mod connection;
pub mod consumer;
pub mod desk;
pub mod dice;
pub mod fetcher;
pub mod group;
pub mod observer;
pub mod odd;
pub mod offsets;
pub mod producer;
pub mod scanner;
pub mod topics;
pub mod values;
pub mod versions;
