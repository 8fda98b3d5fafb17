//! Identity, listeners and connections.

use crate::config::key::{ANY, Validator, at_least, config_keys};

const SECURITY_PROTOCOLS: &[&str] = &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const ROLES: &[&str] = &["broker", "controller"];

config_keys! { NETWORK:
    "advertised.listeners" List [] ANY, PerBroker Honoured
        "Addresses that clients are told to connect to; the listeners themselves when unset.";
    "broker.heartbeat.interval.ms" Int ["2000"] ANY, ReadOnly Honoured
        "Milliseconds between a broker's signs of life to the controller.";
    "broker.id" Int ["-1"] ANY, ReadOnly Honoured
        "Older name of node.id.";
    "broker.id.generation.enable" Boolean ["true"] ANY, ReadOnly AcceptedNoEffect
        "Let ZooKeeper hand out broker ids.";
    "broker.rack" String [] ANY, ReadOnly Honoured
        "Rack or zone of this broker, for placing replicas and for reading from the nearest one.";
    "broker.session.timeout.ms" Int ["9000"] ANY, ReadOnly Honoured
        "Milliseconds without a sign of life after which the controller takes a broker for dead.";
    "chronik.memory.bytes" Long ["134217728"] at_least(0), ReadOnly Honoured
        "Memory budget of the whole process in bytes, shared by caches, buffers and indexes.";
    "connection.failed.authentication.delay.ms" Int ["100"] at_least(0), ReadOnly Honoured
        "Milliseconds before a connection that failed to authenticate is closed.";
    "connections.max.idle.ms" Long ["600000"] ANY, ReadOnly Honoured
        "Milliseconds without a request after which a connection is closed; negative for never.";
    "controller.listener.names" List [] ANY, ReadOnly Honoured
        "Listeners that serve the controller quorum.";
    "controller.quorum.auto.join.enable" Boolean ["false"] ANY, ReadOnly AcceptedNoEffect
        "Lets a controller add itself to the quorum.";
    "controller.quorum.bootstrap.servers" List [""] ANY, ReadOnly Honoured
        "Addresses at which a new node finds the controller quorum.";
    "controller.quorum.election.backoff.max.ms" Int ["1000"] ANY, ReadOnly AcceptedNoEffect
        "Longest wait in milliseconds before a lost controller election is tried again.";
    "controller.quorum.election.timeout.ms" Int ["1000"] ANY, ReadOnly Honoured
        "Milliseconds without a quorum leader before an election starts.";
    "controller.quorum.fetch.timeout.ms" Int ["2000"] ANY, ReadOnly Honoured
        "Milliseconds without contact to the quorum leader before a voter stands for election.";
    "controller.quorum.request.timeout.ms" Int ["2000"] ANY, ReadOnly AcceptedNoEffect
        "Milliseconds that one request inside the quorum may take.";
    "controller.quorum.retry.backoff.ms" Int ["20"] ANY, ReadOnly AcceptedNoEffect
        "Milliseconds before a failed request inside the quorum is sent again.";
    "controller.quorum.voters" List [""] ANY, ReadOnly Honoured
        "Voters of the controller quorum as id@host:port.";
    "early.start.listeners" List [] ANY, ReadOnly AcceptedNoEffect
        "Listeners that open before the authorizer is ready.";
    "initial.broker.registration.timeout.ms" Int ["60000"] ANY, ReadOnly Honoured
        "Milliseconds that a starting broker tries to register before it gives up.";
    "inter.broker.listener.name" String [] ANY, ReadOnly Honoured
        "Listener on which brokers talk to each other.";
    "listener.security.protocol.map" String ["SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"] ANY, PerBroker Honoured
        "Security protocol of each listener name, as name:protocol pairs.";
    "listeners" List ["PLAINTEXT://:9092"] ANY, PerBroker Honoured
        "Addresses on which the broker accepts connections, as name://host:port.";
    "max.connection.creation.rate" Int ["2147483647"] at_least(0), ClusterWide Honoured
        "New connections per second that the broker accepts.";
    "max.connections" Int ["2147483647"] at_least(0), ClusterWide Honoured
        "Connections that the broker holds open.";
    "max.connections.per.ip" Int ["2147483647"] at_least(0), ClusterWide Honoured
        "Connections that one client address may hold open.";
    "max.connections.per.ip.overrides" String [""] ANY, ClusterWide Honoured
        "Exceptions from max.connections.per.ip, as host:count pairs.";
    "node.id" Int ["-1"] ANY, ReadOnly Honoured
        "Number of this node in the cluster.";
    "process.roles" List [""] Validator::ListOf(ROLES), ReadOnly Honoured
        "What this node does: broker, controller or both.";
    "queued.max.request.bytes" Long ["-1"] ANY, ReadOnly Honoured
        "Bytes of requests that may wait before no more are read; -1 for no limit of its own.";
    "queued.max.requests" Int ["500"] at_least(1), ReadOnly Honoured
        "Requests that may wait before no more are read from the sockets.";
    "request.timeout.ms" Int ["30000"] ANY, ReadOnly Honoured
        "Milliseconds that a request from this node to another may take.";
    "reserved.broker.max.id" Int ["1000"] at_least(0), ReadOnly AcceptedNoEffect
        "Largest broker id that people hand out themselves.";
    "security.inter.broker.protocol" String ["PLAINTEXT"] Validator::OneOf(SECURITY_PROTOCOLS), ReadOnly Honoured
        "Security protocol between brokers where inter.broker.listener.name is unset.";
    "server.max.startup.time.ms" Long ["9223372036854775807"] at_least(0), ReadOnly AcceptedNoEffect
        "Milliseconds that a start may take.";
    "socket.connection.setup.timeout.max.ms" Long ["30000"] ANY, ReadOnly AcceptedNoEffect
        "Longest wait in milliseconds for a connection to another node.";
    "socket.connection.setup.timeout.ms" Long ["10000"] ANY, ReadOnly AcceptedNoEffect
        "First wait in milliseconds for a connection to another node.";
    "socket.listen.backlog.size" Int ["50"] at_least(1), ReadOnly Honoured
        "Connections that may wait to be accepted.";
    "socket.receive.buffer.bytes" Int ["102400"] ANY, ReadOnly Honoured
        "Receive buffer of each socket in bytes; -1 leaves it to the operating system.";
    "socket.request.max.bytes" Int ["104857600"] at_least(1), ReadOnly Honoured
        "Largest request in bytes.";
    "socket.send.buffer.bytes" Int ["102400"] ANY, ReadOnly Honoured
        "Send buffer of each socket in bytes; -1 leaves it to the operating system.";
}
