//! A whole cluster in one thread under virtual time: brokers, disks, network, clients and what goes
//! wrong, all decided by one seed.
//!
//! A run ([`run::play`]) builds a [`world::World`] of brokers ([`host`]) and [`actor::Actor`]s
//! ([`client`]) joined by byte streams ([`network`]), lets a [`plan::Plan`] of faults happen to it,
//! heals it, and asks the [`checker`] whether every promise was kept. What clients saw is a
//! [`history`] of facts; nothing else is believed.

pub mod actor;
pub mod checker;
pub mod client;
pub mod clock;
pub mod history;
pub mod host;
pub mod launch;
pub mod network;
pub mod plan;
pub mod random;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod shrink;
pub mod story;
pub mod workload;
pub mod world;
