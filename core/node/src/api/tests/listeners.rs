//! Clients are told of brokers by the listener that they came in on.

use super::{CLIENTS, Cluster, NOBODY};
use crate::api::Context;
use crate::api::support::{broker, brokers};
use crate::messages::Peer;
use chronik_model::NodeId;

#[test]
fn every_listener_has_its_own_addresses() {
    let cluster = Cluster::new(&[]);
    let check = |listener: usize, expected: &[(i32, &str, u16)]| {
        let peer = Peer {
            listener,
            ..NOBODY.clone()
        };
        let context = Context {
            peer: &peer,
            ..super::context(&cluster.view, &cluster.identity)
        };
        let all = brokers(&context);
        let shown: Vec<_> = all
            .iter()
            .map(|each| (each.node_id.0, each.host, each.port))
            .collect();
        assert_eq!(shown, expected, "listener {listener}");
        for each in &all {
            assert_eq!(broker(&context, each.node_id), Some(*each));
        }
        assert_eq!(broker(&context, NodeId(3)), None);
    };
    check(0, &[(1, "one.test", 8001), (2, "two.test", 8002)]);
    check(CLIENTS, &[(1, "one.test", 9001), (2, "two.test", 9002)]);
    // A broker without a listener of that name can not be reached that way.
    check(2, &[(1, "one.test", 7001)]);
    check(3, &[]);
}
